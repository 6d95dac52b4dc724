//! Proving passwords: few at once, remembered for a moment, and answered late where they
//! are wrong.
//!
//! One proof takes tens of milliseconds and 19 MiB, so that as many run at once as there are
//! processors; others wait their turn without holding a thread. Each failure is logged once,
//! with user and address, never with what was said.

// Who is refused, or what failed, is worth its bytes: it is once a login, once an import.
#![allow(clippy::result_large_err)]

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::Refused;
use bongsu_engine::access::password::{Password, Secrets};
use bongsu_engine::access::proven::Proven;
use bongsu_engine::access::throttle::Throttle;
use bongsu_engine::access::{PasswordLogin, Principal};
use bongsu_engine::session::Reply;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::access::unguessable;
use crate::broker::Broker;
use crate::external;
use crate::handle::{Executed, Job, SessionHandle};
use crate::tokens::Tokens;

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Proving {
    places: Arc<Semaphore>,
    proven: Mutex<Proven>,
    throttle: Mutex<Throttle>,
}

/// A login that failed, and when it is told so. Whoever has it waits that long; dropping it
/// says that it has been answered.
#[derive(Debug)]
pub(crate) struct Late {
    broker: Broker,
    peer: Arc<str>,
    until: Instant,
}

impl Default for Proving {
    fn default() -> Proving {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        Proving {
            places: Arc::new(Semaphore::new(count)),
            proven: Mutex::new(Proven::new(unguessable())),
            throttle: Mutex::default(),
        }
    }
}

impl Proving {
    /// As many as may prove at once.
    pub(crate) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }
}

impl Late {
    /// Until it may be told.
    pub(crate) async fn wait(self) {
        tokio::time::sleep_until(self.until.into()).await;
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let proving = self.broker.access().proving();
        proving.throttle.lock().answered(&self.peer);
    }
}

impl Broker {
    /// What takes long and much memory, like proving a password: in its turn. `None` if it
    /// panicked.
    pub(crate) async fn prove<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let places = self.access().proving().places();
        let _place = places.acquire_owned().await.ok()?;
        crate::handle::aside(work).await.ok()
    }

    /// Whether somebody is who says this password, waiting as long as it takes, or is made
    /// to take.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub(crate) async fn let_in(
        &self,
        user: &str,
        password: &str,
        (host, from_loopback): (&str, bool),
    ) -> Result<Principal, Refused> {
        let begun = Instant::now();
        let login = match self.begin_login(user, password, (host, from_loopback)) {
            Begun::Proven(principal) => return Ok(principal),
            Begun::Refused(refused) => return Err(refused),
            Begun::Prove(login) => login,
        };
        let quick = login.is_quick();
        let (broker, said) = (self.clone(), password.to_owned());
        let peer: Arc<str> = Arc::from(host);
        let of = peer.clone();
        let work = move || broker.end_login(login, &said, &of, begun);
        let ended = match quick {
            true => Some(work()),
            false => self.prove(work).await,
        };
        match ended {
            Some(Ok(principal)) => Ok(principal),
            Some(Err((refused, late))) => {
                if let Some(late) = late {
                    late.wait().await;
                }
                Err(refused)
            }
            None => Err(crate::operator::failed()),
        }
    }

    /// Whether a login from there is looked at.
    pub(crate) fn admits(&self, host: &str) -> bool {
        let throttle = self.access().proving().throttle.lock();
        throttle.admits(host, self.now_ms())
    }

    /// A login from there has succeeded.
    pub(crate) fn admitted(&self, host: &str, user: &str) {
        let mut throttle = self.access().proving().throttle.lock();
        throttle.succeeded(host, user);
    }

    /// The same, by a token.
    ///
    /// # Errors
    /// [`Refused::Login`].
    pub(crate) async fn let_in_by(
        &self,
        tokens: Arc<Tokens>,
        token: String,
        host: IpAddr,
    ) -> Result<Principal, Refused> {
        let begun = Instant::now();
        let peer: Arc<str> = Arc::from(host.to_string());
        let (broker, of) = (self.clone(), peer.clone());
        let proving = move || {
            let now_ms = crate::operator::now().unix_ms;
            let prove = || external::proven(&tokens, &token, now_ms, &of);
            broker.in_turn(&of, begun, prove)
        };
        match self.prove(proving).await {
            Some(Ok(principal)) => {
                self.admitted(&peer, &principal.name);
                Ok(principal)
            }
            Some(Err((refused, late))) => {
                if let Some(late) = late {
                    late.wait().await;
                }
                Err(refused)
            }
            None => Err(crate::operator::failed()),
        }
    }

    /// A proof by other means than a password, in its turn: others that came at the same time
    /// may have failed meanwhile, and its own failure is answered late.
    pub(crate) fn in_turn<T>(
        &self,
        peer: &Arc<str>,
        begun: Instant,
        prove: impl FnOnce() -> Result<T, Refused>,
    ) -> Result<T, (Refused, Option<Late>)> {
        self.looks_at("", peer).map_err(|refused| (refused, None))?;
        prove().map_err(|refused| (refused, Some(self.late("", peer, begun))))
    }

    fn begin_login(
        &self,
        user: &str,
        password: &str,
        (host, from_loopback): (&str, bool),
    ) -> Begun {
        if let Err(refused) = self.looks_at(user, host) {
            return Begun::Refused(refused);
        }
        let login = self.password_login(user, from_loopback);
        let known = self.access().proving().proven.lock();
        match known.knows(&login, password, self.now_ms()) {
            true => match login.proven() {
                Ok(principal) => Begun::Proven(principal),
                Err(refused) => Begun::Refused(refused),
            },
            false => Begun::Prove(login),
        }
    }

    /// Whether a login from there is looked at.
    pub(crate) fn looks_at(&self, user: &str, host: &str) -> Result<(), Refused> {
        if self.admits(host) {
            return Ok(());
        }
        tracing::warn!(user = ?shown(user), peer = host, "login refused unasked: too many failed");
        Err(Refused::Login {
            user: user.to_owned(),
        })
    }

    /// Takes as long as proving does.
    fn end_login(
        &self,
        login: PasswordLogin,
        password: &str,
        peer: &Arc<str>,
        begun: Instant,
    ) -> Result<Principal, (Refused, Option<Late>)> {
        // Others that came at the same time may have failed while it waited for its turn.
        let looked_at = self.looks_at(login.user(), peer);
        looked_at.map_err(|refused| (refused, None))?;
        let outdated = login.outdated();
        match login.clone().prove(password) {
            Ok(principal) => {
                self.admitted(peer, &principal.name);
                if !login.is_quick() {
                    let now_ms = self.now_ms();
                    let proving = self.access().proving();
                    proving.proven.lock().learn(&login, password, now_ms);
                }
                if let Some(outdated) = outdated {
                    self.renew(&principal.name, &outdated, password);
                }
                Ok(principal)
            }
            Err(refused) => {
                let late = self.login_failed(login.user(), peer, begun);
                Err((refused, Some(late)))
            }
        }
    }

    /// Notes that a login has failed which came at `begun`.
    pub(crate) fn login_failed(&self, user: &str, peer: &Arc<str>, begun: Instant) -> Late {
        tracing::warn!(user = ?shown(user), peer = &**peer, "login refused");
        self.late(user, peer, begun)
    }

    /// The same, of a failure that was logged already.
    pub(crate) fn late(&self, user: &str, peer: &Arc<str>, begun: Instant) -> Late {
        let mut throttle = self.access().proving().throttle.lock();
        let delay_ms = throttle.failed(peer, user, self.now_ms());
        Late {
            broker: self.clone(),
            peer: peer.clone(),
            until: begun + Duration::from_millis(delay_ms),
        }
    }

    /// A hash that was imported becomes one of ours, now that the password is known.
    fn renew(&self, user: &str, outdated: &Password, password: &str) {
        let secrets = Secrets::of(password, &unguessable());
        let mut users = self.access().users.write();
        let mut notes = Vec::new();
        users.renew(user, outdated, secrets, &mut notes);
        // If it cannot be recorded, the next login tries again.
        let _ = self.change_access(&mut users, notes);
    }
}

/// How a login goes on.
enum Begun {
    Proven(Principal),
    Refused(Refused),
    Prove(PasswordLogin),
}

impl SessionHandle {
    pub(crate) fn login(&mut self, user: &str, password: &str) -> Result<Executed, Refused> {
        let begun = Instant::now();
        self.is_nobody();
        let from = (&*self.host, self.from_loopback);
        let login = match self.broker.begin_login(user, password, from) {
            Begun::Proven(principal) => {
                self.is_user(principal);
                return Ok(Executed::Now(Reply::Done));
            }
            Begun::Refused(refused) => return Err(refused),
            Begun::Prove(login) => login,
        };
        let peer: Arc<str> = Arc::from(&*self.host);
        if login.is_quick() {
            return Ok(match self.broker.end_login(login, password, &peer, begun) {
                Ok(principal) => {
                    self.is_user(principal);
                    Executed::Now(Reply::Done)
                }
                Err((refused, Some(late))) => Executed::Job(Job::late(refused, late)),
                Err((refused, None)) => return Err(refused),
            });
        }
        let proven = Arc::<Mutex<Option<Principal>>>::default();
        self.identity.proving = Some(proven.clone());
        let (broker, said) = (self.broker.clone(), password.to_owned());
        let places = broker.access().proving().places();
        let work = move || match broker.end_login(login, &said, &peer, begun) {
            Ok(principal) => {
                *proven.lock() = Some(principal);
                (Reply::Done, None)
            }
            Err((refused, late)) => (Reply::Refused(refused), late),
        };
        Ok(Executed::Job(Job::proving(places, work)))
    }

    /// Whether a login by other means than a password may be tried at all.
    pub(crate) fn may_log_in(&self) -> bool {
        self.broker.admits(&self.host)
    }

    /// A login by other means than a password has failed: the answer comes late.
    pub(crate) fn is_refused(&self, user: &str, refused: Refused) -> Executed {
        let peer = Arc::from(&*self.host);
        let late = self.broker.login_failed(user, &peer, Instant::now());
        Executed::Job(Job::late(refused, late))
    }

    /// A login by other means than a password has succeeded.
    pub(crate) fn has_logged_in(&self, user: &str) {
        self.broker.admitted(&self.host, user);
    }
}

/// As much of a name as a log needs.
fn shown(user: &str) -> &str {
    &user[..user.floor_char_boundary(NAME_BYTES_SHOWN)]
}

const NAME_BYTES_SHOWN: usize = 64;
