//! The readers of one log: each at its own place, none in another's way.
//!
//! Pure. The machine decides which records go to whom; it never sees their bytes. Memory
//! follows what was handed out and not settled, in ranges, and never the log.
//!
//! A reader holds at most its credit of records, gets them in order and each once, and is
//! passed over while it has no credit or its gate is shut. Readers that could be handed
//! something take turns of [`TURN_RECORDS`], so that one far behind does not keep the
//! others from what is new.
//!
//! Always, for each reader: floor <= next, and what it holds lies between them; floor is
//! the lowest it holds, or next. [`Readers::check`] asserts it; tests call it after every
//! step.
//!
//! What must be durable before what: [`Input::Appended`] says up to where records are
//! durable, so that no reader sees what a crash takes back. An [`Effect::Stored`] is
//! recorded, and nobody waits for it: losing it shows records again.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bongsu_record::Offset;

use crate::queue::runs::RunMap;
use crate::queue::{Gate, LinkKey};

/// What happens to the readers.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// All below may be read. Never goes back.
    Appended {
        /// Not included.
        end: Offset,
    },
    /// A reader appears.
    Attach {
        /// Its number, never used before for this log.
        key: LinkKey,
        /// What it is like.
        reader: Reader,
    },
    /// A reader goes, and with it what it held.
    Detach {
        /// Which.
        key: LinkKey,
    },
    /// A reader is done with records, however.
    Settle {
        /// Which.
        key: LinkKey,
        /// Which; those it does not hold are passed over.
        ranges: &'a [Range<Offset>],
    },
    /// A gate that refused this reader has opened.
    Resume {
        /// Which.
        key: LinkKey,
    },
    /// All below are gone. Never goes back.
    Trimmed {
        /// First that is left.
        start: Offset,
    },
}

/// What must be done. In order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Hand these to a reader.
    Hand {
        /// To whom.
        key: LinkKey,
        /// At least one, at most [`TURN_RECORDS`].
        records: Range<Offset>,
    },
    /// Record that a tracked reader is done with all below.
    Stored {
        /// Who.
        key: LinkKey,
        /// Where it goes on if it comes back.
        next: Offset,
    },
    /// A reader was handed all that it wanted; it gets nothing more.
    Finished {
        /// Who.
        key: LinkKey,
    },
}

/// What a reader is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The first it wants. Below the start, it gets what is left; beyond the end, it waits.
    pub start: Offset,
    /// The first it no longer wants.
    pub until: Option<Offset>,
    /// Records it may hold at once; 0 = no limit.
    pub credit: u32,
    /// Whether how far it came is recorded.
    pub tracked: bool,
}

#[derive(Debug)]
struct State {
    next: u64,
    until: u64,
    credit: u32,
    tracked: bool,
    /// Handed out and not settled.
    held: RunMap<()>,
    /// As last told.
    stored: u64,
    /// Its gate refused it.
    gated: bool,
    in_turn: bool,
    /// As told.
    finished: bool,
}

impl State {
    fn credit_left(&self) -> u64 {
        match self.credit {
            0 => u64::MAX,
            limit => u64::from(limit).saturating_sub(self.held.total()),
        }
    }

    fn floor(&self) -> u64 {
        self.held.first().map_or(self.next, |(run, ())| run.start)
    }

    fn could_be_handed(&self, end: u64) -> bool {
        !self.gated && self.next < end.min(self.until) && self.credit_left() > 0
    }
}

/// How a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderState {
    /// Which.
    pub key: LinkKey,
    /// It has settled all below.
    pub floor: Offset,
    /// The next it will be handed.
    pub next: Offset,
    /// Records it holds.
    pub held_count: u64,
    /// Records it may hold at once; 0 = no limit.
    pub credit: u32,
    /// Its gate refused it, and has not opened since.
    pub gated: bool,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Readers {
    start: u64,
    end: u64,
    states: BTreeMap<LinkKey, State>,
    /// Exactly those that could be handed something, in order.
    turns: VecDeque<LinkKey>,
}

impl Readers {
    /// Nobody, over a log that may be read from `start` to `end`.
    pub fn over(start: Offset, end: Offset) -> Readers {
        Readers {
            start: start.0.min(end.0),
            end: end.0,
            ..Readers::default()
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> impl Iterator<Item = ReaderState> + '_ {
        self.states.iter().map(|(key, state)| ReaderState {
            key: *key,
            floor: Offset(state.floor()),
            next: Offset(state.next),
            held_count: state.held.total(),
            credit: state.credit,
            gated: state.gated,
        })
    }

    /// Up to where records may be read.
    pub fn end(&self) -> Offset {
        Offset(self.end)
    }

    /// Below it, a reader has settled all that it was handed.
    pub fn floor(&self, key: LinkKey) -> Option<Offset> {
        self.states.get(&key).map(|state| Offset(state.floor()))
    }

    /// Records a reader was handed and has not settled.
    pub fn held(&self, key: LinkKey) -> u64 {
        self.states.get(&key).map_or(0, |state| state.held.total())
    }

    /// Takes one input, appending what must be done to `effects`. `gates` says what each
    /// reader may still be handed beyond its own credit.
    pub fn handle(&mut self, input: Input<'_>, gates: &dyn Gate, effects: &mut Vec<Effect>) {
        match input {
            Input::Appended { end } => {
                self.end = self.end.max(end.0);
                self.wake_all();
            }
            Input::Attach { key, reader } => self.attach(key, reader, effects),
            Input::Detach { key } => {
                self.leave(key);
                self.states.remove(&key);
            }
            Input::Settle { key, ranges } => self.settle(key, ranges, effects),
            Input::Resume { key } => {
                if let Some(state) = self.states.get_mut(&key) {
                    state.gated = false;
                }
                self.enter(key);
            }
            Input::Trimmed { start } => self.trim(start.0, effects),
        }
        self.dispatch(gates, effects);
    }

    fn attach(&mut self, key: LinkKey, reader: Reader, effects: &mut Vec<Effect>) {
        let next = reader.start.0.max(self.start);
        let state = State {
            next,
            until: reader.until.map_or(u64::MAX, |until| until.0),
            credit: reader.credit,
            tracked: reader.tracked,
            held: RunMap::default(),
            stored: next,
            gated: false,
            in_turn: false,
            finished: false,
        };
        let previous = self.states.insert(key, state);
        assert!(previous.is_none(), "a link key is never used twice");
        self.finish(key, effects);
        self.enter(key);
    }

    fn settle(&mut self, key: LinkKey, ranges: &[Range<Offset>], effects: &mut Vec<Effect>) {
        let Some(state) = self.states.get_mut(&key) else {
            return;
        };
        for range in ranges {
            let range = range.start.0..range.end.0;
            state.held.remove(range, |()| true, |_, ()| ());
        }
        let floor = state.floor();
        if state.tracked && floor > state.stored {
            state.stored = floor;
            let next = Offset(floor);
            effects.push(Effect::Stored { key, next });
        }
        self.enter(key);
    }

    fn trim(&mut self, start: u64, effects: &mut Vec<Effect>) {
        self.start = self.start.max(start);
        self.end = self.end.max(self.start);
        let start = self.start;
        let mut passed = Vec::new();
        for (key, state) in &mut self.states {
            if state.next < start {
                state.next = start;
                passed.push(*key);
            }
        }
        for key in passed {
            self.finish(key, effects);
            self.leave_if_done(key);
        }
    }

    /// Hands out what there is, in turns.
    fn dispatch(&mut self, gates: &dyn Gate, effects: &mut Vec<Effect>) {
        while let Some(key) = self.turns.pop_front() {
            let end = self.end;
            let state = self.states.get_mut(&key).expect("who has a turn is there");
            let left = end.min(state.until) - state.next;
            let wanted = state.credit_left().min(left).min(TURN_RECORDS);
            let admitted = gates.admit(key, wanted).min(wanted);
            if admitted == 0 {
                state.gated = true;
                state.in_turn = false;
                continue;
            }
            let records = state.next..state.next + admitted;
            state.next = records.end;
            state.held.insert(records.clone(), ());
            state.in_turn = state.could_be_handed(end);
            if state.in_turn {
                self.turns.push_back(key);
            }
            effects.push(Effect::Hand {
                key,
                records: Offset(records.start)..Offset(records.end),
            });
            self.finish(key, effects);
        }
    }

    fn finish(&mut self, key: LinkKey, effects: &mut Vec<Effect>) {
        if let Some(state) = self.states.get_mut(&key)
            && state.next >= state.until
            && !std::mem::replace(&mut state.finished, true)
        {
            effects.push(Effect::Finished { key });
        }
    }

    fn wake_all(&mut self) {
        let end = self.end;
        for (key, state) in &mut self.states {
            if !state.in_turn && state.could_be_handed(end) {
                state.in_turn = true;
                self.turns.push_back(*key);
            }
        }
    }

    fn enter(&mut self, key: LinkKey) {
        let end = self.end;
        if let Some(state) = self.states.get_mut(&key)
            && !state.in_turn
            && state.could_be_handed(end)
        {
            state.in_turn = true;
            self.turns.push_back(key);
        }
    }

    fn leave_if_done(&mut self, key: LinkKey) {
        let end = self.end;
        if self
            .states
            .get(&key)
            .is_some_and(|state| !state.could_be_handed(end))
        {
            self.leave(key);
        }
    }

    fn leave(&mut self, key: LinkKey) {
        if let Some(state) = self.states.get_mut(&key)
            && std::mem::take(&mut state.in_turn)
        {
            self.turns.retain(|other| *other != key);
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert!(self.start <= self.end);
        for (key, state) in &self.states {
            state.held.check();
            assert!(state.floor() <= state.next && state.start_holds(self.start));
            let held_end = state.held.iter().last().map_or(0, |(run, ())| run.end);
            assert!(held_end <= state.next, "holds what it was not handed");
            assert_eq!(state.finished, state.next >= state.until);
            assert_eq!(state.in_turn, self.turns.contains(key));
            assert_eq!(state.in_turn, state.could_be_handed(self.end));
            assert!(state.credit == 0 || state.held.total() <= u64::from(state.credit));
            assert!(!state.tracked || state.stored <= state.floor());
        }
        assert!(self.turns.iter().all(|key| self.states.contains_key(key)));
    }
}

impl State {
    fn start_holds(&self, start: u64) -> bool {
        self.next >= start
    }
}

/// Most records of one [`Effect::Hand`].
pub const TURN_RECORDS: u64 = 512;
