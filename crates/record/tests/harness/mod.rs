//! What reading a Kafka batch promises, on one input: shared by tests and fuzz targets.

use bongsu_record::Batch;
use bongsu_record::kafka::{Records, validate};
use bytes::Bytes;

/// No panic and no more memory than is allowed; what the door lets in, everybody can read;
/// and every record is as long as the batch, at most.
pub fn check(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    // Checksums refuse nearly all there is to find, so it is asked both ways.
    let checked = Batch::parse(&bytes);
    let Ok(batch) = Batch::parse_unchecked(&bytes) else {
        assert!(checked.is_err());
        return;
    };
    assert!(batch.len() <= bytes.len());
    if let Ok(checked) = checked {
        assert_eq!(checked.bytes(), batch.bytes());
    }
    let validated = validate(&batch, UNFOLDED_BYTES_MAX);
    let opened = Records::open(&batch, UNFOLDED_BYTES_MAX);
    if batch.is_native() {
        assert!(validated.is_err() && opened.is_err());
        return;
    }
    let Ok(records) = opened else {
        assert!(
            validated.is_err(),
            "{validated:?} and yet {:?}",
            opened.err()
        );
        return;
    };
    let mut keyless = 0;
    let mut read_bytes = 0;
    for record in records.iter() {
        keyless += u32::from(record.key.is_none());
        read_bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        for header in record.headers {
            read_bytes += header.name.len() + header.value.map_or(0, <[u8]>::len);
        }
        let found = records.at(record.offset_delta).expect("it is there");
        assert_eq!(found.offset_delta, record.offset_delta);
    }
    assert!(read_bytes <= UNFOLDED_BYTES_MAX.max(batch.len()));
    if let Ok(validated) = validated {
        assert_eq!(records.count(), batch.record_count());
        assert_eq!(validated.keyless_count, keyless);
    }
}

/// As small as it can be for the inputs there are, so that bombs are found.
const UNFOLDED_BYTES_MAX: usize = 1 << 20;
