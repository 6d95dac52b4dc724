//! A queue: a private log, one ack cursor shared by competing consumers.
//!
//! The machine decides who is lent which records; it never sees their bytes. Whoever
//! drives it appends the records to the log first, then tells it, all under one lock.
//!
//! Reading order: [`runs`] (a map of offset ranges), [`cursor`] (which records are still
//! owed to somebody), [`links`] (whose turn it is), then [`Queue`].
//!
//! What must be durable before what: an [`Effect::Lease`] needs nothing durable (a lost
//! lease is a record delivered again). An [`Effect::Settled`] is recorded, and nobody
//! waits for it: losing it is a redelivery, too. An [`Effect::Mark`] is durable before a
//! lease it covers reaches a client, so that after a crash what was handed out comes back
//! flagged as redelivered; it is recorded well ahead, so that this wait is rare.

pub mod runs;

pub mod schedule;

pub mod groups;

pub mod dedup;

pub mod cursor;

pub mod links;

pub mod properties;

use std::ops::Range;

use bongsu_record::Offset;

pub use cursor::{AckCursor, CursorMalformed};
pub use links::{Gate, Link, LinkKey, Links};

use crate::session::Outcome;

/// What happens to a queue.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// So many records were appended to its log.
    Append {
        /// At least one.
        count: u64,
    },
    /// A consumer appears.
    Attach {
        /// Its number, never used before for this queue.
        key: LinkKey,
        /// What it is like.
        link: Link,
    },
    /// A consumer goes. Its leases stay until settled, unless released.
    Detach {
        /// Which.
        key: LinkKey,
        /// Give its leases back.
        release: bool,
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
    /// A gate that refused this link has opened.
    Resume {
        /// Which.
        key: LinkKey,
    },
    /// Settle everything that is ready.
    Purge,
}

/// What must be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand these records to a consumer.
    Lease {
        /// To whom.
        key: LinkKey,
        /// Which: all with the same count of attempts.
        records: Range<Offset>,
        /// 1 = never handed out before, as far as is known.
        attempt: u32,
    },
    /// Record that these need never be delivered again.
    Settled {
        /// Which.
        records: Range<Offset>,
    },
    /// Record that all below may have been handed out.
    Mark {
        /// Not included.
        next: Offset,
    },
}

/// One queue's decisions.
#[derive(Debug, Default)]
pub struct Queue {
    cursor: AckCursor,
    links: Links,
}

impl Queue {
    /// An empty queue over an empty log.
    pub fn new() -> Queue {
        Queue::default()
    }

    /// A queue whose cursor was restored; it has no links.
    pub fn restored(cursor: AckCursor) -> Queue {
        Queue {
            cursor,
            links: Links::default(),
        }
    }

    /// Takes one input, appending what must be done to `effects`. `gates` says what each
    /// link may still be lent beyond its own credit.
    pub fn handle(&mut self, input: Input<'_>, gates: &dyn Gate, effects: &mut Vec<Effect>) {
        match input {
            Input::Append { count } => self.cursor.append(count),
            Input::Attach { key, link } => self.links.attach(key, link),
            Input::Detach { key, release } => {
                self.links.detach(key);
                if release {
                    self.cursor.release_all(key);
                }
            }
            Input::Settle {
                key,
                ranges,
                outcome,
            } => {
                for range in ranges {
                    let count = match outcome {
                        Outcome::Release | Outcome::Fail => self.cursor.release(key, range.clone()),
                        Outcome::Accept | Outcome::Reject => {
                            self.cursor.settle(key, range.clone(), |records| {
                                effects.push(Effect::Settled { records });
                            })
                        }
                    };
                    self.links.give_back(key, count);
                }
            }
            Input::Get { key } => {
                if let Some((records, attempt)) = self.cursor.lease(key, 1) {
                    self.mark(effects);
                    effects.push(Effect::Lease {
                        key,
                        records,
                        attempt,
                    });
                }
                return;
            }
            Input::Resume { key } => self.links.resume(key),
            Input::Purge => {
                self.cursor
                    .settle_ready(|records| effects.push(Effect::Settled { records }));
            }
        }
        self.dispatch(gates, effects);
    }

    /// Lends what is ready to whoever has credit, in turns.
    fn dispatch(&mut self, gates: &dyn Gate, effects: &mut Vec<Effect>) {
        while self.cursor.has_ready() {
            let Some(turn) = self.links.next_turn() else {
                return;
            };
            let wanted = turn.credit.min(self.cursor.ready_run());
            let admitted = gates.admit(turn.key, wanted);
            if admitted == 0 {
                self.links.hold(turn.key);
                continue;
            }
            let (records, attempt) = self
                .cursor
                .lease(turn.key, admitted)
                .expect("something is ready: it was asked above");
            self.links.take(turn.key, records.end.0 - records.start.0);
            self.mark(effects);
            effects.push(Effect::Lease {
                key: turn.key,
                records,
                attempt,
            });
        }
    }

    fn mark(&mut self, effects: &mut Vec<Effect>) {
        if let Some(next) = self.cursor.mark() {
            effects.push(Effect::Mark { next });
        }
    }

    /// Its cursor.
    pub fn cursor(&self) -> &AckCursor {
        &self.cursor
    }

    /// Its links.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Panics if an invariant is broken; tests call it after every step.
    pub fn check(&self) {
        self.cursor.check();
        self.links.check();
    }
}

#[cfg(test)]
mod tests;
