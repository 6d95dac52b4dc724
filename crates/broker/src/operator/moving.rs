//! Records to elsewhere, by hand: dead ones back to where they came from (*redrive*), ready
//! ones to another queue (*move*), any that are kept published once more (*replay*).
//!
//! A piece at a time: its records are read outside of every lock, then arrive there and, but
//! for a replay, are settled here in one group of the WAL. So a crash leaves each of them in
//! exactly one place, and whoever was lent one meanwhile keeps it: then nothing of the piece
//! is done, and it is read anew. A queue that refuses for being full ends the job.
//!
//! A record goes as far as the log's end was when the job began; what comes later, and what
//! comes back because it died again, is not gone by a second time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bongsu_engine::Refused;
use bongsu_engine::queue::Standing;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::{Attributes, RouteScratch, SpaceId};
use bongsu_engine::stream::StreamOffset;
use bongsu_record::blocks::amqp091;
use bongsu_record::death;
use bongsu_record::message::Message;
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Arguments, Lsn, Offset};

use super::Operator;
use super::jobs::{Job, JobKind, JobState, Order, Progress};
use super::matching::{Wanted, first_death};
use super::peek::{Budget, Shown, Walk};
use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::group::{Discarding, Group, Part};
use crate::handle::SessionHandle;
use crate::publish::{Cells, lead_to_the_same};
use crate::route::{Address, OfBlock, delay_ms, delayed_block};

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Each to the queue that gave it up first, as it was published.
    Origin,
    /// All to one queue, as they are.
    Queue(String),
    /// Published there.
    Route {
        /// Empty: the default one.
        exchange: String,
        /// In place of their own.
        routing_key: String,
    },
}

/// What is to be moved.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// What it is called.
    pub kind: JobKind,
    /// Only these; in any order.
    pub offsets: Option<Vec<Offset>>,
    /// From here on.
    pub from: StreamOffset,
    /// To here, itself not included; `None`: to the log's end.
    pub until: Option<StreamOffset>,
    /// Of these, what is wanted.
    pub wanted: Wanted,
    /// Records, at most.
    pub limit: Option<u64>,
    /// Where to.
    pub to: Destination,
    /// Records a second, at most.
    pub rate: Option<u32>,
    /// Only count.
    pub dry_run: bool,
}

/// Why nothing was begun.
#[derive(Clone, Debug)]
pub enum NotBegun {
    /// As any session would be told.
    Refused(Refused),
    /// It cannot be meant; the reason is for people.
    Invalid(String),
    /// It contradicts what there is; the reason is for people.
    Conflict(String),
    /// So many jobs are running already.
    TooMany(usize),
}

impl From<Refused> for NotBegun {
    fn from(refused: Refused) -> NotBegun {
        NotBegun::Refused(refused)
    }
}

impl Operator {
    /// Begins a redrive, a move or a replay. It goes on whether or not anybody waits for it.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub async fn transfer(
        &self,
        space: &str,
        name: &str,
        transfer: Transfer,
    ) -> Result<Arc<Job>, NotBegun> {
        let found = self.find_queue_to(Permission::Read, space, name)?;
        let broker = self.broker().clone();
        let is_stream = found.cell.lock().machine.properties().is_stream;
        let takes = transfer.kind != JobKind::Replay;
        if takes && is_stream {
            let what = transfer.kind.name();
            let reason = format!("'{name}' is a stream: what is read there stays; no {what}");
            return Err(NotBegun::Conflict(reason));
        }
        if transfer
            .offsets
            .as_ref()
            .is_some_and(|all| all.len() > OFFSETS_MAX)
        {
            let reason = format!("offsets: at most {OFFSETS_MAX} at a time");
            return Err(NotBegun::Invalid(reason));
        }
        let mut mover = Mover {
            broker: broker.clone(),
            session: found.session,
            space: found.space,
            cell: found.cell.clone(),
            takes,
            to: transfer.to.clone(),
            ways: BTreeMap::new(),
            wanted: transfer.wanted.clone(),
            dry_run: transfer.dry_run,
            left: transfer.limit.unwrap_or(u64::MAX),
            piece_max: transfer.rate.map_or(PIECE_RECORDS_MAX, |rate| {
                u64::from(rate.max(1)).min(PIECE_RECORDS_MAX)
            }),
        };
        mover.check_destination(name)?;
        let now_ms = i64::try_from(broker.now_ms()).unwrap_or(i64::MAX);
        let cell = found.cell.clone();
        let (from, until) = (transfer.from, transfer.until);
        let span = self
            .blocking(move || cell.span(from, until, 1, now_ms))
            .await??;
        let mut offsets = transfer.offsets.clone();
        if let Some(offsets) = &mut offsets {
            offsets.sort_unstable();
            offsets.dedup();
        }
        let total = match &offsets {
            Some(offsets) => offsets.len() as u64,
            None => span.end.0 - span.start.0,
        };
        let order = Order {
            kind: transfer.kind,
            space: space.to_owned(),
            queue: name.to_owned(),
            to: mover.to_text(name),
            user: self.user().name.clone(),
            dry_run: transfer.dry_run,
            total,
            now_ms: broker.now_ms(),
        };
        let Some(job) = broker.insight().jobs.start(order) else {
            return Err(NotBegun::TooMany(super::jobs::RUNNING_MAX));
        };
        if !job.dry_run {
            tracing::info!(
                "user '{}' begins to {} records of queue '{name}' in '{space}' to {}: job {}",
                job.user,
                job.kind.name(),
                job.to,
                job.id
            );
        }
        // Counted by offsets where all of them are meant: a replay is told how large it
        // would be without being read.
        let counts = job.dry_run && !takes && mover.wanted.takes_all() && offsets.is_none();
        if counts {
            let left = transfer.limit.unwrap_or(u64::MAX);
            let end = span.end.min(span.start.plus(left.min(total)));
            let bytes = mover.cell.log.bytes_between(span.start, end, u64::MAX);
            job.update(|progress| {
                progress.done = total;
                progress.matched = end.0 - span.start.0;
                progress.bytes = bytes;
                progress.next = Some(end);
            });
            job.end(JobState::Done, broker.now_ms());
            return Ok(job);
        }
        let task = job.clone();
        let operator = self.clone();
        let rate = transfer.rate;
        tokio::spawn(async move {
            let state = operator.run(&task, mover, (span, offsets), rate).await;
            let progress = task.progress();
            let now_ms = operator.broker().now_ms();
            if !task.dry_run {
                tracing::info!(
                    "job {} of user '{}' ends: {} of {} records, {state:?}",
                    task.id,
                    task.user,
                    progress.moved,
                    progress.matched
                );
            }
            task.end(state, now_ms);
        });
        Ok(job)
    }

    async fn run(
        &self,
        job: &Arc<Job>,
        mut mover: Mover,
        (span, offsets): (Range<Offset>, Option<Vec<Offset>>),
        rate: Option<u32>,
    ) -> JobState {
        let stopping = self.broker().stopping();
        let mut at = Place::of(span, offsets);
        loop {
            if job.is_cancelled() || *stopping.borrow() {
                return JobState::Cancelled;
            }
            let worked = job.clone();
            let piece = self.blocking(move || {
                let done = mover.piece(&mut at, &worked);
                (mover, at, done)
            });
            let (was, place, done) = match piece.await {
                Ok(done) => done,
                Err(_) => return JobState::Failed("a piece failed; see the log".to_owned()),
            };
            (mover, at) = (was, place);
            let piece = match done {
                Ok(piece) => piece,
                Err(reason) => return JobState::Failed(reason),
            };
            // Nothing is told to be done that a crash could take back.
            if let Some(lsn) = piece.lsn {
                self.broker().storage().hurry();
                self.await_durable(lsn).await;
            }
            job.update(|progress| {
                progress.moved += piece.moved;
                progress.bytes += piece.bytes;
            });
            if piece.ended {
                return JobState::Done;
            }
            if let Some(rate) = rate.filter(|_| !job.dry_run) {
                let each = Duration::from_secs(1) / rate.max(1);
                let pause = each * u32::try_from(piece.moved).unwrap_or(u32::MAX);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Where a job stands.
struct Place {
    span: Range<Offset>,
    /// What is left of single ones, the next last.
    offsets: Option<Vec<Offset>>,
}

impl Place {
    fn of(span: Range<Offset>, offsets: Option<Vec<Offset>>) -> Place {
        let offsets = offsets.map(|mut offsets| {
            offsets.reverse();
            offsets
        });
        Place { span, offsets }
    }
}

/// What became of a piece.
#[derive(Default)]
struct Piece {
    moved: u64,
    bytes: u64,
    lsn: Option<Lsn>,
    ended: bool,
}

/// A job at work.
struct Mover {
    broker: Broker,
    session: SessionHandle,
    space: SpaceId,
    cell: Arc<QueueCell>,
    takes: bool,
    to: Destination,
    /// Where queues are, by name; for one piece.
    ways: BTreeMap<String, Result<Cells, String>>,
    wanted: Wanted,
    dry_run: bool,
    /// Records that may still be moved.
    left: u64,
    piece_max: u64,
}

/// Records gathered for one group.
#[derive(Default)]
struct Gathered {
    runs: Vec<(Cells, Builder)>,
    taken: Vec<Range<Offset>>,
    count: u64,
    matched: u64,
    bytes: u64,
    failed: Vec<(Offset, String)>,
}

/// A record as it will be there.
struct Out {
    ways: Vec<(Cells, u64)>,
    exchange: Vec<u8>,
    key: Vec<u8>,
    block: Vec<u8>,
}

impl Mover {
    /// Refuses what could not work for any record.
    fn check_destination(&mut self, from: &str) -> Result<(), NotBegun> {
        match self.to.clone() {
            Destination::Origin => Ok(()),
            Destination::Queue(name) if self.takes && name == from => Err(NotBegun::Conflict(
                format!("'{name}' is the queue that records are taken from"),
            )),
            Destination::Queue(name) => {
                self.session
                    .allowed(Permission::Write, Kind::Queue, &name)?;
                let cell = self.broker.queue(self.space, &name, self.session.owner)?;
                match cell.source {
                    Some(_) => Err(NotBegun::Refused(Refused::TakesNone { queue: name })),
                    None => Ok(()),
                }
            }
            Destination::Route {
                exchange,
                routing_key,
            } => {
                let (kind, name) = match exchange.is_empty() {
                    true => (Kind::Queue, &routing_key),
                    false => (Kind::Exchange, &exchange),
                };
                self.session.allowed(Permission::Write, kind, name)?;
                self.routed(&exchange, &routing_key, &[0, 0])?;
                Ok(())
            }
        }
    }

    fn to_text(&self, from: &str) -> String {
        match &self.to {
            Destination::Origin => "where each came from".to_owned(),
            Destination::Queue(name) if name == from => "the same queue".to_owned(),
            Destination::Queue(name) => format!("queue '{name}'"),
            Destination::Route {
                exchange,
                routing_key,
            } => format!("exchange '{exchange}' with key '{routing_key}'"),
        }
    }

    /// Moves the next records. Blocks.
    ///
    /// # Errors
    /// Why the job cannot go on.
    fn piece(&mut self, at: &mut Place, job: &Job) -> Result<Piece, String> {
        for _ in 0..ATTEMPTS_MAX {
            self.ways.clear();
            let mut gathered = Gathered::default();
            let before = at.offsets.clone();
            let next = match &mut at.offsets {
                Some(offsets) => self.gather_single(offsets, &mut gathered)?,
                None => self.gather(at.span.clone(), &mut gathered)?,
            };
            let Some((moved, lsn)) = self.record(&mut gathered)? else {
                // Somebody was lent one of them, or a queue has gone: as it is now.
                at.offsets = before;
                continue;
            };
            self.left = self.left.saturating_sub(gathered.matched);
            let ended = next.is_none() || self.left == 0;
            let end = next.unwrap_or(at.span.end);
            let gone_by = match &at.offsets {
                Some(offsets) => job.total - offsets.len() as u64,
                None => job.total - (at.span.end.0.saturating_sub(end.0)),
            };
            job.update(|progress| {
                progress.done = gone_by;
                progress.matched += gathered.matched;
                progress.next = Some(end);
                for (offset, reason) in gathered.failed.drain(..) {
                    progress.fail(offset, reason);
                }
            });
            at.span.start = end;
            return Ok(Piece {
                moved,
                bytes: gathered.bytes,
                lsn,
                ended,
            });
        }
        Err("the queue's consumers are faster: its records are lent before they can be moved; stop them, or give offsets".to_owned())
    }

    /// Records everything as one group; `None`: it is not as it was when it was read.
    fn record(&self, gathered: &mut Gathered) -> Result<Option<(u64, Option<Lsn>)>, String> {
        if self.dry_run || gathered.count == 0 {
            return Ok(Some((0, None)));
        }
        let now_ms = i64::try_from(self.broker.now_ms()).unwrap_or(i64::MAX);
        let runs = std::mem::take(&mut gathered.runs).into_iter();
        let parts = runs.filter_map(|(cells, mut builder)| {
            let batch = builder.finish(now_ms)?;
            Some(Part { cells, batch })
        });
        let group = Group {
            parts: parts.collect(),
            discarding: self.takes.then(|| Discarding {
                cell: self.cell.clone(),
                ranges: std::mem::take(&mut gathered.taken),
            }),
            strict: true,
            ..Group::default()
        };
        match self.broker.group(&group) {
            Ok(grouped) if grouped.stale => Ok(None),
            Ok(grouped) => Ok(Some((
                gathered.count,
                (grouped.lsn > Lsn(0)).then_some(grouped.lsn),
            ))),
            Err(Refused::Full { queue }) => {
                Err(format!("queue '{queue}' is full and takes no more"))
            }
            Err(Refused::Storage { cause }) => Err(cause),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    /// Goes on from the front of the span; returns where it stopped, `None` at its end.
    fn gather(
        &mut self,
        span: Range<Offset>,
        gathered: &mut Gathered,
    ) -> Result<Option<Offset>, String> {
        let cell = self.cell.clone();
        let standing = self.takes.then_some(Standing::Ready);
        let most = self.piece_max.min(self.left);
        let mut budget = Budget::piece();
        let walked = cell.walk(span, standing, &mut budget, &mut |shown| {
            self.take(&shown, gathered);
            let full = gathered.count >= most
                || gathered.matched >= self.left
                || gathered.bytes >= PIECE_BYTES_MAX;
            match full {
                true => Walk::Stop,
                false => Walk::On,
            }
        });
        walked.map_err(|refused| format!("{refused:?}"))
    }

    fn gather_single(
        &mut self,
        offsets: &mut Vec<Offset>,
        gathered: &mut Gathered,
    ) -> Result<Option<Offset>, String> {
        let cell = self.cell.clone();
        while let Some(offset) = offsets.pop() {
            let standing = {
                let state = cell.lock();
                let cursor = state.machine.cursor();
                match offset < cursor.end() {
                    true => Some(cursor.standing(offset).0),
                    false => None,
                }
            };
            let refused = match (standing, self.takes) {
                (None, _) => Some("there is no such record"),
                (Some(Standing::Leased), true) => Some("it is leased"),
                (Some(Standing::Waiting), true) => Some("it waits for its time"),
                (Some(Standing::Dying), true) => Some("it is on its way to where dead records go"),
                (Some(Standing::Settled), true) => Some("it is settled"),
                _ => None,
            };
            if let Some(reason) = refused {
                gathered.matched += 1;
                gathered.failed.push((offset, reason.to_owned()));
                continue;
            }
            let (count, failed) = (gathered.matched, gathered.failed.len());
            let mut budget = Budget::piece();
            let one = offset..offset.plus(1);
            let walked = cell.walk(one, None, &mut budget, &mut |shown| {
                self.take(&shown, gathered);
                Walk::On
            });
            walked.map_err(|refused| format!("{refused:?}"))?;
            if gathered.matched == count && gathered.failed.len() == failed {
                gathered.matched += 1;
                let reason = "it is not there, or is not among those that are wanted".to_owned();
                gathered.failed.push((offset, reason));
            }
            let full = gathered.count >= self.piece_max.min(self.left)
                || gathered.bytes >= PIECE_BYTES_MAX;
            if full {
                break;
            }
        }
        Ok(offsets.last().copied())
    }

    /// Gathers a record, if it is wanted.
    fn take(&mut self, shown: &Shown<'_>, gathered: &mut Gathered) {
        let message = match shown {
            Shown::Message(message) => message,
            Shown::Unreadable(offset, _, why) => {
                if self.wanted.takes_all() {
                    gathered.matched += 1;
                    gathered.failed.push((*offset, why.clone()));
                }
                return;
            }
        };
        if !self.wanted.takes(message) {
            return;
        }
        gathered.matched += 1;
        let offset = message.offset();
        let out = match self.out(message) {
            Ok(out) => out,
            Err(reason) => {
                gathered.failed.push((offset, reason));
                return;
            }
        };
        gathered.count += 1;
        gathered.bytes += message.body().len() as u64;
        match gathered.taken.last_mut() {
            Some(last) if last.end == offset => last.end = offset.plus(1),
            _ => gathered.taken.push(offset..offset.plus(1)),
        }
        if self.dry_run {
            return;
        }
        let known = message.properties().ok();
        let now_ms = self.broker.now_ms();
        for (cells, delay_ms) in &out.ways {
            let is_delayed = *delay_ms > 0;
            let ttl = known.as_ref().and_then(|known| known.expiration);
            let terms = Terms {
                ttl_ms: ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
                priority: known.as_ref().and_then(|known| known.priority),
                deliver_at_ms: is_delayed.then(|| now_ms.saturating_add(*delay_ms)),
            };
            let delayed = is_delayed.then(|| delayed_block(&out.block, *delay_ms));
            let block = delayed.flatten();
            let block = block.as_deref().unwrap_or(&out.block);
            let flags = match message.is_persistent() {
                true => PERSISTENT,
                false => 0,
            };
            let builder = gathered.builder_of(cells);
            let body = message.body();
            builder.begin_with(
                Origin::Amqp091,
                flags,
                &out.exchange,
                &out.key,
                &terms,
                block,
                body.len() as u64,
            );
            builder.body(body);
            builder.end();
        }
    }

    /// What a record becomes, and who takes it.
    fn out(&mut self, message: &Message<'_>) -> Result<Out, String> {
        let unreadable = |error| format!("its headers cannot be read: {error:?}");
        let mut out = Out {
            ways: Vec::new(),
            exchange: message.exchange().to_vec(),
            key: message.routing_key().to_vec(),
            block: Vec::new(),
        };
        match self.to.clone() {
            Destination::Origin => {
                let headers = message.headers().map_err(unreadable)?;
                let first = first_death(&headers)
                    .ok_or("it has no x-death: nobody knows where it came from")?;
                out.ways.push((self.queue_of(&first.queue)?, 0));
                out.exchange = short(&first.exchange)?;
                out.key = short(first.routing_keys.first().map_or("", String::as_str))?;
                out.block = death::block_before(message).map_err(unreadable)?;
            }
            Destination::Queue(name) => {
                out.ways.push((self.queue_of(&name)?, 0));
                out.block = amqp091::block_of(message).map_err(unreadable)?.into_owned();
            }
            Destination::Route {
                exchange,
                routing_key,
            } => {
                out.block = match message.headers() {
                    Ok(headers) if headers.contains_key("x-death") => {
                        death::block_before(message).map_err(unreadable)?
                    }
                    _ => amqp091::block_of(message).map_err(unreadable)?.into_owned(),
                };
                let routed = self.routed(&exchange, &routing_key, &out.block);
                out.ways = routed.map_err(|refused| format!("{refused:?}"))?;
                if out.ways.is_empty() {
                    return Err(format!(
                        "no queue is behind exchange '{exchange}' for key '{routing_key}'"
                    ));
                }
                out.exchange = short(&exchange)?;
                out.key = short(&routing_key)?;
            }
        }
        Ok(out)
    }

    /// A queue that this user may write to.
    fn queue_of(&mut self, name: &str) -> Result<Cells, String> {
        if let Some(known) = self.ways.get(name) {
            return known.clone();
        }
        let found = match self.session.allowed(Permission::Write, Kind::Queue, name) {
            Err(_) => Err(format!("user may not write to queue '{name}'")),
            Ok(()) => {
                let queue = self.broker.catalog().router().queue(self.space, name);
                let cell = queue.and_then(|id| self.broker.cell(id));
                match cell.filter(|cell| cell.source.is_none()) {
                    Some(cell) => Ok(Cells::from([cell])),
                    None => Err(format!("queue '{name}' is not there any more")),
                }
            }
        };
        self.ways.insert(name.to_owned(), found.clone());
        found
    }

    fn routed(
        &self,
        exchange: &str,
        routing_key: &str,
        block: &[u8],
    ) -> Result<Vec<(Cells, u64)>, Refused> {
        let address = Address {
            space: self.space,
            exchange,
            routing_key,
            more_keys: &[],
            from_client: true,
        };
        let record = OfBlock(block);
        let mut scratch = RouteScratch::default();
        let mut queues = Vec::new();
        let (ways, _) = self
            .broker
            .ways(&address, &record, &mut scratch, &mut queues)?;
        let ways = ways.into_iter().filter(|way| !way.cells.is_empty());
        let ways = ways.map(|way| {
            let headers = || -> Arguments { record.headers() };
            let delay = way.is_delayed.then(|| delay_ms(&headers())).flatten();
            (way.cells, delay.unwrap_or(0))
        });
        Ok(ways.collect())
    }
}

impl Gathered {
    /// Of the run that leads to these queues: the last one, if it does.
    fn builder_of(&mut self, cells: &Cells) -> &mut Builder {
        let same = self
            .runs
            .last()
            .is_some_and(|(last, _)| lead_to_the_same(last, cells));
        if !same {
            self.runs.push((cells.clone(), Builder::new()));
        }
        let (_, builder) = self.runs.last_mut().expect("one was pushed at least");
        builder
    }
}

/// As AMQP bounds names and keys: a client could have put anything into its headers.
fn short(text: &str) -> Result<Vec<u8>, String> {
    match text.len() <= 255 {
        true => Ok(text.as_bytes().to_vec()),
        false => Err("its x-death names something longer than 255 bytes".to_owned()),
    }
}

impl Progress {
    /// Whether all that was meant is elsewhere.
    pub fn is_whole(&self) -> bool {
        self.failed == 0
    }
}

/// Offsets that one request may name.
pub const OFFSETS_MAX: usize = 10_000;
/// Records moved at once.
const PIECE_RECORDS_MAX: u64 = 512;
/// Bytes of bodies moved at once, about: below what goes straight to a segment.
const PIECE_BYTES_MAX: u64 = 192 << 10;
/// How often a piece is read anew because somebody was faster.
const ATTEMPTS_MAX: usize = 16;
