//! Changes of users by those who run the broker: what becomes of each, and what is to be
//! recorded. Spaces are known to exist.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Users;
use super::decide::{NAME_BYTES_MAX, USERS_MAX};
use super::note::Note;
use super::password::{Password, Secrets};
use super::permission::{Permissions, TopicPermissions};
use super::user::{User, UserLimits};
use crate::router::SpaceId;

/// Why a change of a user is refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserRefused {
    /// Who asks may not.
    Access,
    /// There is no such user.
    NotFound {
        /// Its name.
        user: String,
    },
    /// There is no such space.
    NoSpace {
        /// Its name.
        space: String,
    },
    /// A user without a name, or with too long a one.
    Name {
        /// The name.
        user: String,
    },
    /// Too many tags, or too long ones.
    Tags,
    /// A password's hash that cannot be read, or by an algorithm that is not known.
    Hash {
        /// The algorithm.
        algorithm: String,
    },
    /// A pattern that cannot be read.
    Pattern {
        /// `configure`, `write` or `read`.
        which: &'static str,
        /// As it was given.
        pattern: String,
        /// What is wrong, for people.
        cause: String,
    },
    /// An exchange's name that is too long.
    Exchange,
    /// There are as many as there may be.
    Full {
        /// At most.
        max: usize,
    },
    /// The disk failed: restart.
    Storage,
}

impl Users {
    /// A user by its name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = (&Arc<str>, &User)> {
        self.users.iter()
    }

    /// Makes a user, or another of it; what it may do stays. Whether it is new.
    ///
    /// # Errors
    /// [`UserRefused`].
    pub fn put_user(
        &self,
        name: &str,
        secrets: Secrets,
        tags: BTreeSet<Arc<str>>,
        notes: &mut Vec<Note>,
    ) -> Result<bool, UserRefused> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let user = name.chars().take(NAME_SHOWN_MAX).collect();
            return Err(UserRefused::Name { user });
        }
        check_tags(&tags)?;
        let is_new = !self.users.contains_key(name);
        if is_new && self.users.len() >= USERS_MAX {
            return Err(UserRefused::Full { max: USERS_MAX });
        }
        notes.push(Note::SetUser {
            user: Arc::from(name),
            secrets,
            tags,
        });
        Ok(is_new)
    }

    /// Gives a user other tags.
    ///
    /// # Errors
    /// [`UserRefused`].
    pub fn put_tags(
        &self,
        name: &str,
        tags: BTreeSet<Arc<str>>,
        notes: &mut Vec<Note>,
    ) -> Result<(), UserRefused> {
        let secrets = self.found(name)?.secrets.clone();
        self.put_user(name, secrets, tags, notes).map(|_| ())
    }

    /// Puts better secrets in the place of an outdated password that has just been proven;
    /// unless it was changed meanwhile.
    pub fn renew(&self, name: &str, outdated: &Password, secrets: Secrets, notes: &mut Vec<Note>) {
        let known = self.users.get(name);
        if let Some(known) = known
            && known.secrets.password.as_ref() == Some(outdated)
        {
            notes.push(Note::SetUser {
                user: Arc::from(name),
                secrets,
                tags: known.tags.clone(),
            });
        }
    }

    /// A user goes, with all that it may do. Rules that name it stay.
    ///
    /// # Errors
    /// [`UserRefused::NotFound`].
    pub fn delete_user(&self, name: &str, notes: &mut Vec<Note>) -> Result<(), UserRefused> {
        self.found(name)?;
        let user = Arc::from(name);
        notes.push(Note::RemoveUser { user });
        Ok(())
    }

    /// What a user may do in a space, in place of what it might. Whether that was nothing.
    ///
    /// # Errors
    /// [`UserRefused`].
    pub fn put_permissions(
        &self,
        name: &str,
        space: SpaceId,
        (configure, write, read): (&str, &str, &str),
        notes: &mut Vec<Note>,
    ) -> Result<bool, UserRefused> {
        let known = self.found(name)?;
        let permissions = Permissions::new(configure, write, read);
        let permissions = permissions.map_err(|(which, cause)| {
            let pattern = match which {
                "configure" => configure,
                "write" => write,
                _ => read,
            };
            unreadable(which, pattern, cause)
        })?;
        let is_new = !known.permissions.contains_key(&space);
        if is_new && known.permissions.len() >= PERMISSIONS_MAX {
            return Err(UserRefused::Full {
                max: PERMISSIONS_MAX,
            });
        }
        if known.permissions.get(&space) != Some(&permissions) {
            notes.push(Note::SetPermissions {
                user: Arc::from(name),
                space,
                permissions,
            });
        }
        Ok(is_new)
    }

    /// A user may do nothing in a space any more. Whether it might.
    ///
    /// # Errors
    /// [`UserRefused::NotFound`].
    pub fn clear_permissions(
        &self,
        name: &str,
        space: SpaceId,
        notes: &mut Vec<Note>,
    ) -> Result<bool, UserRefused> {
        let had = self.found(name)?.permissions.contains_key(&space);
        if had {
            let user = Arc::from(name);
            notes.push(Note::ClearPermissions { user, space });
        }
        Ok(had)
    }

    /// Which routing keys of an exchange a user may use, in place of which it might. Whether
    /// it might use all.
    ///
    /// # Errors
    /// [`UserRefused`].
    pub fn put_topic_permissions(
        &self,
        name: &str,
        space: SpaceId,
        exchange: &str,
        (write, read): (&str, &str),
        notes: &mut Vec<Note>,
    ) -> Result<bool, UserRefused> {
        let known = self.found(name)?;
        if exchange.len() > EXCHANGE_BYTES_MAX {
            return Err(UserRefused::Exchange);
        }
        let permissions = TopicPermissions::new(write, read);
        let permissions = permissions.map_err(|(which, cause)| {
            let pattern = if which == "write" { write } else { read };
            unreadable(which, pattern, cause)
        })?;
        let exchange: Arc<str> = Arc::from(exchange);
        let key = (space, exchange.clone());
        let is_new = !known.topic_permissions.contains_key(&key);
        if is_new && known.topic_permissions.len() >= PERMISSIONS_MAX {
            return Err(UserRefused::Full {
                max: PERMISSIONS_MAX,
            });
        }
        if known.topic_permissions.get(&key) != Some(&permissions) {
            notes.push(Note::SetTopicPermissions {
                user: Arc::from(name),
                space,
                exchange,
                permissions,
            });
        }
        Ok(is_new)
    }

    /// A user may use all routing keys again: of one exchange, or of all of the space.
    /// Whether it might not.
    ///
    /// # Errors
    /// [`UserRefused::NotFound`].
    pub fn clear_topic_permissions(
        &self,
        name: &str,
        space: SpaceId,
        exchange: Option<&str>,
        notes: &mut Vec<Note>,
    ) -> Result<bool, UserRefused> {
        let known = self.found(name)?.topic_permissions.keys();
        let meant = known.filter(|(of, named)| {
            *of == space && exchange.is_none_or(|exchange| exchange == &**named)
        });
        let before = notes.len();
        notes.extend(meant.map(|(_, named)| Note::ClearTopicPermissions {
            user: Arc::from(name),
            space,
            exchange: named.clone(),
        }));
        Ok(notes.len() > before)
    }

    /// How much a user may have and do.
    ///
    /// # Errors
    /// [`UserRefused::NotFound`].
    pub fn put_limits(
        &self,
        name: &str,
        limits: UserLimits,
        notes: &mut Vec<Note>,
    ) -> Result<(), UserRefused> {
        if self.found(name)?.limits != limits {
            let user = Arc::from(name);
            notes.push(Note::SetUserLimits { user, limits });
        }
        Ok(())
    }

    /// Nobody may do anything in spaces that there are not.
    pub fn only_in(&self, is_there: impl Fn(SpaceId) -> bool, notes: &mut Vec<Note>) {
        for (name, user) in &self.users {
            let gone = user.permissions.keys().filter(|space| !is_there(**space));
            notes.extend(gone.map(|space| Note::ClearPermissions {
                user: name.clone(),
                space: *space,
            }));
            let topics = user.topic_permissions.keys();
            let gone = topics.filter(|(space, _)| !is_there(*space));
            notes.extend(gone.map(|(space, exchange)| Note::ClearTopicPermissions {
                user: name.clone(),
                space: *space,
                exchange: exchange.clone(),
            }));
        }
    }

    fn found(&self, name: &str) -> Result<&User, UserRefused> {
        self.users.get(name).ok_or_else(|| UserRefused::NotFound {
            user: name.to_owned(),
        })
    }
}

fn check_tags(tags: &BTreeSet<Arc<str>>) -> Result<(), UserRefused> {
    let bytes: usize = tags.iter().map(|tag| tag.len()).sum();
    match tags.len() <= TAGS_MAX && bytes <= TAGS_BYTES_MAX {
        true => Ok(()),
        false => Err(UserRefused::Tags),
    }
}

fn unreadable(which: &'static str, pattern: &str, cause: String) -> UserRefused {
    let pattern = pattern.to_owned();
    UserRefused::Pattern {
        which,
        pattern,
        cause,
    }
}

/// Spaces in which one user may have permissions; and topic permissions of one user.
const PERMISSIONS_MAX: usize = 10_000;
const TAGS_MAX: usize = 64;
const TAGS_BYTES_MAX: usize = 4096;
const EXCHANGE_BYTES_MAX: usize = 255;
const NAME_SHOWN_MAX: usize = 64;
