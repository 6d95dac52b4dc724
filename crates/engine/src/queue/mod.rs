//! A queue: a private log, one ack cursor shared by competing consumers.
//!
//! The machine decides who is lent which records; it never sees their bytes. Whoever
//! drives it appends the records to the log first, then tells it, all under one lock.
//!
//! A *subscription* is a queue without a log of its own: an ack cursor over somebody
//! else's, from some offset on. What is appended there is [`Input::Append`] here, what is
//! dropped there [`Input::Trimmed`]; what of it is no record that anybody should see is
//! found, and settled, by whoever reads it to hand it out.
//!
//! Reading order: [`runs`] (a map of offset ranges), [`cursor`] (which records are still
//! owed to somebody), [`links`] (whose turn it is), [`properties`] (what a queue may be
//! asked to be), [`fact`] and `judge` (what it must know of its records for that), `order`,
//! [`schedule`], [`groups`] and [`dedup`] (the indexes), then [`Queue`] with `steps` (what
//! each input does), `lending` (who gets what is ready), `pulling` (who asks for it),
//! `taking` (what people do by hand),
//! [`restore`] (what survives a crash) and [`why`] (what is told to people: why nothing is
//! delivered).
//!
//! What must be durable before what: an [`Effect::Lease`] needs nothing durable (a lost
//! lease is a record delivered again). An [`Effect::Settled`] or [`Effect::Returned`] is
//! recorded, and nobody waits for it: losing it is a redelivery, or a try not counted. An
//! [`Effect::Mark`] is durable before a lease it covers reaches a client, so that after a
//! crash what was handed out comes back flagged as redelivered; it is recorded well ahead,
//! so that this wait is rare. Dead records are owed until [`Input::Moved`] says that they
//! are elsewhere, which is recorded in one group with their arrival there.

pub mod runs;

pub mod cursor;

pub mod links;

pub mod properties;

pub mod fact;

pub mod schedule;

pub mod groups;

pub mod dedup;

mod late;

mod order;

mod judge;

mod seen;

mod steps;

mod lending;

mod pulling;

mod taking;

pub mod restore;

pub mod why;

use std::ops::Range;
use std::sync::Arc;

use bongsu_record::Offset;

pub use cursor::{AckCursor, CursorMalformed, Held, Reason, Standing};
pub use fact::{Fact, FactRun, push_fact};
pub use links::{Gate, Link, LinkKey, LinkState, Links};
pub use properties::Properties;
pub use restore::{Note, Restoring};

use crate::session::{Outcome, Tries};
use dedup::Identity;
use judge::Judge;
use seen::Seen;

/// What happens to a queue.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// So many records were appended to its log.
    Append {
        /// At least one.
        count: u64,
        /// What holds for each, if [`Queue::judges`] or any of them is not plain; else
        /// empty.
        facts: &'a [FactRun],
    },
    /// The answer to [`Effect::Tell`].
    Facts {
        /// As asked, or the front part of it.
        records: Range<Offset>,
        /// What holds for each; those left out are settled.
        facts: &'a [FactRun],
    },
    /// A consumer appears.
    Attach {
        /// Its number, never used before for this queue.
        key: LinkKey,
        /// What it is like.
        link: Link,
    },
    /// A consumer goes. Its leases stay until settled, unless they end in this way.
    Detach {
        /// Which.
        key: LinkKey,
        /// How its leases end, if they do: [`Outcome::Fail`] if it vanished with them.
        outcome: Option<Outcome>,
    },
    /// Leases end.
    Settle {
        /// Who must hold them; ranges held by others are left alone.
        key: LinkKey,
        /// Which.
        ranges: &'a [Range<Offset>],
        /// How.
        outcome: Outcome,
    },
    /// One record, now, to a link that is not served otherwise.
    Get {
        /// Who will hold it.
        key: LinkKey,
    },
    /// Up to so many records, now, to a link that is not served otherwise.
    Acquire {
        /// Who will hold them.
        key: LinkKey,
        /// At most.
        count_max: u64,
        /// For how long.
        hold: Hold,
    },
    /// What a link holds is lent for longer.
    Extend {
        /// Who must hold them; ranges held by others are left alone.
        key: LinkKey,
        /// Which.
        ranges: &'a [Range<Offset>],
        /// Milliseconds from now, in place of what was said before; at least 1.
        lock_ms: u64,
    },
    /// Leases that nobody was told of: as if they had never been made.
    Unsend {
        /// Who must hold them; ranges held by others are left alone.
        key: LinkKey,
        /// Which.
        ranges: &'a [Range<Offset>],
    },
    /// The log begins there from now on: what is below is gone, and owed to nobody. Also if
    /// that is beyond what was appended so far.
    Trimmed {
        /// First record kept.
        start: Offset,
    },
    /// Ready records are elsewhere by now, or nowhere by design: they are settled, to be
    /// recorded in one group with their arrival there. Others are left alone.
    Discard {
        /// Which.
        ranges: &'a [Range<Offset>],
    },
    /// Leases are taken from whoever has them, and not counted as failed. Others are offered
    /// the records before those who had them.
    Revoke {
        /// Only this one's.
        holder: Option<LinkKey>,
        /// Which.
        ranges: &'a [Range<Offset>],
    },
    /// A gate that refused this link has opened.
    Resume {
        /// Which.
        key: LinkKey,
    },
    /// Settle everything that is ready.
    Purge,
    /// These dead records are in another queue, or nowhere by design.
    Moved {
        /// Dying ones.
        records: Range<Offset>,
    },
    /// The queue's properties are others from now on.
    Configure {
        /// All of them.
        properties: Arc<Properties>,
    },
    /// [`Queue::deadline_ms`] has passed.
    Timeout,
    /// The broker stops: nothing is lent any more.
    Rest,
}

/// For how long records are lent to who pulls them, and how often at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Milliseconds after which a lease comes back that was not ended; 0 = never.
    pub lock_ms: u64,
    /// A record that comes back after so many leases is dead, however it came back; 0 =
    /// no limit.
    pub acquired_max: u32,
}

/// What must be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand these records to a consumer.
    Lease {
        /// To whom.
        key: LinkKey,
        /// Which: all with the same tries.
        records: Range<Offset>,
        /// Before this time.
        tries: Tries,
    },
    /// Record that these need never be delivered again.
    Settled {
        /// Which.
        records: Range<Offset>,
    },
    /// Record that these came back.
    Returned {
        /// Which.
        records: Range<Offset>,
        /// How often they were tried.
        tries: Tries,
        /// Unix milliseconds before which they are not lent again; 0 = at once.
        at_ms: u64,
    },
    /// Record that all below may have been handed out.
    Mark {
        /// Not included.
        next: Offset,
    },
    /// Move these to where dead records go; see [`AckCursor::first_dying`].
    Dying {
        /// Which.
        records: Range<Offset>,
        /// Why.
        reason: Reason,
    },
    /// Read these records, or the first part of them, and answer with [`Input::Facts`].
    Tell {
        /// Which.
        records: Range<Offset>,
    },
    /// Tell this consumer that it is cancelled: it held a lease for too long. Its link is
    /// gone from the queue.
    Cancel {
        /// Whom.
        key: LinkKey,
    },
}

/// One queue's decisions.
#[derive(Debug, Default)]
pub struct Queue {
    cursor: AckCursor,
    links: Links,
    properties: Arc<Properties>,
    /// Only where offsets alone do not decide.
    judge: Option<Box<Judge>>,
    /// Only where records are not taken twice.
    seen: Option<Box<Seen>>,
    /// Unix seconds at which to look for overdue leases.
    overdue_s: Option<u64>,
    /// Records that died since this was last taken.
    deaths: Deaths,
}

/// Records that died, by reason, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deaths([u64; 4]);

impl Deaths {
    /// Those of one reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    fn add(&mut self, reason: Reason, count: u64) {
        self.0[reason as usize] += count;
    }
}

impl Queue {
    /// An empty queue over an empty log.
    pub fn new(properties: Arc<Properties>, now_ms: u64) -> Queue {
        Restoring::default().finish(properties, now_ms)
    }

    /// A subscription to a log that is of interest from `start` on.
    pub fn subscribed(start: Offset, properties: Arc<Properties>, now_ms: u64) -> Queue {
        Restoring::starting_at(start).finish(properties, now_ms)
    }

    /// Its cursor.
    pub fn cursor(&self) -> &AckCursor {
        &self.cursor
    }

    /// Its links.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// What it was asked to be.
    pub fn properties(&self) -> &Arc<Properties> {
        &self.properties
    }

    /// Records that died since this was last asked; `None`: none did.
    pub fn take_deaths(&mut self) -> Option<Deaths> {
        let died = self.deaths != Deaths::default();
        died.then(|| std::mem::take(&mut self.deaths))
    }

    /// Whether it wants facts with each append.
    pub fn judges(&self) -> bool {
        self.cursor.judges()
    }

    /// Unix milliseconds at which to come back with [`Input::Timeout`].
    pub fn deadline_ms(&self) -> Option<u64> {
        let overdue_ms = self.overdue_s.map(|s| s.saturating_mul(1000));
        let Some(judge) = &self.judge else {
            return overdue_ms;
        };
        let heads = match judge.expiries.is_empty() {
            true => Vec::new(),
            false => judge.order.heads(&self.cursor, judge.known),
        };
        let expiry = heads
            .into_iter()
            .filter_map(|head| judge.expiry(head).0)
            .min();
        [overdue_ms, judge.schedule.next_ms(), expiry]
            .into_iter()
            .flatten()
            .min()
    }

    /// Which of so many new records a full queue refuses, by their index; in order. Only
    /// where [`properties::Overflow`] says to refuse. `sizes` are those of their bodies;
    /// `planned` records go before them.
    pub fn refuses(&self, planned: u64, sizes: &mut dyn Iterator<Item = u32>) -> Vec<Range<u32>> {
        let properties = &self.properties;
        let mut refused: Vec<Range<u32>> = Vec::new();
        if properties.overflow == properties::Overflow::DropHead {
            return refused;
        }
        let length_max = properties.length_max.unwrap_or(u64::MAX);
        let bytes_max = properties.bytes_max.unwrap_or(u64::MAX);
        let mut length = self.cursor.ready() + planned;
        let mut bytes = self.ready_bytes();
        for (index, size) in (0_u32..).zip(sizes) {
            let fits = length < length_max && bytes.saturating_add(u64::from(size)) <= bytes_max;
            if fits {
                length += 1;
                bytes += u64::from(size);
                continue;
            }
            match refused.last_mut() {
                Some(last) if last.end == index => last.end += 1,
                _ => refused.push(index..index + 1),
            }
        }
        refused
    }

    /// Whether new records must be shown to [`Queue::refuses`] or [`Queue::duplicates`].
    pub fn screens(&self) -> bool {
        let bounded = self.properties.length_max.is_some() || self.properties.bytes_max.is_some();
        self.seen.is_some()
            || (bounded && self.properties.overflow != properties::Overflow::DropHead)
    }

    /// Which of so many new records it has seen before, by their index; in order.
    pub fn duplicates(
        &self,
        identities: &mut dyn Iterator<Item = Option<Identity>>,
        now_ms: u64,
    ) -> Vec<Range<u32>> {
        match &self.seen {
            Some(seen) => seen.duplicates(identities, now_ms),
            None => Vec::new(),
        }
    }

    /// Remembers records that are being appended. To be recorded in one group with them:
    /// [`Note::Seen`].
    pub fn remember(&mut self, identities: &[(Offset, Identity)], now_ms: u64) {
        if let Some(seen) = &mut self.seen {
            for (offset, identity) in identities {
                seen.remember(offset.0, *identity, now_ms);
            }
        }
    }

    /// What was remembered is not appended after all.
    pub fn forget(&mut self, identities: &[(Offset, Identity)]) {
        if let Some(seen) = &mut self.seen {
            for (offset, identity) in identities {
                seen.forget(offset.0, *identity);
            }
        }
    }

    /// Bytes of ready bodies, where the queue counts them.
    pub fn ready_bytes(&self) -> u64 {
        let sizes = self.judge.as_ref().and_then(|judge| judge.sizes.as_ref());
        sizes.map_or(0, |sizes| sizes.ready_bytes)
    }

    /// Panics if an invariant is broken; tests call it after every step.
    pub fn check(&self) {
        self.cursor.check();
        self.links.check();
        if let Some(judge) = &self.judge {
            judge.schedule.check();
            judge.order.check(&self.cursor);
            assert!(judge.known <= self.cursor.end().0);
        }
    }
}

#[cfg(test)]
mod tests;
