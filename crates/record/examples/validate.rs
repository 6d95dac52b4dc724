//! How fast a producer's batches are looked through.
//!
//! `cargo run --release -p bongsu-record --example validate`

use std::hint::black_box;
use std::time::Duration;

use bongsu_record::Batch;
use bongsu_record::compression::Codec;
use bongsu_record::kafka::{Writer, recompress, validate};

const LIMIT_BYTES: usize = 64 << 20;

fn main() {
    for value_bytes in [100, 1000] {
        let whole = batch(value_bytes);
        for codec in [
            Codec::None,
            Codec::Lz4,
            Codec::Snappy,
            Codec::Zstd,
            Codec::Gzip,
        ] {
            let batch = recompress(&whole, codec, LIMIT_BYTES).expect("sound");
            let rounds = if codec == Codec::None { 20_000 } else { 2_000 };
            let crc = rate(&batch, 20_000, || {
                Batch::parse(black_box(batch.bytes())).expect("sound");
            });
            let records = rate(&whole, rounds, || {
                validate(black_box(&batch), LIMIT_BYTES).expect("sound");
            });
            println!(
                "{value_bytes} byte values, {codec:?}, {} of {} bytes: CRC {crc:.1} GB/s, records \
                 {records:.1} GB/s unfolded, per second of processor",
                batch.len(),
                whole.len()
            );
        }
    }
}

/// A batch of about 256 KiB, half of it the same over and over.
fn batch(value_bytes: usize) -> Batch {
    let mut writer = Writer::new();
    let mut number = 1_u64;
    while writer.len() < 256 << 10 {
        let value: Vec<u8> = (0..value_bytes)
            .map(|at| {
                number = number.wrapping_mul(6_364_136_223_846_793_005) + 1;
                if at % 32 < 16 {
                    b'v'
                } else {
                    (number >> 56) as u8
                }
            })
            .collect();
        writer.push(1_700_000_000_000, Some(b"some key"), Some(&value), &[]);
    }
    writer.finish().expect("records")
}

fn rate(whole: &Batch, rounds: u32, mut once: impl FnMut()) -> f64 {
    once();
    let busy = processor_time();
    for _ in 0..rounds {
        once();
    }
    let busy = processor_time() - busy;
    whole.len() as f64 * f64::from(rounds) / busy.as_secs_f64() / 1e9
}

/// What this thread has had of a processor: on a machine that others use, steadier than time.
fn processor_time() -> Duration {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = said.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}
