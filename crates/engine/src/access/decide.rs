//! Changes of credentials and rules, as Kafka's tools make them: what becomes of each, and what is to be recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Users;
use super::acl::{Acl, AclFilter, CLUSTER, Resource};
use super::note::Note;
use super::request::{AclRefused, ByUser, CredentialChange, CredentialRefused};
use super::scram::{Credential, ITERATIONS_MAX, ITERATIONS_MIN, Mechanism};
use super::user::User;

impl Users {
    /// Who has which credentials, and hashed how often.
    pub fn credentials(&self, users: Option<&[String]>) -> ByUser<Vec<(Mechanism, u32)>> {
        let told = |user: &User| {
            let told = user.secrets.scram.iter();
            told.map(|(mechanism, of)| (*mechanism, of.iterations))
                .collect()
        };
        let Some(wanted) = users else {
            let all = self.users.iter();
            let all = all.filter(|(_, of)| !of.secrets.scram.is_empty());
            return all
                .map(|(user, of)| (user.to_string(), Ok(told(of))))
                .collect();
        };
        let mut seen = BTreeMap::new();
        for user in wanted {
            *seen.entry(user.as_str()).or_insert(0) += 1;
        }
        let mut results: ByUser<_> = Vec::new();
        for user in wanted {
            let result = match seen.remove(user.as_str()) {
                None => continue,
                Some(1) => match self.users.get(user.as_str()) {
                    Some(of) if !of.secrets.scram.is_empty() => Ok(told(of)),
                    _ => Err(CredentialRefused::NotFound),
                },
                Some(_) => Err(CredentialRefused::Duplicate),
            };
            results.push((user.clone(), result));
        }
        results
    }

    /// Sets and removes credentials; `notes` is what is to be recorded. Of a user, all or
    /// nothing changes.
    pub fn alter_credentials(
        &self,
        changes: Vec<CredentialChange>,
        notes: &mut Vec<Note>,
    ) -> ByUser<()> {
        let mut by_user: Vec<(String, Vec<CredentialChange>)> = Vec::new();
        for change in changes {
            match by_user.iter_mut().find(|(user, _)| *user == change.user) {
                Some((_, changes)) => changes.push(change),
                None => by_user.push((change.user.clone(), vec![change])),
            }
        }
        let mut user_count = self.users.len();
        let mut results = Vec::new();
        for (user, changes) in by_user {
            let mut own = Vec::new();
            let altered = self.altered(&user, changes, &mut own);
            let is_new = !self.users.contains_key(user.as_str());
            let result = match altered {
                Ok(()) if is_new && user_count >= USERS_MAX => Err(CredentialRefused::Full),
                Ok(()) => {
                    user_count += usize::from(is_new);
                    notes.append(&mut own);
                    Ok(())
                }
                Err(refused) => Err(refused),
            };
            results.push((user, result));
        }
        results
    }

    fn altered(
        &self,
        user: &str,
        changes: Vec<CredentialChange>,
        notes: &mut Vec<Note>,
    ) -> Result<(), CredentialRefused> {
        if user.is_empty() || user.len() > NAME_BYTES_MAX {
            return Err(CredentialRefused::Name);
        }
        let user: Arc<str> = Arc::from(user);
        let known = self.users.get(&user);
        let mut seen = BTreeSet::new();
        for change in changes {
            let mechanism = change.mechanism;
            if !seen.insert(mechanism) {
                return Err(CredentialRefused::Duplicate);
            }
            let user = user.clone();
            let Some(salted) = change.set else {
                if !known.is_some_and(|known| known.secrets.scram.contains_key(&mechanism)) {
                    return Err(CredentialRefused::NotFound);
                }
                notes.push(Note::RemoveCredential { user, mechanism });
                continue;
            };
            if salted.iterations < i64::from(ITERATIONS_MIN) {
                return Err(CredentialRefused::FewIterations);
            }
            if salted.iterations > i64::from(ITERATIONS_MAX) {
                return Err(CredentialRefused::ManyIterations);
            }
            let salt_fits = (1..=SALT_BYTES_MAX).contains(&salted.salt.len());
            if !salt_fits || salted.salted_password.len() != mechanism.hash_bytes() {
                return Err(CredentialRefused::Malformed);
            }
            let credential = Credential::salted(
                mechanism,
                salted.salt,
                salted.iterations as u32,
                &salted.salted_password,
            );
            notes.push(Note::SetCredential {
                user,
                mechanism,
                credential,
            });
        }
        Ok(())
    }

    /// Adds rules; `notes` is what is to be recorded.
    pub fn add_acls(&self, acls: Vec<Acl>, notes: &mut Vec<Note>) -> Vec<Result<(), AclRefused>> {
        let mut count = self.acls.len();
        let add = |acl: Acl| {
            let named = acl.principal.split_once(':');
            let by_kind = match acl.resource {
                Resource::Cluster => &*acl.name == CLUSTER,
                _ => true,
            };
            let fits = !acl.name.is_empty()
                && named.is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
                && [&acl.name, &acl.principal, &acl.host]
                    .iter()
                    .all(|text| text.len() <= NAME_BYTES_MAX);
            if !fits || !by_kind || acl.host.is_empty() {
                return Err(AclRefused::Malformed);
            }
            if self.acls.contains(&acl) {
                return Ok(());
            }
            if count >= ACLS_MAX {
                return Err(AclRefused::Full);
            }
            count += 1;
            notes.push(Note::AddAcl(acl));
            Ok(())
        };
        acls.into_iter().map(add).collect()
    }

    /// The rules that are meant.
    pub fn acls(&self, filter: &AclFilter) -> Vec<Arc<Acl>> {
        let meant = self.acls.iter().filter(|acl| filter.matches(acl));
        meant.cloned().collect()
    }

    /// Removes the rules that each filter means; `notes` is what is to be recorded.
    pub fn remove_acls(&self, filters: &[AclFilter], notes: &mut Vec<Note>) -> Vec<Vec<Arc<Acl>>> {
        let mut gone = BTreeSet::new();
        let mut removed = Vec::new();
        for filter in filters {
            let meant = self.acls(filter);
            for acl in &meant {
                if gone.insert(acl.clone()) {
                    notes.push(Note::RemoveAcl(Acl::clone(acl)));
                }
            }
            removed.push(meant);
        }
        removed
    }
}

/// Users.
pub const USERS_MAX: usize = 100_000;
/// Rules: each request of who is no administrator looks at all of them.
pub const ACLS_MAX: usize = 10_000;
/// Of a name in a credential or a rule.
pub const NAME_BYTES_MAX: usize = 1024;
const SALT_BYTES_MAX: usize = 1024;
