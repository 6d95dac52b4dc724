//! Calls that change what exists: the catalog decides, then queues are made or dropped and
//! the durable changes recorded as one group, all under the catalog's lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::catalog::{Answer, Catalog, Change, Effect, Input, Owner, Policy, QueueId};
use bongsu_engine::queue::dedup::Dedup;
use bongsu_engine::queue::{Input as QueueInput, Queue};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::session::{Call, Reply};
use bongsu_record::{Lsn, Offset};
use bongsu_storage::EntryRef;
use parking_lot::RwLockWriteGuard;

use crate::access::REPLY_TO;
use crate::broker::{Broker, CATALOG_NOTE};
use crate::cell::QueueCell;
use crate::handle::{Executed, SessionHandle, not_found, refused};
use crate::outbox::Item;
use crate::reading::Tracked;
use crate::statistics::Churn;
use crate::subscription::is_subscription;
use crate::windows;

impl SessionHandle {
    pub(crate) fn change(&mut self, call: Call) -> Result<Executed, Refused> {
        let space = self.in_space()?;
        let owner = Owner(self.owner);
        let input = match call {
            Call::DeclareExchange(declare) => {
                self.may_declare_exchange(space, &declare)?;
                Input::DeclareExchange { space, declare }
            }
            Call::DeleteExchange { name, if_unused } => {
                self.may_delete_exchange(&name)?;
                Input::DeleteExchange {
                    space,
                    name,
                    if_unused,
                }
            }
            Call::Bind(binding) => {
                self.may_bind(&binding)?;
                Input::Bind {
                    space,
                    owner,
                    binding,
                }
            }
            Call::Unbind(binding) => {
                self.may_bind(&binding)?;
                Input::Unbind {
                    space,
                    owner,
                    binding,
                }
            }
            Call::DeclareQueue(declare) if is_subscription(&declare) => {
                self.subscription(space, owner, declare)?
            }
            Call::DeclareQueue(declare) => {
                let token = self.broker.token();
                self.may_declare_queue(space, &declare, token)?;
                Churn::one(&self.broker.statistics().churn.queues_declared);
                Input::DeclareQueue {
                    space,
                    owner,
                    declare,
                    token,
                }
            }
            Call::DeleteQueue {
                name,
                if_unused,
                if_empty,
            } => {
                self.allowed(Permission::Configure, Kind::Queue, &name)?;
                return self.delete_queue(&name, if_unused, if_empty);
            }
            Call::OpenReplyQueue => Input::OpenReplyQueue {
                space,
                owner,
                token: self.broker.token(),
            },
            other => unreachable!("execute() handles {other:?} itself"),
        };
        let (answer, lsn) = self.broker.change(input)?;
        let reply = match answer {
            Answer::Queue { id, name, .. } => {
                let cell = self.broker.cell(id).ok_or_else(|| not_found(&name))?;
                let mut state = cell.lock();
                state.used_ms = self.broker.now_ms();
                Reply::Queue {
                    name,
                    ready: cell.ready(&state),
                    links: state.link_count(),
                }
            }
            Answer::ReplyQueue { name } => Reply::Queue {
                name,
                ready: 0,
                links: 1,
            },
            Answer::Done | Answer::Deleted { .. } | Answer::Space { .. } => Reply::Done,
        };
        Ok(answered(lsn, reply))
    }

    fn delete_queue(
        &self,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<Executed, Refused> {
        let space = self.in_space()?;
        let mut count = 0;
        let (_, lsn) = self.broker.change_with(|catalog| {
            let id = catalog.queue_id(space, name);
            let (mut links, ready) = id.map(|id| self.broker.counts(id)).unwrap_or_default();
            // A topic is used where any partition of it is.
            for part in catalog
                .partitions(space, name)
                .iter()
                .flat_map(|all| &all[1..])
            {
                links += self.broker.counts(*part).0;
            }
            count = ready;
            Input::DeleteQueue {
                space,
                owner: Owner(self.owner),
                name: name.to_owned(),
                if_unused,
                if_empty,
                links,
                ready,
            }
        })?;
        Ok(answered(lsn, Reply::Count(count)))
    }
}

fn answered(lsn: Option<Lsn>, reply: Reply) -> Executed {
    match lsn {
        Some(lsn) => Executed::Durable(lsn, reply),
        None => Executed::Now(reply),
    }
}

impl Broker {
    /// Lets the catalog decide and acts on it. The position is that of the durable changes.
    pub(crate) fn change(&self, input: Input) -> Result<(Answer, Option<Lsn>), Refused> {
        self.change_with(|_| input)
    }

    /// As [`Broker::change`], for an input that depends on what is, under the lock.
    pub(crate) fn change_with(
        &self,
        input: impl FnOnce(&Catalog) -> Input,
    ) -> Result<(Answer, Option<Lsn>), Refused> {
        let mut catalog = self.catalog_mut();
        let input = input(&catalog);
        let mut effects = Vec::new();
        let answer = catalog.handle(input, &mut effects)?;
        let lsn = self.carry_out(catalog, effects)?;
        Ok((answer, lsn))
    }

    /// Acts on what the catalog decided, and records it; the position is that of the durable
    /// changes, or of the last ones if there are none.
    pub(crate) fn carry_out(
        &self,
        catalog: RwLockWriteGuard<'_, Catalog>,
        effects: Vec<Effect>,
    ) -> Result<Option<Lsn>, Refused> {
        self.set_route_epoch(catalog.epoch());
        let mut notes = Vec::new();
        let mut dropped = Vec::new();
        let mut configured = Vec::new();
        let mut topics_of = BTreeSet::new();
        for effect in effects {
            match effect {
                Effect::Durable(change) => {
                    self.forget_counts(&change);
                    notes.push(change.encode());
                }
                Effect::Transient(change) => self.forget_counts(&change),
                Effect::Reconfigure { id, properties } => {
                    configured.extend(self.cell(id).map(|cell| (cell, properties)));
                }
                Effect::CreateWindow {
                    id,
                    settings,
                    durable,
                } => {
                    let seen = Dedup::new(windows::limits(&settings));
                    self.windows().put(id, &settings, seen, durable);
                }
                Effect::DropWindow { id } => self.windows().remove(id),
                Effect::CreateQueue {
                    id,
                    space,
                    queue,
                    properties,
                } => {
                    Churn::one(&self.statistics().churn.queues_created);
                    if catalog.partition_of(id).is_some() {
                        topics_of.insert(space);
                    }
                    let log = self.storage().create_log(id.log(), durability(queue.log));
                    let now_ms = self.now_ms();
                    let place = (space, queue.name.clone());
                    let source = queue.source.and_then(|source| self.cell(source.queue));
                    let machine = match queue.source {
                        Some(of) => Queue::subscribed(Offset(of.start), properties, now_ms),
                        None => Queue::new(properties, now_ms),
                    };
                    let auto_delete = queue.auto_delete;
                    let tracked = Tracked::new();
                    let cell = QueueCell::new(
                        id,
                        place,
                        (log, source),
                        auto_delete,
                        machine,
                        (tracked, None),
                        now_ms,
                    );
                    cell.set_alarm(&mut cell.lock(), self);
                    self.put_cell(cell.clone());
                    if let Some(source) = cell.is_told_of_source() {
                        self.advance(source);
                    }
                }
                Effect::DropQueue { id } => {
                    Churn::one(&self.statistics().churn.queues_deleted);
                    let cell = self.take_cell(id);
                    topics_of.extend(cell.iter().map(|cell| cell.space));
                    dropped.extend(cell);
                }
            }
        }
        let entries: Vec<EntryRef<'_>> = notes
            .iter()
            .map(|bytes| EntryRef::Note {
                kind: CATALOG_NOTE,
                id: 0,
                bytes,
            })
            .collect();
        let lsn = match entries.is_empty() {
            // What another client just declared may not be durable yet, and this answer
            // would say that it is there.
            true => Ok(self.last_change()),
            false => self.storage().record(&entries).map(Some),
        };
        if let Ok(Some(lsn)) = lsn {
            self.set_last_change(lsn);
        }
        drop(catalog);
        for cell in dropped {
            self.drop_cell(&cell);
        }
        self.topics_changed(topics_of);
        for (cell, properties) in configured {
            // Another policy may have come meanwhile: what counts is what holds by then.
            let catalog = self.catalog();
            let properties = catalog.properties(cell.id).cloned().unwrap_or(properties);
            let input = QueueInput::Configure { properties };
            let handled = cell.handle(&mut cell.lock(), input, self);
            drop(catalog);
            self.noted(handled);
        }
        // If the record failed, what was decided stands until a restart, and the client is
        // told that it is not safe: the lane takes nothing more, or its buffer is full.
        let lsn = lsn.map_err(|error| refused(&error))?;
        if lsn.is_some() {
            self.storage().hurry();
        }
        Ok(lsn)
    }

    /// What is gone is not counted any more.
    fn forget_counts(&self, change: &Change) {
        match change {
            Change::DeleteExchange { space, name } => {
                self.statistics().space(*space).exchange_deleted(name);
            }
            Change::DeleteSpace { id, .. } => self.statistics().space_deleted(*id),
            _ => {}
        }
    }

    /// Sets a policy, in place of one of its name, and waits for nothing: whoever needs it
    /// durable waits for [`Broker::position`].
    ///
    /// # Errors
    /// Its pattern or a setting cannot be read.
    pub fn set_policy(&self, space: &str, policy: Policy) -> Result<(), Refused> {
        let space = self.space(space)?;
        self.change(Input::SetPolicy { space, policy }).map(|_| ())
    }

    /// Takes a policy away, if it is there; as [`Broker::set_policy`].
    ///
    /// # Errors
    /// No such space.
    pub fn clear_policy(&self, space: &str, name: &str) -> Result<(), Refused> {
        let space = self.space(space)?;
        let name = name.to_owned();
        self.change(Input::ClearPolicy { space, name }).map(|_| ())
    }

    /// A queue was not used for as long as it may.
    pub(crate) fn expire_queue(&self, cell: &QueueCell) {
        let expired = self.change_with(|catalog| Input::DeleteQueue {
            space: cell.space,
            owner: catalog
                .queue(cell.id)
                .and_then(|queue| queue.owner)
                .unwrap_or(Owner(0)),
            // Not another of the same name.
            name: match catalog.queue(cell.id) {
                Some(_) => cell.name.to_string(),
                None => String::new(),
            },
            if_unused: true,
            if_empty: false,
            links: self.counts(cell.id).0,
            ready: 0,
        });
        if !matches!(expired, Err(Refused::InUse { .. })) {
            self.noted_change(expired.map(|_| ()));
        }
    }

    /// Consumers and ready records of a queue.
    fn counts(&self, id: QueueId) -> (u32, u64) {
        let Some(cell) = self.cell(id) else {
            return (0, 0);
        };
        let state = cell.lock();
        // A stream is never empty: it is only deleted with what is in it.
        let ready = match state.machine.properties().is_stream {
            true => 0,
            false => state.machine.cursor().ready(),
        };
        (state.link_count(), ready)
    }

    /// A consumer of this queue went; an auto-delete queue goes with its last one.
    pub(crate) fn link_closed(&self, cell: &QueueCell) {
        if cell.name.starts_with(REPLY_TO) {
            self.expire_queue(cell);
            return;
        }
        if !cell.auto_delete {
            return;
        }
        let closed = self.change_with(|_| Input::LinkClosed {
            queue: cell.id,
            links: self.counts(cell.id).0,
        });
        self.noted_change(closed.map(|_| ()));
    }

    /// A session ended: its exclusive queues go.
    pub(crate) fn session_closed(&self, owner: u64) {
        let owner = Owner(owner);
        let closed = self.change(Input::SessionClosed { owner });
        self.noted_change(closed.map(|_| ()));
    }

    fn noted_change(&self, closed: Result<(), Refused>) {
        if let Err(Refused::Storage { cause }) = closed {
            tracing::error!("a queue's end could not be recorded: {cause}");
        }
    }

    /// Tells the links of a deleted queue, and gives its storage back.
    fn drop_cell(&self, cell: &Arc<QueueCell>) {
        let mut state = cell.lock();
        state.gone = true;
        for target in std::mem::take(&mut state.targets).into_values() {
            target.outbox.push(Item::Closed(target.link));
        }
        cell.show(&mut state, self);
        drop(state);
        if let Some(source) = &cell.source {
            let mut subscribers = source.subscribers.write();
            subscribers.retain(|(id, _)| *id != cell.id);
        }
        self.storage().remove_log(cell.id.log());
        self.forget_topic(cell.space, cell.id);
    }
}

/// The same three words in the catalog's records and in storage.
pub(crate) fn durability(log: bongsu_engine::catalog::LogDurability) -> bongsu_storage::Durability {
    use bongsu_engine::catalog::LogDurability;
    use bongsu_storage::Durability;
    match log {
        LogDurability::Fsync => Durability::Fsync,
        LogDurability::Os => Durability::Os,
        LogDurability::Memory => Durability::Memory,
    }
}
