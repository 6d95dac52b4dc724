//! Users and what they may do, for people and tools: lists, and changes.
//!
//! Changes are given in any number ([`Operator::change_users`]): all are made, then waited
//! for once. Passwords are hashed before anything is locked. Who is deleted is sent away.

use std::collections::BTreeSet;
use std::sync::Arc;

use bongsu_engine::access::note::Note;
use bongsu_engine::access::password::{self, Secrets};
use bongsu_engine::access::permission::{Permissions, TopicPermissions};
use bongsu_engine::access::scram::Mechanism;
use bongsu_engine::access::{ADMINISTRATOR, User, UserLimits, UserRefused, Users};
use bongsu_engine::catalog::{Catalog, SpaceId};
use bongsu_record::Lsn;

use crate::access::unguessable;
use crate::broker::Broker;
use crate::operator::Operator;

/// A user as it is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRow {
    /// Its name.
    pub name: Arc<str>,
    /// Its tags.
    pub tags: BTreeSet<Arc<str>>,
    /// How its password is hashed, and the hash: what [`NewSecrets::Hash`] takes. Empty
    /// where there is none to be told.
    pub password_hash: (&'static str, String),
    /// Whether it can log in without saying its password, and how.
    pub scram: Vec<Mechanism>,
    /// Its limits.
    pub limits: UserLimits,
    /// Only Kafka's tools know of it.
    pub is_kafkas: bool,
}

/// What a user may do in one space.
#[derive(Clone, Debug, PartialEq)]
pub struct PermissionRow {
    /// Who.
    pub user: Arc<str>,
    /// Where.
    pub space: Arc<str>,
    /// What.
    pub permissions: Permissions,
}

/// Which routing keys of one exchange a user may use.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicPermissionRow {
    /// Who.
    pub user: Arc<str>,
    /// Where.
    pub space: Arc<str>,
    /// Of which exchange.
    pub exchange: Arc<str>,
    /// Which.
    pub permissions: TopicPermissions,
}

/// What shall prove a user.
#[derive(Clone, PartialEq, Eq)]
pub enum NewSecrets {
    /// What did before; of a new user, nothing.
    Same,
    /// Nothing: it comes in by what is proven elsewhere, if at all.
    None,
    /// This.
    Password(String),
    /// What was hashed elsewhere.
    Hash {
        /// RabbitMQ's name of it (`rabbit_password_hashing_sha256`, …), or `argon2id`; empty
        /// for RabbitMQ's usual one.
        algorithm: String,
        /// In base64, or as a PHC string. Empty: nothing.
        hash: String,
    },
}

impl std::fmt::Debug for NewSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets are told nobody.
        f.write_str(match self {
            NewSecrets::Same => "Same",
            NewSecrets::None => "None",
            NewSecrets::Password(_) => "Password",
            NewSecrets::Hash { .. } => "Hash",
        })
    }
}

/// One change. A name of a space or a user that there is not is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum UserChange {
    /// Makes a user, or another of it. Whether it is new.
    Put {
        /// Its name.
        user: String,
        /// What proves it.
        secrets: NewSecrets,
        /// What it is to those who run the broker.
        tags: BTreeSet<Arc<str>>,
    },
    /// Other tags. Always `true`.
    Tags {
        /// Whose.
        user: String,
        /// Which.
        tags: BTreeSet<Arc<str>>,
    },
    /// The user goes, and its sessions are closed. Always `true`.
    Delete {
        /// Who.
        user: String,
    },
    /// What it may do in a space. Whether that was nothing before.
    Permit {
        /// Who.
        user: String,
        /// Where.
        space: String,
        /// A pattern; empty: nothing.
        configure: String,
        /// A pattern; empty: nothing.
        write: String,
        /// A pattern; empty: nothing.
        read: String,
    },
    /// It may do nothing in a space. Whether it might.
    Forbid {
        /// Who.
        user: String,
        /// Where.
        space: String,
    },
    /// Which routing keys of an exchange it may use. Whether it might use all.
    PermitKeys {
        /// Who.
        user: String,
        /// Where.
        space: String,
        /// Of which exchange.
        exchange: String,
        /// A pattern, with `{username}` and `{vhost}`.
        write: String,
        /// A pattern, with `{username}` and `{vhost}`.
        read: String,
    },
    /// It may use all keys again. Whether it might not.
    PermitAllKeys {
        /// Who.
        user: String,
        /// Where.
        space: String,
        /// Of which exchange; `None`: of all of the space.
        exchange: Option<String>,
    },
    /// How much it may have and do. Always `true`.
    Limits {
        /// Who.
        user: String,
        /// How much.
        limits: UserLimits,
    },
}

impl Broker {
    /// All users, by name.
    pub fn user_rows(&self) -> Vec<UserRow> {
        let users = self.access().users.read();
        users.users().map(|(name, user)| row(name, user)).collect()
    }

    /// One user.
    pub fn user_row(&self, name: &str) -> Option<UserRow> {
        let users = self.access().users.read();
        users.user(name).map(|user| row(&Arc::from(name), user))
    }

    /// How much a user may have and do; of one that there is not, there is no limit.
    pub fn user_limits(&self, name: &str) -> UserLimits {
        let users = self.access().users.read();
        users.user(name).map(|user| user.limits).unwrap_or_default()
    }

    /// Permissions, by user and space: of one, or of all.
    pub fn permission_rows(&self, user: Option<&str>, space: Option<&str>) -> Vec<PermissionRow> {
        self.rows_in(user, space, |catalog, name, of, rows| {
            rows.extend(of.permissions.iter().filter_map(|(space, permissions)| {
                Some(PermissionRow {
                    user: name.clone(),
                    space: catalog.space_definition(*space)?.name.clone(),
                    permissions: permissions.clone(),
                })
            }));
        })
    }

    /// Topic permissions, by user, space and exchange: of one, or of all.
    pub fn topic_permission_rows(
        &self,
        user: Option<&str>,
        space: Option<&str>,
    ) -> Vec<TopicPermissionRow> {
        self.rows_in(user, space, |catalog, name, of, rows| {
            let all = of.topic_permissions.iter();
            rows.extend(all.filter_map(|((space, exchange), permissions)| {
                Some(TopicPermissionRow {
                    user: name.clone(),
                    space: catalog.space_definition(*space)?.name.clone(),
                    exchange: exchange.clone(),
                    permissions: permissions.clone(),
                })
            }));
        })
    }

    fn rows_in<T: InSpace>(
        &self,
        user: Option<&str>,
        space: Option<&str>,
        each: impl Fn(&Catalog, &Arc<str>, &User, &mut Vec<T>),
    ) -> Vec<T> {
        let catalog = self.catalog();
        let users = self.access().users.read();
        let mut rows = Vec::new();
        for (name, of) in users.users() {
            if user.is_none_or(|user| user == &**name) {
                each(&catalog, name, of, &mut rows);
            }
        }
        rows.retain(|row| space.is_none_or(|space| space == row.space()));
        rows
    }

    /// What RabbitMQ would keep of a password: salted anew, in base64.
    pub fn hash_password(&self, password: &str) -> String {
        password::rabbit_hash(password, unguessable())
    }
}

impl Operator {
    /// Whether it may change users, spaces and rules.
    pub fn administers(&self) -> bool {
        self.user.administrator || self.user.is(ADMINISTRATOR)
    }

    /// Makes changes, in order, each on its own, and waits until they are durable. One
    /// result for each; what `true` says is said at each [`UserChange`].
    pub async fn change_users(&self, changes: Vec<UserChange>) -> Vec<Result<bool, UserRefused>> {
        let (results, lsn) = self.change_users_soon(changes).await;
        if let Some(lsn) = lsn {
            self.await_durable(lsn).await;
        }
        results
    }

    /// As [`Operator::change_users`], without waiting: they are durable once that position is.
    pub async fn change_users_soon(
        &self,
        changes: Vec<UserChange>,
    ) -> (Vec<Result<bool, UserRefused>>, Option<Lsn>) {
        if !self.administers() {
            let refused = changes.iter().map(|_| Err(UserRefused::Access));
            return (refused.collect(), None);
        }
        let mut prepared = Vec::with_capacity(changes.len());
        for change in changes {
            let secrets = match &change {
                UserChange::Put { secrets, .. } => self.secrets(secrets.clone()).await,
                _ => Ok(None),
            };
            prepared.push(secrets.map(|secrets| (change, secrets)));
        }
        let mut deleted = Vec::new();
        let mut last = None;
        let mut results = Vec::with_capacity(prepared.len());
        for change in prepared {
            let result = change.and_then(|(change, secrets)| {
                let (done, lsn) = self.broker.change_user(&change, secrets)?;
                last = last.max(lsn);
                if let UserChange::Delete { user } = change {
                    deleted.push(user);
                }
                Ok(done)
            });
            results.push(result);
        }
        for user in deleted {
            let reason = format!("user '{user}' is deleted");
            self.broker.registry().evict_user(&user, &reason);
        }
        (results, last)
    }

    /// One change; see [`Operator::change_users`].
    ///
    /// # Errors
    /// [`UserRefused`].
    pub async fn change_user(&self, change: UserChange) -> Result<bool, UserRefused> {
        let mut results = self.change_users(vec![change]).await;
        results.pop().unwrap_or(Err(UserRefused::Storage))
    }

    /// What is kept of new secrets; `None`: what was.
    async fn secrets(&self, secrets: NewSecrets) -> Result<Option<Secrets>, UserRefused> {
        match secrets {
            NewSecrets::Same => Ok(None),
            NewSecrets::None => Ok(Some(Secrets::default())),
            NewSecrets::Password(password) => {
                let salts = unguessable();
                let made = self.broker.prove(move || Secrets::of(&password, &salts));
                made.await.map(Some).ok_or(UserRefused::Storage)
            }
            NewSecrets::Hash { algorithm, hash } => {
                let secrets = Secrets::hashed(&algorithm, &hash);
                secrets.map(Some).ok_or(UserRefused::Hash { algorithm })
            }
        }
    }
}

impl Broker {
    fn change_user(
        &self,
        change: &UserChange,
        secrets: Option<Secrets>,
    ) -> Result<(bool, Option<Lsn>), UserRefused> {
        // The space stays until this is done: the order of the locks.
        let catalog = self.catalog();
        let mut users = self.access().users.write();
        let mut notes = Vec::new();
        let done = decide(&users, &catalog, change, secrets, &mut notes)?;
        let lsn = self.change_access(&mut users, notes);
        drop(users);
        drop(catalog);
        let lsn = lsn.map_err(|()| UserRefused::Storage)?;
        if lsn.is_some() {
            self.storage().hurry();
        }
        Ok((done, lsn))
    }

    /// A space is gone: nobody may do anything in it.
    pub(crate) fn forget_permissions(&self) {
        let catalog = self.catalog();
        let mut users = self.access().users.write();
        let mut notes = Vec::new();
        let is_there = |space| catalog.space_definition(space).is_some();
        users.only_in(is_there, &mut notes);
        // If this fails the storage has, and a start forgets them again.
        let _ = self.change_access(&mut users, notes);
    }
}

fn decide(
    users: &Users,
    catalog: &Catalog,
    change: &UserChange,
    secrets: Option<Secrets>,
    notes: &mut Vec<Note>,
) -> Result<bool, UserRefused> {
    let space = |name: &str| -> Result<SpaceId, UserRefused> {
        let space = name.to_owned();
        let found = catalog.space(name);
        found.map_err(|_| UserRefused::NoSpace { space })
    };
    match change {
        UserChange::Put { user, tags, .. } => {
            let same = || users.user(user).map(|user| user.secrets.clone());
            let secrets = secrets.or_else(same).unwrap_or_default();
            users.put_user(user, secrets, tags.clone(), notes)
        }
        UserChange::Tags { user, tags } => {
            users.put_tags(user, tags.clone(), notes)?;
            Ok(true)
        }
        UserChange::Delete { user } => {
            users.delete_user(user, notes)?;
            Ok(true)
        }
        UserChange::Permit {
            user,
            space: name,
            configure,
            write,
            read,
        } => users.put_permissions(user, space(name)?, (configure, write, read), notes),
        UserChange::Forbid { user, space: name } => {
            users.clear_permissions(user, space(name)?, notes)
        }
        UserChange::PermitKeys {
            user,
            space: name,
            exchange,
            write,
            read,
        } => users.put_topic_permissions(user, space(name)?, exchange, (write, read), notes),
        UserChange::PermitAllKeys {
            user,
            space: name,
            exchange,
        } => users.clear_topic_permissions(user, space(name)?, exchange.as_deref(), notes),
        UserChange::Limits { user, limits } => {
            users.put_limits(user, *limits, notes)?;
            Ok(true)
        }
    }
}

fn row(name: &Arc<str>, user: &User) -> UserRow {
    let password = user.secrets.password.as_ref();
    UserRow {
        name: name.clone(),
        tags: user.tags.clone(),
        password_hash: password.map_or(("", String::new()), |password| password.told()),
        scram: user.secrets.scram.keys().copied().collect(),
        limits: user.limits,
        is_kafkas: user.is_kafkas(),
    }
}

trait InSpace {
    fn space(&self) -> &str;
}

impl InSpace for PermissionRow {
    fn space(&self) -> &str {
        &self.space
    }
}

impl InSpace for TopicPermissionRow {
    fn space(&self) -> &str {
        &self.space
    }
}
