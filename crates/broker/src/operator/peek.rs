//! Looking at records without consuming them: of queues, streams and subscriptions, also
//! those that are settled and kept.
//!
//! A look goes through the log from an offset on, a piece at a time, outside of every lock;
//! in which state the records are is asked of the queue afterwards, for those that are shown.
//! It ends when it has found enough, or has done as much as one request may
//! ([`LOOKED_RECORDS_MAX`], [`LOOKED_BYTES_MAX`], [`LOOKED_TIME_MAX`]); then it says where to
//! go on. Marks of transactions, and what they took back, are not shown.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::Refused;
use bongsu_engine::queue::Standing;
use bongsu_engine::refused::Permission;
use bongsu_engine::session::Tries;
use bongsu_engine::stream::StreamOffset;
use bongsu_record::blocks::amqp091;
use bongsu_record::message::{Block, Message, Messages};
use bongsu_record::{Arguments, Batch, Offset, Value};

use super::Operator;
use super::matching::Wanted;
use crate::cell::QueueCell;
use crate::handle::refused;

/// What somebody wants to see.
#[derive(Clone, Debug)]
pub struct Look {
    /// Where to begin.
    pub from: StreamOffset,
    /// Where to end, itself not included; `None`: at the log's end.
    pub until: Option<StreamOffset>,
    /// Records, at most.
    pub count: usize,
    /// Only in this state.
    pub standing: Option<Standing>,
    /// Only these.
    pub wanted: Wanted,
    /// Of each body, at most.
    pub payload_bytes_max: usize,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// In the order of offsets.
    pub records: Vec<RecordSeen>,
    /// Where to go on; `None`: there is no more.
    pub next: Option<Offset>,
    /// Records that were looked at.
    pub looked_at: u64,
}

/// One record.
#[derive(Clone, Debug)]
pub struct RecordSeen {
    /// Its place.
    pub offset: Offset,
    /// Unix milliseconds: when it arrived; of Kafka's producers, as they say.
    pub at_ms: i64,
    /// In which state it is; of a stream, [`Standing::Ready`].
    pub standing: Standing,
    /// How often it was tried.
    pub tries: Tries,
    /// When the record is due, or its lease ends: Unix milliseconds, if that is known.
    pub until_ms: Option<u64>,
    /// Bytes of its body.
    pub size: u64,
    /// As it was published.
    pub exchange: Vec<u8>,
    /// As it was published.
    pub routing_key: Vec<u8>,
    /// `None` is not the empty key.
    pub key: Option<Vec<u8>>,
    /// Those that are not properties.
    pub headers: Arguments,
    /// Properties by name.
    pub properties: Vec<(&'static str, Value)>,
    /// The front part of its body; `None`: Kafka's null.
    pub payload: Option<Vec<u8>>,
    /// Whether there is more of it.
    pub truncated: bool,
    /// How it was published: `amqp091`, `kafka`, …
    pub origin: &'static str,
    /// What queues gave it up, the last first.
    pub deaths: Vec<DeathSeen>,
    /// Why it cannot be shown, if it cannot.
    pub unreadable: Option<String>,
}

/// A queue that gave a record up, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeathSeen {
    /// The queue.
    pub queue: String,
    /// `rejected`, `expired`, `maxlen` or `delivery_limit`.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// Unix seconds, of the first time.
    pub time_s: u64,
    /// The exchange it had been published to.
    pub exchange: String,
    /// What it had been published with.
    pub routing_keys: Vec<String>,
}

/// How far a look may go, and how far it went.
pub(crate) struct Budget {
    pub records: u64,
    bytes: u64,
    began: Instant,
}

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget {
            records: 0,
            bytes: 0,
            began: Instant::now(),
        }
    }

    /// For a piece of a job, which looks up from its work now and then.
    pub(crate) fn piece() -> Budget {
        Budget {
            bytes: LOOKED_BYTES_MAX / 2,
            ..Budget::new()
        }
    }

    fn is_spent(&self) -> bool {
        self.records >= LOOKED_RECORDS_MAX
            || self.bytes >= LOOKED_BYTES_MAX
            || self.began.elapsed() >= LOOKED_TIME_MAX
    }
}

/// What is done with a record that a walk comes by.
pub(crate) enum Walk {
    /// Go on.
    On,
    /// Stop behind it.
    Stop,
}

impl Operator {
    /// Records of a queue that this user may read, as they are; nothing is consumed.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`], [`Refused::Storage`].
    pub async fn peek(&self, space: &str, name: &str, look: Look) -> Result<Seen, Refused> {
        let found = self.find_queue_to(Permission::Read, space, name)?;
        let (cell, broker) = (found.cell, self.broker().clone());
        let now_ms = i64::try_from(broker.now_ms()).unwrap_or(i64::MAX);
        self.blocking(move || peek(&cell, &look, now_ms)).await?
    }
}

/// Blocks.
fn peek(cell: &Arc<QueueCell>, look: &Look, now_ms: i64) -> Result<Seen, Refused> {
    let all = cell.span(look.from, look.until, look.count as u64, now_ms)?;
    let mut seen = Seen::default();
    let mut budget = Budget::new();
    let next = cell.walk(all, look.standing, &mut budget, &mut |shown| {
        if let Shown::Message(message) = &shown
            && !look.wanted.takes(message)
        {
            return Walk::On;
        }
        if matches!(shown, Shown::Unreadable(..)) && !look.wanted.takes_all() {
            return Walk::On;
        }
        seen.records.push(RecordSeen::of(&shown, look));
        match seen.records.len() >= look.count {
            true => Walk::Stop,
            false => Walk::On,
        }
    })?;
    seen.next = next;
    seen.looked_at = budget.records;
    cell.tell_standing(&mut seen.records);
    Ok(seen)
}

/// What a walk comes by.
pub(crate) enum Shown<'a> {
    Message(Message<'a>),
    /// A batch that cannot be opened, by the offset of its first record, and why.
    Unreadable(Offset, u64, String),
}

impl QueueCell {
    /// The offsets that are meant. May read the disk. `last` is the last `count` of them.
    pub(crate) fn span(
        &self,
        from: StreamOffset,
        until: Option<StreamOffset>,
        count: u64,
        now_ms: i64,
    ) -> Result<Range<Offset>, Refused> {
        let end = self.lock().machine.cursor().end().min(self.log.end());
        let start = match from {
            StreamOffset::Last => Offset(end.0.saturating_sub(count.max(1))),
            from => self.place(from, end, now_ms)?,
        };
        let until = match until {
            Some(until) => self.place(until, end, now_ms)?.min(end),
            None => end,
        };
        let start = start.max(self.log.start());
        Ok(start.min(until)..until)
    }

    /// Where that is. May read the disk.
    pub(crate) fn place(
        &self,
        from: StreamOffset,
        end: Offset,
        now_ms: i64,
    ) -> Result<Offset, Refused> {
        match from.place(end, now_ms) {
            bongsu_engine::stream::Place::At(offset) => Ok(offset),
            bongsu_engine::stream::Place::Time(unix_ms) => {
                let found = self.log.offset_at_time(unix_ms);
                found.map_err(|error| refused(&error))
            }
        }
    }

    /// Goes through the log, and shows what is in this state, or all. Returns where to go on;
    /// `None`: it went through all of it. Blocks; hold no lock.
    pub(crate) fn walk(
        self: &Arc<Self>,
        all: Range<Offset>,
        standing: Option<Standing>,
        budget: &mut Budget,
        each: &mut dyn FnMut(Shown<'_>) -> Walk,
    ) -> Result<Option<Offset>, Refused> {
        let mut at = all.start;
        while at < all.end {
            let runs = match standing {
                Some(standing) => self.runs_of(standing, at),
                None => vec![at..all.end],
            };
            let mut runs = runs
                .into_iter()
                .take_while(|run| run.start < all.end)
                .peekable();
            if runs.peek().is_none() {
                return Ok(None);
            }
            for run in runs {
                let run = run.start.max(at)..run.end.min(all.end);
                if let Some(next) = self.walk_run(run.clone(), budget, each)? {
                    return Ok((next < all.end).then_some(next));
                }
                at = run.end;
            }
        }
        Ok(None)
    }

    /// Runs of what is in a state; of a stream, all that is kept is ready.
    fn runs_of(&self, standing: Standing, from: Offset) -> Vec<Range<Offset>> {
        let state = self.lock();
        let cursor = state.machine.cursor();
        match (state.machine.properties().is_stream, standing) {
            (true, Standing::Ready) => vec![from..cursor.end()],
            (true, _) => Vec::new(),
            (false, _) => {
                let mut runs = cursor.runs_of(standing, from, RUNS_AT_ONCE);
                runs.retain(|run| run.end > self.log.start());
                runs
            }
        }
    }

    fn walk_run(
        self: &Arc<Self>,
        run: Range<Offset>,
        budget: &mut Budget,
        each: &mut dyn FnMut(Shown<'_>) -> Walk,
    ) -> Result<Option<Offset>, Refused> {
        let mut at = run.start;
        let mut stored = Vec::new();
        while at < run.end {
            if budget.is_spent() {
                return Ok(Some(at));
            }
            stored.clear();
            // Of a few records no more than their batch.
            let bytes_max = match run.end.0 - at.0 {
                ..=4 => 1,
                _ => PIECE_BYTES_MAX,
            };
            let fetched = self.log.fetch(at, bytes_max, &mut stored);
            fetched.map_err(|error| refused(&error))?;
            if stored.is_empty() {
                return Ok(None);
            }
            for found in &stored {
                if found.base >= run.end {
                    return Ok(None);
                }
                budget.bytes += found.batch.len() as u64;
                if let Some(next) =
                    self.walk_batch(found.base, &found.batch, at..run.end, budget, each)
                {
                    return Ok(Some(next));
                }
                at = at.max(found.end());
            }
        }
        Ok(None)
    }

    fn walk_batch(
        self: &Arc<Self>,
        base: Offset,
        batch: &Batch,
        within: Range<Offset>,
        budget: &mut Budget,
        each: &mut dyn FnMut(Shown<'_>) -> Walk,
    ) -> Option<Offset> {
        if self.hides(base, batch) || batch.is_control() {
            return None;
        }
        let messages = match Messages::open(batch, base, UNFOLDED_BYTES_MAX) {
            Ok(messages) => messages,
            Err(error) => {
                let at = base.max(within.start);
                let shown = Shown::Unreadable(at, batch.len() as u64, format!("{error:?}"));
                let end = base.plus(u64::from(batch.offset_count()));
                budget.records += 1;
                return matches!(each(shown), Walk::Stop).then_some(end);
            }
        };
        for message in messages
            .iter()
            .filter(|message| within.contains(&message.offset()))
        {
            budget.records += 1;
            if matches!(each(Shown::Message(message)), Walk::Stop) {
                return Some(message.offset().plus(1));
            }
        }
        None
    }

    /// Fills in the states of records, and until when they hold.
    fn tell_standing(&self, records: &mut [RecordSeen]) {
        let state = self.lock();
        if state.machine.properties().is_stream {
            return;
        }
        let cursor = state.machine.cursor();
        for record in records {
            let (standing, tries) = cursor.standing(record.offset);
            record.standing = standing;
            record.tries = tries;
            record.until_ms = match standing {
                Standing::Leased => {
                    let held = cursor.held_from(record.offset).next();
                    held.and_then(|held| held.deadline_ms)
                }
                Standing::Waiting => {
                    let schedule = state.machine.schedule();
                    schedule.and_then(|schedule| schedule.time_of(record.offset.0))
                }
                _ => None,
            };
        }
    }
}

impl RecordSeen {
    fn of(shown: &Shown<'_>, look: &Look) -> RecordSeen {
        let mut seen = RecordSeen {
            offset: Offset(0),
            at_ms: 0,
            standing: Standing::Ready,
            tries: Tries::default(),
            until_ms: None,
            size: 0,
            exchange: Vec::new(),
            routing_key: Vec::new(),
            key: None,
            headers: Arguments::new(),
            properties: Vec::new(),
            payload: None,
            truncated: false,
            origin: "unknown",
            deaths: Vec::new(),
            unreadable: None,
        };
        let message = match shown {
            Shown::Message(message) => message,
            Shown::Unreadable(offset, bytes, why) => {
                seen.offset = *offset;
                seen.size = *bytes;
                seen.unreadable = Some(why.clone());
                return seen;
            }
        };
        let body = message.value();
        seen.offset = message.offset();
        seen.at_ms = message.timestamp_ms();
        seen.size = message.body().len() as u64;
        seen.exchange = message.exchange().to_vec();
        seen.routing_key = message.routing_key().to_vec();
        seen.key = message.key().map(<[u8]>::to_vec);
        let shown_bytes = message.body().len().min(look.payload_bytes_max);
        seen.truncated = shown_bytes < message.body().len();
        seen.payload = body.map(|body| body[..shown_bytes].to_vec());
        seen.origin = match message.block() {
            Block::Plain => "plain",
            Block::Amqp091(_) => "amqp091",
            Block::Pairs(_) => "pairs",
            Block::Kafka(_) => "kafka",
            Block::Unknown(_) => "unknown",
        };
        match message.headers() {
            Ok(headers) => seen.headers = headers,
            Err(error) => seen.unreadable = Some(format!("headers: {error:?}")),
        }
        match properties_of(message) {
            Ok(properties) => seen.properties = properties,
            Err(why) => seen.unreadable = Some(why),
        }
        seen.deaths = deaths_of(&seen.headers);
        seen
    }
}

/// Properties by the names that RabbitMQ's management has for them.
fn properties_of(message: &Message<'_>) -> Result<Vec<(&'static str, Value)>, String> {
    let known = message
        .properties()
        .map_err(|error| format!("properties: {error:?}"))?;
    let text = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(bytes.to_vec()),
        })
    };
    let int = |int: u64| Value::Int(i64::try_from(int).unwrap_or(i64::MAX));
    // What its publisher said; of others nothing was said.
    let mode = match message.block() {
        Block::Amqp091(block) => amqp091::read(block).ok().and_then(|f| f.delivery_mode),
        _ => None,
    };
    let expiration = known.expiration.map(|time| time.as_millis().to_string());
    let all = [
        ("content_type", text(known.content_type)),
        ("content_encoding", text(known.content_encoding)),
        ("delivery_mode", mode.map(|mode| int(u64::from(mode)))),
        ("priority", known.priority.map(|p| int(u64::from(p)))),
        ("correlation_id", text(known.correlation_id)),
        ("reply_to", text(known.reply_to)),
        ("expiration", expiration.map(Value::Text)),
        ("message_id", text(known.message_id)),
        ("timestamp", known.timestamp_s.map(int)),
        ("type", text(known.message_type)),
        ("user_id", text(known.user_id)),
        ("app_id", text(known.app_id)),
    ];
    let there = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Ok(there.collect())
}

/// What `x-death` says, as far as it can be read.
pub(crate) fn deaths_of(headers: &Arguments) -> Vec<DeathSeen> {
    let Some(Value::List(deaths)) = headers.get("x-death") else {
        return Vec::new();
    };
    let tables = deaths.iter().filter_map(|death| match death {
        Value::Map(table) => Some(table),
        _ => None,
    });
    let told = tables.map(|table| {
        let text = |name: &str| {
            let value = table.get(name).and_then(Value::as_text);
            value.unwrap_or_default().to_owned()
        };
        let count = table.get("count").and_then(Value::as_int);
        let keys = match table.get("routing-keys") {
            Some(Value::List(keys)) => keys.iter().filter_map(Value::as_text).collect(),
            _ => Vec::new(),
        };
        DeathSeen {
            queue: text("queue"),
            reason: text("reason"),
            count: count
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(1),
            time_s: match table.get("time") {
                Some(Value::Time(seconds)) => *seconds,
                _ => 0,
            },
            exchange: text("exchange"),
            routing_keys: keys.into_iter().map(str::to_owned).collect(),
        }
    });
    told.collect()
}

/// Records one look goes through.
pub const LOOKED_RECORDS_MAX: u64 = 200_000;
/// Bytes of batches one look goes through.
pub const LOOKED_BYTES_MAX: u64 = 64 << 20;
/// How long one look goes on.
pub const LOOKED_TIME_MAX: Duration = Duration::from_secs(3);
/// What a compressed batch may unfold to while it is looked at.
pub const UNFOLDED_BYTES_MAX: usize = 64 << 20;
const PIECE_BYTES_MAX: usize = 1 << 20;
const RUNS_AT_ONCE: usize = 256;
