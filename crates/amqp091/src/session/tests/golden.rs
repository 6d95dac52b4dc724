//! The bytes of a handshake, as they are on the wire.

use super::client::said;
use super::world::{Seen, World};

#[test]
fn handshake_bytes_are_pinned() {
    let mut world = World::new();
    for words in ["header", "start-ok", "tune-ok 4096", "open /"] {
        world.read(&said(words));
    }
    let hex: Vec<String> = world
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Out(out) => Some(out.iter().map(|byte| format!("{byte:02x}")).collect()),
            _ => None,
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/golden.hex");
    let text = hex.join("\n") + "\n";
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(text, std::fs::read_to_string(path).unwrap());
}
