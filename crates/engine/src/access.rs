//! Who may do what.
//!
//! One user, `guest`, who may do everything and comes in from this machine only: no open
//! door beyond loopback. The shape is what the whole model will have (users, permissions
//! by space and name); callers ask [`Users::login`] and [`Users::check`] and know no more.

use crate::refused::{Kind, Permission, Refused};
use crate::router::SpaceId;

/// Everybody who may log in.
#[derive(Clone, Debug)]
pub struct Users {
    users: Vec<User>,
}

/// A user that has logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(u32);

#[derive(Clone, Debug)]
struct User {
    name: String,
    password: String,
    loopback_only: bool,
    administrator: bool,
}

impl Users {
    /// The users of a new data directory.
    pub fn new() -> Users {
        Users {
            users: vec![User {
                name: "guest".to_owned(),
                password: "guest".to_owned(),
                loopback_only: true,
                administrator: true,
            }],
        }
    }

    /// Lets somebody in.
    ///
    /// # Errors
    /// [`Refused::Login`], the same whatever was wrong: a stranger learns no names.
    pub fn login(
        &self,
        user: &str,
        password: &str,
        from_loopback: bool,
    ) -> Result<UserId, Refused> {
        for (index, known) in self.users.iter().enumerate() {
            let named = known.name == user;
            let proven = same_in_constant_time(known.password.as_bytes(), password.as_bytes());
            if named && proven && (from_loopback || !known.loopback_only) {
                return Ok(UserId(index as u32));
            }
        }
        Err(Refused::Login {
            user: user.to_owned(),
        })
    }

    /// Who a client is that does not say so: the guest, from loopback.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub fn anonymous(&self, from_loopback: bool) -> Result<UserId, Refused> {
        let guest = self.users.iter().position(|user| user.name == "guest");
        match guest {
            Some(index) if from_loopback || !self.users[index].loopback_only => {
                Ok(UserId(index as u32))
            }
            _ => Err(Refused::Login {
                user: String::new(),
            }),
        }
    }

    /// The name somebody logged in with.
    pub fn name(&self, user: UserId) -> &str {
        &self.users[user.0 as usize].name
    }

    /// Whether a user may do this to a thing of that name.
    ///
    /// # Errors
    /// [`Refused::Denied`].
    pub fn check(
        &self,
        user: UserId,
        permission: Permission,
        _space: SpaceId,
        kind: Kind,
        name: &str,
    ) -> Result<(), Refused> {
        let entry = &self.users[user.0 as usize];
        if entry.administrator {
            return Ok(());
        }
        Err(Refused::Denied {
            permission,
            kind,
            name: name.to_owned(),
            user: entry.name.clone(),
        })
    }
}

impl Default for Users {
    fn default() -> Users {
        Users::new()
    }
}

/// Takes as long for a near miss as for a far one; only the length shows.
fn same_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let difference = one
        .iter()
        .zip(other)
        .fold(0, |difference, (one, other)| difference | (one ^ other));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_comes_in_from_loopback_with_the_password() {
        let users = Users::new();
        let guest = users.login("guest", "guest", true).unwrap();
        assert_eq!(users.name(guest), "guest");
        let all = users.check(
            guest,
            Permission::Configure,
            SpaceId::DEFAULT,
            Kind::Queue,
            "q",
        );
        assert_eq!(all, Ok(()));
        for (user, password, from_loopback) in [
            ("guest", "guest", false),
            ("guest", "guess", true),
            ("guest", "", true),
            ("guest", "guest ", true),
            ("", "", true),
            ("Guest", "guest", true),
        ] {
            let refused = Refused::Login {
                user: user.to_owned(),
            };
            let login = users.login(user, password, from_loopback);
            assert_eq!(login, Err(refused), "{user} {password}");
        }
    }
}
