//! Clients that mean harm, or are half there: a session ends or goes on, and never falls.
//!
//! The corpus is what real clients sent, byte for byte; it is the fuzz target's as well.

mod harness;

use std::path::Path;

use bongsu_engine::session::{Input, Session as _};
use harness::{REQUEST_BYTES_MAX, World, run};
use proptest::prelude::*;

/// Conversations by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kafka_frame");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), std::fs::read(path).expect("readable"))
        })
        .collect()
}

/// A request without a body: key, version, correlation 7, no client's name.
fn request(key: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend((-1_i16).to_be_bytes());
    if flexible {
        frame.push(0);
    }
    frame.extend(body);
    [&(frame.len() as i32).to_be_bytes()[..], &frame].concat()
}

fn api_versions() -> Vec<u8> {
    request(18, 0, false, b"")
}

/// Error code of an answer to ApiVersions.
fn error_code(out: &[u8]) -> i16 {
    assert_eq!(out[4..8], 7_i32.to_be_bytes(), "the correlation");
    i16::from_be_bytes([out[8], out[9]])
}

#[test]
fn inputs_of_the_fuzz_target_are_replayed() {
    let corpus = corpus();
    assert!(!corpus.is_empty());
    for (_, bytes) in corpus {
        harness::check(&bytes);
    }
}

#[test]
fn a_conversation_byte_by_byte_is_the_same() {
    for (name, bytes) in corpus() {
        let whole = run(&bytes, []);
        assert_eq!(run(&bytes, 0..bytes.len()), whole, "{name}");
    }
}

#[test]
fn a_request_beyond_the_bound_ends_the_connection_before_it_is_sent() {
    for length in [REQUEST_BYTES_MAX as i32 + 1, i32::MAX, -1, i32::MIN] {
        let mut world = World::new();
        world.bytes(&api_versions());
        assert!(!world.transcript.closed);
        world.bytes(&length.to_be_bytes());
        assert!(world.transcript.closed, "{length}");
        assert!(world.transcript.calls.is_empty());
    }
}

#[test]
fn an_unknown_key_ends_the_connection() {
    for key in [-1, 4, 5, 7, 999, i16::MIN, i16::MAX] {
        let transcript = run(&request(key, 0, false, b""), []);
        assert!(transcript.closed && transcript.out.is_empty(), "{key}");
    }
}

#[test]
fn an_unknown_version_ends_the_connection_but_for_the_question_which_there_are() {
    let unsupported = 35;
    for version in [-1, 99, i16::MAX] {
        let transcript = run(&request(18, version, true, b""), []);
        assert!(!transcript.closed);
        assert_eq!(error_code(&transcript.out), unsupported, "{version}");
        let transcript = run(&request(1, version, true, b""), []);
        assert!(transcript.closed && transcript.out.is_empty(), "{version}");
    }
    // Told of for librdkafka's sake, served by nobody.
    assert!(run(&request(0, 2, false, b""), []).closed);
}

#[test]
fn a_request_shorter_or_emptier_than_a_header_ends_the_connection() {
    for bytes in [&b"\0\0\0\0"[..], b"\0\0\0\x01\0", b"\0\0\0\x04\0\x12\0\0"] {
        assert!(run(bytes, []).closed, "{bytes:?}");
    }
    // A refused version needs its correlation, at least.
    assert!(run(b"\0\0\0\x04\0\x12\0\x63", []).closed);
}

#[test]
fn arrays_that_are_not_there_end_the_connection_and_nothing_else() {
    let four = 0x7fff_ffff_i32.to_be_bytes();
    let varint = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let list_offsets = [&[0; 5][..], &four].concat();
    let fetch = [&[0; 13][..], &[0; 8], &varint].concat();
    let unknown_fields = [&b"\x02a\x02b"[..], &varint].concat();
    for bytes in [
        request(2, 2, false, &list_offsets),
        request(1, 17, true, &fetch),
        request(18, 3, true, &unknown_fields),
    ] {
        let transcript = run(&bytes, []);
        assert!(transcript.closed && transcript.out.is_empty());
    }
}

#[test]
fn whoever_sends_nothing_is_sent_away_and_whoever_sends_slowly_is_not() {
    let mut world = World::new();
    let bytes = api_versions();
    for byte in &bytes[..bytes.len() - 1] {
        world.now.instant = world.session.deadline().expect("one");
        world.now.instant -= std::time::Duration::from_millis(1);
        world.input(Input::Timeout);
        assert!(!world.transcript.closed);
        world.bytes(&[*byte]);
    }
    // Half a request is no excuse.
    world.now.instant = world.session.deadline().expect("one");
    world.input(Input::Timeout);
    assert!(world.transcript.closed);
}

#[test]
fn answers_come_in_the_order_of_requests_however_many_come_at_once() {
    let mut bytes = Vec::new();
    for correlation in 0..500_i32 {
        let mut one = api_versions();
        one[8..12].copy_from_slice(&correlation.to_be_bytes());
        bytes.extend(one);
    }
    let transcript = run(&bytes, []);
    assert!(!transcript.closed);
    let mut rest = transcript.out.as_slice();
    for correlation in 0..500_i32 {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        assert_eq!(rest[4..8], correlation.to_be_bytes());
        rest = &rest[4 + length..];
    }
    assert!(rest.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_ends_a_connection_or_waits_for_more(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        harness::check(&bytes);
    }

    #[test]
    fn requests_with_garbage_in_them_are_survived(
        key in 0_i16..93,
        version in -1_i16..19,
        flexible in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        harness::check(&request(key, version, flexible, &body));
    }

    #[test]
    fn real_conversations_bent_anyhow_are_survived(
        which in any::<prop::sample::Index>(),
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let corpus = corpus();
        let mut bytes = which.get(&corpus).1.clone();
        for (at, byte) in bends {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        harness::check(&bytes);
    }
}
