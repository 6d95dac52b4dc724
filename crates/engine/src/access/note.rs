//! What is recorded of access: each change a line of JSON, and all of it as such lines.
//!
//! ```text
//! {"set_user":{"user":"bob","secrets":{"password":"$argon2id$…","scram":{…}},"tags":["management"]}}
//! {"set_user_limits":{"user":"bob","limits":{"connections_max":5}}}
//! {"set_permissions":{"user":"bob","space":0,"permissions":{"configure":"","write":".*","read":".*"}}}
//! {"set_topic_permissions":{"user":"bob","space":0,"exchange":"amq.topic","permissions":{…}}}
//! {"remove_user":{"user":"bob"}}
//! {"set_credential":{"user":"alice","mechanism":"SCRAM-SHA-256","credential":{"salt":"…",
//!     "iterations":4096,"stored_key":"…","server_key":"…"}}}          bytes in base64
//! {"remove_credential":{"user":"alice","mechanism":"SCRAM-SHA-256"}}
//! {"add_acl":{"resource":"topic","pattern":"literal","name":"orders","principal":"User:alice",
//!     "host":"*","operation":"read","allowed":true}}
//! {"remove_acl":{…}}
//! {"set_quota":{"entity":{"user":{"named":"alice"},"client":"default"},"key":"producer_byte_rate",
//!     "value":1048576}}                                          null: there is none
//! ```
//!
//! A line sets or removes, so that replaying it again changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acl::Acl;
use super::password::{Password, Secrets};
use super::permission::{Permissions, TopicPermissions};
use super::quota::{Entity, QuotaKey};
use super::scram::{Credential, Mechanism};
use super::user::{User, UserLimits};
use super::{GUEST, Users};
use crate::router::SpaceId;

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Note {
    /// A new user, or what proves it and its tags from now on.
    SetUser {
        user: Arc<str>,
        #[serde(default)]
        secrets: Secrets,
        #[serde(default)]
        tags: BTreeSet<Arc<str>>,
    },
    RemoveUser {
        user: Arc<str>,
    },
    SetUserLimits {
        user: Arc<str>,
        limits: UserLimits,
    },
    SetPermissions {
        user: Arc<str>,
        space: SpaceId,
        permissions: Permissions,
    },
    ClearPermissions {
        user: Arc<str>,
        space: SpaceId,
    },
    SetTopicPermissions {
        user: Arc<str>,
        space: SpaceId,
        exchange: Arc<str>,
        permissions: TopicPermissions,
    },
    ClearTopicPermissions {
        user: Arc<str>,
        space: SpaceId,
        exchange: Arc<str>,
    },
    SetCredential {
        user: Arc<str>,
        mechanism: Mechanism,
        credential: Credential,
    },
    RemoveCredential {
        user: Arc<str>,
        mechanism: Mechanism,
    },
    AddAcl(Acl),
    RemoveAcl(Acl),
    SetQuota {
        entity: Entity,
        key: QuotaKey,
        /// `None`: there is none.
        value: Option<u64>,
    },
}

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteMalformed {
    /// What the reader says.
    pub cause: String,
}

impl Note {
    /// Appends its line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let line = serde_json::to_vec(self).expect("strings and numbers only");
        out.extend_from_slice(&line);
        out.push(b'\n');
    }
}

impl Users {
    /// Does what was recorded.
    ///
    /// # Errors
    /// [`NoteMalformed`], for the first line that is none; those before it are done.
    pub fn replay(&mut self, lines: &[u8]) -> Result<(), NoteMalformed> {
        for line in lines.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let note = serde_json::from_slice(line).map_err(|error| NoteMalformed {
                cause: error.to_string(),
            })?;
            self.apply(note);
        }
        Ok(())
    }

    /// All of it, as notes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        if !self.users.contains_key(GUEST) {
            let user = Arc::from(GUEST);
            Note::RemoveUser { user }.encode(out);
        }
        for (name, user) in &self.users {
            encode_user(name, user, out);
        }
        for acl in &self.acls {
            Note::AddAcl(Acl::clone(acl)).encode(out);
        }
        for (entity, quotas) in self.quotas.all() {
            for (key, value) in quotas {
                let note = Note::SetQuota {
                    entity: entity.clone(),
                    key: *key,
                    value: Some(*value),
                };
                note.encode(out);
            }
        }
    }

    /// Does one change.
    pub fn apply(&mut self, note: Note) {
        match note {
            Note::SetUser {
                user,
                secrets,
                tags,
            } => {
                let user = self.renewed(user);
                user.secrets = secrets;
                user.tags = tags;
            }
            Note::RemoveUser { user } => {
                self.users.remove(&user);
            }
            Note::SetUserLimits { user, limits } => {
                if let Some(user) = self.users.get_mut(&user) {
                    user.limits = limits;
                }
            }
            Note::SetPermissions {
                user,
                space,
                permissions,
            } => {
                if let Some(user) = self.users.get_mut(&user) {
                    user.permissions.insert(space, permissions);
                }
            }
            Note::ClearPermissions { user, space } => {
                if let Some(user) = self.users.get_mut(&user) {
                    user.permissions.remove(&space);
                }
            }
            Note::SetTopicPermissions {
                user,
                space,
                exchange,
                permissions,
            } => {
                if let Some(user) = self.users.get_mut(&user) {
                    let key = (space, exchange);
                    user.topic_permissions.insert(key, permissions);
                }
            }
            Note::ClearTopicPermissions {
                user,
                space,
                exchange,
            } => {
                if let Some(user) = self.users.get_mut(&user) {
                    user.topic_permissions.remove(&(space, exchange));
                }
            }
            Note::SetCredential {
                user,
                mechanism,
                credential,
            } => {
                let user = self.renewed(user);
                user.secrets.scram.insert(mechanism, credential);
                // Whoever changes a password means that the one before is none.
                if let Some(password) = &mut user.secrets.password {
                    *password = Password::Scram;
                }
            }
            Note::RemoveCredential {
                user: name,
                mechanism,
            } => {
                let user = self.renewed(name.clone());
                user.secrets.scram.remove(&mechanism);
                if user.is_nobody() {
                    self.users.remove(&name);
                }
            }
            Note::AddAcl(acl) => {
                self.acls.insert(Arc::new(acl));
            }
            Note::RemoveAcl(acl) => {
                self.acls.remove(&acl);
            }
            Note::SetQuota { entity, key, value } => self.quotas.set(&entity, key, value),
        }
    }
}

impl Users {
    /// A user whose secrets change, made if there is none.
    fn renewed(&mut self, user: Arc<str>) -> &mut User {
        self.version += 1;
        let user = self.users.entry(user).or_default();
        user.version = self.version;
        user
    }
}

/// Of the usual guest nothing is said, and of who has only credentials only those: so that
/// what an older version of this broker wrote reads the same.
fn encode_user(name: &Arc<str>, user: &User, out: &mut Vec<u8>) {
    let usual = User::guest();
    if &**name == GUEST
        && *user
            == (User {
                version: user.version,
                ..usual.clone()
            })
    {
        return;
    }
    let user_is = || name.clone();
    let only_credentials = user.is_kafkas() && user.limits.is_none();
    if !only_credentials || &**name == GUEST {
        let (secrets, tags) = (user.secrets.clone(), user.tags.clone());
        let user = user_is();
        let set = Note::SetUser {
            user,
            secrets,
            tags,
        };
        set.encode(out);
    } else {
        for (mechanism, credential) in &user.secrets.scram {
            let note = Note::SetCredential {
                user: user_is(),
                mechanism: *mechanism,
                credential: credential.clone(),
            };
            note.encode(out);
        }
    }
    if !user.limits.is_none() {
        let (user, limits) = (user_is(), user.limits);
        Note::SetUserLimits { user, limits }.encode(out);
    }
    if &**name == GUEST {
        // It is there before these lines are read, with what a new one may.
        for space in usual.permissions.keys() {
            if !user.permissions.contains_key(space) {
                let (user, space) = (user_is(), *space);
                Note::ClearPermissions { user, space }.encode(out);
            }
        }
    }
    for (space, permissions) in &user.permissions {
        let note = Note::SetPermissions {
            user: user_is(),
            space: *space,
            permissions: permissions.clone(),
        };
        note.encode(out);
    }
    for ((space, exchange), permissions) in &user.topic_permissions {
        let note = Note::SetTopicPermissions {
            user: user_is(),
            space: *space,
            exchange: exchange.clone(),
            permissions: permissions.clone(),
        };
        note.encode(out);
    }
}
