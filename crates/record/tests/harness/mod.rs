//! What reading a batch promises, on one input: shared by tests and fuzz targets.

#![allow(dead_code, reason = "each test and fuzz target uses what it needs")]

use bongsu_record::kafka::{Records, validate};
use bongsu_record::{Batch, Messages, Offset, table};
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

/// The same of what a reader of any protocol asks of a message, and of tables by themselves.
pub fn check_messages(bytes: &[u8]) {
    if let Ok((table, used)) = table::decode(bytes) {
        assert!(used <= bytes.len());
        let mut again = Vec::new();
        table::encode(&table, &mut again);
        let (same, _) = table::decode(&again).expect("what we wrote");
        assert_eq!(format!("{same:?}"), format!("{table:?}"));
    }
    let Ok(batch) = Batch::parse_unchecked(&Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let Ok(messages) = Messages::open(&batch, Offset(0), UNFOLDED_BYTES_MAX) else {
        return;
    };
    let mut read_bytes = 0;
    for message in messages.iter() {
        read_bytes += message.body().len() + message.routing_key().len();
        // Either can be malformed without the other.
        let _ = message.properties();
        let _ = message.pairs();
        let _ = message.text_header(b"x-deliver-at");
        if let Ok(headers) = message.headers() {
            let mut table = Vec::new();
            table::encode(&headers, &mut table);
        }
    }
    assert!(read_bytes <= 2 * UNFOLDED_BYTES_MAX.max(batch.len()));
}
