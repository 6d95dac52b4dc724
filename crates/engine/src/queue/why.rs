//! Why a queue hands nothing out: one cause, the one that has to end first, and the facts
//! that tell it to people.
//!
//! Pure, and changes nothing. What it costs follows the links, [`LEASES_LOOKED_AT`] runs of
//! leases and [`LOCKS_TOLD_MAX`] holders of keys, never the backlog.
//!
//! The order in which causes are tried is the order in which they matter: where nothing is
//! ready nobody's credit matters, where nobody consumes no key is locked.

use bongsu_record::Offset;

use super::Queue;
use super::cursor::Held;
use super::links::{LinkKey, LinkState};
use super::order::Order;
use super::schedule::Schedule;

/// Why nothing is handed out, or that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// What is ready goes to whoever has credit.
    Delivering,
    /// Nobody is owed anything.
    Empty,
    /// Whatever there is has been lent.
    AllLeased,
    /// Whatever is not lent waits for a time.
    WaitingForTime,
    /// Whatever is left is dead, and nobody takes it where it should go.
    DeadLetterStuck,
    /// Nobody consumes.
    NoConsumers,
    /// One consumer is served at a time, and that one takes nothing more.
    SingleActiveIdle,
    /// Every consumer holds as many as it may.
    AtPrefetch,
    /// Consumers have room, and do not read what they were sent.
    SlowConsumers,
    /// What is ready is of keys that others hold, or whose first record waits.
    GroupLocked,
    /// What is ready is being read from the log, to be put in order.
    Reading,
}

impl Code {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Code::Delivering => "delivering",
            Code::Empty => "empty",
            Code::AllLeased => "all_leased",
            Code::WaitingForTime => "waiting_for_time",
            Code::DeadLetterStuck => "dead_letter_stuck",
            Code::NoConsumers => "no_consumers",
            Code::SingleActiveIdle => "single_active_idle",
            Code::AtPrefetch => "at_prefetch",
            Code::SlowConsumers => "slow_consumers",
            Code::GroupLocked => "group_locked",
            Code::Reading => "reading",
        }
    }
}

/// Why a gate is shut, as whoever keeps it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// Its session has not taken what it was sent.
    Outbox,
    /// Its links hold this many together, and may hold no more.
    Pool(u64),
}

/// How many records are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// To be lent to whoever comes.
    pub ready: u64,
    /// Lent.
    pub leased: u64,
    /// Not to be lent before some time: delayed, or backing off.
    pub waiting: u64,
    /// On their way to where dead records go.
    pub dying: u64,
}

impl Depth {
    /// All that somebody is owed.
    pub fn owed(&self) -> u64 {
        self.ready + self.leased + self.waiting + self.dying
    }
}

/// Keys that a link holds while it is lent their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locks {
    /// Who; `None`: nobody, a record that came back waits and holds up those behind it.
    pub holder: Option<LinkKey>,
    /// How many keys with ready records.
    pub keys: u64,
}

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The cause.
    pub code: Code,
    /// How many are in which state.
    pub depth: Depth,
    /// Consumers there are.
    pub consumers: u32,
    /// Of these, who hold as many as they may.
    pub at_prefetch: u32,
    /// The lowest and the highest bound among those.
    pub prefetch: Option<(u64, u64)>,
    /// Consumers with room that have not taken what they were sent.
    pub slow: u32,
    /// The lease that has lasted longest.
    pub oldest_lease: Option<Held>,
    /// When the first of what waits is due: Unix milliseconds.
    pub next_ms: Option<u64>,
    /// Who holds keys of what is ready; the first few.
    pub locks: Vec<Locks>,
    /// The one that is served, where one is.
    pub single_active: Option<LinkKey>,
    /// The first that somebody is owed.
    pub first_owed: Option<Offset>,
}

/// What the order has for those who could be served.
enum Grouped {
    Served,
    Locked,
    Unread,
}

/// What was counted of the links.
#[derive(Default)]
struct Counted {
    at_prefetch: u32,
    prefetch: Option<(u64, u64)>,
    slow: u32,
    servable: u32,
}

impl Counted {
    fn take(&mut self, link: &LinkState, shut: &dyn Fn(LinkKey) -> Option<Shut>) {
        let full = match link.at_credit() {
            true => Some(u64::from(link.link.credit)),
            false if !link.gated => None,
            false => match shut(link.key) {
                Some(Shut::Pool(credit)) => Some(credit),
                Some(Shut::Outbox) | None => {
                    self.slow += 1;
                    return;
                }
            },
        };
        match full {
            Some(credit) => {
                self.at_prefetch += 1;
                let (low, high) = self.prefetch.unwrap_or((credit, credit));
                self.prefetch = Some((low.min(credit), high.max(credit)));
            }
            None => self.servable += u32::from(link.servable),
        }
    }
}

impl Queue {
    /// How many records are in which state.
    pub fn depth(&self) -> Depth {
        Depth {
            ready: self.cursor.ready(),
            leased: self.cursor.leased(),
            waiting: self.cursor.waiting(),
            dying: self.cursor.dying(),
        }
    }

    /// When what waits is due; `None`: nothing was ever delayed here.
    pub fn schedule(&self) -> Option<&Schedule> {
        Some(&self.judge.as_deref()?.schedule)
    }

    /// Why nothing is handed out, if it is so. `shut` says why a gate refused a link.
    pub fn why(&self, shut: &dyn Fn(LinkKey) -> Option<Shut>) -> Why {
        let mut counted = Counted::default();
        let links = &self.links;
        // Where one is served, the others' credit does not matter.
        let active = links.active();
        match active.and_then(|key| links.one(key)) {
            Some(link) => counted.take(&link, shut),
            None => links.all().for_each(|link| counted.take(&link, shut)),
        }
        let code = self.code(&counted, active.is_some());
        let judge = self.judge.as_deref();
        Why {
            code,
            depth: self.depth(),
            consumers: links.count(),
            at_prefetch: counted.at_prefetch,
            prefetch: counted.prefetch,
            slow: counted.slow,
            oldest_lease: self.cursor.oldest_held(LEASES_LOOKED_AT),
            next_ms: judge.and_then(|judge| judge.schedule.next_due_ms()),
            locks: match (code, judge.map(|judge| &judge.order)) {
                (Code::GroupLocked, Some(Order::Keys(keys))) => keys.locks(LOCKS_TOLD_MAX),
                _ => Vec::new(),
            },
            single_active: active,
            first_owed: self.cursor.first_owed(),
        }
    }

    fn code(&self, counted: &Counted, single: bool) -> Code {
        let depth = self.depth();
        if depth.owed() == 0 {
            return Code::Empty;
        }
        if depth.ready == 0 {
            return match depth {
                Depth { waiting: 1.., .. } => Code::WaitingForTime,
                Depth { leased: 1.., .. } => Code::AllLeased,
                _ => Code::DeadLetterStuck,
            };
        }
        if self.links.count() == 0 {
            return Code::NoConsumers;
        }
        if counted.servable == 0 {
            return match () {
                () if single => Code::SingleActiveIdle,
                () if counted.slow > 0 => Code::SlowConsumers,
                () => Code::AtPrefetch,
            };
        }
        match self.grouped() {
            Grouped::Served => Code::Delivering,
            Grouped::Locked => Code::GroupLocked,
            Grouped::Unread => Code::Reading,
        }
    }

    /// Whether the order has something for one of the links that could be served.
    fn grouped(&self) -> Grouped {
        let Some(judge) = self.judge.as_deref().filter(|_| self.cursor.judges()) else {
            return Grouped::Served;
        };
        let served = match &judge.order {
            Order::Keys(keys) => {
                let mut links = self.links.all().filter(|link| link.servable);
                links.any(|link| keys.could_serve(link.key))
            }
            order => !order.heads(&self.cursor, judge.known).is_empty(),
        };
        match (served, &judge.order) {
            (true, _) => Grouped::Served,
            (false, Order::Keys(keys)) if keys.has_ready() => Grouped::Locked,
            (false, _) => Grouped::Unread,
        }
    }
}

/// Runs of leases that are looked at for the one that has lasted longest.
pub const LEASES_LOOKED_AT: usize = 4_096;
/// Holders of keys that are told.
pub const LOCKS_TOLD_MAX: usize = 8;

#[cfg(test)]
mod tests;
