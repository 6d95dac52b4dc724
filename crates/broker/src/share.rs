//! Members of share groups: their sessions, what they settle and acquire.
//!
//! A session belongs to a member of a group and to the connection that opened it: when that
//! goes, what the member holds goes back. Its leases are those of one link key, in whichever
//! cells it acquired from. A group's place in a stream is a subscription, made when the first
//! member asks for it; on a work queue there is none: the group's members compete with all
//! others there.
//!
//! Locks: all sessions (a leaf, held to look up only) and one session, before any cell.
//!
//! Reading order: here (sessions, and which cell is meant), [`settle`], [`fetch`]
//! (acquiring, and waiting for it), [`places`] (what tools ask and change).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bongsu_engine::catalog::{self, QueueId};
use bongsu_engine::queue::{Input, LinkKey};
use bongsu_engine::refused::Permission;
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::{Now, Outcome, Reply};
use bongsu_engine::share::call::{Member, PartKey, Settle};
use bongsu_engine::share::session::{ENDS, OPENS};
use bongsu_engine::share::{Answer, Refused, Request, Session, ShareConfig};
use bongsu_record::Lsn;
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::fetch::FetchWait;
use crate::handle::{Executed, SessionHandle};
use crate::outbox::Outbox;

mod settle;

mod fetch;

mod places;

/// Sessions of all members.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    sessions: Mutex<BTreeMap<ShareKey, Arc<Mutex<ShareSession>>>>,
}

type ShareKey = (SpaceId, Member);

/// One member's session.
#[derive(Debug)]
pub(crate) struct ShareSession {
    machine: Session,
    /// Holder of its leases.
    key: LinkKey,
    /// The connection that opened it.
    owner: u64,
    /// Where it acquires from.
    cells: HashMap<PartKey, Arc<QueueCell>>,
    /// Where it has acquired from.
    held_in: BTreeMap<QueueId, Arc<QueueCell>>,
}

/// What a connection has of share groups.
#[derive(Debug)]
pub(crate) struct Sharing {
    /// A fetch that waits for records.
    waiting: Option<fetch::Waiting>,
    /// Where cells tell that there may be some.
    pub(crate) ripe: Arc<FetchWait>,
    /// Sessions it opened.
    opened: BTreeSet<ShareKey>,
}

impl Sharing {
    pub(crate) fn new(outbox: &Arc<Outbox>) -> Sharing {
        Sharing {
            waiting: None,
            ripe: FetchWait::new(outbox),
            opened: BTreeSet::new(),
        }
    }
}

/// A session as a request found it.
struct Found {
    space: SpaceId,
    member: Member,
    session: Arc<Mutex<ShareSession>>,
    config: ShareConfig,
}

impl SessionHandle {
    /// A call about share groups.
    pub(crate) fn share(&mut self, request: Request, now: Now) -> Executed {
        match request {
            Request::Fetch(fetch) => self.share_fetch(fetch, now),
            Request::Settle(settle) => {
                let (answer, wait) = match self.share_settle(&settle) {
                    Ok(done) => done,
                    Err(refused) => (Answer::Refused(refused), None),
                };
                Executed::Now(shared(answer, wait))
            }
            Request::Describe(groups) => Executed::Now(shared(self.describe_shares(groups), None)),
            Request::Alter { group, parts } => {
                let (answer, wait) = self.alter_shares(&group, parts);
                Executed::Now(shared(answer, wait))
            }
            Request::Configs(groups) => {
                Executed::Now(shared(self.share_configs(Some(groups)), None))
            }
            Request::AllConfigs => Executed::Now(shared(self.share_configs(None), None)),
            Request::Configure {
                changes,
                only_check,
            } => {
                let (answer, wait) = self.configure_shares(changes, only_check);
                Executed::Now(shared(answer, wait))
            }
            Request::Forget { group, topics } => {
                let (answer, wait) = self.forget_shares(&group, topics);
                Executed::Now(shared(answer, wait))
            }
        }
    }

    fn share_settle(&mut self, request: &Settle) -> Result<(Answer, Option<Lsn>), Refused> {
        if request.epoch == OPENS {
            return Err(Refused::Epoch);
        }
        let found = self.find_share(&request.member)?;
        found.session.lock().machine.take(request.epoch)?;
        if request.renews && !found.config.renews {
            return Err(Refused::Malformed);
        }
        let (parts, wait) = self.settle_all(&found, &request.settles);
        if request.epoch == ENDS {
            self.close_share(&(found.space, found.member));
        }
        let lock_ms = found.config.lock_ms;
        Ok((Answer::Settled { lock_ms, parts }, wait))
    }

    /// The member's session, which must be there.
    fn find_share(&self, member: &Member) -> Result<Found, Refused> {
        let space = self.may_share(&member.group)?;
        let sessions = self.broker.shares().sessions.lock();
        let session = sessions.get(&(space, member.clone())).cloned();
        drop(sessions);
        Ok(Found {
            space,
            member: member.clone(),
            session: session.ok_or(Refused::NoSession)?,
            config: self.broker.share_config(space, &member.group),
        })
    }

    /// A new session in place of what the member had.
    fn open_share(&mut self, member: &Member, parts: Vec<PartKey>) -> Result<Found, Refused> {
        let space = self.may_share(&member.group)?;
        let key = (space, member.clone());
        self.close_share(&key);
        let session = Arc::new(Mutex::new(ShareSession {
            machine: Session::new(parts),
            key: self.broker.next_link_key(),
            owner: self.owner,
            cells: HashMap::new(),
            held_in: BTreeMap::new(),
        }));
        let mut sessions = self.broker.shares().sessions.lock();
        if sessions.len() >= SESSIONS_MAX {
            return Err(Refused::Sessions);
        }
        sessions.insert(key.clone(), session.clone());
        drop(sessions);
        self.sharing.opened.insert(key);
        Ok(Found {
            space,
            member: member.clone(),
            session,
            config: self.broker.share_config(space, &member.group),
        })
    }

    /// Ends a session: what the member holds goes back.
    fn close_share(&mut self, key: &ShareKey) {
        let ended = self.broker.shares().sessions.lock().remove(key);
        self.sharing.opened.remove(key);
        if let Some(ended) = ended {
            self.broker.give_back(&ended);
        }
    }

    /// The connection ends, and with it the sessions it opened.
    pub(crate) fn end_shares(&mut self) {
        self.sharing.ripe.end();
        self.sharing.waiting = None;
        for key in std::mem::take(&mut self.sharing.opened) {
            let mut sessions = self.broker.shares().sessions.lock();
            // Another connection may have opened one in its place.
            let is_own = |session: &Arc<Mutex<ShareSession>>| session.lock().owner == self.owner;
            let ended = match sessions.get(&key) {
                Some(session) if is_own(session) => sessions.remove(&key),
                _ => None,
            };
            drop(sessions);
            if let Some(ended) = ended {
                self.broker.give_back(&ended);
            }
        }
    }

    fn may_share(&self, group: &str) -> Result<SpaceId, Refused> {
        if group.is_empty() || group.len() > GROUP_BYTES_MAX {
            return Err(Refused::Group);
        }
        let space = self.in_space().map_err(|_| Refused::Access)?;
        self.may_use(group).map_err(|_| Refused::Access)?;
        Ok(space)
    }

    /// Where a group's members acquire records of a partition; made, if it is not there and
    /// `makes`.
    fn share_cell(
        &mut self,
        found: &Found,
        part: &PartKey,
        makes: bool,
    ) -> Result<Arc<QueueCell>, Refused> {
        let known = found.session.lock().cells.get(part).cloned();
        if let Some(cell) = known.filter(|cell| !cell.lock().gone) {
            return Ok(cell);
        }
        let source = self
            .partition(&part.topic, part.partition, Permission::Read)
            .map_err(Refused::Partition)?;
        let is_stream = source.lock().machine.properties().is_stream;
        let cell = match is_stream {
            false => source,
            true => self.subscription_of(found, &source, makes)?,
        };
        let mut session = found.session.lock();
        session.cells.insert(part.clone(), cell.clone());
        Ok(cell)
    }

    fn subscription_of(
        &self,
        found: &Found,
        source: &Arc<QueueCell>,
        makes: bool,
    ) -> Result<Arc<QueueCell>, Refused> {
        let group = &found.member.group;
        let broker = &self.broker;
        let there = broker.catalog().share_queue(group, source.id);
        if let Some(cell) = there.and_then(|id| broker.cell(id)) {
            return Ok(cell);
        }
        if !makes {
            return Err(Refused::NotHeld);
        }
        let start = broker
            .start_in(source, found.config.start)
            .map_err(|_| Refused::Storage)?;
        let made = broker.change(catalog::Input::Share {
            group: group.to_string(),
            source: source.id,
            start,
            arguments: found.config.arguments(),
        });
        match made {
            Ok((catalog::Answer::Queue { id, .. }, _)) => broker.cell(id).ok_or(Refused::Storage),
            Ok(_) => Err(Refused::Storage),
            Err(error) => Err(refused_of(&error)),
        }
    }
}

impl Broker {
    /// What a share group is configured to.
    pub(crate) fn share_config(&self, space: SpaceId, group: &str) -> ShareConfig {
        let catalog = self.catalog();
        match catalog.group_configs(space, group) {
            Some(configs) => ShareConfig::of(configs),
            None => ShareConfig::of(&catalog::Configs::new()),
        }
    }

    /// What a session holds goes back.
    fn give_back(&self, session: &Mutex<ShareSession>) {
        let (key, held_in) = {
            let mut session = session.lock();
            (session.key, std::mem::take(&mut session.held_in))
        };
        for cell in held_in.into_values() {
            let outcome = Some(Outcome::Release);
            let input = Input::Detach { key, outcome };
            let mut state = cell.lock();
            state.holders.remove(&key);
            let detached = cell.handle(&mut state, input, self);
            drop(state);
            self.noted(detached);
        }
    }
}

fn refused_of(error: &bongsu_engine::Refused) -> Refused {
    use bongsu_engine::Refused as Of;
    match error {
        Of::InvalidArgument { .. } => Refused::Full,
        Of::NotFound { .. } => {
            Refused::Partition(bongsu_engine::session::records::PartitionRefused::Unknown)
        }
        _ => Refused::Storage,
    }
}

fn shared(answer: Answer, wait: Option<Lsn>) -> Reply {
    let answer = Box::new(answer);
    Reply::Share { wait, answer }
}

/// Sessions at once; Kafka's `group.share.max.share.sessions`.
const SESSIONS_MAX: usize = 2_000;
/// As long as names of subscriptions can be kept small.
const GROUP_BYTES_MAX: usize = 4_096;
