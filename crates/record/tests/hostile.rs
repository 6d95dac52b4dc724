//! Batches of real clients, bent anyhow: read or refused.
//!
//! The corpus is what Kafka keeps of them, byte for byte; it is the fuzz target's as well.

mod harness;

use std::path::Path;

use bongsu_record::Batch;
use bongsu_record::compression::Codec;
use bongsu_record::header::HEADER_BYTES;
use bongsu_record::kafka::recompress;
use bytes::Bytes;
use proptest::prelude::*;

/// Batches by name, the plain ones compressed in every way besides.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kafka_batch");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    let mut batches = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy();
        let bytes = std::fs::read(&file).expect("readable");
        let batch = Batch::parse(&Bytes::from(bytes.clone())).expect("Kafka wrote it");
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            if let Ok(folded) = recompress(&batch, codec, 1 << 20) {
                batches.push((format!("{name} {codec:?}"), folded.bytes().to_vec()));
            }
        }
        batches.push((name.into_owned(), bytes));
    }
    batches
}

#[test]
fn batches_of_real_clients_are_read() {
    let corpus = corpus();
    assert!(corpus.len() > 8, "compressed ones, too");
    for (_, bytes) in corpus {
        harness::check(&bytes);
        harness::check_messages(&bytes);
        for cut in 0..bytes.len() {
            harness::check(&bytes[..cut]);
            harness::check_messages(&bytes[..cut]);
        }
    }
}

/// What the fuzzer came upon: batches that nobody has checked, whose count is far from the truth. To
/// go through two thousand millions of records that are not there takes minutes.
#[test]
fn a_count_that_lies_costs_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/messages");
    let mut bytes = std::fs::read(folder.join("count-that-lies.bin")).expect("it is there");
    let count_at = HEADER_BYTES - 4;
    bytes[count_at..HEADER_BYTES].copy_from_slice(&i32::MAX.to_be_bytes());
    let last_offset_delta_at = 23;
    bytes[last_offset_delta_at..last_offset_delta_at + 4]
        .copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    let batch = Batch::parse_unchecked(&Bytes::from(bytes.clone())).expect("by its header");
    assert_eq!(batch.record_count(), i32::MAX.unsigned_abs());
    harness::check_messages(&bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_bent_anyhow_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
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
