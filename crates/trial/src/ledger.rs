//! What clients were told, and what must therefore be: checked with everything they are told,
//! and once more in the end.
//!
//! The rules:
//!
//! - what was confirmed is delivered, from every queue it went to, at least once;
//! - what was settled, and known to be durably so, never comes again;
//! - what was refused, rolled back or never sent is never delivered;
//! - a record is lent to one consumer at a time;
//! - what one publisher sent arrives in its order, the first time;
//! - of a queue with groups, one consumer has the records of a key, and none overtakes another;
//! - what was published together, by a fan-out or a transaction, is there as a whole or not;
//! - a record that dies leaves its queue and reaches the next in one step, once;
//! - of a topic: see [`topic`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::wire::Wire;

pub mod topic;

mod settled;

pub use topic::Topic;

/// A queue of the trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// A plain one.
    Plain,
    /// One side of the fan-out.
    FanA,
    /// The other.
    FanB,
    /// Rejected records of it die.
    Work,
    /// And come here.
    Dead,
    /// Records of it expire.
    Brief,
    /// And come here.
    Expired,
    /// Ordered by key.
    Grouped,
    /// Refuses what it has no room for.
    Bounded,
    /// Partition 0 of the topic.
    Topic,
    /// One of the two that transactions write to.
    TxA,
    /// The other.
    TxB,
    /// Keeps one record: what is confirmed behind settles proves them durable.
    Fence,
}

impl Queue {
    /// All of them that are consumed.
    pub const CONSUMED: [Queue; 11] = [
        Queue::Plain,
        Queue::FanA,
        Queue::FanB,
        Queue::Work,
        Queue::Dead,
        Queue::Brief,
        Queue::Expired,
        Queue::Grouped,
        Queue::Bounded,
        Queue::TxA,
        Queue::TxB,
    ];

    /// Where its dead records go.
    pub fn grave(self) -> Option<Queue> {
        match self {
            Queue::Work => Some(Queue::Dead),
            Queue::Brief => Some(Queue::Expired),
            _ => None,
        }
    }

    /// Whose dead records come here.
    pub fn origin(self) -> Option<Queue> {
        match self {
            Queue::Dead => Some(Queue::Work),
            Queue::Expired => Some(Queue::Brief),
            _ => None,
        }
    }

    /// As clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Queue::Plain => "plain",
            Queue::FanA => "fan-a",
            Queue::FanB => "fan-b",
            Queue::Work => "work",
            Queue::Dead => "dead",
            Queue::Brief => "brief",
            Queue::Expired => "expired",
            Queue::Grouped => "grouped",
            Queue::Bounded => "bounded",
            Queue::Topic => "topic",
            Queue::TxA => "tx-a",
            Queue::TxB => "tx-b",
            Queue::Fence => "fence",
        }
    }
}

/// Who publishes or consumes: a connection, by its number, and its wire.
#[derive(Clone)]
pub struct Who {
    /// No two are the same.
    pub number: u64,
    /// To see whether the broker has let it go.
    pub wire: Arc<Wire>,
}

/// See the module's comment.
pub struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    next_id: u64,
    next_connection: u64,
    records: BTreeMap<u64, Record>,
    copies: BTreeMap<(Queue, u64), Copy>,
    /// Records that are there as a whole or not.
    wholes: Vec<Whole>,
    /// The last that a consumer got for the first time, by publisher.
    order: BTreeMap<(u64, Queue, u64), u32>,
    topic: Topic,
    violation: Option<String>,
    digest: u64,
    tally: Tally,
    traces: bool,
    began: Instant,
    /// Whether the disk has room, and how often that changed.
    room: (bool, u64),
}

/// What a trial came to, for those who count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records sent.
    pub sent: u64,
    /// Confirmed.
    pub confirmed: u64,
    /// Delivered, again and again.
    pub delivered: u64,
    /// Settled and proven so.
    pub settled: u64,
    /// Times the broker ended by a fault of the disk.
    pub ends: u64,
    /// Records that the last look found.
    pub found: u64,
    /// Transactions that were committed.
    pub committed: u64,
    /// Records read of the topic.
    pub read: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.sent += other.sent;
        self.confirmed += other.confirmed;
        self.delivered += other.delivered;
        self.settled += other.settled;
        self.ends += other.ends;
        self.found += other.found;
        self.committed += other.committed;
        self.read += other.read;
    }
}

struct Record {
    publisher: u64,
    seq: u32,
    queues: Vec<Queue>,
    key: u8,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody was told.
    Open,
    Confirmed,
    /// Refused, or rolled back.
    Refused,
}

/// A record in one queue, as clients know it.
#[derive(Default)]
struct Copy {
    deliveries: u32,
    holder: Option<Who>,
    /// The connection that had it last.
    last: u64,
    /// [`Inner::room`] when it was lent last.
    lent_at_room: (bool, u64),
    /// Its settle was sent.
    acked: bool,
    /// And is durable.
    settled: bool,
    rejected: bool,
    /// A transaction took it, and its end is not known.
    maybe: Option<usize>,
    /// It was there in the end.
    found: bool,
}

struct Whole {
    parts: Vec<(Queue, u64)>,
    settles: Vec<(Queue, u64)>,
}

impl Ledger {
    /// An empty one; `traces`: it says everything that happens.
    pub fn new(traces: bool) -> Ledger {
        let inner = Inner {
            next_id: 0,
            next_connection: 0,
            records: BTreeMap::new(),
            copies: BTreeMap::new(),
            wholes: Vec::new(),
            order: BTreeMap::new(),
            topic: Topic::default(),
            violation: None,
            digest: 0,
            tally: Tally::default(),
            traces,
            began: Instant::now(),
            room: (true, 0),
        };
        Ledger {
            inner: Mutex::new(inner),
        }
    }

    /// Something that explains the rest.
    pub fn say(&self, what: impl FnOnce() -> String) {
        self.inner.lock().say(what);
    }

    /// The first thing that was not as it must be.
    pub fn violation(&self) -> Option<String> {
        self.inner.lock().violation.clone()
    }

    /// Something is not as it must be.
    pub fn violated(&self, what: String) {
        self.inner.lock().violated(what);
    }

    /// What it came to.
    pub fn tally(&self) -> Tally {
        self.inner.lock().tally
    }

    /// Of all that happened, in its order.
    pub fn digest(&self) -> u64 {
        self.inner.lock().digest
    }

    /// The disk is full, or has room again. While it is full a channel that wants something
    /// recorded is closed, with all it was lent, before its client knows.
    pub fn room_changed(&self, has_room: bool) {
        let mut inner = self.inner.lock();
        inner.room = (has_room, inner.room.1 + 1);
    }

    /// The disk has room, and since which change: a settle that finds none is not recorded, and
    /// costs a redelivery. `None`: it has none.
    pub fn has_room_since(&self) -> Option<u64> {
        let (has_room, changes) = self.inner.lock().room;
        has_room.then_some(changes)
    }

    /// The process ended by a fault of its disk.
    pub fn broker_ended(&self) {
        self.inner.lock().tally.ends += 1;
    }

    /// A number for a connection.
    pub fn connection(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_connection += 1;
        inner.next_connection
    }

    /// The topic's part.
    pub fn topic<T>(&self, ask: impl FnOnce(&mut Topic) -> Result<T, String>) -> Option<T> {
        let mut inner = self.inner.lock();
        let asked = ask(&mut inner.topic);
        inner.tally.read = inner.topic.read_count();
        match asked {
            Ok(answer) => Some(answer),
            Err(violation) => {
                inner.violated(violation);
                None
            }
        }
    }

    /// Who sent a record, and as which of its own; `None`: nobody, or it was refused.
    pub fn sender(&self, id: u64) -> Option<(u64, u32)> {
        let inner = self.inner.lock();
        let record = inner.records.get(&id)?;
        (record.fate != Fate::Refused).then_some((record.publisher, record.seq))
    }

    /// Records that were confirmed and went to the topic.
    pub fn confirmed_in_topic(&self) -> Vec<u64> {
        let inner = self.inner.lock();
        let all = inner.records.iter();
        all.filter(|(_, record)| {
            record.fate == Fate::Confirmed && record.queues.contains(&Queue::Topic)
        })
        .map(|(id, _)| *id)
        .collect()
    }

    /// A record is about to be published: its identity.
    pub fn send(&self, who: &Who, seq: u32, key: u8, queues: &[Queue]) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.tally.sent += 1;
        let record = Record {
            publisher: who.number,
            seq,
            queues: queues.to_vec(),
            key,
            fate: Fate::Open,
        };
        inner.records.insert(id, record);
        if queues.len() > 1 {
            let parts = queues.iter().map(|queue| (*queue, id)).collect();
            let settles = Vec::new();
            inner.wholes.push(Whole { parts, settles });
        }
        inner.happened(1, id);
        inner.say(|| format!("{} sends {id}, key {key}, to {queues:?}", who.number));
        id
    }

    /// It was confirmed.
    pub fn confirmed(&self, id: u64) {
        let mut inner = self.inner.lock();
        inner.happened(2, id);
        inner.say(|| format!("{id} is confirmed"));
        inner.tally.confirmed += 1;
        let record = inner.records.get_mut(&id).expect("it was sent");
        let before = std::mem::replace(&mut record.fate, Fate::Confirmed);
        if before != Fate::Open {
            inner.violated(format!("record {id} is confirmed, and was {before:?}"));
        }
    }

    /// It was refused, or taken back before anybody could see it.
    pub fn refused(&self, id: u64) {
        let mut inner = self.inner.lock();
        inner.happened(3, id);
        let record = inner.records.get_mut(&id).expect("it was sent");
        let before = std::mem::replace(&mut record.fate, Fate::Refused);
        let seen = record.queues.clone().into_iter().any(|queue| {
            let copy = inner.copies.get(&(queue, id));
            copy.is_some_and(|copy| copy.deliveries > 0)
        });
        if before != Fate::Open || seen {
            inner.violated(format!(
                "record {id} is refused, and was {before:?}, and delivered: {seen}"
            ));
        }
    }

    /// A consumer got a record.
    pub fn delivered(
        &self,
        who: &Who,
        queue: Queue,
        body: &[u8],
        redelivered: bool,
    ) -> Option<u64> {
        let mut inner = self.inner.lock();
        let checked = inner.delivered(who, queue, body, redelivered);
        match checked {
            Ok(id) => Some(id),
            Err(violation) => {
                inner.violated(violation);
                None
            }
        }
    }

    /// A consumer gives it back, or its settle is on the way.
    pub fn released(&self, queue: Queue, id: u64, how: Released) {
        let mut inner = self.inner.lock();
        inner.happened(4 + how as u64, id);
        inner.say(|| format!("{} gets back {id}: {how:?}", queue.name()));
        let copy = inner.copies.entry((queue, id)).or_default();
        copy.holder = None;
        match how {
            Released::Back => {}
            Released::Settled => copy.acked = true,
            Released::Rejected => copy.rejected = true,
        }
    }
}

/// How a consumer lets go of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is to come again.
    Back,
    /// It is done with.
    Settled,
    /// It is to die.
    Rejected,
}

impl Inner {
    fn violated(&mut self, what: String) {
        self.say(|| format!("VIOLATION: {what}"));
        self.violation.get_or_insert(what);
    }

    /// For whoever looks for a cause.
    fn say(&self, what: impl FnOnce() -> String) {
        if self.traces {
            let at_ms = self.began.elapsed().as_micros() as f64 / 1000.0;
            eprintln!("{at_ms:10.3} {}", what());
        }
    }

    fn happened(&mut self, what: u64, id: u64) {
        let mixed = (self.digest ^ (what << 56) ^ id).wrapping_mul(0x0100_0000_01b3);
        self.digest = mixed.rotate_left(17);
    }

    fn delivered(
        &mut self,
        who: &Who,
        queue: Queue,
        body: &[u8],
        redelivered: bool,
    ) -> Result<u64, String> {
        let id = identity(body).ok_or_else(|| {
            format!(
                "{} delivered a record of {} bytes that nobody sent",
                queue.name(),
                body.len()
            )
        })?;
        self.happened(8 + u64::from(redelivered), id);
        self.say(|| {
            format!(
                "{} delivers {id} to {}, redelivered {redelivered}",
                queue.name(),
                who.number
            )
        });
        self.tally.delivered += 1;
        let name = queue.name();
        let Some(record) = self.records.get(&id) else {
            return Err(format!("{name} delivered record {id}, which nobody sent"));
        };
        let (publisher, seq, key, fate) = (record.publisher, record.seq, record.key, record.fate);
        let goes_there = record.queues.contains(&queue)
            || queue
                .origin()
                .is_some_and(|origin| record.queues.contains(&origin));
        if !goes_there {
            return Err(format!(
                "{name} delivered record {id}, which went to {:?}",
                record.queues
            ));
        }
        if fate == Fate::Refused {
            return Err(format!("{name} delivered record {id}, which was refused"));
        }
        if let Some(origin) = queue.origin() {
            match self.copies.get(&(origin, id)) {
                Some(copy) if copy.settled => {
                    return Err(format!("record {id} died after it was durably settled"));
                }
                Some(copy) if copy.rejected => {}
                _ if origin == Queue::Brief => {}
                _ => return Err(format!("record {id} died, and nobody rejected it")),
            }
        }
        let dead = queue
            .grave()
            .and_then(|grave| self.copies.get(&(grave, id)));
        if dead.is_some_and(|dead| dead.settled) {
            return Err(format!("record {id} came back from the dead"));
        }
        let copy = self.copies.entry((queue, id)).or_default();
        if copy.settled {
            return Err(format!(
                "{name} delivered record {id} again, which was durably settled"
            ));
        }
        if who.wire.is_left_by_broker() {
            // On its way when the broker let go of the connection: lent to nobody.
            copy.deliveries += 1;
            return Ok(id);
        }
        let has_room = self.room.0 && copy.lent_at_room == self.room;
        if let Some(holder) = &copy.holder
            && !holder.wire.is_left_by_broker()
            && has_room
        {
            return Err(format!(
                "{name} lent record {id} to connection {} while connection {} had it",
                who.number, holder.number
            ));
        }
        copy.holder = Some(who.clone());
        copy.last = who.number;
        copy.lent_at_room = self.room;
        copy.deliveries += 1;
        if queue == Queue::Grouped {
            self.check_group(who, id, publisher, (seq, key))?;
        }
        if !redelivered && queue.origin().is_none() {
            // Keys overtake each other, where consumers compete for keys.
            let (consumer, of) = match queue {
                Queue::Grouped => (0, (publisher << 8) | u64::from(key)),
                _ => (who.number, publisher),
            };
            let last = self.order.entry((consumer, queue, of)).or_default();
            if *last >= seq {
                return Err(format!(
                    "{name} delivered number {seq} of publisher {publisher} after number {last}"
                ));
            }
            *last = seq;
        }
        Ok(id)
    }

    /// One consumer has a key's records, and none overtakes one that came before it.
    fn check_group(
        &self,
        who: &Who,
        id: u64,
        publisher: u64,
        (seq, key): (u32, u8),
    ) -> Result<(), String> {
        for ((_, other), copy) in self
            .copies
            .range((Queue::Grouped, 0)..=(Queue::Grouped, u64::MAX))
        {
            let record = &self.records[other];
            if *other == id || record.key != key {
                continue;
            }
            let held = copy
                .holder
                .as_ref()
                .filter(|holder| !holder.wire.is_left_by_broker());
            if let Some(holder) = held
                && holder.number != who.number
            {
                return Err(format!(
                    "record {id} of key {key} went to connection {}, and connection {} has record {other}",
                    who.number, holder.number
                ));
            }
            // What its consumer gave back may cross what is on its way to the same one.
            let earlier = record.publisher == publisher && record.seq < seq;
            let elsewhere = copy.last != who.number;
            if earlier && elsewhere && copy.deliveries > 0 && !copy.acked && held.is_none() {
                return Err(format!(
                    "record {id} of key {key} overtook record {other}, which came back before"
                ));
            }
        }
        Ok(())
    }
}

/// The body of a record: its identity, and bytes that follow from it.
pub fn body(id: u64, bytes: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.resize(8 + bytes, filler(id));
    body
}

/// Whose body that is, if it is anybody's.
pub fn identity(body: &[u8]) -> Option<u64> {
    let (id, rest) = body.split_first_chunk()?;
    let id = u64::from_be_bytes(*id);
    rest.iter().all(|byte| *byte == filler(id)).then_some(id)
}

fn filler(id: u64) -> u8 {
    (id.wrapping_mul(0x9e37_79b9) >> 8) as u8
}
