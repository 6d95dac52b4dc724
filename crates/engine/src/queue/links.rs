//! Whose turn it is: the consumers of one queue, by priority, in turns, by credit.
//!
//! A link is in its priority's ring exactly while it could be lent something: credit left
//! and not held. So a queue with ten thousand idle consumers looks only at the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

/// A consumer of a queue; never used twice for the same queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u64);

/// What a link may be lent beyond its own credit: its session's outbox has a bound, and a
/// pool of links may share a credit.
pub trait Gate {
    /// Reserves up to `wanted` records for the link and returns how many. After 0 the link
    /// is not asked again before an [`super::Input::Resume`], which the gate's owner owes.
    fn admit(&self, key: LinkKey, wanted: u64) -> u64;
}

/// A gate that is always open.
#[derive(Clone, Copy, Debug)]
pub struct Open;

impl Gate for Open {
    fn admit(&self, _: LinkKey, wanted: u64) -> u64 {
        wanted
    }
}

/// What a consumer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Records it may hold at once; 0 = no limit.
    pub credit: u32,
    /// Higher is served first, as long as it has credit.
    pub priority: i64,
    /// No other link beside it.
    pub exclusive: bool,
    /// Milliseconds it may hold a lease, in place of what the queue says; 0 = as long as it
    /// lives.
    pub timeout_ms: Option<u64>,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Which.
    pub key: LinkKey,
    /// What it is like.
    pub link: Link,
    /// Records it holds.
    pub held_count: u64,
    /// A gate refused it, and has not opened since.
    pub gated: bool,
    /// It could be lent something: it has credit, its gate is open, and where one link is
    /// served it is that one.
    pub servable: bool,
}

impl LinkState {
    /// Whether it holds as many as it may.
    pub fn at_credit(&self) -> bool {
        self.link.credit > 0 && self.held_count >= u64::from(self.link.credit)
    }
}

/// Whose turn it is, and how many it may be lent in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub key: LinkKey,
    /// At least one.
    pub credit: u64,
}

#[derive(Debug)]
struct State {
    link: Link,
    held_count: u64,
    /// A gate refused it.
    gated: bool,
    in_ring: bool,
}

impl State {
    fn told(&self, key: LinkKey) -> LinkState {
        LinkState {
            key,
            link: self.link,
            held_count: self.held_count,
            gated: self.gated,
            servable: self.in_ring,
        }
    }

    fn credit_left(&self) -> u64 {
        match self.link.credit {
            0 => u64::MAX,
            limit => u64::from(limit).saturating_sub(self.held_count),
        }
    }
}

/// The consumers of one queue.
#[derive(Debug, Default)]
pub struct Links {
    states: BTreeMap<LinkKey, State>,
    /// By priority, the highest first: who could be served, in order.
    /// No ring is empty.
    rings: BTreeMap<Reverse<i64>, VecDeque<LinkKey>>,
    exclusive: Option<LinkKey>,
    /// One link is served, the others stand by.
    is_single: bool,
    /// Which, if only one is.
    active: Option<LinkKey>,
}

impl Links {
    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.states.len()).unwrap_or(u32::MAX)
    }

    /// Whether one of them could be lent something at once.
    pub fn any_servable(&self) -> bool {
        !self.rings.is_empty()
    }

    /// Whether a new link may come: none is exclusive, nor would it be beside others.
    pub fn admits(&self, exclusive: bool) -> bool {
        self.exclusive.is_none() && (!exclusive || self.states.is_empty())
    }

    pub(super) fn attach(&mut self, key: LinkKey, link: Link) {
        if link.exclusive {
            self.exclusive = Some(key);
        }
        let state = State {
            link,
            held_count: 0,
            gated: false,
            in_ring: false,
        };
        let previous = self.states.insert(key, state);
        assert!(previous.is_none(), "a link key is never used twice");
        self.choose();
        self.enter(key);
    }

    /// Whether one link is served at a time.
    pub(super) fn set_single(&mut self, is_single: bool) {
        if std::mem::replace(&mut self.is_single, is_single) == is_single {
            return;
        }
        self.active = None;
        let keys: Vec<LinkKey> = self.states.keys().copied().collect();
        keys.iter().for_each(|key| self.leave(*key));
        self.choose();
        keys.iter().for_each(|key| self.enter(*key));
    }

    /// Whether it is one of them: not a place that only pulls.
    pub(super) fn has(&self, key: LinkKey) -> bool {
        self.states.contains_key(&key)
    }

    /// How long this link may hold a lease, if it says so itself.
    pub(super) fn timeout_ms(&self, key: LinkKey) -> Option<u64> {
        self.states.get(&key)?.link.timeout_ms
    }

    /// Records a link holds; `None` if there is no such link.
    pub fn held(&self, key: LinkKey) -> Option<u64> {
        Some(self.states.get(&key)?.held_count)
    }

    /// Whether a link is served, and does not stand by for another.
    pub fn is_served(&self, key: LinkKey) -> bool {
        !self.is_single || self.active == Some(key)
    }

    /// The link that is served where only one is.
    pub fn active(&self) -> Option<LinkKey> {
        self.active
    }

    /// The link beside which there is no other.
    pub fn exclusive(&self) -> Option<LinkKey> {
        self.exclusive
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> impl Iterator<Item = LinkState> + '_ {
        self.states.iter().map(|(key, state)| state.told(*key))
    }

    /// One of them.
    pub fn one(&self, key: LinkKey) -> Option<LinkState> {
        self.states.get(&key).map(|state| state.told(key))
    }

    /// Of the highest priority, the one that came first takes over.
    fn choose(&mut self) {
        if !self.is_single || self.active.is_some() {
            return;
        }
        let first = self
            .states
            .iter()
            .min_by_key(|(key, state)| (Reverse(state.link.priority), **key));
        self.active = first.map(|(key, _)| *key);
    }

    pub(super) fn detach(&mut self, key: LinkKey) {
        if self.exclusive == Some(key) {
            self.exclusive = None;
        }
        self.leave(key);
        self.states.remove(&key);
        if self.active == Some(key) {
            self.active = None;
            self.choose();
            if let Some(next) = self.active {
                self.enter(next);
            }
        }
    }

    /// The next link in turn, moved to the back of its ring. Alone in its ring, it is
    /// offered all its credit at once; beside others, one record a turn, so that work is
    /// spread however it arrives.
    pub(super) fn next_turn(&mut self) -> Option<Turn> {
        let mut entry = self.rings.first_entry()?;
        let ring = entry.get_mut();
        let key = *ring.front()?;
        let alone = ring.len() == 1;
        ring.rotate_left(1);
        let credit = match alone {
            true => self.states.get(&key)?.credit_left(),
            false => 1,
        };
        Some(Turn { key, credit })
    }

    pub(super) fn take(&mut self, key: LinkKey, count: u64) {
        let Some(state) = self.states.get_mut(&key) else {
            return;
        };
        state.held_count += count;
        if state.credit_left() == 0 {
            self.leave(key);
        }
    }

    pub(super) fn give_back(&mut self, key: LinkKey, count: u64) {
        let Some(state) = self.states.get_mut(&key) else {
            return;
        };
        state.held_count = state.held_count.saturating_sub(count);
        self.enter(key);
    }

    pub(super) fn hold(&mut self, key: LinkKey) {
        if let Some(state) = self.states.get_mut(&key) {
            state.gated = true;
        }
        self.leave(key);
    }

    pub(super) fn resume(&mut self, key: LinkKey) {
        if let Some(state) = self.states.get_mut(&key) {
            state.gated = false;
        }
        self.enter(key);
    }

    fn enter(&mut self, key: LinkKey) {
        let Some(state) = self.states.get_mut(&key) else {
            return;
        };
        let served = !self.is_single || self.active == Some(key);
        if served && !state.in_ring && !state.gated && state.credit_left() > 0 {
            state.in_ring = true;
            let ring = self.rings.entry(Reverse(state.link.priority));
            ring.or_default().push_back(key);
        }
    }

    fn leave(&mut self, key: LinkKey) {
        let Some(state) = self.states.get_mut(&key) else {
            return;
        };
        if !std::mem::take(&mut state.in_ring) {
            return;
        }
        let priority = Reverse(state.link.priority);
        if let Some(ring) = self.rings.get_mut(&priority) {
            ring.retain(|other| *other != key);
            if ring.is_empty() {
                self.rings.remove(&priority);
            }
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        let mut ringed = 0;
        for (priority, ring) in &self.rings {
            assert!(!ring.is_empty());
            for key in ring {
                let state = &self.states[key];
                assert!(state.in_ring && !state.gated && state.credit_left() > 0);
                assert_eq!(*priority, Reverse(state.link.priority));
                ringed += 1;
            }
        }
        assert_eq!(ringed, self.states.values().filter(|s| s.in_ring).count());
        for (key, state) in &self.states {
            let served = !self.is_single || self.active == Some(*key);
            let servable = served && !state.gated && state.credit_left() > 0;
            assert_eq!(servable, state.in_ring);
        }
    }
}
