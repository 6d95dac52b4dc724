//! Who may do what.
//!
//! `guest` comes in from this machine only, with its own name as password until it is given
//! another: no open door beyond loopback. Other users have the credentials ([`scram`]) that
//! they were given, and nothing of a password is kept but those. Administrators may do
//! everything; what others may is in rules ([`acl`]). A thing that no rule is about is open to
//! every user who has logged in, or closed, as it is set; who may come in and what the rules
//! are is never open.
//!
//! Reading order: here (logging in, asking), [`decide`] (changes), [`request`] (what is asked),
//! [`note`] (what is recorded).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::refused::{Kind, Permission, Refused};
use crate::router::SpaceId;

pub mod acl;
pub mod decide;
pub mod note;
pub mod quota;
pub mod request;
pub mod scram;

pub use request::{Answer, Request};

use acl::{Acl, CLUSTER, Operation, Resource};
use scram::{Credential, ITERATIONS_MIN, Mechanism, same_in_constant_time};

/// What is set from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who may do everything, by name.
    pub administrators: Vec<String>,
    /// A thing that no rule is about is open.
    pub open: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            administrators: vec![GUEST.to_owned()],
            open: true,
        }
    }
}

/// Everybody who may log in, and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Users {
    settings: Settings,
    /// Unguessable: of it are made the salts of users that there are not.
    secret: [u8; 32],
    users: BTreeMap<Arc<str>, BTreeMap<Mechanism, Credential>>,
    acls: BTreeSet<Arc<Acl>>,
    quotas: quota::Quotas,
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
}

/// A login by SCRAM that has begun.
#[derive(Clone, Debug)]
pub struct ScramLogin {
    mechanism: Mechanism,
    user: Arc<str>,
    from_loopback: bool,
    credential: Option<Credential>,
}

impl Users {
    /// The users of a new data directory.
    pub fn new() -> Users {
        Users::default()
    }

    /// How it is set from outside, and what nobody may guess.
    pub fn configure(&mut self, settings: Settings, secret: [u8; 32]) {
        self.settings = settings;
        self.secret = secret;
    }

    /// What it takes to let somebody in who says a password: not under a lock, as it takes
    /// milliseconds.
    pub fn password_login(&self, user: &str, from_loopback: bool) -> PasswordLogin {
        let credentials = self.users.get(user);
        let check = match credentials.and_then(BTreeMap::first_key_value) {
            Some((mechanism, credential)) => Check::Credential(*mechanism, credential.clone()),
            None if user == GUEST => Check::Password(GUEST),
            None => Check::Nobody,
        };
        PasswordLogin {
            principal: self.principal(user),
            may: from_loopback || user != GUEST,
            check,
        }
    }

    /// Lets somebody in who says a password.
    ///
    /// # Errors
    /// [`Refused::Login`], the same whatever was wrong: a stranger learns no names.
    pub fn login(
        &self,
        user: &str,
        password: &str,
        from_loopback: bool,
    ) -> Result<Principal, Refused> {
        self.password_login(user, from_loopback).prove(password)
    }

    /// Who a client is that does not say so: the guest, from loopback.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub fn anonymous(&self, from_loopback: bool) -> Result<Principal, Refused> {
        match from_loopback {
            true => Ok(self.principal(GUEST)),
            false => Err(login_refused("")),
        }
    }

    /// A login by SCRAM begins: the client is told the salt and how often to hash. Of users
    /// that there are not, too.
    pub fn scram_begin(
        &self,
        mechanism: Mechanism,
        user: &str,
        from_loopback: bool,
    ) -> (ScramLogin, Vec<u8>, u32) {
        let credentials = self.users.get(user);
        let credential = credentials.and_then(|of| of.get(&mechanism)).cloned();
        let (salt, iterations) = match &credential {
            Some(credential) => (credential.salt.clone(), credential.iterations),
            None => {
                let mut salt = Mechanism::Sha256.keyed(&self.secret, user.as_bytes());
                salt.truncate(SALT_BYTES);
                (salt, ITERATIONS_MIN)
            }
        };
        let login = ScramLogin {
            mechanism,
            user: Arc::from(user),
            from_loopback,
            credential,
        };
        (login, salt, iterations)
    }

    /// A login by SCRAM ends: who it is, and what proves the broker to the client.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub fn scram_end(
        &self,
        login: &ScramLogin,
        auth_message: &[u8],
        proof: &[u8],
    ) -> Result<(Principal, Vec<u8>), Refused> {
        let may = login.from_loopback || &*login.user != GUEST;
        let credential = login.credential.as_ref().filter(|_| may);
        let proven = credential
            .and_then(|credential| credential.proven(login.mechanism, auth_message, proof));
        match proven {
            Some(signature) => Ok((self.principal(&login.user), signature)),
            None => Err(login_refused(&login.user)),
        }
    }

    /// How fast clients may be.
    pub fn quotas(&self) -> &quota::Quotas {
        &self.quotas
    }

    fn principal(&self, user: &str) -> Principal {
        let administrator = self.settings.administrators.iter().any(|name| name == user);
        let tags = administrator.then(|| Arc::from(ADMINISTRATOR));
        Principal {
            name: Arc::from(user),
            administrator,
            tags: tags.into_iter().collect(),
        }
    }

    /// Whether a user may do this to a thing of that name, from `host`.
    pub fn may(
        &self,
        user: &Principal,
        host: &str,
        operation: Operation,
        resource: Resource,
        name: &str,
    ) -> bool {
        if user.administrator {
            return true;
        }
        let acls = self.acls.iter().map(|acl| &**acl);
        let judged = acl::judged(acls, &user.name, host, operation, resource, name);
        // Who may come in, and what the rules are, is nobody's but who was given it.
        let closed = resource == Resource::Cluster
            && matches!(
                operation,
                Operation::Alter | Operation::AlterConfigs | Operation::ClusterAction
            );
        judged.unwrap_or(self.settings.open && !closed)
    }

    /// Whether a user may do this to the broker as a whole.
    pub fn may_all(&self, user: &Principal, host: &str, operation: Operation) -> bool {
        self.may(user, host, operation, Resource::Cluster, CLUSTER)
    }

    /// Whether a user may do this to a thing of that name: to queues and exchanges as to the
    /// topics of their names; who may alter them may configure them.
    ///
    /// # Errors
    /// [`Refused::Denied`].
    pub fn check(
        &self,
        user: &Principal,
        host: &str,
        permission: Permission,
        _space: SpaceId,
        kind: Kind,
        name: &str,
    ) -> Result<(), Refused> {
        let operation = match permission {
            Permission::Configure => Operation::Alter,
            Permission::Write => Operation::Write,
            Permission::Read => Operation::Read,
        };
        if self.may(user, host, operation, Resource::Topic, name) {
            return Ok(());
        }
        Err(Refused::Denied {
            permission,
            kind,
            name: name.to_owned(),
            user: user.name.to_string(),
        })
    }
}

/// See [`Users::password_login`].
#[derive(Clone, Debug)]
pub struct PasswordLogin {
    principal: Principal,
    may: bool,
    check: Check,
}

#[derive(Clone, Debug)]
enum Check {
    Credential(Mechanism, Credential),
    Password(&'static str),
    Nobody,
}

impl PasswordLogin {
    /// Whether proving takes no time worth mentioning.
    pub fn is_quick(&self) -> bool {
        matches!(self.check, Check::Password(_))
    }

    /// Takes milliseconds, on purpose.
    ///
    /// # Errors
    /// [`Refused::Login`], the same whatever was wrong, and after as long for a user that
    /// there is not.
    pub fn prove(self, password: &str) -> Result<Principal, Refused> {
        let proven = match &self.check {
            Check::Credential(mechanism, credential) => credential.is_of(*mechanism, password),
            Check::Password(right) => same_in_constant_time(right.as_bytes(), password.as_bytes()),
            Check::Nobody => {
                let salt = vec![0; SALT_BYTES];
                let of = Credential::of(Mechanism::Sha256, password, salt, ITERATIONS_MIN);
                std::hint::black_box(of);
                false
            }
        };
        match proven && self.may {
            true => Ok(self.principal),
            false => Err(login_refused(&self.principal.name)),
        }
    }
}

fn login_refused(user: &str) -> Refused {
    Refused::Login {
        user: user.to_owned(),
    }
}

/// The tag of those who may run the broker.
pub const ADMINISTRATOR: &str = "administrator";
/// The user that there is before there are any.
pub const GUEST: &str = "guest";
const SALT_BYTES: usize = 18;

#[cfg(test)]
mod tests;
