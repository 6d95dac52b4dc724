//! One transactional id: who has it, and what its transaction has touched.
//!
//! Always: only the producer with the current id and epoch does anything; an epoch never
//! goes back while the id is the same, and [`EPOCH_LAST`] is given to nobody, so that the
//! one before it can be fenced. A transaction that was committed is never aborted: from
//! then on, what it touched is forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Producer, TransactionRefused};
use crate::router::QueueId;

/// What happens to a transactional id.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// Somebody takes it over. An open transaction is aborted.
    Init {
        /// In milliseconds: not 0, not beyond what is allowed.
        timeout_ms: u32,
        /// Who it believes to be, if it says: then it must be right.
        expected: Option<Producer>,
    },
    /// Its transaction is going to write there; opens it, if it is not open.
    Join {
        /// Who says so.
        producer: Producer,
        /// To these partitions.
        partitions: &'a [QueueId],
        /// To this group's offsets.
        group: Option<&'a Arc<str>>,
    },
    /// Its transaction ends.
    End {
        /// Who says so.
        producer: Producer,
        /// Or aborted.
        committed: bool,
        /// The next one is of a new epoch (KIP-890).
        bumps_epoch: bool,
    },
    /// The deadline may have passed.
    Timeout,
}

/// What is to be done, in order; all of it as one group, or none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End what the transaction has touched.
    End(Ending),
    /// Record what the machine is now.
    Record,
    /// Answer the caller, once the others are durable.
    Answer(Result<Producer, TransactionRefused>),
}

/// How a transaction ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Whose, with the epoch of the marks.
    pub producer: Producer,
    /// Or aborted.
    pub committed: bool,
    /// Where a mark goes, ascending.
    pub partitions: Vec<QueueId>,
    /// Whose pending offsets become valid, or are dropped.
    pub groups: Vec<Arc<str>>,
}

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub(super) producer: Producer,
    /// The number before the last change of it; -1 = none.
    pub(super) previous_id: i64,
    /// What a repeated [`Input::Init`] may believe the epoch to be; -1 = nothing.
    pub(super) last_epoch: i16,
    pub(super) timeout_ms: u32,
    pub(super) state: State,
    /// The last end changed the epoch: one that is repeated has the epoch before.
    pub(super) bumped: bool,
    /// Last used: Unix milliseconds.
    pub(super) used_ms: u64,
}

/// How far its transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There was none since it was taken over.
    Empty,
    /// One is open.
    Ongoing(Open),
    /// The last one was committed.
    Committed,
    /// The last one was aborted.
    Aborted,
}

/// What an open transaction has touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Unix milliseconds.
    pub since_ms: u64,
    /// Where it writes.
    pub partitions: BTreeSet<QueueId>,
    /// Whose offsets it commits.
    pub groups: BTreeSet<Arc<str>>,
}

impl State {
    /// Kafka's name.
    pub fn name(&self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing(_) => "Ongoing",
            State::Committed => "CompleteCommit",
            State::Aborted => "CompleteAbort",
        }
    }
}

impl Transaction {
    /// One that nobody had before: [`Input::Init`] makes epoch 0 of this number.
    pub fn new(producer_id: i64) -> Transaction {
        Transaction {
            producer: Producer {
                id: producer_id,
                epoch: NONE,
            },
            previous_id: -1,
            last_epoch: NONE,
            timeout_ms: 0,
            state: State::Empty,
            bumped: false,
            used_ms: 0,
        }
    }

    /// Takes one input. `fresh` gives a producer number that nobody had, or none if it cannot
    /// be recorded.
    pub fn handle(
        &mut self,
        input: Input<'_>,
        fresh: &mut dyn FnMut() -> Option<i64>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) {
        let result = match input {
            Input::Init {
                timeout_ms,
                expected,
            } => self.init(timeout_ms, expected, fresh, now_ms, effects),
            Input::Join {
                producer,
                partitions,
                group,
            } => self.join(producer, partitions, group, now_ms, effects),
            Input::End {
                producer,
                committed,
                bumps_epoch,
            } => {
                let how = How {
                    committed,
                    bumps_epoch,
                };
                self.end(producer, how, fresh, now_ms, effects)
            }
            Input::Timeout => {
                if self.deadline_ms().is_some_and(|due_ms| due_ms <= now_ms) {
                    self.fence(effects);
                    self.used_ms = now_ms;
                    effects.push(Effect::Record);
                }
                return;
            }
        };
        effects.push(Effect::Answer(result));
    }

    /// When to come back with [`Input::Timeout`]: Unix milliseconds.
    pub fn deadline_ms(&self) -> Option<u64> {
        match &self.state {
            State::Ongoing(open) => Some(open.since_ms + u64::from(self.timeout_ms)),
            _ => None,
        }
    }

    /// Whether nobody used it for so long that it is forgotten.
    pub fn is_expired(&self, now_ms: u64, expiration_ms: u64) -> bool {
        self.deadline_ms().is_none() && now_ms.saturating_sub(self.used_ms) >= expiration_ms
    }

    /// Whether this producer may write to a partition without joining it first.
    ///
    /// # Errors
    /// Why it may not.
    pub fn verify(&self, producer: Producer, partition: QueueId) -> Result<(), TransactionRefused> {
        self.check(producer)?;
        self.within(|open| open.partitions.contains(&partition))
    }

    /// Whether this producer may commit offsets of a group without joining it first.
    ///
    /// # Errors
    /// Why it may not.
    pub fn verify_group(&self, producer: Producer, group: &str) -> Result<(), TransactionRefused> {
        self.check(producer)?;
        self.within(|open| open.groups.contains(group))
    }

    /// Who has it; the epoch is -1 before the first [`Input::Init`].
    pub fn producer(&self) -> Producer {
        self.producer
    }

    /// How far its transaction is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How long its transactions may be open.
    pub fn timeout_ms(&self) -> u32 {
        self.timeout_ms
    }

    fn init(
        &mut self,
        timeout_ms: u32,
        expected: Option<Producer>,
        fresh: &mut dyn FnMut() -> Option<i64>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Producer, TransactionRefused> {
        if let Some(expected) = expected
            && !self.expects(expected)
        {
            return Err(TransactionRefused::Fenced);
        }
        if self.producer.epoch != NONE && expected.is_some_and(|e| self.is_repeated(e)) {
            return Ok(self.producer);
        }
        let last = self.producer.epoch;
        let number = number_beyond(last, fresh)?;
        match self.state {
            // The epoch of the marks is the next producer's: fenced by them, it is new.
            State::Ongoing(_) => self.fence(effects),
            _ if self.producer.epoch < EPOCH_LAST => self.producer.epoch += 1,
            _ => {}
        }
        if let Some(number) = number {
            self.renumber(number);
        }
        self.last_epoch = match expected {
            Some(_) => last,
            None => NONE,
        };
        self.timeout_ms = timeout_ms;
        self.state = State::Empty;
        self.bumped = false;
        self.used_ms = now_ms;
        effects.push(Effect::Record);
        Ok(self.producer)
    }

    /// Whether somebody who believes to be this may go on.
    fn expects(&self, expected: Producer) -> bool {
        let current = self.producer;
        if current.epoch == NONE {
            // It was forgotten here: whatever it was before, it begins anew.
            return true;
        }
        match expected.id == current.id {
            true => expected.epoch == current.epoch || self.is_repeated(expected),
            false => expected.id == self.previous_id && self.is_repeated(expected),
        }
    }

    /// Whether it may be an [`Input::Init`] whose answer was lost: this one was told its
    /// epoch is another, and did nothing with that yet.
    fn is_repeated(&self, expected: Producer) -> bool {
        let idle = !matches!(self.state, State::Ongoing(_));
        let another = expected.id != self.producer.id || expected.epoch != self.producer.epoch;
        idle && another && self.last_epoch != NONE && expected.epoch == self.last_epoch
    }

    fn join(
        &mut self,
        producer: Producer,
        partitions: &[QueueId],
        group: Option<&Arc<str>>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Producer, TransactionRefused> {
        self.check(producer)?;
        let known = self.within(|open| {
            partitions.iter().all(|at| open.partitions.contains(at))
                && group.is_none_or(|group| open.groups.contains(group))
        });
        if known.is_ok() {
            return Ok(producer);
        }
        let mut open = match std::mem::replace(&mut self.state, State::Empty) {
            State::Ongoing(open) => open,
            _ => Open {
                since_ms: now_ms,
                partitions: BTreeSet::new(),
                groups: BTreeSet::new(),
            },
        };
        open.partitions.extend(partitions);
        open.groups.extend(group.cloned());
        self.state = State::Ongoing(open);
        self.used_ms = now_ms;
        effects.push(Effect::Record);
        Ok(producer)
    }

    fn end(
        &mut self,
        producer: Producer,
        how: How,
        fresh: &mut dyn FnMut() -> Option<i64>,
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> Result<Producer, TransactionRefused> {
        if self.ended_before(producer) {
            let same = match how.committed {
                true => State::Committed,
                false => State::Aborted,
            };
            return match self.state == same {
                true => Ok(self.producer),
                false => Err(TransactionRefused::State),
            };
        }
        self.check(producer)?;
        let number = match how.bumps_epoch {
            true => number_beyond(producer.epoch, fresh)?,
            false => None,
        };
        let (partitions, groups) = match std::mem::replace(&mut self.state, State::Empty) {
            State::Ongoing(open) => (open.partitions, open.groups),
            // Nothing was written: the client asks for another epoch all the same.
            _ if !how.committed && how.bumps_epoch => Default::default(),
            State::Committed if how.committed && !self.bumped => {
                self.state = State::Committed;
                return Ok(self.producer);
            }
            State::Aborted if !how.committed && !self.bumped => {
                self.state = State::Aborted;
                return Ok(self.producer);
            }
            other => {
                self.state = other;
                return Err(TransactionRefused::State);
            }
        };
        let mut marks = self.producer;
        if how.bumps_epoch {
            marks.epoch += 1;
            self.last_epoch = producer.epoch;
        }
        self.producer = marks;
        self.bumped = how.bumps_epoch;
        if let Some(number) = number {
            self.renumber(number);
        }
        self.close(how.committed, marks, (partitions, groups), effects);
        self.used_ms = now_ms;
        effects.push(Effect::Record);
        Ok(self.producer)
    }

    /// Whether an end of this producer is one that was answered, and the answer lost.
    fn ended_before(&self, producer: Producer) -> bool {
        if !self.bumped || !matches!(self.state, State::Committed | State::Aborted) {
            return false;
        }
        let current = self.producer;
        let next = producer.epoch.checked_add(1);
        let same_id = producer.id == current.id && next == Some(current.epoch);
        let renumbered = producer.id == self.previous_id
            && producer.epoch == EPOCH_LAST - 1
            && current.epoch == 0;
        same_id || renumbered
    }

    /// Aborts what is open, with marks of the next epoch: whoever had this one is out.
    fn fence(&mut self, effects: &mut Vec<Effect>) {
        if let State::Ongoing(open) = std::mem::replace(&mut self.state, State::Aborted) {
            self.producer.epoch += 1;
            self.last_epoch = NONE;
            self.bumped = false;
            let touched = (open.partitions, open.groups);
            self.close(false, self.producer, touched, effects);
        }
    }

    fn close(
        &mut self,
        committed: bool,
        producer: Producer,
        (partitions, groups): (BTreeSet<QueueId>, BTreeSet<Arc<str>>),
        effects: &mut Vec<Effect>,
    ) {
        self.state = match committed {
            true => State::Committed,
            false => State::Aborted,
        };
        if !partitions.is_empty() || !groups.is_empty() {
            effects.push(Effect::End(Ending {
                producer,
                committed,
                partitions: partitions.into_iter().collect(),
                groups: groups.into_iter().collect(),
            }));
        }
    }

    fn renumber(&mut self, fresh: i64) {
        self.previous_id = self.producer.id;
        self.producer = Producer {
            id: fresh,
            epoch: 0,
        };
    }

    fn check(&self, producer: Producer) -> Result<(), TransactionRefused> {
        if producer.id != self.producer.id {
            Err(TransactionRefused::UnknownProducer)
        } else if producer.epoch != self.producer.epoch
            || !(0..EPOCH_LAST).contains(&producer.epoch)
        {
            Err(TransactionRefused::Fenced)
        } else {
            Ok(())
        }
    }

    fn within(&self, holds: impl FnOnce(&Open) -> bool) -> Result<(), TransactionRefused> {
        match &self.state {
            State::Ongoing(open) if holds(open) => Ok(()),
            _ => Err(TransactionRefused::NotInTransaction),
        }
    }
}

/// The number that follows, where no epoch does.
fn number_beyond(
    epoch: i16,
    fresh: &mut dyn FnMut() -> Option<i64>,
) -> Result<Option<i64>, TransactionRefused> {
    match epoch >= EPOCH_LAST - 1 {
        true => fresh().map(Some).ok_or(TransactionRefused::Storage),
        false => Ok(None),
    }
}

#[derive(Clone, Copy)]
struct How {
    committed: bool,
    bumps_epoch: bool,
}

/// No epoch.
pub(super) const NONE: i16 = -1;
/// Only marks have it: the producer gets another number instead.
pub(super) const EPOCH_LAST: i16 = i16::MAX;
