//! Bytes that no client sends: never a panic, never more memory than a frame needs, and an
//! end in finite time.

use std::time::Duration;

use bongsu_engine::session::Input;
use proptest::prelude::*;

use super::client::said;
use super::splits::LINES;
use super::world::{Seen, World};

/// The largest frame there is before another size was agreed on, and what is around it.
const CARRIED_MAX: usize = 131_072 + 8;

fn listen(world: &mut World, bytes: &[u8], read_bytes: usize) {
    for read in bytes.chunks(read_bytes.max(1)) {
        world.read(read);
        assert!(world.carried() <= CARRIED_MAX + read_bytes);
    }
    let out: usize = world
        .seen
        .iter()
        .map(|seen| match seen {
            Seen::Out(out) => out.len(),
            _ => 0,
        })
        .sum();
    // No answer is much longer than what it answers.
    assert!(
        out <= 4096 + bytes.len() * 40,
        "{out} bytes for {}",
        bytes.len()
    );
    // Whatever state it is in, it takes everything else that may happen, and ends.
    world.input(Input::Blocked(Some("noise")));
    world.deliver(0, 0, 2, false);
    world.deliver(1, 0, 2, true);
    world.input(Input::Stop);
    world.wait(Duration::from_secs(20));
    assert!(world.is_closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000), read in 1usize..500) {
        listen(&mut World::new(), &bytes, read);
    }

    #[test]
    fn random_frames_after_the_handshake(
        frames in proptest::collection::vec(
            (0u8..10, 0u16..4, proptest::collection::vec(any::<u8>(), 0..60), 0u8..100, 0u8..130),
            0..40,
        ),
        read in 1usize..500,
    ) {
        let mut bytes = said("1 open");
        for (kind, channel, payload, class, method) in frames {
            let kind = match kind { 0..7 => 1, 7 => 2, 8 => 3, _ => 8 };
            crate::codec::frame::write(kind, channel, &mut bytes, |out| {
                if kind == 1 {
                    out.extend_from_slice(&[0, class / 10 * 10, 0, method]);
                }
                out.extend_from_slice(&payload);
            });
        }
        let mut world = World::new();
        for words in ["header", "start-ok", "tune-ok 0", "open /"] {
            world.read(&said(words));
        }
        listen(&mut world, &bytes, read);
    }

    #[test]
    fn broken_conversations(
        choices in proptest::collection::vec(any::<usize>(), 0..40),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>(), 0u8..3), 1..6),
        read in 1usize..500,
    ) {
        let mut bytes = Vec::new();
        for words in ["header", "start-ok", "tune-ok 4096", "open /", "1 open", "2 open"] {
            bytes.extend(said(words));
        }
        for choice in choices {
            bytes.extend(said(LINES[choice % LINES.len()]));
        }
        for (place, byte, how) in changes {
            let place = place % bytes.len();
            match how {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        listen(&mut World::new(), &bytes, read);
    }
}
