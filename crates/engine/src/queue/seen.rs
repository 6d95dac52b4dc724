//! Which records a queue has seen before, by the identity their publishers gave them.
//!
//! With a window (by count, by time) an identity is remembered whatever became of its
//! record; without one, as long as its record is in the queue.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cursor::CursorMalformed;
use super::cursor::state::{Reader, put_count};
use super::dedup::{Dedup, Identity, Limits};
use super::properties::Deduplication;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Seen {
    identities: Dedup,
    /// Without a window: whose identity goes with which record.
    by_offset: Option<BTreeMap<u64, Identity>>,
}

impl Seen {
    pub fn new(settings: &Deduplication) -> Seen {
        let has_window = settings.count_max.is_some() || settings.keep_ms.is_some();
        Seen {
            identities: Dedup::new(limits(settings)),
            by_offset: (!has_window).then(BTreeMap::new),
        }
    }

    /// Which of these new records were seen, by index; also those given twice here.
    pub fn duplicates(
        &self,
        identities: &mut dyn Iterator<Item = Option<Identity>>,
        now_ms: u64,
    ) -> Vec<Range<u32>> {
        let mut here = std::collections::BTreeSet::new();
        let mut found: Vec<Range<u32>> = Vec::new();
        for (index, identity) in (0_u32..).zip(identities) {
            let Some(identity) = identity else {
                continue;
            };
            if !self.identities.contains(identity, now_ms) && here.insert(identity) {
                continue;
            }
            match found.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => found.push(index..index + 1),
            }
        }
        found
    }

    /// A record of that identity was appended.
    pub fn remember(&mut self, offset: u64, identity: Identity, now_ms: u64) {
        self.identities.insert(identity, now_ms, None);
        if let Some(by_offset) = &mut self.by_offset {
            by_offset.insert(offset, identity);
        }
    }

    /// A record of that identity was not appended after all.
    pub fn forget(&mut self, offset: u64, identity: Identity) {
        self.identities.forget(identity);
        if let Some(by_offset) = &mut self.by_offset {
            by_offset.remove(&offset);
        }
    }

    /// These records are in the queue no more.
    pub fn settled(&mut self, range: &Range<u64>) {
        let Some(by_offset) = &mut self.by_offset else {
            return;
        };
        let offsets: Vec<u64> = by_offset.range(range.clone()).map(|(at, _)| *at).collect();
        for offset in offsets {
            if let Some(identity) = by_offset.remove(&offset) {
                self.identities.forget(identity);
            }
        }
    }

    /// Forgets the identities of records that are gone, where that is the rule.
    pub fn keep(&mut self, is_there: impl Fn(u64) -> bool) {
        let offsets = self.by_offset.iter().flatten().map(|(offset, _)| *offset);
        let gone: Vec<u64> = offsets.filter(|offset| !is_there(*offset)).collect();
        for offset in gone {
            self.settled(&(offset..offset + 1));
        }
    }

    /// Writes it: `u32 length`, the identities, `u32 count`, each: `u64 offset`,
    /// 16 bytes identity.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = Vec::new();
        self.identities.encode(&mut bytes);
        put_count(bytes.len(), out);
        out.extend_from_slice(&bytes);
        let by_offset = self.by_offset.iter().flatten();
        put_count(self.by_offset.as_ref().map_or(0, BTreeMap::len), out);
        for (offset, identity) in by_offset {
            out.extend_from_slice(&offset.to_be_bytes());
            out.extend_from_slice(&identity.to_bytes());
        }
    }

    /// Reads what [`Seen::encode`] wrote.
    pub fn decode(rest: &mut &[u8], settings: &Deduplication) -> Result<Seen, CursorMalformed> {
        let mut seen = Seen::new(settings);
        let found = rest.len();
        let mut reader = Reader { rest, found };
        let length = reader.u32()? as usize;
        let short = CursorMalformed::Length { found };
        let (bytes, after) = reader.rest.split_at_checked(length).ok_or(short)?;
        *reader.rest = after;
        seen.identities =
            Dedup::decode(bytes, limits(settings)).map_err(|_| CursorMalformed::Order)?;
        for _ in 0..reader.u32()? {
            let offset = reader.u64()?;
            let identity = Identity::from_bytes(reader.take()?);
            if let Some(by_offset) = &mut seen.by_offset {
                by_offset.insert(offset, identity);
            }
        }
        Ok(seen)
    }
}

fn limits(settings: &Deduplication) -> Limits {
    Limits {
        count_max: settings.count_max,
        keep_ms: settings.keep_ms,
    }
}
