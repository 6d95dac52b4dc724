//! Passwords that were proven a moment ago: HTTP says one with every request, and proving
//! one takes tens of milliseconds, on purpose.
//!
//! Nothing is remembered of a password but a hash under a key that nobody knows and that
//! dies with the process, for [`LIFETIME_MS`], and while the user's secrets are the same.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::PasswordLogin;
use super::scram::{Mechanism, same_in_constant_time};

/// See the module's comment.
#[derive(Debug)]
pub struct Proven {
    key: [u8; 32],
    users: BTreeMap<Arc<str>, Known>,
    /// In the order in which they end.
    ends: VecDeque<(u64, Arc<str>)>,
}

#[derive(Debug)]
struct Known {
    hash: Vec<u8>,
    version: u64,
    until_ms: u64,
}

impl Proven {
    /// None yet; `key` is unguessable.
    pub fn new(key: [u8; 32]) -> Proven {
        Proven {
            key,
            users: BTreeMap::new(),
            ends: VecDeque::new(),
        }
    }

    /// Whether this password was proven a moment ago, for secrets that are still those.
    pub fn knows(&self, login: &PasswordLogin, password: &str, now_ms: u64) -> bool {
        let Some(known) = self.users.get(login.user()) else {
            return false;
        };
        known.until_ms > now_ms
            && known.version == login.version()
            && same_in_constant_time(&known.hash, &self.hash(login.user(), password))
    }

    /// It has been proven.
    pub fn learn(&mut self, login: &PasswordLogin, password: &str, now_ms: u64) {
        while let Some((until_ms, user)) = self.ends.front() {
            if *until_ms > now_ms && self.ends.len() < USERS_MAX {
                break;
            }
            let ended = self.users.get(user);
            if ended.is_some_and(|known| known.until_ms == *until_ms) {
                self.users.remove(user);
            }
            self.ends.pop_front();
        }
        let user = login.user().clone();
        let known = Known {
            hash: self.hash(&user, password),
            version: login.version(),
            until_ms: now_ms + LIFETIME_MS,
        };
        self.ends.push_back((known.until_ms, user.clone()));
        self.users.insert(user, known);
    }

    fn hash(&self, user: &str, password: &str) -> Vec<u8> {
        let name_bytes = (user.len() as u64).to_be_bytes();
        let all = [&name_bytes[..], user.as_bytes(), password.as_bytes()].concat();
        Mechanism::Sha256.keyed(&self.key, &all)
    }
}

/// How long a proof lasts.
pub const LIFETIME_MS: u64 = 10_000;
const USERS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::note::Note;
    use super::super::password::{Password, Secrets};
    use super::super::{GUEST, Users};
    use super::*;

    #[test]
    fn a_proof_lasts_a_while_and_while_the_secrets_are_the_same() {
        let mut users = Users::new();
        let mut proven = Proven::new([1; 32]);
        let login = users.password_login(GUEST, true);
        assert!(!proven.knows(&login, "guest", 0));
        proven.learn(&login, "guest", 0);
        assert!(proven.knows(&login, "guest", LIFETIME_MS - 1));
        assert!(!proven.knows(&login, "guest", LIFETIME_MS));
        assert!(!proven.knows(&login, "guess", 0));
        users.apply(Note::SetUser {
            user: Arc::from(GUEST),
            secrets: Secrets {
                password: Some(Password::Usual),
                ..Secrets::default()
            },
            tags: BTreeSet::new(),
        });
        assert!(!proven.knows(&users.password_login(GUEST, true), "guest", 0));
    }

    #[test]
    fn proofs_are_bounded() {
        let users = Users::new();
        let mut proven = Proven::new([1; 32]);
        for index in 0..2 * USERS_MAX {
            let login = users.password_login(&format!("u{index}"), true);
            proven.learn(&login, "x", index as u64 / 1000);
        }
        assert!(proven.users.len() <= USERS_MAX && proven.ends.len() <= USERS_MAX);
    }
}
