//! Several batches to several queues, and the ends of leases, as one group in the WAL: all
//! of it survives a crash or none.
//!
//! A plain publish has a shorter way ([`Broker::append`]). This one is for whatever needs
//! more: a transaction, dead records on their way, a queue that refuses records or has
//! seen them before.
//!
//! All queues are locked, in ascending order of their ids, from before anything is decided
//! until all of it is recorded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::catalog::QueueId;
use bongsu_engine::queue::dedup::Identity;
use bongsu_engine::queue::properties::Overflow;
use bongsu_engine::queue::{Input, LinkKey, Note, Reason};
use bongsu_engine::session::Outcome;
use bongsu_record::native::Builder;
use bongsu_record::{Batch, Lsn, Offset};
use bongsu_storage::{EntryRef, Log, Publish};
use parking_lot::MutexGuard;

use crate::broker::Broker;
use crate::cell::{Entries, QUEUE_NOTE, QueueCell, State, Step};
use crate::facts;
use crate::handle::refused;
use crate::publish::Cells;

/// One batch and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Ascending by id.
    pub(crate) cells: Cells,
    pub(crate) batch: Batch,
}

/// Leases that end.
pub(crate) struct Ending<'a> {
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) key: LinkKey,
    pub(crate) ranges: &'a [Range<Offset>],
    pub(crate) outcome: Outcome,
}

/// Dead records that leave their queue.
pub(crate) struct Leaving {
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) records: Range<Offset>,
    pub(crate) reason: Reason,
}

/// Ready records that leave their queue because somebody moves them.
pub(crate) struct Discarding {
    pub(crate) cell: Arc<QueueCell>,
    pub(crate) ranges: Vec<Range<Offset>>,
}

/// See the module's comment.
#[derive(Default)]
pub(crate) struct Group<'a> {
    pub(crate) parts: Vec<Part>,
    pub(crate) endings: Vec<Ending<'a>>,
    pub(crate) leaving: Option<Leaving>,
    /// Nothing is done unless all of them are ready, and each part finds a queue.
    pub(crate) discarding: Option<Discarding>,
    /// Queues that are full take these all the same.
    pub(crate) forced: bool,
    /// Nothing is done if a full queue refuses some of it.
    pub(crate) strict: bool,
    /// More to be recorded with them: kind, id, bytes.
    pub(crate) notes: Vec<(u8, u64, Vec<u8>)>,
}

/// What became of a [`Group`].
#[derive(Debug, Default)]
pub(crate) struct Grouped {
    /// Durable with this; 0: nothing to wait for.
    pub(crate) lsn: Lsn,
    /// By part: whether a queue was there.
    pub(crate) routed: Vec<bool>,
    /// Nothing was done: what was to leave its queue is not ready any more, or where it was
    /// to go is gone.
    pub(crate) stale: bool,
    /// A queue that refused some.
    pub(crate) full: Option<String>,
    /// By part: records that some queue refused.
    pub(crate) refused: Vec<Vec<Range<u32>>>,
    /// Some were left out because a queue that survives a restart has seen them: they are
    /// as safe as all that is recorded.
    pub(crate) seen_before: bool,
    /// What was refused by queues that have it dead.
    pub(crate) dead: Vec<(Arc<QueueCell>, Batch)>,
}

/// One batch for some of the locked queues.
struct Append {
    batch: Batch,
    /// Index among the locked, and the base offset there.
    at: Vec<(usize, Offset)>,
}

/// Identities that a queue remembers, by its index among the locked.
struct Seen {
    index: usize,
    identities: Vec<(Offset, Identity)>,
}

type Locked<'c> = Vec<(&'c Arc<QueueCell>, MutexGuard<'c, State>)>;

impl Broker {
    /// Does a group.
    ///
    /// # Errors
    /// Storage cannot take it; then nothing was appended. Leases may have ended for the
    /// time being: after a restart their records come back.
    pub(crate) fn group(&self, group: &Group<'_>) -> Result<Grouped, Refused> {
        let cells = group.cells();
        let mut locked: Locked<'_> = cells.values().map(|cell| (cell, cell.lock())).collect();
        let place: BTreeMap<QueueId, usize> = cells.keys().copied().zip(0..).collect();
        if let Some(leaving) = &group.leaving {
            let state = &locked[place[&leaving.cell.id]].1;
            let cursor = state.machine.cursor();
            if state.gone || !cursor.is_dying(&leaving.records, leaving.reason) {
                // Somebody was faster: nothing is left to do.
                return Ok(Grouped::default());
            }
        }
        if let Some(discarding) = &group.discarding {
            let state = &locked[place[&discarding.cell.id]].1;
            let cursor = state.machine.cursor();
            if state.gone || !discarding.ranges.iter().all(|range| cursor.is_ready(range)) {
                return Ok(Grouped {
                    stale: true,
                    ..Grouped::default()
                });
            }
        }
        if self.storage().pressure().full && !group.parts.is_empty() {
            return Err(Refused::Storage {
                cause: "the disk has no room for another lane file".to_owned(),
            });
        }
        let mut grouped = Grouped::default();
        let mut seen: Vec<Seen> = Vec::new();
        let appends = self.plan(group, &place, &mut locked, &mut grouped, &mut seen);
        if group.strict
            && let Some(queue) = grouped.full.take()
        {
            forget(&mut locked, &seen);
            return Err(Refused::Full { queue });
        }
        if let Some(discarding) = &group.discarding {
            if grouped.routed.iter().any(|routed| !routed) {
                forget(&mut locked, &seen);
                grouped.stale = true;
                return Ok(grouped);
            }
            let (cell, state) = &mut locked[place[&discarding.cell.id]];
            let ranges = &discarding.ranges;
            cell.decide(state, Input::Discard { ranges }, self);
        }
        let mut entries: Vec<(usize, Entries)> = Vec::new();
        for ending in &group.endings {
            let index = place[&ending.cell.id];
            let (cell, state) = &mut locked[index];
            if state.gone {
                continue;
            }
            let input = Input::Settle {
                key: ending.key,
                ranges: ending.ranges,
                outcome: ending.outcome,
            };
            cell.decide(state, input, self);
        }
        for (index, (cell, state)) in locked.iter().enumerate() {
            let found = cell.entries(state, None);
            if !found.is_empty() {
                entries.push((index, found));
            }
        }
        match self.record_group(group, &locked, &appends, &entries, &seen) {
            Ok(lsn) => {
                self.statistics().commits.appended(lsn, self.durable_lsn());
                grouped.lsn = lsn;
            }
            Err(refused) => {
                forget(&mut locked, &seen);
                return Err(refused);
            }
        }
        for (index, found) in &entries {
            let (cell, state) = &mut locked[*index];
            cell.marked(state, found, &Ok(grouped.lsn), self);
        }
        for (cell, state) in &mut locked {
            cell.act(state, None, self);
        }
        let mut failed = None;
        for append in &appends {
            for (index, base) in &append.at {
                let (cell, state) = &mut locked[*index];
                let appended = cell.appended(state, *base, &append.batch, self);
                failed = failed.or(appended.err());
            }
        }
        if let Some(leaving) = &group.leaving {
            let (cell, state) = &mut locked[place[&leaving.cell.id]];
            let step = Step {
                input: Input::Moved {
                    records: leaving.records.clone(),
                },
                at_hand: None,
                recorded: Some(leaving.records.clone()),
            };
            let moved = cell.handle(state, step, self);
            failed = failed.or(moved.err());
        }
        if let Some(error) = failed {
            self.report(&error);
        }
        Ok(grouped)
    }

    /// Decides what is appended where: records that a queue refuses, or has seen, are left
    /// out for it.
    fn plan(
        &self,
        group: &Group<'_>,
        place: &BTreeMap<QueueId, usize>,
        locked: &mut Locked<'_>,
        grouped: &mut Grouped,
        seen: &mut Vec<Seen>,
    ) -> Vec<Append> {
        let mut ends: Vec<Offset> = locked
            .iter()
            .map(|(_, state)| state.machine.cursor().end())
            .collect();
        let mut appends: Vec<Append> = Vec::new();
        for part in &group.parts {
            let count = part.batch.record_count();
            let mut routed = false;
            let mut refused: Vec<Range<u32>> = Vec::new();
            // By what is left out, so that a batch is made once for each.
            let mut by_left_out: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
            for cell in part.cells.iter() {
                let index = place[&cell.id];
                let state = &mut locked[index].1;
                if state.gone {
                    continue;
                }
                routed = true;
                let planned = ends[index].0 - state.machine.cursor().end().0;
                let screened = screen(&part.batch, state, planned, group.forced, self.now_ms());
                grouped.seen_before |= !screened.duplicates.is_empty() && cell.is_recorded();
                if !screened.refused.is_empty() {
                    grouped.full.get_or_insert_with(|| cell.name.to_string());
                    refused.extend(screened.refused.iter().cloned());
                    if state.machine.properties().overflow == Overflow::RejectPublishDlx {
                        let all = screened.refused.iter().flat_map(Range::clone);
                        let batch = kept(&part.batch, &all.collect::<Vec<_>>(), true);
                        grouped.dead.extend(batch.map(|b| (cell.clone(), b)));
                    }
                }
                let left_out = screened.left_out();
                let taken = (0..count).filter(|index| left_out.binary_search(index).is_err());
                let end = ends[index];
                let identities: Vec<(Offset, Identity)> = taken
                    .zip(0_u64..)
                    .filter_map(|(record, nth)| {
                        let identity = screened.identities.get(record as usize)?;
                        Some((end.plus(nth), (*identity)?))
                    })
                    .collect();
                if !identities.is_empty() {
                    state.machine.remember(&identities, self.now_ms());
                    seen.push(Seen { index, identities });
                }
                by_left_out.entry(left_out).or_default().push(index);
            }
            for (left_out, indexes) in by_left_out {
                let batch = match left_out.is_empty() {
                    true => Some(part.batch.clone()),
                    false => kept(&part.batch, &left_out, false),
                };
                let Some(batch) = batch else {
                    continue;
                };
                let records = u64::from(batch.offset_count());
                let at = indexes
                    .into_iter()
                    .map(|index| {
                        let base = ends[index];
                        ends[index] = base.plus(records);
                        (index, base)
                    })
                    .collect();
                appends.push(Append { batch, at });
            }
            refused.sort_unstable_by_key(|range| range.start);
            grouped.routed.push(routed);
            grouped.refused.push(merged(refused));
        }
        appends
    }

    fn record_group(
        &self,
        group: &Group<'_>,
        locked: &Locked<'_>,
        appends: &[Append],
        entries: &[(usize, Entries)],
        seen: &[Seen],
    ) -> Result<Lsn, Refused> {
        let targets: Vec<Vec<(&Arc<Log>, Offset)>> = appends
            .iter()
            .map(|append| {
                let at = append.at.iter();
                at.map(|(index, base)| (&locked[*index].0.log, *base))
                    .collect()
            })
            .collect();
        let publishes: Vec<Publish<'_>> = appends
            .iter()
            .zip(&targets)
            .map(|(append, targets)| Publish {
                targets,
                batch: &append.batch,
            })
            .collect();
        let mut more: Vec<EntryRef<'_>> = Vec::new();
        for (index, found) in entries {
            more.extend(found.borrowed(locked[*index].0));
        }
        let now_ms = self.now_ms();
        let seen: Vec<(u64, Vec<u8>)> = seen
            .iter()
            .filter(|seen| locked[seen.index].0.is_recorded())
            .map(|seen| {
                let identities = seen.identities.clone();
                let mut note = Vec::new();
                Note::Seen { identities, now_ms }.encode(&mut note);
                (locked[seen.index].0.home.id().0, note)
            })
            .collect();
        let seen = seen.iter().map(|(id, bytes)| (QUEUE_NOTE, *id, bytes));
        let notes = group
            .notes
            .iter()
            .map(|(kind, id, bytes)| (*kind, *id, bytes));
        more.extend(
            seen.chain(notes)
                .map(|(kind, id, bytes)| EntryRef::Note { kind, id, bytes }),
        );
        let left = group
            .leaving
            .as_ref()
            .map(|leaving| [leaving.records.clone()]);
        if let (Some(leaving), Some(ranges)) = (&group.leaving, &left)
            && leaving.cell.is_recorded()
        {
            let log = leaving.cell.home.id();
            more.push(EntryRef::Settle { log, ranges });
        }
        if publishes.is_empty() && more.is_empty() {
            return Ok(Lsn(0));
        }
        let appended = self
            .storage()
            .append_all(&publishes, &more)
            .map_err(|error| refused(&error))?;
        Ok(appended.lsn)
    }
}

impl Group<'_> {
    fn cells(&self) -> BTreeMap<QueueId, Arc<QueueCell>> {
        let parts = self.parts.iter().flat_map(|part| part.cells.iter());
        let ended = self.endings.iter().map(|ending| &ending.cell);
        let left = self.leaving.iter().map(|leaving| &leaving.cell);
        let moved = self.discarding.iter().map(|moved| &moved.cell);
        let all = parts.chain(ended).chain(left).chain(moved);
        all.map(|cell| (cell.id, cell.clone())).collect()
    }
}

/// What was to be remembered was not appended.
fn forget(locked: &mut Locked<'_>, seen: &[Seen]) {
    for seen in seen {
        locked[seen.index].1.machine.forget(&seen.identities);
    }
}

/// What one queue says of new records.
#[derive(Default)]
struct Screened {
    refused: Vec<Range<u32>>,
    duplicates: Vec<Range<u32>>,
    identities: Vec<Option<Identity>>,
}

impl Screened {
    /// Indexes of the records that the queue does not take, in order.
    fn left_out(&self) -> Vec<u32> {
        let mut left_out: Vec<u32> = self
            .refused
            .iter()
            .chain(&self.duplicates)
            .flat_map(Range::clone)
            .collect();
        left_out.sort_unstable();
        left_out.dedup();
        left_out
    }
}

fn screen(batch: &Batch, state: &State, planned: u64, forced: bool, now_ms: u64) -> Screened {
    let mut screened = Screened::default();
    if !state.machine.screens() {
        return screened;
    }
    let records = || batch.native_records(0..batch.record_count());
    if let Some(settings) = &state.machine.properties().deduplication {
        let header = facts::identity_header(settings);
        screened.identities = records()
            .map(|record| facts::identity(&record, header))
            .collect();
        let mut identities = screened.identities.iter().copied();
        screened.duplicates = state.machine.duplicates(&mut identities, now_ms);
    }
    if !forced {
        let mut sizes = records().map(|r| u32::try_from(r.body.len()).unwrap_or(u32::MAX));
        screened.refused = state.machine.refuses(planned, &mut sizes);
    }
    screened
}

/// The records of a batch whose indexes are listed, in order, or those whose are not.
fn kept(batch: &Batch, listed: &[u32], inside: bool) -> Option<Batch> {
    let mut builder = Builder::new();
    let mut listed = listed.iter().peekable();
    for (index, record) in (0..).zip(batch.native_records(0..batch.record_count())) {
        let is_listed = listed.next_if_eq(&&index).is_some();
        if is_listed == inside {
            builder.copy(&record, &record.terms());
        }
    }
    builder.finish(batch.header().base_timestamp)
}

fn merged(ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    let mut out: Vec<Range<u32>> = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}
