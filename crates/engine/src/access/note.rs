//! What is recorded of access: each change a line of JSON, and all of it as such lines.
//!
//! ```text
//! {"set_credential":{"user":"alice","mechanism":"SCRAM-SHA-256","credential":{"salt":"…",
//!     "iterations":4096,"stored_key":"…","server_key":"…"}}}          bytes in base64
//! {"remove_credential":{"user":"alice","mechanism":"SCRAM-SHA-256"}}
//! {"add_acl":{"resource":"topic","pattern":"literal","name":"orders","principal":"User:alice",
//!     "host":"*","operation":"read","allowed":true}}
//! {"remove_acl":{…}}
//! ```
//!
//! A line sets or removes, so that replaying it again changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Users;
use super::acl::Acl;
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
        }
    }
}
