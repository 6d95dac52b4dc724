//! Handing out what queues lent: from the outbox, with its bytes, to whoever encodes it.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::session::{Delivery, LinkId, Outcome};
use bongsu_record::Offset;

use super::read::{sifted, sifted_kafka};
use super::{HaveRead, Prepared, ReadJob, SessionHandle};
use crate::cell::QueueCell;
use crate::outbox::{Item, Lease};
use crate::statistics::Count;
use crate::traces::Traces;

impl SessionHandle {
    /// Puts what waits into `deliveries`, up to about `bytes_max`.
    pub fn prepare(&mut self, deliveries: &mut Vec<Delivery>, bytes_max: usize) -> Prepared {
        // Looks, on any wake-up, whether a link was refused for room that is there by now.
        let refused = self.outbox.written(0);
        self.broker.resume(refused);
        self.outbox.take_all(&mut self.pending);
        let mut room = bytes_max;
        while room > 0 {
            if deliveries.is_empty() {
                // What a filter left out takes no room, and made room for more.
                room = bytes_max;
                if self.pending.is_empty() {
                    self.outbox.take_all(&mut self.pending);
                }
            }
            let Some(item) = self.pending.pop_front() else {
                break;
            };
            match item {
                Item::Closed(link) if deliveries.is_empty() => {
                    self.closed(link);
                    return Prepared::Closed(link);
                }
                Item::Lease(mut lease) if lease.after.is_some() => {
                    let durable = self.broker.durable_lsn();
                    let missing = lease.after.filter(|lsn| *lsn > durable);
                    lease.after = missing;
                    self.pending.push_front(Item::Lease(lease));
                    match missing {
                        None => {}
                        Some(_) if !deliveries.is_empty() => break,
                        Some(lsn) => return Prepared::Wait(lsn),
                    }
                }
                Item::Lease(lease) if lease.at_hand.is_some() => {
                    self.deliver_at_hand(lease, deliveries, &mut room);
                }
                Item::Lease(lease) => match self.deliver_read(lease, deliveries, &mut room) {
                    None => {}
                    Some(_) if !deliveries.is_empty() => break,
                    Some(job) => return Prepared::Read(job),
                },
                Item::Reply(reply) if deliveries.is_empty() => return Prepared::Reply(reply),
                Item::Grown if deliveries.is_empty() => {
                    match self.fetch_again().or_else(|| self.share_again()) {
                        None => {}
                        Some(prepared) => return prepared,
                    }
                }
                other => {
                    self.pending.push_front(other);
                    break;
                }
            }
        }
        match deliveries.is_empty() {
            true => Prepared::Nothing,
            false => Prepared::Deliver,
        }
    }

    fn deliver_at_hand(&mut self, lease: Lease, deliveries: &mut Vec<Delivery>, room: &mut usize) {
        let Some((base, batch)) = lease.at_hand else {
            return;
        };
        let (part, rest) = fitting(&lease.records, &batch, *room);
        *room = room.saturating_sub(bytes_of(&part, &batch));
        if !rest.is_empty() {
            self.pending.push_front(Item::Lease(Lease {
                link: lease.link,
                cell: lease.cell,
                records: rest,
                tries: lease.tries,
                tells_tries: lease.tells_tries,
                tells_offsets: lease.tells_offsets,
                after: None,
                at_hand: Some((base, batch.clone())),
            }));
        }
        let delivery = Delivery {
            link: lease.link,
            batch,
            base,
            records: part,
            redelivered: lease.tries.acquired > 0,
            tries: lease.tells_tries.then_some(lease.tries),
            tell_offsets: lease.tells_offsets,
        };
        self.deliver(delivery, deliveries);
    }

    /// Delivers from the log's memory; a job if the records are on the disk. The lease,
    /// or its rest, is put back in front.
    fn deliver_read(
        &mut self,
        mut lease: Lease,
        deliveries: &mut Vec<Delivery>,
        room: &mut usize,
    ) -> Option<ReadJob> {
        let from = lease.records.start;
        // Of the same log, and not from further on: it was read for another link of it, which
        // went meanwhile.
        let of = self.stored_of.take();
        let mut have_read = of.is_some_and(|(log, at)| log == lease.cell.log.id() && at <= from);
        if !have_read {
            self.stored.clear();
        }
        if !have_read
            && self.along_of == Some(lease.cell.log.id())
            && let Some(stored) = self.along.remove(&from)
            && stored.base <= from
        {
            self.stored.push(stored);
            have_read = true;
        }
        // A lease of one record, as priorities and keys make them, must not gather all the
        // batches that follow it.
        let count = lease.records.end.0 - lease.records.start.0;
        let bytes_max = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(READ_BYTES_EACH)
            .min(*room);
        if !have_read && !lease.cell.log.read(from, bytes_max, &mut self.stored) {
            let job = ReadJob {
                cell: lease.cell.clone(),
                from,
                bytes_max,
                along: self.wanted_next(&lease.cell),
            };
            self.pending.push_front(Item::Lease(lease));
            return Some(job);
        }
        self.deliver_stored(&mut lease, deliveries, room);
        if !lease.records.is_empty() {
            self.pending.push_front(Item::Lease(lease));
        }
        None
    }

    /// Single records of the queue that are handed out next: read along in one go, for each
    /// go costs more than such a read.
    fn wanted_next(&self, cell: &Arc<QueueCell>) -> Vec<Offset> {
        let mut wanted = Vec::new();
        for item in self.pending.iter().take(ALONG_COUNT_MAX) {
            match item {
                Item::Lease(next)
                    if next.cell.id == cell.id
                        && next.at_hand.is_none()
                        && next.records.end == next.records.start.plus(1) =>
                {
                    wanted.push(next.records.start);
                }
                _ => break,
            }
        }
        wanted
    }

    fn deliver_stored(
        &mut self,
        lease: &mut Lease,
        deliveries: &mut Vec<Delivery>,
        room: &mut usize,
    ) {
        let first = self.stored.first().map(|stored| stored.base);
        if first.is_none_or(|base| base > lease.records.start) {
            // A leased record is in its log until its holder settles it; unless the queue
            // is gone, and then nobody misses it.
            let end = lease.records.end;
            let start = first.map_or(end, |base| base.min(end));
            if lease.is_of_stream() {
                // What a reader was handed may be dropped before it is delivered.
                self.skip(lease.link, &[lease.records.start..start]);
            }
            lease.records.start = start;
        }
        let mut taken = std::mem::take(&mut self.stored);
        for stored in taken.drain(..) {
            let end = stored.base.plus(u64::from(stored.batch.offset_count()));
            let start = lease.records.start.max(stored.base);
            let wanted = start..end.min(lease.records.end);
            if wanted.start >= wanted.end || *room == 0 {
                continue;
            }
            if lease.is_of_stream() && lease.records.start < wanted.start {
                // A compaction took the batches in between.
                self.skip(lease.link, &[lease.records.start..wanted.start]);
            }
            let (part, _) = fitting(&wanted, &stored.batch, *room);
            *room = room.saturating_sub(bytes_of(&part, &stored.batch));
            lease.records.start = part.end;
            let delivery = Delivery {
                link: lease.link,
                batch: stored.batch,
                base: stored.base,
                records: part,
                redelivered: lease.tries.acquired > 0,
                tries: lease.tells_tries.then_some(lease.tries),
                tell_offsets: lease.tells_offsets,
            };
            self.deliver(delivery, deliveries);
        }
        self.stored = taken;
        self.stored.clear();
    }

    /// What there is to deliver; the rest is settled for who was handed it: what a filter does
    /// not want, and of Kafka batches what a compaction took, what a transaction took back, and
    /// the marks of its end.
    fn deliver(&mut self, delivery: Delivery, deliveries: &mut Vec<Delivery>) {
        let state = self.links.get(&delivery.link);
        let reads = state.and_then(|state| state.reads.as_ref());
        let filter = reads.and_then(|reads| reads.filter.clone());
        let batch = &delivery.batch;
        if state.is_some_and(|state| state.cell.hides(delivery.base, batch)) {
            return self.skip(delivery.link, std::slice::from_ref(&delivery.records));
        }
        let whole = batch.is_native() || (batch.is_dense() && !batch.is_control());
        let (wanted, unwanted) = match filter.as_deref() {
            None if whole => {
                deliveries.push(delivery);
                return;
            }
            Some(filter) if batch.is_native() => sifted(filter, &delivery),
            filter => sifted_kafka(filter, &delivery),
        };
        deliveries.extend(wanted.into_iter().map(|records| Delivery {
            records,
            ..delivery.clone()
        }));
        self.skip(delivery.link, &unwanted);
    }

    /// These were handed out and are not delivered.
    fn skip(&mut self, link: LinkId, records: &[Range<Offset>]) {
        if records.is_empty() {
            return;
        }
        let count = records
            .iter()
            .map(|range| range.end.0 - range.start.0)
            .sum();
        self.settle(link, records, Outcome::Accept);
        let refused = self.outbox.written(count);
        self.broker.resume(refused);
    }

    /// Takes what a job read. Records that cannot be read close their link: skipping them
    /// would be a silent loss.
    pub fn have_read(&mut self, read: HaveRead) {
        match read.result {
            Ok(stored) => {
                self.along = read.along;
                self.along_of = Some(read.cell.log.id());
                self.stored = stored;
                self.stored_of = Some((read.cell.log.id(), read.from));
            }
            Err(error) => {
                self.broker.report(&error);
                let mut failed: Vec<LinkId> = self
                    .links
                    .iter()
                    .filter(|(_, state)| state.cell.id == read.cell.id)
                    .map(|(link, _)| *link)
                    .collect();
                failed.sort_unstable();
                for link in failed {
                    self.close_link(link, true);
                    self.pending.push_front(Item::Closed(link));
                }
            }
        }
    }

    /// The session has encoded these: settles those of links that settle themselves, and
    /// lets queues lend more.
    pub fn delivered(&mut self, deliveries: &[Delivery]) {
        if let Some(traces) = self.broker.traces() {
            self.trace_deliveries(traces, deliveries);
        }
        let mut ranges: Vec<Range<Offset>> = Vec::new();
        let mut count = 0;
        let mut at = 0;
        let now_ms = self.broker.now_ms();
        while let Some(first) = deliveries.get(at) {
            ranges.clear();
            let (mut of_link, mut again, mut bytes) = (0, 0, 0);
            while let Some(next) = deliveries.get(at).filter(|d| d.link == first.link) {
                let records = next.records.end.0 - next.records.start.0;
                of_link += records;
                bytes += bytes_of(&next.records, &next.batch) as u64;
                if next.redelivered {
                    again += records;
                }
                match ranges.last_mut() {
                    Some(last) if last.end == next.records.start => last.end = next.records.end,
                    _ => ranges.push(next.records.clone()),
                }
                at += 1;
            }
            count += of_link;
            let Some(state) = self.links.get(&first.link) else {
                continue;
            };
            let (cell, auto_settle) = (Some(&*state.cell), state.auto_settle);
            let delivered = match auto_settle {
                true => Count::DeliverNoAck,
                false => Count::Deliver,
            };
            self.count(cell, delivered, of_link, now_ms);
            self.count(cell, Count::Redeliver, again, now_ms);
            self.count(cell, Count::BytesOut, bytes, now_ms);
            if auto_settle {
                self.settle(first.link, &ranges, Outcome::Accept);
            }
        }
        let refused = self.outbox.written(count);
        self.broker.resume(refused);
    }

    fn trace_deliveries(&self, traces: &Traces, deliveries: &[Delivery]) {
        for delivery in deliveries {
            if let Some(state) = self.links.get(&delivery.link) {
                let how = (None, delivery.redelivered);
                traces.delivered(&state.cell, &delivery.records, self.reader(state), how);
            }
        }
    }
}

/// Cuts `records` of `batch` where about `room` bytes are reached; at least one record.
fn fitting(
    records: &Range<Offset>,
    batch: &bongsu_record::Batch,
    room: usize,
) -> (Range<Offset>, Range<Offset>) {
    let each = (batch.len() / batch.offset_count() as usize).max(1);
    let most = (room / each).max(1) as u64;
    let end = records.end.min(records.start.plus(most));
    (records.start..end, end..records.end)
}

fn bytes_of(records: &Range<Offset>, batch: &bongsu_record::Batch) -> usize {
    let each = batch.len() / batch.offset_count() as usize;
    each * (records.end.0 - records.start.0) as usize
}

/// Read for each record of a lease: more than most take, so that one read mostly does.
const READ_BYTES_EACH: usize = 1024;
/// Single records read along with another.
const ALONG_COUNT_MAX: usize = 64;
