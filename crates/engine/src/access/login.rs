//! Coming in: by a password, by SCRAM, or proven elsewhere.

use std::sync::Arc;

use super::password::{Password, take_as_long};
use super::scram::{Credential, ITERATIONS_MIN, Mechanism};
use super::user::is_local;
use super::{GUEST, Principal, Users};
use crate::refused::Refused;

/// A login by SCRAM that has begun.
#[derive(Clone, Debug)]
pub struct ScramLogin {
    mechanism: Mechanism,
    user: Arc<str>,
    from_loopback: bool,
    credential: Option<Credential>,
}

/// See [`Users::password_login`].
#[derive(Clone, Debug)]
pub struct PasswordLogin {
    principal: Principal,
    /// From where it comes in.
    may: bool,
    check: Check,
    version: u64,
}

#[derive(Clone, Debug)]
enum Check {
    Password(Password),
    Credential(Mechanism, Credential),
    Nobody,
}

impl Users {
    /// What it takes to let somebody in who says a password: not under a lock, as it takes
    /// milliseconds.
    pub fn password_login(&self, user: &str, from_loopback: bool) -> PasswordLogin {
        let found = self.users.get(user);
        let check = match found.map(|found| &found.secrets) {
            Some(secrets) => match (&secrets.password, secrets.scram.first_key_value()) {
                (None | Some(Password::Scram), Some((mechanism, of))) => {
                    Check::Credential(*mechanism, of.clone())
                }
                (None | Some(Password::Scram), None) => Check::Nobody,
                (Some(password), _) => Check::Password(password.clone()),
            },
            None => Check::Nobody,
        };
        PasswordLogin {
            principal: self.principal(user),
            may: from_loopback || !is_local(user),
            check,
            version: found.map_or(0, |found| found.version),
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

    /// Who a client is that does not say so: the guest, from loopback, if there is one.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub fn anonymous(&self, from_loopback: bool) -> Result<Principal, Refused> {
        match from_loopback && self.users.contains_key(GUEST) {
            true => Ok(self.principal(GUEST)),
            false => Err(login_refused("")),
        }
    }

    /// Somebody whose name was proven elsewhere, as by a client's certificate: a user that
    /// is known here, from wherever it comes.
    ///
    /// # Errors
    /// [`Refused::Login`]: no such user.
    pub fn external(&self, user: &str) -> Result<Principal, Refused> {
        match self.users.contains_key(user) {
            true => Ok(self.principal(user)),
            false => Err(login_refused(user)),
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
        let found = self.users.get(user);
        let credential = found
            .and_then(|of| of.secrets.scram.get(&mechanism))
            .cloned();
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
        let may = login.from_loopback || !is_local(&login.user);
        let credential = login.credential.as_ref().filter(|_| may);
        let proven = credential
            .and_then(|credential| credential.proven(login.mechanism, auth_message, proof));
        match proven {
            Some(signature) => Ok((self.principal(&login.user), signature)),
            None => Err(login_refused(&login.user)),
        }
    }
}

impl ScramLogin {
    /// Who it says it is.
    pub fn user(&self) -> &str {
        &self.user
    }
}

impl PasswordLogin {
    /// Who it will be.
    pub fn user(&self) -> &Arc<str> {
        &self.principal.name
    }

    /// Another one whenever the user's secrets change: a password that was proven is proven
    /// while it is the same.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether proving takes no time worth mentioning.
    pub fn is_quick(&self) -> bool {
        matches!(&self.check, Check::Password(password) if password.is_quick())
    }

    /// What is kept of the password, if something better could be once it is known: see
    /// [`Users::renew`].
    pub fn outdated(&self) -> Option<Password> {
        match &self.check {
            Check::Password(password) if password.is_outdated() => Some(password.clone()),
            _ => None,
        }
    }

    /// As [`PasswordLogin::prove`], for a password that was proven a moment ago, when the
    /// user had this [`version`](PasswordLogin::version).
    ///
    /// # Errors
    /// [`Refused::Login`]: it may not come in from there.
    pub fn proven(self) -> Result<Principal, Refused> {
        match self.may {
            true => Ok(self.principal),
            false => Err(login_refused(&self.principal.name)),
        }
    }

    /// Takes tens of milliseconds, on purpose.
    ///
    /// # Errors
    /// [`Refused::Login`], the same whatever was wrong, and after as long for a user that
    /// there is not.
    pub fn prove(self, password: &str) -> Result<Principal, Refused> {
        let proven = match &self.check {
            Check::Password(kept) => kept.is_of(&self.principal.name, password),
            Check::Credential(mechanism, credential) => credential.is_of(*mechanism, password),
            Check::Nobody => {
                take_as_long(password);
                false
            }
        };
        match proven {
            true => self.proven(),
            false => Err(login_refused(&self.principal.name)),
        }
    }
}

pub(super) fn login_refused(user: &str) -> Refused {
    Refused::Login {
        user: user.to_owned(),
    }
}

const SALT_BYTES: usize = 18;
