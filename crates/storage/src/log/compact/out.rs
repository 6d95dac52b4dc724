//! Writing the segment that takes the place of others.

use std::sync::Arc;

use bongsu_record::{Batch, Offset};

use crate::log::times::higher;
use crate::log::{Log, Peak, Segment};
use crate::seam::Blob;
use crate::segment::{INDEX_EVERY_BYTES, Identity, SEGMENT_HEADER_BYTES, Sample, put_index};
use crate::{Durability, Error};

/// The segment that takes a group's place.
pub(super) struct Out<'a> {
    log: &'a Log,
    made: Option<(Identity, Arc<dyn Blob>)>,
    base: Offset,
    cleaned: Offset,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    position: u64,
    samples: Vec<Sample>,
    peak: Option<Peak>,
    /// There is something in it, or to be said by it.
    is_needed: bool,
}

impl<'a> Out<'a> {
    /// Nothing is made yet. If it is needed, it will be, even if nothing is put into it.
    pub fn new(log: &'a Log, group: &[Segment], cleaned: Offset, is_needed: bool) -> Out<'a> {
        Out {
            log,
            made: None,
            base: group.first().map_or(Offset(0), |first| first.base),
            cleaned,
            buffer: Vec::new(),
            position: 0,
            samples: Vec::new(),
            peak: None,
            is_needed,
        }
    }

    pub fn is_needed(&self) -> bool {
        self.is_needed
    }

    pub fn push(&mut self, base: Offset, batch: &Batch) -> Result<(), Error> {
        let identity = self.begin()?;
        let position = self.position + self.buffer.len() as u64;
        let last = self.samples.last();
        let last = last.map_or(SEGMENT_HEADER_BYTES as u64, |sample| sample.position);
        if position >= last + INDEX_EVERY_BYTES {
            self.samples.push(Sample {
                offset: base,
                position,
            });
        }
        let max_ms = batch.max_timestamp();
        self.peak = higher(self.peak, Some(Peak { base, max_ms }));
        identity.put_unit(base, batch, &mut self.buffer);
        self.is_needed = true;
        match self.buffer.len() >= WRITE_BYTES {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<Identity, Error> {
        if let Some((identity, _)) = &self.made {
            return Ok(*identity);
        }
        let made = self.log.shelf.create(|id| self.log.identity(id))?;
        made.0.put_header(self.base, self.cleaned, &mut self.buffer);
        let identity = made.0;
        self.made = Some(made);
        Ok(identity)
    }

    fn write(&mut self) -> Result<(), Error> {
        if let Some((_, blob)) = &self.made {
            blob.write_at(self.position, &self.buffer)?;
        }
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// All is written and synced: the segment, unless nothing is left of the group.
    pub fn finish(&mut self, group: &[Segment]) -> Result<Option<Segment>, Error> {
        if !self.is_needed {
            return Ok(None);
        }
        self.begin()?;
        let units_end = self.position + self.buffer.len() as u64;
        put_index(&self.samples, units_end, &mut self.buffer);
        self.write()?;
        let Some((identity, blob)) = &self.made else {
            return Ok(None);
        };
        if self.log.durability() != Durability::Memory {
            blob.sync()?;
        }
        Ok(group.last().map(|last| Segment {
            id: identity.segment,
            base: self.base,
            end: last.end,
            bytes: units_end,
            sealed: true,
            first_ms: None,
            peak: self.peak,
        }))
    }

    /// No checkpoint can know of it: it goes at once.
    pub fn give_up(&mut self) {
        if let Some((identity, _)) = self.made.take() {
            self.log.shelf.delete(vec![(identity, 0)]);
        }
    }
}

const WRITE_BYTES: usize = 1 << 20;
