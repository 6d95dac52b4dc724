//! Which ready record goes next: by offset, by priority, or by key.
//!
//! Knows only records that were judged. Told of every change of state, so that whatever is
//! offered here is ready in the cursor, and the other way round.

use std::collections::BTreeMap;
use std::ops::Range;

use roaring::RoaringTreemap;

use super::cursor::AckCursor;
use super::fact::Fact;
use super::groups::{Groups, Turns};
use super::late::{Late, Place};
use super::links::LinkKey;
use super::properties::Properties;
use super::runs::RunMap;
use super::why::Locks;

/// See the module's comment.
#[derive(Debug)]
pub(super) enum Order {
    /// Lowest offset first; what came due later, behind what was there by then.
    Offset(Late),
    /// Highest priority first, lowest offset within it.
    Bands(Bands),
    /// By key.
    Keys(Keys),
}

/// Ready records by priority.
#[derive(Debug, Default)]
pub(super) struct Bands {
    /// By priority.
    ready: Vec<RoaringTreemap>,
    /// The priority of records that are not ready and may be again.
    away: RunMap<u8>,
}

/// Ready records by key.
#[derive(Debug)]
pub(super) struct Keys {
    groups: Groups,
    /// Keys of records that were never ready yet.
    early: BTreeMap<u64, Option<u64>>,
}

impl Order {
    pub fn of(properties: &Properties) -> Order {
        if let Some(grouping) = &properties.grouping {
            let turns = match grouping.is_fair {
                true => Turns::Fair,
                false => Turns::Exclusive,
            };
            return Order::Keys(Keys {
                groups: Groups::new(turns),
                early: BTreeMap::new(),
            });
        }
        match properties.priority_max {
            Some(max) => Order::Bands(Bands {
                ready: vec![RoaringTreemap::new(); usize::from(max) + 1],
                away: RunMap::default(),
            }),
            None => Order::Offset(Late::default()),
        }
    }

    /// Records that are ready for the first time.
    pub fn offer(&mut self, range: Range<u64>, fact: &Fact) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.put(range, fact.priority),
            Order::Keys(keys) => {
                for offset in range {
                    keys.groups.offer(offset, fact.key);
                }
            }
        }
    }

    /// Records that are judged and not ready yet.
    pub fn hold(&mut self, range: Range<u64>, fact: &Fact) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.away.insert(range, fact.priority),
            Order::Keys(keys) => {
                for offset in range {
                    keys.early.insert(offset, fact.key);
                }
            }
        }
    }

    /// Records that came back before and have to wait, seen for the first time.
    pub fn wait(&mut self, range: Range<u64>, fact: &Fact) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.away.insert(range, fact.priority),
            Order::Keys(keys) => {
                range.for_each(|offset| keys.groups.offer_parked(offset, fact.key));
            }
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self, cursor: &AckCursor) {
        if let Order::Offset(late) = self {
            late.check();
        } else {
            assert_eq!(cursor.late(), 0);
        }
    }

    /// Records that came due behind what is there: where offsets decide, and only there,
    /// they are late.
    pub fn late(&mut self, range: Range<u64>, place: Place) -> bool {
        match self {
            Order::Offset(late) => {
                let place = late.free(place);
                late.push(place, range);
                true
            }
            _ => false,
        }
    }

    /// Held or parked records are ready.
    pub fn due(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.back(range),
            Order::Keys(keys) => {
                for offset in range {
                    match keys.early.remove(&offset) {
                        Some(key) => keys.groups.offer(offset, key),
                        None => keys.groups.unparked(offset),
                    }
                }
            }
        }
    }

    /// Leases came back and are ready.
    pub fn returned(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.back(range),
            Order::Keys(keys) => range.for_each(|offset| keys.groups.returned(offset)),
        }
    }

    /// Leases came back and have to wait.
    pub fn parked(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(_) | Order::Bands(_) => {}
            Order::Keys(keys) => range.for_each(|offset| keys.groups.parked(offset)),
        }
    }

    /// Ready records are not any more, and never again.
    pub fn withdraw(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(late) => late.cut(&range),
            Order::Bands(bands) => bands.cut(range),
            Order::Keys(keys) => range.for_each(|offset| keys.groups.withdraw(offset)),
        }
    }

    /// Leased records will not come back.
    pub fn ended(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.away.remove(range, |_| true, |_, _| ()),
            Order::Keys(keys) => range.for_each(|offset| keys.groups.ended(offset)),
        }
    }

    /// Held or parked records are gone.
    pub fn dismiss(&mut self, range: Range<u64>) {
        match self {
            Order::Offset(_) => {}
            Order::Bands(bands) => bands.away.remove(range, |_| true, |_, _| ()),
            Order::Keys(keys) => {
                for offset in range {
                    if keys.early.remove(&offset).is_none() {
                        keys.groups.withdraw(offset);
                    }
                }
            }
        }
    }

    /// What goes next to this link, up to `most`, one after the other. By key it is taken
    /// already; [`Order::put_back`] undoes that.
    pub fn reserve(
        &mut self,
        holder: LinkKey,
        cursor: &AckCursor,
        known: u64,
        most: u64,
    ) -> Option<Range<u64>> {
        match self {
            Order::Offset(late) => {
                let next = next_of(late, cursor, known)?;
                Some(next.start..next.end.min(next.start.saturating_add(most)))
            }
            Order::Bands(bands) => bands.peek(most),
            Order::Keys(keys) => {
                let offset = keys.groups.take(holder)?;
                Some(offset..offset + 1)
            }
        }
    }

    /// What was reserved is not lent after all.
    pub fn put_back(&mut self, reserved: Range<u64>) {
        if let Order::Keys(keys) = self {
            reserved.for_each(|offset| keys.groups.returned(offset));
        }
    }

    /// Lends the front part of what was reserved.
    pub fn lend(&mut self, reserved: Range<u64>) {
        match self {
            Order::Offset(late) => late.cut(&reserved),
            Order::Bands(bands) => bands.lend(reserved),
            Order::Keys(_) => {}
        }
    }

    /// The records at the head: those that expire first come off here. Mostly one.
    pub fn heads(&self, cursor: &AckCursor, known: u64) -> Vec<u64> {
        match self {
            Order::Offset(late) => {
                let plain = cursor.first_ready().map(|(run, _)| run.start);
                let plain = plain.filter(|start| *start < known);
                let late = late.first().map(|(_, range)| range.start);
                plain.into_iter().chain(late).collect()
            }
            Order::Bands(bands) => {
                let highest = bands.highest().and_then(|(_, band)| band.min());
                highest.into_iter().collect()
            }
            Order::Keys(keys) => keys.groups.first().into_iter().collect(),
        }
    }

    /// The record that a full queue drops first.
    pub fn oldest(&self, cursor: &AckCursor, known: u64) -> Option<u64> {
        match self {
            Order::Bands(bands) => bands.highest().and_then(|(_, band)| band.min()),
            Order::Offset(late) => next_of(late, cursor, known).map(|next| next.start),
            Order::Keys(_) => self.heads(cursor, known).first().copied(),
        }
    }
}

impl Keys {
    /// Whether there is a record for this link.
    pub fn could_serve(&self, holder: LinkKey) -> bool {
        self.groups.could_serve(holder)
    }

    /// Whether there is one for anybody, now or later.
    pub fn has_ready(&self) -> bool {
        self.groups.ready_count() > 0
    }

    /// Who holds keys with ready records: up to so many, then those nobody holds.
    pub fn locks(&self, most: usize) -> Vec<Locks> {
        self.groups.locks(most)
    }
}

/// The next records where offsets decide, those that came due later at their rank.
fn next_of(late: &Late, cursor: &AckCursor, known: u64) -> Option<Range<u64>> {
    let plain = cursor.first_ready().map(|(run, _)| run);
    let plain = plain.filter(|run| run.start < known);
    match (plain, late.first()) {
        (Some(run), Some((rank, _))) if run.start < rank => {
            Some(run.start..run.end.min(known).min(rank))
        }
        (_, Some((_, range))) => Some(range),
        (Some(run), None) => Some(run.start..run.end.min(known)),
        (None, None) => None,
    }
}

impl Bands {
    fn band(&self, priority: u8) -> usize {
        usize::from(priority).min(self.ready.len() - 1)
    }

    fn put(&mut self, range: Range<u64>, priority: u8) {
        let band = self.band(priority);
        self.ready[band].insert_range(range);
    }

    fn back(&mut self, range: Range<u64>) {
        let mut pieces = Vec::new();
        self.away
            .remove(range, |_| true, |piece, band| pieces.push((piece, band)));
        for (piece, band) in pieces {
            self.put(piece, band);
        }
    }

    fn highest(&self) -> Option<(usize, &RoaringTreemap)> {
        self.ready
            .iter()
            .enumerate()
            .rev()
            .find(|(_, band)| !band.is_empty())
    }

    fn peek(&self, most: u64) -> Option<Range<u64>> {
        let (_, band) = self.highest()?;
        let start = band.min()?;
        let mut end = start + 1;
        while end - start < most && band.contains(end) {
            end += 1;
        }
        Some(start..end)
    }

    fn lend(&mut self, range: Range<u64>) {
        if let Some((band, _)) = self.highest() {
            self.ready[band].remove_range(range.clone());
            self.away.insert(range, band as u8);
        }
    }

    fn cut(&mut self, range: Range<u64>) {
        for band in &mut self.ready {
            band.remove_range(range.clone());
        }
    }
}
