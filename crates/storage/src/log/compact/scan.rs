//! The units of a segment, one after the other, each checked.

use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::{Batch, Offset};
use bytes::Bytes;

use crate::Error;
use crate::seam::Blob;
use crate::segment::{Identity, SEGMENT_HEADER_BYTES, Unit, unit_batch};

/// A batch, and where it stands.
pub(super) struct Found {
    pub position: u64,
    pub base: Offset,
    pub batch: Batch,
}

impl Found {
    pub fn end(&self) -> Offset {
        self.base.plus(u64::from(self.batch.offset_count()))
    }
}

pub(super) struct Scan {
    identity: Identity,
    blob: Arc<dyn Blob>,
    path: PathBuf,
    /// Where what is in the buffer begins, and what comes next in it.
    buffer_at: u64,
    at: usize,
    buffer: Bytes,
    units_end: u64,
}

impl Scan {
    pub fn new(identity: Identity, blob: Arc<dyn Blob>, path: PathBuf, units_end: u64) -> Scan {
        Scan {
            identity,
            blob,
            path,
            buffer_at: SEGMENT_HEADER_BYTES as u64,
            at: 0,
            buffer: Bytes::new(),
            units_end,
        }
    }

    pub fn next(&mut self) -> Result<Option<Found>, Error> {
        let mut wanted = BUFFER_BYTES;
        loop {
            let position = self.buffer_at + self.at as u64;
            if position >= self.units_end {
                return Ok(None);
            }
            let rest = self.buffer.slice(self.at..);
            let is_all = self.buffer_at + self.buffer.len() as u64 >= self.units_end;
            let wrong = |what: &str| Error::corrupt(&self.path, position, what);
            match self.identity.unit(&rest) {
                Unit::Front(front) if front.bytes <= rest.len() => {
                    let unit = rest.slice(..front.bytes);
                    let batch = unit_batch(&unit).map_err(|what| wrong(&what))?;
                    self.at += front.bytes;
                    return Ok(Some(Found {
                        position,
                        base: front.base,
                        batch,
                    }));
                }
                Unit::Front(front) if !is_all => wanted = wanted.max(front.bytes),
                Unit::Short if !is_all => {}
                Unit::Front(_) => return Err(wrong("a batch reaches past the end of its segment")),
                Unit::Short | Unit::Damaged => {
                    return Err(wrong(
                        "the check of a batch's offset and length does not hold",
                    ));
                }
            }
            let left = self.units_end - position;
            let mut buffer = vec![0; left.min(wanted as u64) as usize];
            self.blob.read_at(position, &mut buffer)?;
            self.buffer = Bytes::from(buffer);
            self.buffer_at = position;
            self.at = 0;
        }
    }
}

const BUFFER_BYTES: usize = 1 << 20;
