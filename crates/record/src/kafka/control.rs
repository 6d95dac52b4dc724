//! Marks of a transaction's end: a batch of one record that no client is shown.
//!
//! ```text
//! key     i16 version 0, i16 how: 0 aborted, 1 committed
//! value   i16 version 0, i32 epoch of the coordinator
//! ```
//! Big-endian; Kafka's `ControlRecordType` and `EndTransactionMarker`. The header says whose
//! transaction it was, and is that of a transactional control batch without a sequence.

use crate::batch::Batch;
use crate::header::{CONTROL, TRANSACTIONAL};

use super::records::Records;
use super::writer::Writer;

/// The end of a producer's transaction in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMark {
    /// Whose.
    pub producer_id: i64,
    /// Batches of a lower epoch are refused from here on.
    pub epoch: i16,
    /// Or aborted.
    pub committed: bool,
}

impl EndMark {
    /// As a batch: it takes one offset.
    pub fn batch(&self, unix_ms: i64) -> Batch {
        let how: u8 = if self.committed { COMMIT } else { ABORT };
        let mut writer = Writer::new();
        let (key, value) = ([0, 0, 0, how], [0; 6]);
        writer.push(unix_ms, Some(&key), Some(&value), &[]);
        let batch = writer.finish().expect("a record was just written");
        batch.patched(|header| {
            header.attributes = TRANSACTIONAL | CONTROL;
            header.producer_id = self.producer_id;
            header.producer_epoch = self.epoch;
        })
    }

    /// What a batch says of a transaction's end; `None`: nothing, or nothing known.
    pub fn of(batch: &Batch) -> Option<EndMark> {
        if !batch.is_control() {
            return None;
        }
        let records = Records::open(batch, MARK_BYTES_MAX).ok()?;
        let key = records.get(0)?.key?;
        let how = match <[u8; 4]>::try_from(key).ok()? {
            [_, _, 0, how @ (ABORT | COMMIT)] => how,
            _ => return None,
        };
        Some(EndMark {
            producer_id: batch.producer_id(),
            epoch: batch.epoch(),
            committed: how == COMMIT,
        })
    }
}

/// A mark has fewer.
const MARK_BYTES_MAX: usize = 64;
const ABORT: u8 = 0;
const COMMIT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_mark_is_what_kafka_writes() {
        let mark = EndMark {
            producer_id: 7,
            epoch: 3,
            committed: true,
        };
        let batch = mark.batch(1000);
        // As Apache Kafka's `MemoryRecords.writeEndTransactionalMarker` lays it out.
        let payload = "2000000008000000010c00000000000000";
        let found: String = batch.payload().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found, payload);
        assert_eq!(batch.header().attributes, 0x30);
        assert_eq!((batch.base_sequence(), batch.offset_count()), (-1, 1));
        assert_eq!(Batch::parse(&batch.bytes().clone()), Ok(batch.clone()));
        assert_eq!(EndMark::of(&batch), Some(mark));
        let aborted = EndMark {
            committed: false,
            ..mark
        };
        assert_eq!(EndMark::of(&aborted.batch(0)), Some(aborted));
        let mut writer = Writer::new();
        writer.push(0, Some(&[0, 0, 0, 1]), None, &[]);
        assert_eq!(EndMark::of(&writer.finish().unwrap()), None);
        // A mark of another kind, as Kafka's own logs have them.
        let mut other = batch.bytes().to_vec();
        other[61 + 8] = 4;
        let other = Batch::parse_unchecked(&Bytes::from(other)).unwrap();
        assert_eq!(EndMark::of(&other), None);
    }
}
