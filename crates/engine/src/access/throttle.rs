//! How long whoever says a wrong password waits for the answer: longer with each one, by
//! where it comes from and by the name it tries. A right password is never late, and resets
//! both.
//!
//! Bounded: [`KNOWN_MAX`] addresses and names, the one that was quiet longest goes first; so
//! many late answers at once, in all ([`LATE_MAX`]) and to one address
//! ([`LATE_PER_PEER_MAX`]). An address that has failed and is beyond them is refused unasked:
//! guessing on many connections at once gains nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Throttle {
    known: BTreeMap<Key, Failures>,
    /// By when each failed last.
    order: BTreeSet<(u64, Key)>,
    late_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Peer(Arc<str>),
    User(Arc<str>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_ms: u64,
    /// Answers to it that are late just now.
    late_count: usize,
}

impl Throttle {
    /// Whether a login is looked at. Nobody who has not failed is refused by this.
    pub fn admits(&self, peer: &str, now_ms: u64) -> bool {
        let failures = self.known.get(&Key::Peer(Arc::from(peer)));
        let Some(failures) = failures.filter(|failures| !failures.is_old(now_ms)) else {
            return true;
        };
        failures.late_count < LATE_PER_PEER_MAX
            && (self.late_count < LATE_MAX || failures.count == 0)
    }

    /// A login has failed: how long after it came it is answered, in milliseconds. Followed
    /// by one [`Throttle::answered`].
    pub fn failed(&mut self, peer: &str, user: &str, now_ms: u64) -> u64 {
        let peer = self.count(Key::Peer(Arc::from(peer)), now_ms);
        let user = self.count(Key::User(shortened(user)), now_ms);
        self.late_count += 1;
        delay_ms(peer.max(user))
    }

    /// A late answer was given.
    pub fn answered(&mut self, peer: &str) {
        self.late_count = self.late_count.saturating_sub(1);
        if let Some(failures) = self.known.get_mut(&Key::Peer(Arc::from(peer))) {
            failures.late_count = failures.late_count.saturating_sub(1);
        }
    }

    /// A login has succeeded.
    pub fn succeeded(&mut self, peer: &str, user: &str) {
        for key in [Key::Peer(Arc::from(peer)), Key::User(shortened(user))] {
            let Some(failures) = self.known.get_mut(&key) else {
                continue;
            };
            failures.count = 0;
            if failures.late_count == 0 {
                let last_ms = failures.last_ms;
                self.known.remove(&key);
                self.order.remove(&(last_ms, key));
            }
        }
    }

    fn count(&mut self, key: Key, now_ms: u64) -> u32 {
        if self.known.len() >= KNOWN_MAX
            && !self.known.contains_key(&key)
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
        let failures = self.known.entry(key.clone()).or_default();
        self.order.remove(&(failures.last_ms, key.clone()));
        if failures.is_old(now_ms) {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last_ms = now_ms;
        if matches!(key, Key::Peer(_)) {
            failures.late_count += 1;
        }
        let count = failures.count;
        self.order.insert((now_ms, key));
        count
    }
}

impl Failures {
    fn is_old(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_ms) > FORGOTTEN_MS
    }
}

fn delay_ms(count: u32) -> u64 {
    let doublings = count.saturating_sub(PATIENT_COUNT).min(16);
    (DELAY_MS_MIN << doublings).min(DELAY_MS_MAX)
}

/// A name may be as long as a frame.
fn shortened(user: &str) -> Arc<str> {
    let end = user.floor_char_boundary(NAME_BYTES_MAX);
    Arc::from(&user[..end])
}

/// More than proving a password takes, so that time tells nothing.
pub const DELAY_MS_MIN: u64 = 100;
/// No answer is later.
pub const DELAY_MS_MAX: u64 = 5_000;
/// Addresses and names that are remembered.
pub const KNOWN_MAX: usize = 10_000;
/// Late answers at once.
pub const LATE_MAX: usize = 1024;
/// Late answers at once to one address.
pub const LATE_PER_PEER_MAX: usize = 64;
/// Failures that are not yet suspicious.
const PATIENT_COUNT: u32 = 3;
/// Without another failure for so long, it is as if there had been none.
const FORGOTTEN_MS: u64 = 300_000;
const NAME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_answered_later_up_to_a_bound_and_a_success_resets() {
        let mut throttle = Throttle::default();
        let delays: Vec<u64> = (0..10).map(|_| throttle.failed("h", "u", 0)).collect();
        let expected = [100, 100, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
        assert_eq!(delays, expected);
        (0..10).for_each(|_| throttle.answered("h"));
        // By address, whatever the name; and by name, wherever from.
        assert_eq!(throttle.failed("h", "other", 0), 5000);
        assert_eq!(throttle.failed("elsewhere", "u", 0), 5000);
        throttle.answered("h");
        throttle.answered("elsewhere");
        throttle.succeeded("h", "u");
        assert_eq!(throttle.failed("h", "u", 0), 100);
    }

    #[test]
    fn failures_of_long_ago_do_not_count() {
        let mut throttle = Throttle::default();
        for _ in 0..8 {
            throttle.failed("h", "u", 0);
        }
        assert_eq!(throttle.failed("h", "u", FORGOTTEN_MS), 5000);
        assert_eq!(throttle.failed("h", "u", 2 * FORGOTTEN_MS + 1), 100);
    }

    #[test]
    fn who_guesses_on_many_connections_is_refused_unasked() {
        let mut throttle = Throttle::default();
        for _ in 0..LATE_PER_PEER_MAX {
            assert!(throttle.admits("h", 0));
            throttle.failed("h", "u", 0);
        }
        assert!(!throttle.admits("h", 0));
        assert!(throttle.admits("other", 0));
        throttle.answered("h");
        assert!(throttle.admits("h", 0));
    }

    #[test]
    fn when_too_many_wait_only_who_has_not_failed_is_looked_at() {
        let mut throttle = Throttle::default();
        for index in 0..LATE_MAX {
            throttle.failed(&format!("h{}", index / 8), "u", 0);
        }
        assert!(!throttle.admits("h0", 0));
        assert!(throttle.admits("honest", 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut throttle = Throttle::default();
        for index in 0..2 * KNOWN_MAX as u64 {
            throttle.failed(&format!("h{index}"), &format!("u{index}"), index);
            throttle.answered(&format!("h{index}"));
        }
        assert_eq!(throttle.known.len(), KNOWN_MAX);
        assert_eq!(throttle.order.len(), KNOWN_MAX);
        assert_eq!(throttle.late_count, 0);
    }
}
