//! What is recorded of access: each change a line of JSON, and all of it as such lines.
//!
//! ```text
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

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Users;
use super::acl::Acl;
use super::quota::{Entity, QuotaKey};
use super::scram::{Credential, Mechanism};

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Note {
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
        for (user, credentials) in &self.users {
            for (mechanism, credential) in credentials {
                let note = Note::SetCredential {
                    user: user.clone(),
                    mechanism: *mechanism,
                    credential: credential.clone(),
                };
                note.encode(out);
            }
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
            Note::SetCredential {
                user,
                mechanism,
                credential,
            } => {
                let credentials = self.users.entry(user).or_default();
                credentials.insert(mechanism, credential);
            }
            Note::RemoveCredential { user, mechanism } => {
                if let Some(credentials) = self.users.get_mut(&user) {
                    credentials.remove(&mechanism);
                    if credentials.is_empty() {
                        self.users.remove(&user);
                    }
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
