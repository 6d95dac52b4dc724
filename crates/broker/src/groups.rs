//! Groups of consumers: each a machine of the engine's behind a lock of its own.
//!
//! A session asks a group and may have to wait for other members: its ticket and outbox stay
//! with the group, which answers later ([`Item::Reply`]). A session that ends abandons its
//! ticket. Deadlines are the clerk's. What a group records is in one note for each time it is
//! handled, under its lock, so that a checkpoint's section and the notes behind it fit.
//!
//! A group that nobody would miss is dropped (`gone`); whoever still holds it looks again.
//!
//! Reading order: here (all groups, one group, what a session asks), [`topics`] (what there is
//! to share out), [`restore`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bongsu_engine::Refused;
use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::catalog::{Catalog, Configs, QueueId, TopicId};
use bongsu_engine::group::consumer::beat::JOIN;
use bongsu_engine::group::consumer::{NoTopics, Topics};
use bongsu_engine::group::offsets::{FetchTopic, Topic};
use bongsu_engine::group::{
    Answer, Call, Client, Effect, Group, GroupError, Input, Listed, Request, Settings, Ticket,
};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::Reply;
use bongsu_record::{LogId, Lsn};
use bongsu_storage::{Durability, EntryRef};
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::broker::Broker;
use crate::clerk::Due;
use crate::handle::{Executed, SessionHandle};
use crate::outbox::{Item, Outbox};
use crate::traces::passing::Passing;
use topics::SpaceTopics;

mod topics;

pub(crate) mod restore;

/// Kind of the WAL notes and checkpoint sections of groups. The id says nothing: that of a
/// note may be a log's, with which it is made durable.
///
/// ```text
/// note     u32 space, u16 length, name, then notes of [`bongsu_engine::group::note`]
/// section  u64 LSN up to which it knows, then as a note
/// ```
pub(crate) const GROUP_NOTE: u8 = 7;

type GroupsByName = BTreeMap<Arc<str>, Arc<GroupCell>>;

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_name: RwLock<BTreeMap<SpaceId, GroupsByName>>,
    settings: RwLock<Arc<Settings>>,
    next_ticket: AtomicU64,
}

/// One group.
#[derive(Debug)]
pub(crate) struct GroupCell {
    pub(crate) space: SpaceId,
    pub(crate) name: Arc<str>,
    /// It has to be told when topics change.
    follows_topics: AtomicBool,
    state: Mutex<GroupState>,
}

/// What a group's lock protects.
#[derive(Debug)]
pub(crate) struct GroupState {
    pub(crate) machine: Group,
    /// Who waits for an answer.
    waiting: HashMap<Ticket, Arc<Outbox>>,
    /// The clerk comes then.
    alarm_ms: Option<u64>,
    /// It is not among the groups any more.
    gone: bool,
}

/// A session that waits for a group.
#[derive(Debug)]
pub(crate) struct GroupWait {
    cell: Arc<GroupCell>,
    ticket: Ticket,
}

impl Groups {
    /// The group of that name.
    pub(crate) fn find(&self, space: SpaceId, name: &str) -> Option<Arc<GroupCell>> {
        self.by_name.read().get(&space)?.get(name).cloned()
    }

    /// The group of that name; a vacant one, if there is none.
    fn find_or_put(&self, space: SpaceId, name: &str) -> Arc<GroupCell> {
        if let Some(found) = self.find(space, name) {
            return found;
        }
        let mut by_name = self.by_name.write();
        let groups = by_name.entry(space).or_default();
        if let Some(found) = groups.get(name) {
            return found.clone();
        }
        let machine = Group::new(name, self.settings.read().clone());
        let cell = GroupCell::new(space, machine);
        groups.insert(cell.name.clone(), cell.clone());
        cell
    }

    fn put(&self, cell: Arc<GroupCell>) {
        let mut by_name = self.by_name.write();
        let groups = by_name.entry(cell.space).or_default();
        groups.insert(cell.name.clone(), cell);
    }

    fn remove(&self, cell: &Arc<GroupCell>) {
        let mut by_name = self.by_name.write();
        if let Some(groups) = by_name.get_mut(&cell.space)
            && groups
                .get(&cell.name)
                .is_some_and(|is| Arc::ptr_eq(is, cell))
        {
            groups.remove(&cell.name);
        }
    }

    /// All groups, by space and name.
    pub(crate) fn all(&self) -> Vec<Arc<GroupCell>> {
        let by_name = self.by_name.read();
        by_name
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect()
    }

    fn of_space(&self, space: SpaceId) -> Vec<Arc<GroupCell>> {
        let by_name = self.by_name.read();
        let groups = by_name.get(&space).into_iter();
        groups.flat_map(BTreeMap::values).cloned().collect()
    }

    fn next_ticket(&self) -> Ticket {
        Ticket(self.next_ticket.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a user must be allowed to do with the group.
fn operation_of(request: &Request) -> Operation {
    match request {
        Request::Describe
        | Request::DescribeConsumers
        | Request::DescribeShare
        | Request::FetchOffsets(_) => Operation::Describe,
        Request::Delete | Request::DeleteOffsets(_) => Operation::Delete,
        _ => Operation::Read,
    }
}

impl GroupCell {
    fn new(space: SpaceId, machine: Group) -> Arc<GroupCell> {
        Arc::new(GroupCell {
            space,
            name: machine.name().clone(),
            follows_topics: AtomicBool::new(machine.follows_topics()),
            state: Mutex::new(GroupState {
                machine,
                waiting: HashMap::new(),
                alarm_ms: None,
                gone: false,
            }),
        })
    }

    /// Locks it. It may be gone meanwhile: then what is done to it is lost.
    pub(crate) fn lock(&self) -> MutexGuard<'_, GroupState> {
        self.state.lock()
    }

    /// A note as it is recorded.
    pub(crate) fn note(&self, bytes: &[u8]) -> Vec<u8> {
        let mut note = self.space.0.to_be_bytes().to_vec();
        let length = u16::try_from(self.name.len()).expect("names are bounded by the protocol");
        note.extend_from_slice(&length.to_be_bytes());
        note.extend_from_slice(self.name.as_bytes());
        note.extend_from_slice(bytes);
        note
    }
}

impl Due for GroupCell {
    fn due(self: Arc<Self>, broker: &Broker, now_ms: u64) {
        let mut state = self.lock();
        if state.gone {
            return;
        }
        state.alarm_ms = None;
        let mut effects = Vec::new();
        state.machine.handle(Input::Timeout, now_ms, &mut effects);
        broker.act_group(&self, &mut state, effects, None, None);
    }
}

/// What came of handling an input.
struct Acted {
    /// For whoever asked.
    own: Option<Answer>,
    /// With what it is durable.
    lsn: Option<Lsn>,
}

impl Broker {
    /// Bounds of groups, from here on.
    pub fn configure_groups(&self, settings: Settings) {
        let settings = Arc::new(settings);
        *self.groups().settings.write() = settings.clone();
        for cell in self.groups().all() {
            cell.lock().machine.configure(&settings);
        }
    }

    /// Does one thing to a group, which is there for it, and records what it says.
    pub fn with_group<T>(
        &self,
        space: SpaceId,
        name: &str,
        act: impl FnOnce(&mut Group, u64, &mut Vec<Effect>) -> T,
    ) -> (T, Option<Lsn>) {
        loop {
            let cell = self.groups().find_or_put(space, name);
            let mut state = cell.lock();
            if state.gone {
                continue;
            }
            let mut effects = Vec::new();
            let done = act(&mut state.machine, self.now_ms(), &mut effects);
            let acted = self.act_group(&cell, &mut state, effects, None, None);
            return (done, acted.lsn);
        }
    }

    /// Records and tells what a group decided. `along` is a log that is as safe as this must
    /// be; `None`: as safe as can be.
    fn act_group(
        &self,
        cell: &Arc<GroupCell>,
        state: &mut GroupState,
        effects: Vec<Effect>,
        asked: Option<Ticket>,
        along: Option<LogId>,
    ) -> Acted {
        let mut acted = Acted {
            own: None,
            lsn: None,
        };
        let mut notes = Vec::new();
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Record(note) => notes.extend_from_slice(&note),
                Effect::Answer { ticket, answer } => answers.push((ticket, answer)),
            }
        }
        let mut failed = false;
        if !notes.is_empty() {
            let kind = GROUP_NOTE;
            let bytes = &cell.note(&notes);
            let id = u64::from(cell.space.0);
            let entry = match along {
                Some(log) => EntryRef::Along { kind, log, bytes },
                None => EntryRef::Note { kind, id, bytes },
            };
            match self.storage().record(&[entry]) {
                Ok(lsn) => acted.lsn = Some(lsn),
                // What was decided stands until a restart, and nobody is told that it is
                // safe: the lane takes nothing more.
                Err(error) => {
                    self.report(&error);
                    failed = true;
                }
            }
        }
        for (ticket, answer) in answers {
            let answer = match failed {
                true => answer.refused(GroupError::Storage),
                false => answer,
            };
            if asked == Some(ticket) {
                acted.own = Some(answer);
            } else if let Some(outbox) = state.waiting.remove(&ticket) {
                outbox.push(Item::Reply(Reply::Group(Box::new(answer))));
            }
        }
        let follows = state.machine.follows_topics();
        cell.follows_topics.store(follows, Ordering::Relaxed);
        if state.machine.is_vacant() {
            state.gone = true;
            self.groups().remove(cell);
        } else if let Some(at_ms) = state.machine.deadline_ms()
            && state.alarm_ms.is_none_or(|alarm_ms| at_ms < alarm_ms)
        {
            state.alarm_ms = Some(at_ms);
            self.clerk().call_at(at_ms, cell);
        }
        acted
    }

    /// A queue is no more: if it was a topic, groups forget it.
    pub(crate) fn forget_topic(&self, space: SpaceId, queue: QueueId) {
        let groups = self.groups().of_space(space);
        if groups.is_empty() {
            return;
        }
        let topic = self.catalog().topic_id(queue);
        for cell in groups {
            let mut state = cell.lock();
            if state.gone || state.machine.offsets().name(topic).is_none() {
                continue;
            }
            let mut effects = Vec::new();
            let input = Input::TopicDeleted(topic);
            state.machine.handle(input, self.now_ms(), &mut effects);
            self.act_group(&cell, &mut state, effects, None, None);
        }
    }
}

impl SessionHandle {
    /// A call about groups.
    pub(crate) fn group(&mut self, call: Call) -> Result<Executed, Refused> {
        let space = self.in_space()?;
        Ok(match call {
            Call::To {
                group,
                mut client,
                request,
            } => {
                client.host.clone_from(&self.host);
                match self.ask_group(space, &group, &client, request) {
                    Some((answer, lsn)) => self.answered_group(answer, lsn),
                    None => Executed::Later,
                }
            }
            Call::Each { client, requests } => {
                let mut answers = Vec::with_capacity(requests.len());
                let mut last: Option<Lsn> = None;
                for (group, request) in requests {
                    if let Some((answer, lsn)) = self.ask_group(space, &group, &client, request) {
                        last = last.max(lsn);
                        answers.push((group, answer));
                    }
                }
                self.answered_group(Answer::Each(answers), last)
            }
            Call::List => {
                let groups = self.broker.groups().of_space(space);
                let listed = groups.iter().filter_map(|cell| {
                    self.may_group(Operation::Describe, &cell.name).ok()?;
                    cell.lock().machine.listed()
                });
                let listed: Vec<Listed> = listed.collect();
                self.answered_group(Answer::Listed(listed), None)
            }
        })
    }

    fn answered_group(&self, answer: Answer, lsn: Option<Lsn>) -> Executed {
        let reply = Reply::Group(Box::new(answer));
        match lsn {
            Some(lsn) => {
                self.broker.storage().hurry();
                Executed::Durable(lsn, reply)
            }
            None => Executed::Now(reply),
        }
    }

    /// Asks one group. `None`: the answer comes later.
    fn ask_group(
        &mut self,
        space: SpaceId,
        name: &str,
        client: &Client,
        mut request: Request,
    ) -> Option<(Answer, Option<Lsn>)> {
        let may = match name.len() <= NAME_BYTES_MAX {
            true => self.may_group(operation_of(&request), name),
            false => Err(GroupError::InvalidGroup),
        };
        let broker = self.broker.clone();
        // Held until the commit is recorded: a topic that goes meanwhile takes it along.
        let catalog = (names_topics(&request) || request.needs_topics()).then(|| broker.catalog());
        let may = may.and_then(|()| self.may_read_wanted(&request));
        let along = catalog
            .as_deref()
            .and_then(|catalog| self.resolve_topics(space, catalog, &mut request));
        let lists_all = matches!(&request, Request::FetchOffsets(fetch) if fetch.topics.is_none());
        let ticket = broker.groups().next_ticket();
        let token = match request {
            Request::Join(_) | Request::Beat(_) => broker.token(),
            _ => 0,
        };
        let of_space = catalog
            .as_deref()
            .map(|catalog| SpaceTopics { catalog, space });
        let topics: &dyn Topics = match &of_space {
            Some(topics) => topics,
            None => &NoTopics,
        };
        loop {
            let now_ms = broker.now_ms();
            let mut effects = Vec::new();
            let input = Input::Request {
                ticket,
                client,
                token,
                request: Box::new(request.clone()),
                topics,
            };
            if may.is_err()
                || !begins_group(&request) && broker.groups().find(space, name).is_none()
            {
                // A group that is not there answers as one that nobody has used.
                let settings = broker.groups().settings.read().clone();
                let mut nobody = Group::new(name, settings);
                nobody.handle(input, now_ms, &mut effects);
                let answer = effects.into_iter().find_map(|effect| match effect {
                    Effect::Answer { answer, .. } => Some(answer),
                    Effect::Record(_) => None,
                })?;
                let answer = match may {
                    Ok(()) => answer,
                    Err(error) => answer.refused(error),
                };
                return Some((answer, None));
            }
            let cell = broker.groups().find_or_put(space, name);
            let mut state = cell.lock();
            if state.gone {
                continue;
            }
            if request.needs_topics()
                && let Some(catalog) = &catalog
            {
                let unset = Configs::new();
                let configs = catalog.group_configs(space, name).unwrap_or(&unset);
                state.machine.configure_members(configs);
            }
            let passing = match (broker.traces(), catalog.as_deref()) {
                (Some(_), Some(catalog)) => {
                    Passing::of(&request, &state.machine, (catalog, space), &broker)
                }
                _ => None,
            };
            state.machine.handle(input, now_ms, &mut effects);
            let acted = broker.act_group(&cell, &mut state, effects, Some(ticket), along);
            if let Some(answer) = acted.own {
                drop(state);
                if let (Some(traces), Some(passing)) = (broker.traces(), passing) {
                    passing.passed(&answer, name, &self.connection, traces);
                }
                // A share group's places are not its own to forget.
                let forgotten = match &answer {
                    Answer::Deleted(Ok(())) => broker.forget_share_group(space, name),
                    _ => None,
                };
                let answer = match lists_all {
                    true => self.readable_topics(answer),
                    false => answer,
                };
                return Some((answer, acted.lsn.max(forgotten)));
            }
            state.waiting.insert(ticket, self.outbox.clone());
            drop(state);
            self.group_wait = Some(GroupWait { cell, ticket });
            return None;
        }
    }

    /// Fills in what the client did not say of its topics. Returns a log that is as safe as
    /// the safest of them.
    pub(crate) fn resolve_topics(
        &self,
        space: SpaceId,
        catalog: &Catalog,
        request: &mut Request,
    ) -> Option<LogId> {
        let mut along: Option<(LogId, Durability)> = None;
        let mut resolve = |topic: &mut Topic| {
            let found = match topic.name.is_empty() {
                true => catalog.topic_by_id(space, topic.id),
                false => catalog.topic(space, &topic.name),
            };
            let Some(found) = found else {
                if !topic.name.is_empty() {
                    topic.id = TopicId::default();
                }
                return;
            };
            topic.denied = self
                .allowed(Permission::Read, Kind::Queue, &found.name)
                .is_err();
            topic.id = found.id;
            topic.name = found.name;
            topic.partition_count = found.partitions.len() as u32;
            let first = self.broker.cell(found.partitions[0]);
            let durability = first.map(|cell| cell.log.durability());
            if along.is_none() || durability == Some(Durability::Fsync) {
                let durability = durability.unwrap_or(Durability::Fsync);
                along = Some((found.partitions[0].log(), durability));
            }
        };
        match request {
            Request::Commit(commit) => {
                for of in &mut commit.topics {
                    resolve(&mut of.topic);
                }
                along.map(|(log, _)| log)
            }
            Request::FetchOffsets(fetch) => {
                let topics = fetch.topics.iter_mut().flatten();
                topics.for_each(|of: &mut FetchTopic| resolve(&mut of.topic));
                None
            }
            Request::DeleteOffsets(delete) => {
                for of in &mut delete.topics {
                    resolve(&mut of.topic);
                }
                None
            }
            _ => None,
        }
    }

    /// Whether the user may be of that group.
    pub(crate) fn may_use(&self, group: &str) -> Result<(), GroupError> {
        self.may_group(Operation::Read, group)
    }

    fn may_group(&self, operation: Operation, group: &str) -> Result<(), GroupError> {
        match self.may(operation, Resource::Group, group) {
            true => Ok(()),
            false => Err(GroupError::Denied),
        }
    }

    /// Whether the user may read all topics that a member wants by name.
    fn may_read_wanted(&self, request: &Request) -> Result<(), GroupError> {
        let (Request::Beat(beat) | Request::ShareBeat(beat)) = request else {
            return Ok(());
        };
        for topic in beat.topics.iter().flatten() {
            let allowed = self.allowed(Permission::Read, Kind::Queue, topic);
            allowed.map_err(|_| GroupError::TopicDenied)?;
        }
        Ok(())
    }

    /// Of all topics, those that the user may read.
    fn readable_topics(&self, answer: Answer) -> Answer {
        let Answer::Fetched(Ok(mut topics)) = answer else {
            return answer;
        };
        topics.retain(|of| {
            let name = &of.topic.name;
            self.allowed(Permission::Read, Kind::Queue, name).is_ok()
        });
        Answer::Fetched(Ok(topics))
    }

    /// The session ends: nobody waits for the answer any more.
    pub(crate) fn abandon_group(&mut self) {
        let Some(GroupWait { cell, ticket }) = self.group_wait.take() else {
            return;
        };
        let mut state = cell.lock();
        if state.gone || state.waiting.remove(&ticket).is_none() {
            return;
        }
        let mut effects = Vec::new();
        let now_ms = self.broker.now_ms();
        state
            .machine
            .handle(Input::Abandon(ticket), now_ms, &mut effects);
        self.broker
            .act_group(&cell, &mut state, effects, None, None);
    }
}

fn names_topics(request: &Request) -> bool {
    matches!(
        request,
        Request::Commit(_) | Request::FetchOffsets(_) | Request::DeleteOffsets(_)
    )
}

/// Whether it may make a group that is not there.
fn begins_group(request: &Request) -> bool {
    match request {
        Request::Join(_) | Request::Commit(_) => true,
        Request::Beat(beat) | Request::ShareBeat(beat) => beat.epoch == JOIN,
        Request::Sync(_)
        | Request::Heartbeat { .. }
        | Request::Leave(_)
        | Request::FetchOffsets(_)
        | Request::DeleteOffsets(_)
        | Request::Describe
        | Request::DescribeConsumers
        | Request::DescribeShare
        | Request::Delete => false,
    }
}

/// As long as a name of Kafka's protocol may be.
const NAME_BYTES_MAX: usize = 32_767;
