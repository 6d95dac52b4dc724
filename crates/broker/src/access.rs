//! Logging in, and what those who have may do: the engine's users behind one lock.
//!
//! A password is proven in a job, as that takes milliseconds. A change is recorded under the
//! lock, then done, and answered once it is durable; who is in stays in, with the rights that
//! its name has at each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bongsu_engine::Refused;
use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::access::note::Note;
use bongsu_engine::access::quota::{QuotaKey, QuotaRefused, Shared};
use bongsu_engine::access::request::{AclRefused, CredentialRefused};
use bongsu_engine::access::{
    Answer, Asking, PasswordLogin, Principal, Request, ScramLogin, Settings, Users,
};
use bongsu_engine::catalog::clean_name;
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::{ExchangeType, SpaceId};
use bongsu_engine::session::Reply;
use bongsu_record::Lsn;
use bongsu_storage::{EntryRef, Error, Recovery};
use parking_lot::{Mutex, RwLock};

use crate::access::decisions::{Asked, Decisions};
pub(crate) use crate::access::declare::REPLY_TO;
pub(crate) use crate::access::proving::Late;
use crate::access::proving::Proving;
use crate::broker::Broker;
use crate::handle::{Executed, Job, SessionHandle};
use crate::quotas::Buckets;

mod decisions;

mod declare;

mod proving;

/// Kind of the WAL notes and the checkpoint's section of access; the id is 0.
///
/// ```text
/// note     lines of [`bongsu_engine::access::note`]
/// section  u64 LSN up to which it knows, then lines
/// ```
pub(crate) const ACCESS_NOTE: u8 = 8;

/// What a broker knows of users.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) users: RwLock<Users>,
    proving: Proving,
    quotas: Buckets,
    /// Grows with every change: what was decided before may be otherwise.
    epoch: AtomicU64,
}

/// Who a session is.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    user: Option<Principal>,
    /// A password that is being proven leaves who it was here.
    proving: Option<Arc<Mutex<Option<Principal>>>>,
    scram: Option<ScramLogin>,
    /// Whose its certificate is, as was verified when it connected.
    pub(crate) certified: Option<Arc<str>>,
    decisions: Mutex<Decisions>,
}

/// Users while the WAL is replayed.
pub(crate) struct RestoredAccess {
    applied: Lsn,
    users: Users,
}

impl RestoredAccess {
    /// Those of the checkpoint.
    pub(crate) fn of(recovery: &Recovery) -> Result<RestoredAccess, Error> {
        let mut restored = RestoredAccess {
            applied: Lsn(0),
            users: Users::new(),
        };
        let sections = recovery.sections().iter();
        for section in sections.filter(|section| section.kind == ACCESS_NOTE) {
            let malformed = |cause| Error::corrupt("checkpoint".as_ref(), 0, cause);
            let (applied, lines) = section
                .bytes
                .split_first_chunk::<8>()
                .ok_or_else(|| malformed("the section of access is empty".to_owned()))?;
            restored.applied = Lsn(u64::from_be_bytes(*applied));
            let replayed = restored.users.replay(lines);
            replayed.map_err(|error| malformed(format!("access: {}", error.cause)))?;
        }
        Ok(restored)
    }

    /// One note of the WAL.
    pub(crate) fn replay(&mut self, lsn: Lsn, lines: &[u8]) -> Result<(), Error> {
        if lsn <= self.applied {
            return Ok(());
        }
        let malformed = |cause| Error::corrupt("lane".as_ref(), lsn.0, cause);
        let replayed = self.users.replay(lines);
        replayed.map_err(|error| malformed(format!("access: {}", error.cause)))
    }

    /// They are the broker's now.
    pub(crate) fn finish(self, broker: &Broker) {
        broker
            .access()
            .quotas
            .changed(!self.users.quotas().is_empty());
        *broker.access().users.write() = self.users;
        broker.configure_access(Settings::default());
        // A crash may have come between a space's end and this.
        broker.forget_permissions();
    }
}

impl Access {
    /// How passwords are proven.
    pub(crate) fn proving(&self) -> &Proving {
        &self.proving
    }

    /// Who has taken how much of a quota.
    pub(crate) fn quotas(&self) -> &Buckets {
        &self.quotas
    }

    /// The quota that holds, and who shares it.
    pub(crate) fn quota(
        &self,
        user: &Arc<str>,
        client: &Arc<str>,
        key: QuotaKey,
    ) -> Option<(Shared, u64)> {
        self.users.read().quotas().of(user, client, key)
    }

    /// The checkpoint's section.
    pub(crate) fn encode(&self, broker: &Broker, out: &mut Vec<u8>) {
        let users = self.users.read();
        out.extend_from_slice(&broker.storage().position().0.to_be_bytes());
        users.encode(out);
    }
}

impl Broker {
    /// Who is an administrator, and what is open to everybody.
    pub fn configure_access(&self, settings: Settings) {
        let mut users = self.access().users.write();
        users.configure(settings, unguessable());
        self.access().epoch.fetch_add(1, Ordering::Release);
    }

    /// A user whose name was proven elsewhere.
    pub(crate) fn external(&self, user: &str) -> Result<Principal, Refused> {
        self.access().users.read().external(user)
    }

    /// What it takes to let somebody in who says a password.
    pub(crate) fn password_login(&self, user: &str, from_loopback: bool) -> PasswordLogin {
        self.access()
            .users
            .read()
            .password_login(user, from_loopback)
    }

    /// Records and does changes, under the lock of whoever decided them.
    pub(crate) fn change_access(
        &self,
        users: &mut Users,
        notes: Vec<Note>,
    ) -> Result<Option<Lsn>, ()> {
        if notes.is_empty() {
            return Ok(None);
        }
        let mut lines = Vec::new();
        notes.iter().for_each(|note| note.encode(&mut lines));
        let entry = EntryRef::Note {
            kind: ACCESS_NOTE,
            id: 0,
            bytes: &lines,
        };
        let recorded = self.storage().record(&[entry]);
        let lsn = recorded.map_err(|error| self.report(&error))?;
        notes.into_iter().for_each(|note| users.apply(note));
        self.access().quotas.changed(!users.quotas().is_empty());
        self.access().epoch.fetch_add(1, Ordering::Release);
        Ok(Some(lsn))
    }
}

impl SessionHandle {
    pub(crate) fn login_anonymous(&mut self) -> Result<Executed, Refused> {
        let users = self.broker.access().users.read();
        self.identity.user = Some(users.anonymous(self.from_loopback)?);
        Ok(Executed::Now(Reply::Done))
    }

    pub(crate) fn is_nobody(&mut self) {
        self.identity.user = None;
        self.identity.decisions.get_mut().forget(0);
    }

    /// Somebody who was let in elsewhere.
    pub(crate) fn is_user(&mut self, user: Principal) {
        self.is_nobody();
        self.identity.user = Some(user);
    }

    /// Lets somebody in once a job has proven who it is; who it is not is told so late.
    pub(crate) fn enter_by(
        &mut self,
        prove: impl FnOnce() -> Result<(Principal, Reply), Refused> + Send + 'static,
    ) -> Executed {
        let proven = Arc::<Mutex<Option<Principal>>>::default();
        self.identity.proving = Some(proven.clone());
        let (broker, begun) = (self.broker.clone(), Instant::now());
        let peer: Arc<str> = Arc::from(&*self.host);
        let places = broker.access().proving().places();
        Executed::Job(Job::proving(places, move || {
            match broker.in_turn(&peer, begun, prove) {
                Ok((principal, reply)) => {
                    broker.admitted(&peer, &principal.name);
                    *proven.lock() = Some(principal);
                    (reply, None)
                }
                Err((refused, late)) => (Reply::Refused(refused), late),
            }
        }))
    }

    /// Who a password was proven to be, since the call before.
    pub(crate) fn settle_identity(&mut self) {
        if let Some(proven) = self.identity.proving.take() {
            // What was decided for who it was, or with the rights it had, counts no more.
            self.is_nobody();
            self.identity.user = proven.lock().take();
        }
    }

    /// Its name; empty before the login.
    pub(crate) fn user_name(&self) -> Arc<str> {
        let user = self.identity.user.as_ref();
        user.map(|user| user.name.clone()).unwrap_or_default()
    }

    pub(crate) fn user(&self) -> Result<&Principal, Refused> {
        self.identity.user.as_ref().ok_or_else(|| Refused::Login {
            user: String::new(),
        })
    }

    /// Who asks, from where, and in which space.
    fn asking(&self) -> Result<Asking<'_>, Refused> {
        Ok(Asking {
            user: self.user()?,
            host: &self.host,
            space: self.in_space()?,
            space_name: &self.space_name,
        })
    }

    /// Whether the user may enter a space by name.
    pub(crate) fn may_enter(&self, space: SpaceId, name: &str) -> Result<(), Refused> {
        let asking = Asking {
            user: self.user()?,
            host: &self.host,
            space,
            space_name: name,
        };
        let users = self.broker.access().users.read();
        match users.may_enter(asking) {
            true => Ok(()),
            false => Err(Refused::Denied {
                permission: Permission::Read,
                kind: Kind::Space,
                name: name.to_owned(),
                user: asking.user.name.to_string(),
            }),
        }
    }

    /// It works in another space from now on.
    pub(crate) fn is_in(&mut self, space: SpaceId, name: Arc<str>) {
        self.space = Some(space);
        self.space_name = name;
        self.identity.decisions.get_mut().forget(0);
    }

    /// Whether the user may do this to a queue or an exchange of its space.
    pub(crate) fn allowed(
        &self,
        permission: Permission,
        kind: Kind,
        name: &str,
    ) -> Result<(), Refused> {
        // The name that the thing will be known by.
        let name = &*clean_name(name);
        self.decided(Asked::To(permission, kind), name, |users, asking| {
            users.check(asking, permission, kind, name)
        })
    }

    /// Whether the user may publish to a queue by the default exchange.
    pub(crate) fn allowed_to_publish(&self, queue: &str) -> Result<(), Refused> {
        self.decided(Asked::Publish, queue, |users, asking| {
            users.check_publish(asking, queue)
        })
    }

    fn decided(
        &self,
        asked: Asked,
        name: &str,
        decide: impl FnOnce(&Users, Asking<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let asking = self.asking()?;
        if asking.user.administrator {
            return Ok(());
        }
        let access = self.broker.access();
        let epoch = access.epoch.load(Ordering::Acquire);
        let mut decisions = self.identity.decisions.lock();
        if decisions.know(epoch, asked, name) {
            return Ok(());
        }
        decide(&access.users.read(), asking)?;
        decisions.learn(epoch, asked, name);
        Ok(())
    }

    /// Whether the user may use this routing key of an exchange, if it is a topic exchange.
    pub(crate) fn allowed_key(
        &self,
        permission: Permission,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), Refused> {
        let asking = self.asking()?;
        let decide = || {
            let users = self.broker.access().users.read();
            users.check_key(asking, permission, exchange, routing_key)
        };
        // Mostly there is nothing to be looked up.
        decide().or_else(|refused| {
            let catalog = self.broker.catalog();
            match catalog.exchange_type(asking.space, exchange) {
                Some(ExchangeType::Topic) => Err(refused),
                _ => Ok(()),
            }
        })
    }

    /// Whether the user may do this to a thing of that name.
    pub(crate) fn may(&self, operation: Operation, resource: Resource, name: &str) -> bool {
        let Ok(asking) = self.asking() else {
            return false;
        };
        let users = self.broker.access().users.read();
        users.may(asking, operation, resource, name)
    }

    /// Whether the user may do this to the broker as a whole.
    pub(crate) fn may_all(&self, operation: Operation) -> bool {
        let cluster = bongsu_engine::access::acl::CLUSTER;
        self.may(operation, Resource::Cluster, cluster)
    }

    pub(crate) fn access(&mut self, request: Request) -> Result<Executed, Refused> {
        let answer = match request {
            Request::ScramBegin { mechanism, user } => {
                let users = self.broker.access().users.read();
                let (login, salt, iterations) =
                    users.scram_begin(mechanism, &user, self.from_loopback);
                drop(users);
                self.identity.scram = Some(login);
                Answer::ScramBegun {
                    salt,
                    iterations,
                    nonce: STANDARD_NO_PAD.encode(unguessable::<18>()),
                }
            }
            Request::ScramEnd {
                auth_message,
                proof,
            } => {
                let login = self.identity.scram.take();
                self.is_nobody();
                let login = login.ok_or_else(|| Refused::Login {
                    user: String::new(),
                })?;
                if !self.may_log_in() {
                    let user = login.user().to_owned();
                    return Err(Refused::Login { user });
                }
                let users = self.broker.access().users.read();
                let ended = users.scram_end(&login, &auth_message, &proof);
                drop(users);
                let (user, server_signature) = match ended {
                    Ok(ended) => ended,
                    Err(refused) => return Ok(self.is_refused(login.user(), refused)),
                };
                self.has_logged_in(&user.name);
                self.identity.user = Some(user);
                Answer::ScramEnded { server_signature }
            }
            Request::DescribeCredentials { users: wanted } => {
                let users = self.broker.access().users.read();
                let mut credentials = users.credentials(wanted.as_deref());
                drop(users);
                if !self.may_all(Operation::Describe) {
                    let wanted = wanted.unwrap_or_default().into_iter();
                    let denied = wanted.map(|user| (user, Err(CredentialRefused::Access)));
                    credentials = denied.collect();
                }
                Answer::Credentials(credentials)
            }
            Request::ListAcls(filter) => Answer::Acls(match self.may_all(Operation::Describe) {
                true => Ok(self.broker.access().users.read().acls(&filter)),
                false => Err(AclRefused::Access),
            }),
            Request::DescribeQuotas => {
                Answer::Quotas(match self.may_all(Operation::DescribeConfigs) {
                    true => Ok(self.broker.access().users.read().all_quotas()),
                    false => Err(QuotaRefused::Access),
                })
            }
            change => return Ok(self.change_access(change)),
        };
        Ok(Executed::Now(Reply::Access(Box::new(answer))))
    }

    fn change_access(&self, request: Request) -> Executed {
        let is_user = self.user().is_ok();
        let may = is_user && self.may_all(Operation::Alter);
        // Before the lock: it is asked of what the lock is on.
        let may_limit = is_user && self.may_all(Operation::AlterConfigs);
        let broker = &self.broker;
        let mut users = broker.access().users.write();
        let mut notes = Vec::new();
        let mut answer = match request {
            Request::AlterCredentials { changes } if may => {
                Answer::Altered(users.alter_credentials(changes, &mut notes))
            }
            Request::AlterCredentials { changes } => {
                let denied = changes.into_iter().map(|change| change.user);
                let denied = denied.map(|user| (user, Err(CredentialRefused::Access)));
                Answer::Altered(denied.collect())
            }
            Request::AddAcls(acls) if may => Answer::AclsAdded(users.add_acls(acls, &mut notes)),
            Request::AddAcls(acls) => {
                Answer::AclsAdded(acls.iter().map(|_| Err(AclRefused::Access)).collect())
            }
            Request::RemoveAcls(filters) => {
                let removed = match may {
                    true => users.remove_acls(&filters, &mut notes),
                    false => Vec::new(),
                };
                let mut removed = removed.into_iter().map(Ok);
                let each = filters.iter();
                let each = each.map(|_| removed.next().unwrap_or(Err(AclRefused::Access)));
                Answer::AclsRemoved(each.collect())
            }
            Request::AlterQuotas(changes) if may_limit => {
                Answer::QuotasAltered(users.alter_quotas(changes, &mut notes))
            }
            Request::AlterQuotas(changes) => {
                Answer::QuotasAltered(changes.iter().map(|_| Err(QuotaRefused::Access)).collect())
            }
            Request::ScramBegin { .. }
            | Request::ScramEnd { .. }
            | Request::DescribeCredentials { .. }
            | Request::DescribeQuotas
            | Request::ListAcls(_) => unreachable!("answered without a change"),
        };
        let changed = broker.change_access(&mut users, notes);
        drop(users);
        let lsn = changed.unwrap_or_else(|()| {
            refuse_all(&mut answer);
            None
        });
        let reply = Reply::Access(Box::new(answer));
        match lsn {
            Some(lsn) => {
                broker.storage().hurry();
                Executed::Durable(lsn, reply)
            }
            None => Executed::Now(reply),
        }
    }
}

/// Nothing was recorded, so nothing was done.
fn refuse_all(answer: &mut Answer) {
    match answer {
        Answer::Altered(results) => {
            let results = results.iter_mut().map(|(_, result)| result);
            results.for_each(|result| *result = Err(CredentialRefused::Storage));
        }
        Answer::AclsAdded(results) => {
            let results = results.iter_mut();
            results.for_each(|result| *result = Err(AclRefused::Storage));
        }
        Answer::AclsRemoved(results) => {
            let results = results.iter_mut();
            results.for_each(|result| *result = Err(AclRefused::Storage));
        }
        Answer::QuotasAltered(results) => {
            let results = results.iter_mut();
            results.for_each(|result| *result = Err(QuotaRefused::Storage));
        }
        Answer::ScramBegun { .. }
        | Answer::ScramEnded { .. }
        | Answer::Credentials(_)
        | Answer::Quotas(_)
        | Answer::Acls(_) => {}
    }
}

/// Bytes that nobody can foresee.
pub(crate) fn unguessable<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A system that has no randomness lets nobody in by it: better to stop.
    getrandom::fill(&mut bytes).expect("the system's randomness");
    bytes
}
