//! A log's producers as bytes, for a checkpoint.
//!
//! ```text
//!   format        u8    1
//!   end           u64   all below has been taken in
//!   producers     u32   then each, by id:
//!     id          i64
//!     epoch       i16
//!     last        u64   Unix milliseconds
//!     open        u64   first offset of its open transaction, 2^64-1 = none
//!     batches     u8    then each, the oldest first:
//!       sequence  i32   of its first record
//!       records   u32
//!       base      u64
//!       timestamp i64   Unix milliseconds
//!   aborted       u32   then each, by last:
//!     id          i64
//!     first       u64
//!     last        u64
//!     stable      u64   what ended later began here or behind
//! ```
//! All big-endian.

use std::collections::VecDeque;

use bongsu_record::Offset;

use super::{Aborted, Entry, Producer, Producers, RECENT_MAX, Recent};

/// Why bytes are not a log's producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducersMalformed {
    /// They end too early, or go on behind the end.
    Length {
        /// Bytes there.
        found: usize,
    },
    /// Another format than this program writes.
    Format(u8),
    /// A number outside its range, or two things that cannot both be.
    Unsound,
}

impl Producers {
    /// Appends the state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.end.0.to_be_bytes());
        out.extend_from_slice(&length(self.known.len()));
        for (id, producer) in &self.known {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.extend_from_slice(&producer.last_ms.to_be_bytes());
            let open = producer.open.map_or(NONE, |first| first.0);
            out.extend_from_slice(&open.to_be_bytes());
            out.push(u8::try_from(producer.recent.len()).expect("at most RECENT_MAX"));
            for recent in &producer.recent {
                out.extend_from_slice(&recent.base_sequence.to_be_bytes());
                out.extend_from_slice(&recent.count.to_be_bytes());
                out.extend_from_slice(&recent.base.0.to_be_bytes());
                out.extend_from_slice(&recent.timestamp_ms.to_be_bytes());
            }
        }
        out.extend_from_slice(&length(self.aborted.len()));
        for entry in &self.aborted {
            out.extend_from_slice(&entry.aborted.producer_id.to_be_bytes());
            out.extend_from_slice(&entry.aborted.first.0.to_be_bytes());
            out.extend_from_slice(&entry.aborted.last.0.to_be_bytes());
            out.extend_from_slice(&entry.stable.0.to_be_bytes());
        }
    }

    /// Reads what [`Producers::encode`] wrote.
    ///
    /// # Errors
    /// [`ProducersMalformed`].
    pub fn decode(bytes: &[u8]) -> Result<Producers, ProducersMalformed> {
        let mut reader = Reader {
            rest: bytes,
            found: bytes.len(),
        };
        let format = reader.array::<1>()?[0];
        if format != FORMAT {
            return Err(ProducersMalformed::Format(format));
        }
        let mut producers = Producers {
            end: Offset(u64::from_be_bytes(reader.array()?)),
            ..Producers::default()
        };
        for _ in 0..u32::from_be_bytes(reader.array()?) {
            let id = i64::from_be_bytes(reader.array()?);
            let producer = reader.producer()?;
            if producer.open.is_some_and(|first| first >= producers.end) {
                return Err(ProducersMalformed::Unsound);
            }
            producers
                .open
                .extend(producer.open.map(|first| (first, id)));
            if producers.known.insert(id, producer).is_some() {
                return Err(ProducersMalformed::Unsound);
            }
        }
        for _ in 0..u32::from_be_bytes(reader.array()?) {
            let entry = Entry {
                aborted: Aborted {
                    producer_id: i64::from_be_bytes(reader.array()?),
                    first: Offset(u64::from_be_bytes(reader.array()?)),
                    last: Offset(u64::from_be_bytes(reader.array()?)),
                },
                stable: Offset(u64::from_be_bytes(reader.array()?)),
            };
            let before = producers.aborted.back();
            let ascends = before.is_none_or(|before| {
                before.aborted.last < entry.aborted.last && before.stable <= entry.stable
            });
            if !ascends || entry.aborted.last >= producers.end {
                return Err(ProducersMalformed::Unsound);
            }
            producers.aborted.push_back(entry);
        }
        if !reader.rest.is_empty() {
            return Err(reader.length());
        }
        Ok(producers)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    found: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProducersMalformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(self.length())?;
        self.rest = rest;
        Ok(*array)
    }

    fn length(&self) -> ProducersMalformed {
        ProducersMalformed::Length { found: self.found }
    }

    fn producer(&mut self) -> Result<Producer, ProducersMalformed> {
        let epoch = i16::from_be_bytes(self.array()?);
        let last_ms = u64::from_be_bytes(self.array()?);
        let open = u64::from_be_bytes(self.array()?);
        let count = usize::from(self.array::<1>()?[0]);
        if count > RECENT_MAX {
            return Err(ProducersMalformed::Unsound);
        }
        let mut recent = VecDeque::with_capacity(count);
        for _ in 0..count {
            recent.push_back(Recent {
                base_sequence: i32::from_be_bytes(self.array()?),
                count: u32::from_be_bytes(self.array()?),
                base: Offset(u64::from_be_bytes(self.array()?)),
                timestamp_ms: i64::from_be_bytes(self.array()?),
            });
        }
        let sound = |recent: &Recent| recent.base_sequence >= 0 && recent.count > 0;
        if !recent.iter().all(sound) {
            return Err(ProducersMalformed::Unsound);
        }
        Ok(Producer {
            epoch,
            recent,
            open: (open != NONE).then_some(Offset(open)),
            last_ms,
        })
    }
}

fn length(count: usize) -> [u8; 4] {
    let count = u32::try_from(count).expect("fewer than records of a log in memory");
    count.to_be_bytes()
}

const FORMAT: u8 = 1;
const NONE: u64 = u64::MAX;
