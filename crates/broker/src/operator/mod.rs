//! What people and tools that run a broker ask of it, beside what any protocol's session
//! may: an [`Operator`] is one of them, with the user's rights.
//!
//! What changes queues, exchanges, bindings or records goes through a session of that user,
//! so that rights and durability are decided in one place.

pub mod users;

pub mod spaces;

pub mod sessions;

pub mod measures;

pub mod queues;

pub mod peek;

pub mod matching;

pub mod jobs;

pub mod moving;

pub mod dead;

pub mod leases;

pub mod groups;

mod seen;

pub mod streams;

pub mod schedule;

pub(crate) mod insight;

use std::net::IpAddr;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::access::Principal;
use bongsu_engine::session::{Call, Now, Reply};
use bongsu_record::Lsn;

use crate::broker::Broker;
use crate::handle::{Executed, SessionHandle};

pub mod catalog;

pub mod import;

/// See the module's comment.
#[derive(Clone, Debug)]
pub struct Operator {
    broker: Broker,
    user: Arc<Principal>,
    host: IpAddr,
}

impl Broker {
    /// Lets somebody in who says a password, or in its place a token.
    ///
    /// # Errors
    /// [`Refused::Login`], the same whatever was wrong.
    pub async fn operator(
        &self,
        user: &str,
        password: &str,
        host: IpAddr,
    ) -> Result<Operator, Refused> {
        if let Some(tokens) = self.tokens().filter(|tokens| tokens.is_one(password)) {
            let user = self.let_in_by(tokens, password.to_owned(), host).await?;
            return Ok(Operator {
                broker: self.clone(),
                user: Arc::new(user),
                host,
            });
        }
        let from = (&*host.to_string(), host.is_loopback());
        let user = self.let_in(user, password, from).await?;
        Ok(Operator {
            broker: self.clone(),
            user: Arc::new(user),
            host,
        })
    }
}

impl Operator {
    /// Who it is.
    pub fn user(&self) -> &Principal {
        &self.user
    }

    /// Whether what it came in by has ended.
    pub fn has_ended(&self) -> bool {
        let granted = self.user.granted.as_ref();
        let until_ms = granted.and_then(|granted| granted.until_ms);
        until_ms.is_some_and(|until_ms| until_ms <= now().unix_ms)
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Where it is.
    pub fn host(&self) -> IpAddr {
        self.host
    }

    /// The same user with the tags that it has by now; `None` if there is no such user any
    /// more. Who brought its rights along has those.
    pub fn again(&self) -> Option<Operator> {
        if self.user.granted.is_some() {
            return Some(self.clone());
        }
        let user = self.broker.access().users.read().external(&self.user.name);
        Some(Operator {
            user: Arc::new(user.ok()?),
            ..self.clone()
        })
    }

    /// A session of this user in a space.
    ///
    /// # Errors
    /// [`Refused::NotFound`] if there is no such space, [`Refused::Denied`] if it may not be
    /// entered.
    pub fn session(&self, space: &str) -> Result<SessionHandle, Refused> {
        let mut session = self.broker.session(self.host.is_loopback());
        session = session.from_host(self.host);
        session.is_user(Principal::clone(&self.user));
        let space = Call::OpenSpace {
            space: space.to_owned(),
        };
        match session.execute(space, now()).into_reply() {
            Some(Reply::Refused(refused)) => Err(refused),
            _ => Ok(session),
        }
    }

    /// Executes one call of a session, and waits until what it did is durable.
    pub async fn call(&self, session: &mut SessionHandle, call: Call) -> Reply {
        match session.execute(call, now()) {
            Executed::Now(reply) => {
                if let Reply::Published {
                    wait: Some(lsn), ..
                }
                | Reply::Committed {
                    wait: Some(lsn), ..
                }
                | Reply::Appended {
                    wait: Some(lsn), ..
                } = &reply
                {
                    self.await_durable(*lsn).await;
                }
                reply
            }
            Executed::Durable(lsn, reply) => {
                self.await_durable(lsn).await;
                reply
            }
            Executed::Job(job) => {
                let done = job.start().await;
                done.unwrap_or(Reply::Refused(failed()))
            }
            // Long polls are not asked for here.
            Executed::Later => Reply::Refused(failed()),
        }
    }

    /// Jobs that are under way, and the last that were; the newest first.
    pub fn jobs(&self) -> Vec<Arc<jobs::Job>> {
        self.broker.insight().jobs.all()
    }

    /// One of them.
    pub fn job(&self, id: u64) -> Option<Arc<jobs::Job>> {
        self.broker.insight().jobs.find(id)
    }

    /// Waits until a position is durable.
    pub async fn await_durable(&self, lsn: Lsn) {
        let mut durable = self.broker.durable();
        let _ = durable.wait_for(|durable| *durable >= lsn).await;
    }
}

pub(crate) fn failed() -> Refused {
    Refused::Storage {
        cause: "a job failed".to_owned(),
    }
}

/// The machine's time.
pub fn now() -> Now {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let unix_ms = since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    Now {
        instant: std::time::Instant::now(),
        unix_ms,
    }
}
