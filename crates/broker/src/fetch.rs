//! Reading from partitions, waiting for records where there are none.
//!
//! A fetch looks at all its partitions at once. Where that is too little, it stays with
//! the session and asks the partitions to tell when they grow ([`FetchWait`]); each tells
//! once and is asked again only by a fetch that still waits. Nobody sees a record that a
//! crash could take back: what is not durable is waited for too.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::access::quota::QuotaKey;
use bongsu_engine::catalog::QueueId;
use bongsu_engine::refused::Permission;
use bongsu_engine::session::records::{FetchPart, FetchRefused, FetchRequest, FetchedPart};
use bongsu_engine::session::{Now, Reply};
use bongsu_record::{Lsn, Offset};
use bongsu_storage::{Bounds, Stored};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::cell::{QueueCell, State};
use crate::handle::{Executed, Job, Prepared, SessionHandle};
use crate::outbox::{Item, Outbox};
use crate::registry::Connection;
use crate::statistics::Count;
use crate::traces::Traces;
use crate::traces::leading::{self, Reader};

/// A fetch that waits.
#[derive(Debug)]
pub(crate) struct Fetching {
    request: FetchRequest,
    deadline: Instant,
}

/// Where partitions tell a session that they have grown.
#[derive(Debug)]
pub(crate) struct FetchWait {
    outbox: Arc<Outbox>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Partitions that will tell.
    registered: BTreeSet<QueueId>,
    /// With what the newest growth is durable; taken by the session.
    grown: Option<Lsn>,
    ended: bool,
}

impl FetchWait {
    pub(crate) fn new(outbox: &Arc<Outbox>) -> Arc<FetchWait> {
        Arc::new(FetchWait {
            outbox: outbox.clone(),
            told: Mutex::default(),
        })
    }

    /// Whether the partition was not to tell already.
    pub(crate) fn register(&self, id: QueueId) -> bool {
        self.told.lock().registered.insert(id)
    }

    /// The partition has grown; what it has is durable with `lsn`.
    pub(crate) fn grown(&self, id: QueueId, lsn: Lsn) {
        let mut told = self.told.lock();
        told.registered.remove(&id);
        if told.ended {
            return;
        }
        self.tell(&mut told, lsn);
    }

    /// As [`FetchWait::grown`], by nobody in particular.
    fn look_again(&self, lsn: Lsn) {
        self.tell(&mut self.told.lock(), lsn);
    }

    fn tell(&self, told: &mut Told, lsn: Lsn) {
        let known = told.grown.unwrap_or_default();
        if told.grown.replace(lsn.max(known)).is_none() {
            self.outbox.push(Item::Grown);
        }
    }

    pub(crate) fn take(&self) -> Option<Lsn> {
        self.told.lock().grown.take()
    }

    pub(crate) fn end(&self) {
        self.told.lock().ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.told.lock().ended
    }
}

/// What a look at all partitions found.
struct Looked {
    parts: Vec<FetchedPart>,
    /// Partitions, by index, that have to be read from the disk.
    on_disk: Vec<OnDisk>,
    cells: Vec<Option<Arc<QueueCell>>>,
    bytes: u64,
    refused: bool,
    traced: Option<TracedFetch>,
}

/// What whoever traces has to know of a fetch.
struct TracedFetch {
    traces: Arc<Traces>,
    connection: Arc<Connection>,
    /// Which partition, and from where on, by part.
    wanted: Vec<(i32, i64)>,
    since_ns: u64,
}

struct OnDisk {
    index: usize,
    from: Offset,
    limit: Offset,
    is_first: bool,
    bytes_max: usize,
}

impl SessionHandle {
    pub(crate) fn fetch(&mut self, mut request: FetchRequest, now: Now) -> Executed {
        match self.quota_owed(QuotaKey::ConsumerByteRate, &request.client) {
            0 => {}
            throttle_ms => {
                self.quiet(Duration::from_millis(throttle_ms.into()));
                return Executed::Now(Reply::Throttled(throttle_ms));
            }
        }
        let bytes_max = self.quota_bytes_max(QuotaKey::ConsumerByteRate, &request.client);
        request.bytes_max = request.bytes_max.min(bytes_max);
        let looked = self.look(&request);
        let enough = looked.bytes >= request.bytes_min
            || !looked.on_disk.is_empty()
            || request.wait_ms == 0
            || (looked.refused && request.answer_refused)
            || request.parts.is_empty() && request.bytes_min == 0;
        if enough {
            return match self.answered(looked, &request) {
                Ok(reply) => Executed::Now(reply),
                Err(job) => Executed::Job(job),
            };
        }
        self.await_growth(&request, &looked);
        let deadline = now.instant + Duration::from_millis(u64::from(request.wait_ms));
        self.fetching = Some(Fetching { request, deadline });
        Executed::Later
    }

    /// When [`SessionHandle::expire`] is to be called, if a call waits.
    pub fn deadline(&self) -> Option<Instant> {
        let fetching = self.fetching.as_ref().map(|fetching| fetching.deadline);
        fetching.or(self.share_deadline())
    }

    /// The deadline has passed: the answer to the call that waits is what there is.
    pub fn expire(&mut self, now: Now) -> Option<Executed> {
        if self.fetching.is_none() {
            return self.share_expired(now);
        }
        let fetching = self.fetching.take_if(|f| f.deadline <= now.instant)?;
        let looked = self.look(&fetching.request);
        Some(match self.answered(looked, &fetching.request) {
            Ok(reply) => Executed::Now(reply),
            Err(job) => Executed::Job(job),
        })
    }

    /// Partitions have grown: looks again, if a fetch still waits.
    pub(crate) fn fetch_again(&mut self) -> Option<Prepared> {
        let lsn = self.growth.take()?;
        let fetching = self.fetching.take()?;
        if lsn > self.broker().durable_lsn() {
            self.fetching = Some(fetching);
            // Comes back here once it is durable.
            self.growth.look_again(lsn);
            return Some(Prepared::Wait(lsn));
        }
        let looked = self.look(&fetching.request);
        if looked.bytes < fetching.request.bytes_min && looked.on_disk.is_empty() {
            self.await_growth(&fetching.request, &looked);
            self.fetching = Some(fetching);
            return None;
        }
        let answered = self.answered(looked, &fetching.request);
        Some(match answered {
            Ok(reply) => Prepared::Reply(reply),
            Err(job) => Prepared::Job(job),
        })
    }

    /// Asks every partition to tell when it grows. One that has grown since it was looked
    /// at, or has what is not durable, is looked at again.
    fn await_growth(&mut self, request: &FetchRequest, looked: &Looked) {
        let durable = self.broker().durable_lsn();
        let mut again: Option<Lsn> = None;
        for (index, cell) in looked.cells.iter().enumerate() {
            let Some(cell) = cell else { continue };
            let mut state = cell.lock();
            state.await_growth(cell.id, &self.growth);
            let bounds = cell.log.bounds(durable);
            let visible = limit(&state, &bounds, request.committed);
            let seen = &looked.parts[index];
            let was = match request.committed {
                true => seen.stable,
                false => seen.durable_end,
            };
            if let Some(lsn) = bounds.awaits {
                again = again.max(Some(lsn));
            } else if visible > was {
                again = again.max(Some(Lsn(0)));
            }
        }
        if let Some(lsn) = again {
            self.growth.look_again(lsn);
        }
    }

    fn look(&mut self, request: &FetchRequest) -> Looked {
        let durable = self.broker().durable_lsn();
        let mut looked = Looked {
            parts: Vec::with_capacity(request.parts.len()),
            on_disk: Vec::new(),
            cells: Vec::with_capacity(request.parts.len()),
            bytes: 0,
            refused: false,
            traced: None,
        };
        looked.traced = self.broker().traces().map(|traces| TracedFetch {
            traces: traces.clone(),
            connection: self.connection.clone(),
            wanted: request
                .parts
                .iter()
                .map(|part| (part.partition, part.offset))
                .collect(),
            since_ns: leading::now_ns(),
        });
        let mut stored = Vec::new();
        for (index, part) in request.parts.iter().enumerate() {
            let mut fetched = FetchedPart::default();
            let cell = match self.partition(&part.topic, part.partition, Permission::Read) {
                Ok(cell) => cell,
                Err(refused) => {
                    fetched.refused = Some(FetchRefused::Partition(refused));
                    looked.refused = true;
                    looked.parts.push(fetched);
                    looked.cells.push(None);
                    continue;
                }
            };
            let (bounds, end) = {
                let state = cell.lock();
                let bounds = cell.log.bounds(durable);
                fetched.start = bounds.start;
                fetched.durable_end = bounds.durable_end;
                fetched.stable = limit(&state, &bounds, true);
                (bounds, limit(&state, &bounds, request.committed))
            };
            match wanted(part, &bounds) {
                None => {
                    fetched.refused = Some(FetchRefused::OutOfRange);
                    looked.refused = true;
                }
                Some(from) if from < end && looked.bytes < request.bytes_max => {
                    let left = request.bytes_max - looked.bytes;
                    let bytes_max = usize::try_from(part.bytes_max.min(left)).unwrap_or(usize::MAX);
                    // Whoever asks for no bytes is still shown that there is something.
                    let bytes_max = bytes_max.max(1);
                    stored.clear();
                    // The first batch is given however large it is: its reader would not get on.
                    let is_first = looked.bytes == 0;
                    if cell.log.read(from, bytes_max, &mut stored) {
                        cut(&mut stored, is_first, bytes_max);
                        looked.bytes += take(&mut stored, end, &mut fetched);
                    } else {
                        // What it will be is not known: about as much as may be.
                        looked.bytes += bytes_max as u64;
                        looked.on_disk.push(OnDisk {
                            index,
                            from,
                            limit: end,
                            is_first,
                            bytes_max,
                        });
                    }
                }
                Some(_) => {}
            }
            looked.parts.push(fetched);
            looked.cells.push(Some(cell));
        }
        looked
    }

    /// The answer, or a job that reads the rest of it.
    fn answered(&self, looked: Looked, request: &FetchRequest) -> Result<Reply, Job> {
        let committed = request.committed;
        // What has to be read from the disk counts as what it may be: about as much.
        self.quota_taken(QuotaKey::ConsumerByteRate, &request.client, looked.bytes);
        if looked.on_disk.is_empty() {
            return Ok(Reply::Fetched(finished(looked, committed, self.broker())));
        }
        let broker = self.broker().clone();
        Err(Job::new(move || {
            let mut looked = looked;
            for missing in std::mem::take(&mut looked.on_disk) {
                read(&mut looked, &missing, &broker);
            }
            Reply::Fetched(finished(looked, committed, &broker))
        }))
    }
}

fn read(looked: &mut Looked, missing: &OnDisk, broker: &Broker) {
    let Some(cell) = &looked.cells[missing.index] else {
        return;
    };
    let part = &mut looked.parts[missing.index];
    let mut stored = Vec::new();
    match cell.log.fetch(missing.from, missing.bytes_max, &mut stored) {
        Ok(()) => {
            cut(&mut stored, missing.is_first, missing.bytes_max);
            take(&mut stored, missing.limit, part);
        }
        Err(error) => {
            broker.report(&error);
            part.refused = Some(FetchRefused::Storage);
        }
    }
}

/// Adds to each part what was taken back among its records, and counts them.
fn finished(looked: Looked, committed: bool, broker: &Broker) -> Vec<FetchedPart> {
    let mut parts = looked.parts;
    if let Some(traced) = &looked.traced {
        traced.fetched(&parts, &looked.cells);
    }
    for (part, cell) in parts.iter_mut().zip(&looked.cells) {
        if let Some(cell) = cell {
            count(cell, part, broker);
        }
        if let (true, Some(cell), Some(range)) = (committed, cell, range_of(part)) {
            part.aborted = cell.lock().aborted(range);
        }
    }
    parts
}

fn count(cell: &QueueCell, part: &FetchedPart, broker: &Broker) {
    let batches = || part.batches.iter().map(|(_, batch)| batch);
    let records = batches().map(|batch| u64::from(batch.record_count())).sum();
    let bytes = batches().map(|batch| batch.len() as u64).sum();
    if bytes > 0 {
        broker.count_of(cell, Count::DeliverNoAck, records);
        broker.count_of(cell, Count::BytesOut, bytes);
    }
}

impl TracedFetch {
    fn fetched(&self, parts: &[FetchedPart], cells: &[Option<Arc<QueueCell>>]) {
        for ((part, cell), (partition, from)) in parts.iter().zip(cells).zip(&self.wanted) {
            if let (Some(cell), Some(records)) = (cell, range_of(part)) {
                // A batch may begin before what was asked for.
                let from = Offset(u64::try_from(*from).unwrap_or(0));
                let reader = Reader {
                    connection: Some(&self.connection),
                    partition: Some(*partition),
                    ..Reader::default()
                };
                let records = records.start.max(from)..records.end;
                let how = (Some(self.since_ns), false);
                self.traces.delivered(cell, &records, reader, how);
            }
        }
    }
}

fn range_of(part: &FetchedPart) -> Option<Range<Offset>> {
    let (first, _) = part.batches.first()?;
    let (base, batch) = part.batches.last()?;
    Some(*first..base.plus(u64::from(batch.offset_count())))
}

/// A batch that is larger than what is wanted is only given where it is the first of all.
fn cut(stored: &mut Vec<Stored>, is_first: bool, bytes_max: usize) {
    let larger = stored
        .first()
        .is_some_and(|found| found.batch.len() > bytes_max);
    if larger && !is_first {
        stored.clear();
    }
}

/// Takes what lies below the limit; returns its bytes.
fn take(stored: &mut Vec<Stored>, limit: Offset, part: &mut FetchedPart) -> u64 {
    let mut bytes = 0;
    for found in stored.drain(..) {
        if found.base >= limit {
            break;
        }
        bytes += found.batch.len() as u64;
        part.batches.push((found.base, found.batch));
    }
    bytes
}

/// Where to read from; `None`: no record has this offset now.
fn wanted(part: &FetchPart, bounds: &Bounds) -> Option<Offset> {
    let from = Offset(u64::try_from(part.offset).ok()?);
    (bounds.start <= from && from <= bounds.end).then_some(from)
}

/// Behind the last record that may be seen.
pub(crate) fn limit(state: &State, bounds: &Bounds, committed: bool) -> Offset {
    let end = bounds.durable_end;
    match state.first_undecided(end).filter(|_| committed) {
        Some(undecided) => undecided.min(end),
        None => end,
    }
}
