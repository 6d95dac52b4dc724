//! Who may come in, and what they may do there.
//!
//! A [`User`] has what proves it (a password, credentials of SCRAM), tags, limits, and by
//! space permissions as RabbitMQ means them; rules as Kafka means them ([`acl`]) stand
//! beside, and [`may`] says how both come to one answer. Nothing of a password is kept but
//! what must still be broken ([`password`], [`scram`]).
//!
//! `guest` is a user like any other, of a new data directory, but comes in from this machine
//! only, with its own name as password until it is given another: no open door beyond
//! loopback. Who may come in and what the rules are is never open.
//!
//! Reading order: here, [`user`], [`permission`], [`may`] (the decision), [`login`] (coming
//! in), [`decide`] and [`change`] (changes: Kafka's, and those of who runs the broker),
//! [`request`] (what is asked), [`note`] (what is recorded).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub mod acl;
pub mod change;
pub mod decide;
pub mod granted;
pub mod login;
pub mod may;
pub mod note;
pub mod password;
pub mod permission;
pub mod proven;
pub mod quota;
pub mod request;
pub mod scopes;
pub mod scram;
pub mod throttle;
pub mod user;

pub use change::UserRefused;
pub use granted::Granted;
pub use login::{PasswordLogin, ScramLogin};
pub use may::Asking;
pub use request::{Answer, Request};
pub use user::{User, UserLimits};

use acl::Acl;

/// What is set from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who may do everything, by name.
    pub administrators: Vec<String>,
    /// A thing that no rule is about is open to users of whom only Kafka's tools know.
    pub open: bool,
    /// The space that Kafka's clients work in.
    pub kafka_space: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            administrators: Vec::new(),
            open: true,
            kafka_space: "/".to_owned(),
        }
    }
}

/// Everybody who may log in, and what they may do.
#[derive(Clone, Debug)]
pub struct Users {
    settings: Settings,
    /// Unguessable: of it are made the salts of users that there are not.
    secret: [u8; 32],
    users: BTreeMap<Arc<str>, User>,
    acls: BTreeSet<Arc<Acl>>,
    quotas: quota::Quotas,
    /// Of the user whose secrets changed last.
    version: u64,
}

/// A user that has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name it logged in with.
    pub name: Arc<str>,
    /// May do everything.
    pub administrator: bool,
    /// What it is to those who run the broker: `administrator`, `monitoring`, …
    pub tags: BTreeSet<Arc<str>>,
    /// What it brought along, in place of what is kept here under its name.
    pub granted: Option<Arc<Granted>>,
}

impl Principal {
    /// Whether it has the tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tags.contains(tag)
    }
}

impl Default for Users {
    fn default() -> Users {
        Users::new()
    }
}

impl Users {
    /// The users of a new data directory: `guest`.
    pub fn new() -> Users {
        Users {
            settings: Settings::default(),
            secret: [0; 32],
            users: BTreeMap::from([(Arc::from(GUEST), User::guest())]),
            acls: BTreeSet::new(),
            quotas: quota::Quotas::default(),
            version: 0,
        }
    }

    /// How it is set from outside, and what nobody may guess.
    pub fn configure(&mut self, settings: Settings, secret: [u8; 32]) {
        self.settings = settings;
        self.secret = secret;
    }

    /// How it is set from outside.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How fast clients may be.
    pub fn quotas(&self) -> &quota::Quotas {
        &self.quotas
    }

    /// Whom a name stands for, once it is proven.
    fn principal(&self, user: &str) -> Principal {
        let administrator = self.settings.administrators.iter().any(|name| name == user);
        let known = self.users.get_key_value(user);
        let mut tags = known.map_or_else(BTreeSet::new, |(_, user)| user.tags.clone());
        tags.extend(administrator.then(|| Arc::from(ADMINISTRATOR)));
        Principal {
            name: known.map_or_else(|| Arc::from(user), |(name, _)| name.clone()),
            administrator,
            tags,
            granted: None,
        }
    }
}

/// The user of a new data directory.
pub const GUEST: &str = "guest";
/// The tag of who may change users, spaces and rules.
pub const ADMINISTRATOR: &str = "administrator";

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
