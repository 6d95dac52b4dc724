//! Two ends, no socket: conversations of real clients, cut anywhere, bent anyhow.
//!
//! The corpus is what six clients sent, byte for byte; it is the fuzz targets' as well.

mod harness;

#[path = "harness/codec.rs"]
mod codec;

use std::path::Path;

use harness::assert_bounded;
use proptest::prelude::*;

/// Conversations by name.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/session");
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

#[test]
fn real_clients_are_understood() {
    for (name, bytes) in corpus() {
        let (transcript, sizes) = harness::run(&bytes, []);
        assert_bounded(bytes.len(), &sizes);
        for frame in transcript.frames.values().flatten() {
            let closes = frame.contains("ConnectionClose {") || frame.contains("ChannelClose {");
            // This broker leads every record to the first consumer; the real one did not.
            let elsewhere = frame.contains("unknown delivery tag");
            assert!(!closes || elsewhere, "{name}: {frame}");
        }
    }
}

#[test]
fn inputs_of_the_fuzz_targets_are_replayed() {
    for (_, bytes) in corpus() {
        harness::check(&bytes);
        codec::decode(&bytes);
    }
}

#[test]
fn a_conversation_cut_in_two_anywhere_is_the_same() {
    for (name, bytes) in corpus() {
        let (whole, _) = harness::run(&bytes, []);
        let step = 1 + bytes.len() / 500;
        for cut in (0..bytes.len()).step_by(step) {
            let (cut_in_two, _) = harness::run(&bytes, [cut]);
            assert_eq!(cut_in_two, whole, "{name} cut at {cut}");
        }
    }
}

#[test]
fn a_conversation_byte_by_byte_is_the_same() {
    for (name, bytes) in corpus() {
        let (whole, _) = harness::run(&bytes, []);
        let (bit_by_bit, _) = harness::run(&bytes, 0..bytes.len());
        assert_eq!(bit_by_bit, whole, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_at_random_change_nothing(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let corpus = corpus();
        let (_, bytes) = which.get(&corpus);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(harness::run(bytes, cuts).0, harness::run(bytes, []).0);
    }

    // Bytes changed, dropped and doubled: any answer will do, so long as there is one, it
    // is bounded, and it is the same however the bytes were cut.
    #[test]
    fn bent_conversations_harm_nobody(
        which in any::<prop::sample::Index>(),
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let corpus = corpus();
        let mut bytes = which.get(&corpus).1.clone();
        for (at, value, how) in bends {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = value,
                1 => { bytes.remove(at); }
                _ => bytes.insert(at, value),
            }
        }
        let (whole, sizes) = harness::run(&bytes, []);
        assert_bounded(bytes.len(), &sizes);
        let (cut_in_two, _) = harness::run(&bytes, [cut.index(bytes.len())]);
        prop_assert_eq!(cut_in_two, whole);
    }

    #[test]
    fn noise_harms_nobody(bytes in prop::collection::vec(any::<u8>(), 0..2000), opened in any::<bool>()) {
        let mut input = Vec::new();
        if opened {
            let (_, conversation) = &corpus()[0];
            input.extend_from_slice(&conversation[..conversation.len() / 2]);
        }
        input.extend_from_slice(&bytes);
        let (_, sizes) = harness::run(&input, []);
        assert_bounded(input.len(), &sizes);
    }
}
