//! One broker on a disk that can lose power, producers and readers, and the time as the test
//! says.

use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Executed, Limits, Prepared, SessionHandle};
use bongsu_engine::group::offsets::{
    Commit, CommitPartition, CommitTopic, FetchOffsets, FetchTopic, Topic,
};
use bongsu_engine::group::{self, Client};
use bongsu_engine::session::records::{
    Append, AppendRefused, AppendRequest, FetchPart, FetchRequest, FetchedPart, TopicRef,
};
use bongsu_engine::session::{Call, Consume, DeclareQueue, LinkId, Now, Outcome, Reply, Settle};
use bongsu_engine::transaction::call::{AddPartitions, Member};
use bongsu_engine::transaction::{Answer, Producer, Request, TransactionRefused};
use bongsu_record::kafka::{Records, Writer, validate};
use bongsu_record::{Arguments, Batch, Lsn, Offset, Value};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

pub struct World {
    pub disk: SimDisk,
    pub broker: Broker,
    pub now_ms: u64,
}

/// One client's connection.
pub struct Peer {
    session: SessionHandle,
    now_ms: u64,
}

/// A producer with a transactional id, and the number of its next record by topic.
#[derive(Clone, Debug)]
pub struct Writing {
    pub id: Option<Arc<str>>,
    pub producer: Producer,
    /// As clients of KIP-890: appending adds the partition, ending makes an epoch.
    pub modern: bool,
}

fn open(disk: &SimDisk, now_ms: u64) -> Broker {
    let options = Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
        direct_bytes_min: 4 << 10,
        inline_bytes_max: 2 << 10,
        cache_bytes: 8 << 10,
        reserve_bytes: 64 << 10,
        ..Options::new("/data")
    };
    let disk = Arc::new(disk.clone());
    let (broker, _) =
        Broker::open(disk, options, Durability::Fsync, Limits::default()).expect("it opens");
    broker.set_time(now_ms);
    broker
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

impl World {
    pub fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let now_ms = 1_700_000_000_000;
        let broker = open(&disk, now_ms);
        World {
            disk,
            broker,
            now_ms,
        }
    }

    pub fn peer(&self) -> Peer {
        let mut peer = Peer {
            session: self.broker.session(true),
            now_ms: self.now_ms,
        };
        let (user, password) = ("guest".to_owned(), "guest".to_owned());
        peer.call(Call::Login { user, password });
        let space = "/".to_owned();
        peer.call(Call::OpenSpace { space });
        peer
    }

    pub fn declare(&self, name: &str, queue_type: &str) {
        let arguments = match queue_type {
            "stream" => Arguments::from([("x-queue-type".to_owned(), text("stream"))]),
            _ => Arguments::new(),
        };
        let reply = self.peer().call(Call::DeclareQueue(DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        }));
        assert!(matches!(reply, Reply::Queue { .. }), "{reply:?}");
    }

    pub fn delete(&self, name: &str) {
        let reply = self.peer().call(Call::DeleteQueue {
            name: name.to_owned(),
            if_unused: false,
            if_empty: false,
        });
        assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
    }

    /// Time passes, and the clerk does what is due.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.broker.set_time(self.now_ms);
        for _ in 0..100 {
            if !self.broker.step_clerk() {
                return;
            }
        }
        panic!("the clerk finds no end");
    }

    pub fn commit(&self) {
        self.broker.step_commit().expect("committed");
    }

    pub fn checkpoint(&self) {
        self.broker.step_checkpoint().expect("taken");
    }

    /// Nobody says goodbye, and what was not synced is gone.
    pub fn crash(&mut self) {
        self.disk.clear_fault();
        self.disk.kill();
        self.broker = open(&SimDisk::new(0), self.now_ms);
        self.disk.crash();
        self.broker = open(&self.disk, self.now_ms);
    }

    /// Everything in a stream, as it is.
    pub fn fetch(&self, topic: &str, committed: bool) -> FetchedPart {
        let request = FetchRequest {
            parts: vec![FetchPart {
                topic: TopicRef::Name(Arc::from(topic)),
                partition: 0,
                offset: 0,
                bytes_max: 1 << 30,
            }],
            wait_ms: 0,
            bytes_min: 0,
            bytes_max: 1 << 30,
            committed,
            ..FetchRequest::default()
        };
        let mut all = FetchedPart::default();
        let mut peer = self.peer();
        let mut from = 0;
        // What lies in segments comes in pieces.
        loop {
            let mut request = request.clone();
            request.parts[0].offset = from;
            let Reply::Fetched(mut parts) = peer.call(Call::Fetch(Box::new(request))) else {
                panic!("not fetched");
            };
            let part = parts.pop().expect("one was asked for");
            assert_eq!(part.refused, None);
            let last = part.batches.last();
            let end = last.map(|(base, batch)| base.0 + u64::from(batch.offset_count()));
            for aborted in part.aborted {
                if !all.aborted.contains(&aborted) {
                    all.aborted.push(aborted);
                }
            }
            all.batches.extend(part.batches);
            (all.stable, all.durable_end) = (part.stable, part.durable_end);
            match end {
                Some(end) => from = end as i64,
                None => return all,
            }
        }
    }

    /// What a consumer shows its application: offset and value of each record.
    pub fn read(&self, topic: &str, committed: bool) -> Vec<(u64, String)> {
        let part = self.fetch(topic, committed);
        let mut aborting = std::collections::BTreeSet::new();
        let mut aborted = part.aborted.clone();
        aborted.sort_by_key(|(_, first)| first.0);
        let mut aborted = aborted.into_iter().peekable();
        let mut found = Vec::new();
        for (base, batch) in &part.batches {
            // As clients do it.
            let end = base.0 + u64::from(batch.offset_count());
            while let Some((producer, _)) = aborted.next_if(|(_, first)| first.0 < end) {
                aborting.insert(producer);
            }
            if batch.is_control() {
                let mark = bongsu_record::kafka::EndMark::of(batch).expect("a mark");
                if !mark.committed {
                    aborting.remove(&mark.producer_id);
                }
                continue;
            }
            if batch.is_transactional() && aborting.contains(&batch.producer_id()) {
                continue;
            }
            for (offset, value) in values(*base, batch) {
                found.push((offset, value));
            }
        }
        found
    }

    pub fn values(&self, topic: &str) -> Vec<String> {
        let read = self.read(topic, true).into_iter();
        read.map(|(_, value)| value).collect()
    }

    /// What a group remembers of a stream; `Err`: a transaction may change it.
    pub fn committed(&self, group: &str, topic: &str) -> Result<Option<i64>, ()> {
        let fetch = FetchOffsets {
            member: None,
            member_epoch: -1,
            require_stable: true,
            topics: Some(vec![FetchTopic {
                topic: named(topic),
                partitions: vec![0],
            }]),
        };
        let call = group::Call::To {
            group: group.to_owned(),
            client: Client::default(),
            request: group::Request::FetchOffsets(fetch),
        };
        let Reply::Group(answer) = self.peer().call(Call::Group(Box::new(call))) else {
            panic!("no group's answer");
        };
        let group::Answer::Fetched(Ok(topics)) = *answer else {
            panic!("not fetched");
        };
        let committed = topics[0].partitions[0].committed.clone();
        match committed {
            Ok(committed) => Ok(committed.map(|committed| committed.offset)),
            Err(_) => Err(()),
        }
    }
}

impl Peer {
    pub fn call(&mut self, call: Call) -> Reply {
        self.waited(call).0
    }

    /// The reply, and what must be durable before it is given.
    fn waited(&mut self, call: Call) -> (Reply, Lsn) {
        let now = Now {
            instant: Instant::now(),
            unix_ms: self.now_ms as i64,
        };
        match self.session.execute(call, now) {
            Executed::Now(reply) => (reply, Lsn(0)),
            Executed::Durable(lsn, reply) => (reply, lsn),
            Executed::Job(job) => (job.run(), Lsn(0)),
            Executed::Later => panic!("none of these calls waits"),
        }
    }

    pub fn ask(&mut self, request: Request) -> (Answer, Lsn) {
        match self.waited(Call::Transaction(Box::new(request))) {
            (Reply::Transaction(answer), lsn) => (*answer, lsn),
            (other, _) => panic!("{other:?}"),
        }
    }

    pub fn init(&mut self, id: Option<&str>, modern: bool) -> Writing {
        let id: Option<Arc<str>> = id.map(Arc::from);
        let request = Request::Init {
            transactional_id: id.clone(),
            timeout_ms: 60_000,
            expected: None,
        };
        let (Answer::Initialized(Ok(producer)), _) = self.ask(request) else {
            panic!("not initialized");
        };
        Writing {
            id,
            producer,
            modern,
        }
    }

    pub fn add(&mut self, of: &Writing, topics: &[&str]) -> Result<(), TransactionRefused> {
        let topics = topics.iter().map(|topic| (Arc::from(*topic), vec![0]));
        let add = AddPartitions {
            of: of.member(),
            only_verifies: false,
            topics: topics.collect(),
        };
        let (Answer::Added(added), _) = self.ask(Request::AddPartitions(vec![add])) else {
            panic!("not added");
        };
        let mut results = added[0].topics.iter().flat_map(|(_, each)| each);
        results.try_for_each(|(_, result)| *result)
    }

    /// Appends values to a stream; `sequence` numbers the first. With where they are, and
    /// with what they are durable.
    pub fn produce(
        &mut self,
        of: &Writing,
        topic: &str,
        sequence: i32,
        values: &[&str],
    ) -> Result<(Offset, Lsn), AppendRefused> {
        let mut writer = Writer::new();
        for value in values {
            writer.push(self.now_ms as i64, None, Some(value.as_bytes()), &[]);
        }
        let producer = (of.producer.id, of.producer.epoch);
        let batch = writer.finish().expect("there are values");
        let batch = batch.with_producer(producer, sequence, of.id.is_some());
        let seen = validate(&batch, 1 << 20).expect("it is sound");
        let request = AppendRequest {
            appends: vec![Append {
                topic: TopicRef::Name(Arc::from(topic)),
                partition: 0,
                batch,
                seen,
            }],
            transactional_id: of.id.clone(),
            adds_partitions: of.modern,
            all_replicas: true,
            client: "".into(),
        };
        match self.call(Call::Append(Box::new(request))) {
            Reply::Appended {
                wait, mut results, ..
            } => {
                let appended = results.pop().expect("one was appended")?;
                let base = appended.base.expect("it is known");
                Ok((base, wait.unwrap_or_default()))
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn commit_offset(
        &mut self,
        of: &Writing,
        (group, topic): (&str, &str),
        offset: i64,
    ) -> Result<(), TransactionRefused> {
        if !of.modern {
            let add = Request::AddOffsets {
                of: of.member(),
                group: Arc::from(group),
            };
            let (Answer::AddedOffsets(added), _) = self.ask(add) else {
                panic!("not added");
            };
            added?;
        }
        let commit = Commit {
            generation: -1,
            retention_ms: -1,
            topics: vec![CommitTopic {
                topic: named(topic),
                partitions: vec![CommitPartition {
                    partition: 0,
                    offset,
                    leader_epoch: -1,
                    metadata: Arc::from(""),
                }],
            }],
            ..Commit::default()
        };
        let request = Request::CommitOffsets {
            of: of.member(),
            group: Arc::from(group),
            commit,
            adds_group: of.modern,
        };
        let (Answer::CommittedOffsets(results), _) = self.ask(request) else {
            panic!("not committed");
        };
        assert_eq!(results?[0].1, [(0, Ok(()))]);
        Ok(())
    }

    /// Ends the transaction, and goes on as who it is then. With what it is durable.
    pub fn end(&mut self, of: &mut Writing, committed: bool) -> Result<Lsn, TransactionRefused> {
        let request = Request::End {
            of: of.member(),
            committed,
            bumps_epoch: of.modern,
        };
        match self.ask(request) {
            (Answer::Ended(result), lsn) => {
                of.producer = result?;
                Ok(lsn)
            }
            (other, _) => panic!("{other:?}"),
        }
    }

    /// Opens an AMQP reader from the first record on.
    pub fn consume(&mut self, queue: &str) {
        let reply = self.call(Call::Consume(Consume {
            channel: 1,
            tag: String::new(),
            link: LinkId(1),
            queue: queue.to_owned(),
            name: "reader".to_owned(),
            credit: 10,
            pool: None,
            auto_settle: false,
            exclusive: false,
            arguments: Arguments::from([("x-stream-offset".to_owned(), text("first"))]),
        }));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
    }

    /// What the AMQP reader is handed, and settles.
    pub fn handed(&mut self) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        let mut deliveries = Vec::new();
        loop {
            deliveries.clear();
            match self.session.prepare(&mut deliveries, 1 << 20) {
                Prepared::Deliver => {
                    let mut ranges = Vec::new();
                    for delivery in &deliveries {
                        let all = values(delivery.base, &delivery.batch).into_iter();
                        let range = delivery.records.clone();
                        found.extend(all.filter(|(at, _)| range.contains(&Offset(*at))));
                        ranges.push(range);
                    }
                    self.session.delivered(&deliveries);
                    self.call(Call::Settle(Settle {
                        link: LinkId(1),
                        ranges,
                        outcome: Outcome::Accept,
                    }));
                }
                Prepared::Read(job) => self.session.have_read(job.run()),
                Prepared::Wait(_) | Prepared::Nothing => return found,
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Writing {
    pub fn member(&self) -> Member {
        Member {
            transactional_id: self.id.clone().expect("it has transactions"),
            producer: self.producer,
        }
    }
}

fn values(base: Offset, batch: &Batch) -> Vec<(u64, String)> {
    let records = Records::open(batch, 1 << 20).expect("it is sound");
    let all = (0..records.count()).filter_map(|index| records.get(index));
    all.map(|record| {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default());
        (base.0 + u64::from(record.offset_delta), value.into_owned())
    })
    .collect()
}

fn named(topic: &str) -> Topic {
    Topic {
        name: Arc::from(topic),
        ..Topic::default()
    }
}
