//! What clients ask about transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::group::{self, offsets::Commit};
use bongsu_engine::refused::Permission;
use bongsu_engine::router::QueueId;
use bongsu_engine::session::Reply;
use bongsu_engine::session::records::{PartitionRefused, TopicRef};
use bongsu_engine::transaction::call::{
    AddPartitions, AddedTo, Answer, Described, Filter, Listed, Member, PartitionProducers,
    PartitionResult, Request,
};
use bongsu_engine::transaction::{
    Input, Producer, State, Transaction, TransactionRefused, check_id,
};
use bongsu_record::Lsn;

use super::{Done, Key, TransactionCell};
use crate::cell::QueueCell;
use crate::handle::{Executed, SessionHandle};

impl SessionHandle {
    pub(crate) fn transaction(&mut self, request: Request) -> Executed {
        self.publishes = true;
        let (answer, lsn) = match request {
            Request::Init {
                transactional_id,
                timeout_ms,
                expected,
            } => {
                let done = self.init_producer(transactional_id, timeout_ms, expected);
                (Answer::Initialized(done.answer), done.lsn)
            }
            Request::AddPartitions(all) => {
                let mut lsn = Lsn(0);
                let added = all
                    .into_iter()
                    .map(|add| self.add_partitions(add, &mut lsn));
                (Answer::Added(added.collect()), lsn)
            }
            Request::AddOffsets { of, group } => {
                let done = self.add_group(&of, &group);
                (Answer::AddedOffsets(done.answer.map(|_| ())), done.lsn)
            }
            Request::CommitOffsets {
                of,
                group,
                commit,
                adds_group,
            } => self.commit_in_transaction(&of, &group, commit, adds_group),
            Request::End {
                of,
                committed,
                bumps_epoch,
            } => {
                let producer = of.producer;
                let input = Input::End {
                    producer,
                    committed,
                    bumps_epoch,
                };
                let done = self.of_member(&of, input);
                (Answer::Ended(done.answer), done.lsn)
            }
            Request::DescribeProducers(topics) => (self.describe_producers(topics), Lsn(0)),
            Request::Describe(ids) => {
                let described = ids.into_iter().map(|id| {
                    let described = self.describe_transaction(&id);
                    (id, described)
                });
                (Answer::Described(described.collect()), Lsn(0))
            }
            Request::List(filter) => (Answer::Listed(self.list_transactions(&filter)), Lsn(0)),
        };
        if lsn > self.broker().durable_lsn() {
            self.broker().storage().hurry();
        }
        Executed::Durable(lsn, Reply::Transaction(Box::new(answer)))
    }

    fn key(&self, transactional_id: &Arc<str>) -> Result<Key, TransactionRefused> {
        check_id(transactional_id)?;
        if !self.may(
            Operation::Write,
            Resource::TransactionalId,
            transactional_id,
        ) {
            return Err(TransactionRefused::IdDenied);
        }
        let space = self.in_space().map_err(|_| TransactionRefused::IdDenied)?;
        Ok((space, transactional_id.clone()))
    }

    fn init_producer(
        &self,
        transactional_id: Option<Arc<str>>,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Done {
        let broker = self.broker();
        let mut lsn = Lsn(0);
        let Some(transactional_id) = transactional_id else {
            let id = broker.fresh_producer_id(&mut lsn);
            let answer = id
                .map(|id| Producer { id, epoch: 0 })
                .ok_or(TransactionRefused::Storage);
            return Done { answer, lsn };
        };
        let key = match self.key(&transactional_id) {
            Ok(key) => key,
            Err(refused) => return refuse(refused),
        };
        let timeout_ms_max = broker.transactions().settings().timeout_ms_max;
        if !(1..=timeout_ms_max).contains(&timeout_ms) {
            return refuse(TransactionRefused::Timeout);
        }
        let input = Input::Init {
            timeout_ms: timeout_ms.unsigned_abs(),
            expected,
        };
        loop {
            let cell = match broker.transactions().find(&key) {
                Some(cell) => cell,
                None => {
                    let Some(id) = broker.fresh_producer_id(&mut lsn) else {
                        return refuse(TransactionRefused::Storage);
                    };
                    let mut by_id = broker.transactions().by_id.write();
                    let new = || TransactionCell::new(key.clone(), Transaction::new(id));
                    by_id.entry(key.clone()).or_insert_with(new).clone()
                }
            };
            let mut held = cell.lock();
            if !held.gone {
                let done = broker.transact(&cell, &mut held, input);
                return Done {
                    lsn: done.lsn.max(lsn),
                    ..done
                };
            }
        }
    }

    /// Does something to the transaction of whoever asks.
    fn of_member(&self, of: &Member, input: Input<'_>) -> Done {
        let key = match self.key(&of.transactional_id) {
            Ok(key) => key,
            Err(refused) => return refuse(refused),
        };
        let Some(cell) = self.broker().transactions().find(&key) else {
            return refuse(TransactionRefused::UnknownProducer);
        };
        let mut held = cell.lock();
        if held.gone {
            return refuse(TransactionRefused::UnknownProducer);
        }
        let mut done = self.broker().transact(&cell, &mut held, input);
        if done.lsn == Lsn(0) {
            // What it says was recorded before, perhaps just now.
            done.lsn = self.broker().position();
        }
        done
    }

    fn add_partitions(&mut self, add: AddPartitions, lsn: &mut Lsn) -> AddedTo {
        let found: Vec<FoundTopic> = add
            .topics
            .iter()
            .map(|(topic, partitions)| {
                let named = TopicRef::Name(topic.clone());
                let found = partitions.iter().map(|partition| {
                    let cell = self.partition(&named, *partition, Permission::Write);
                    let found = cell.map_err(refused_partition).and_then(joinable);
                    (*partition, found)
                });
                (topic.clone(), found.collect())
            })
            .collect();
        let all = || found.iter().flat_map(|(_, partitions)| partitions);
        let wanted: Vec<QueueId> = all().filter_map(|(_, at)| at.ok()).collect();
        let complete = wanted.len() == all().count();
        // All or nothing, as Kafka does it.
        let answer = match (complete, add.only_verifies) {
            (false, false) => Err(TransactionRefused::NotAttempted),
            (_, true) => Ok(()),
            (true, false) => {
                let producer = add.of.producer;
                let input = Input::Join {
                    producer,
                    partitions: &wanted,
                    group: None,
                };
                let done = self.of_member(&add.of, input);
                *lsn = done.lsn.max(*lsn);
                done.answer.map(|_| ())
            }
        };
        let results = |partitions: Vec<(i32, Result<QueueId, TransactionRefused>)>| {
            let each = partitions.into_iter().map(|(partition, found)| {
                let result = found.and_then(|at| match add.only_verifies {
                    true => self.verify(&add.of, at),
                    false => answer,
                });
                (partition, result)
            });
            each.collect::<Vec<PartitionResult>>()
        };
        let topics = found.into_iter();
        let topics = topics.map(|(topic, partitions)| (topic, results(partitions)));
        AddedTo {
            topics: topics.collect(),
            transactional_id: add.of.transactional_id.clone(),
        }
    }

    fn verify(&self, of: &Member, partition: QueueId) -> Result<(), TransactionRefused> {
        let key = self.key(&of.transactional_id)?;
        let cell = self.broker().transactions().find(&key);
        let cell = cell.ok_or(TransactionRefused::UnknownProducer)?;
        let held = cell.lock();
        held.transaction.verify(of.producer, partition)
    }

    fn add_group(&self, of: &Member, group: &Arc<str>) -> Done {
        if self.may_use(group).is_err() {
            return refuse(TransactionRefused::GroupDenied);
        }
        let input = Input::Join {
            producer: of.producer,
            partitions: &[],
            group: Some(group),
        };
        self.of_member(of, input)
    }

    fn commit_in_transaction(
        &mut self,
        of: &Member,
        name: &Arc<str>,
        commit: Commit,
        adds_group: bool,
    ) -> (Answer, Lsn) {
        let refused = |refused| (Answer::CommittedOffsets(Err(refused)), Lsn(0));
        let key = match self.key(&of.transactional_id) {
            Ok(key) => key,
            Err(error) => return refused(error),
        };
        if self.may_use(name).is_err() {
            return refused(TransactionRefused::GroupDenied);
        }
        let broker = self.broker().clone();
        // Held until the commit is recorded: a topic that goes meanwhile takes it along.
        let catalog = broker.catalog();
        let mut request = group::Request::Commit(commit);
        self.resolve_topics(key.0, &catalog, &mut request);
        let group::Request::Commit(commit) = request else {
            return refused(TransactionRefused::Malformed);
        };
        let Some(cell) = broker.transactions().find(&key) else {
            return refused(TransactionRefused::UnknownProducer);
        };
        // Held until the group has it: the transaction must not end in between.
        let mut held = cell.lock();
        let verified = match held.gone {
            true => Err(TransactionRefused::UnknownProducer),
            false => held.transaction.verify_group(of.producer, name),
        };
        match verified {
            Ok(()) => {}
            Err(TransactionRefused::NotInTransaction) if adds_group => {
                let input = Input::Join {
                    producer: of.producer,
                    partitions: &[],
                    group: Some(name),
                };
                if let Err(error) = broker.transact(&cell, &mut held, input).answer {
                    return refused(error);
                }
            }
            Err(error) => return refused(error),
        }
        let producer_id = of.producer.id;
        let (results, lsn) = broker.with_group(key.0, name, |group, now_ms, effects| {
            group.commit_transactional(producer_id, commit, now_ms, effects)
        });
        let lsn = lsn.unwrap_or_else(|| broker.position());
        (Answer::CommittedOffsets(Ok(results)), lsn)
    }

    fn describe_producers(&mut self, topics: Vec<(Arc<str>, Vec<i32>)>) -> Answer {
        let now_ms = self.broker().now_ms();
        let described = topics.into_iter().map(|(topic, partitions)| {
            let named = TopicRef::Name(topic.clone());
            let each = partitions.into_iter().map(|partition| {
                let cell = self.partition(&named, partition, Permission::Read);
                let active = cell.map_err(refused_partition).map(|cell| {
                    let state = cell.lock();
                    let producers = state.producers.as_ref();
                    producers.map_or(Vec::new(), |producers| producers.active(now_ms).collect())
                });
                (partition, active)
            });
            let each: Vec<PartitionProducers> = each.collect();
            (topic, each)
        });
        Answer::Producers(described.collect())
    }

    fn describe_transaction(&self, id: &Arc<str>) -> Result<Described, TransactionRefused> {
        let key = self.key(id)?;
        let cell = self.broker().transactions().find(&key);
        let cell = cell.ok_or(TransactionRefused::NotFound)?;
        let transaction = {
            let held = cell.lock();
            match held.gone || held.transaction.producer().epoch < 0 {
                true => return Err(TransactionRefused::NotFound),
                false => held.transaction.clone(),
            }
        };
        let (since_ms, partitions) = match transaction.state() {
            State::Ongoing(open) => (Some(open.since_ms), open.partitions.clone()),
            _ => (None, Default::default()),
        };
        let mut topics: BTreeMap<Arc<str>, Vec<i32>> = BTreeMap::new();
        let catalog = self.broker().catalog();
        for at in partitions {
            // One that was deleted is of no topic.
            if let Some((_, topic, partition)) = catalog.partition_of(at) {
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                topics.entry(topic).or_default().push(partition);
            }
        }
        Ok(Described {
            producer: transaction.producer(),
            state: transaction.state().name(),
            timeout_ms: transaction.timeout_ms(),
            since_ms,
            topics: topics.into_iter().collect(),
        })
    }

    fn list_transactions(&self, filter: &Filter) -> Result<Listed, TransactionRefused> {
        let space = self.in_space().map_err(|_| TransactionRefused::IdDenied)?;
        let listing = filter.compiled()?;
        let now_ms = self.broker().now_ms();
        let mut listed = Listed {
            unknown_states: filter.unknown_states(),
            transactions: Vec::new(),
        };
        let all = self.broker().transactions().all();
        for cell in all.iter().filter(|cell| cell.key.0 == space) {
            let held = cell.lock();
            let transaction = &held.transaction;
            let id = &cell.key.1;
            let may = self.may(Operation::Describe, Resource::TransactionalId, id);
            if may && !held.gone && listing.lists(id, transaction, now_ms) {
                let producer = transaction.producer().id;
                let state = transaction.state().name();
                listed.transactions.push((id.clone(), producer, state));
            }
        }
        Ok(listed)
    }
}

/// A transaction writes to streams. In a work queue a record is handed out when it is
/// appended, and could not be taken back.
fn joinable(cell: Arc<QueueCell>) -> Result<QueueId, TransactionRefused> {
    let state = cell.lock();
    match state.machine.properties().is_stream {
        true => Ok(cell.id),
        false => Err(TransactionRefused::State),
    }
}

fn refused_partition(refused: PartitionRefused) -> TransactionRefused {
    match refused {
        PartitionRefused::Unknown | PartitionRefused::UnknownId => {
            TransactionRefused::UnknownPartition
        }
        PartitionRefused::Name => TransactionRefused::TopicName,
        PartitionRefused::Access => TransactionRefused::TopicDenied,
    }
}

fn refuse(refused: TransactionRefused) -> Done {
    Done {
        answer: Err(refused),
        lsn: Lsn(0),
    }
}

/// A topic, and the queue of each partition that was asked for.
type FoundTopic = (Arc<str>, Vec<(i32, Result<QueueId, TransactionRefused>)>);
