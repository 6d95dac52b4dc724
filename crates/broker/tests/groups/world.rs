//! One broker on a disk that can lose power, many sessions, and the time as the test says.

use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Executed, Limits, Prepared, SessionHandle};
use bongsu_engine::group::classic::{Join, Protocol, Sync};
use bongsu_engine::group::offsets::{
    Commit, CommitPartition, CommitTopic, FetchOffsets, FetchTopic, Topic,
};
use bongsu_engine::group::{Answer, Call, Client, GroupError, Request};
use bongsu_engine::session::{Call as AnyCall, DeclareQueue, Now, Reply};
use bongsu_record::{Arguments, Lsn, Value};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

pub struct World {
    pub disk: SimDisk,
    pub broker: Broker,
    pub now_ms: u64,
}

/// One client.
pub struct Consumer {
    session: SessionHandle,
    pub member: String,
    pub generation: i32,
}

fn open(disk: &SimDisk, now_ms: u64) -> Broker {
    let options = Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
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

fn now(now_ms: u64) -> Now {
    Now {
        instant: Instant::now(),
        unix_ms: now_ms as i64,
    }
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

    pub fn consumer(&self) -> Consumer {
        let mut session = self.broker.session(true);
        let (user, password) = ("guest".to_owned(), "guest".to_owned());
        session.execute(AnyCall::Login { user, password }, now(self.now_ms));
        let space = "/".to_owned();
        session.execute(AnyCall::OpenSpace { space }, now(self.now_ms));
        Consumer {
            session,
            member: String::new(),
            generation: -1,
        }
    }

    pub fn declare(&self, topic: &str) {
        let stream = Value::Text("stream".to_owned());
        let declare = AnyCall::DeclareQueue(DeclareQueue {
            name: topic.to_owned(),
            passive: false,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: Arguments::from([("x-queue-type".to_owned(), stream)]),
        });
        self.change(declare);
    }

    pub fn delete(&self, topic: &str) {
        self.change(AnyCall::DeleteQueue {
            name: topic.to_owned(),
            if_unused: false,
            if_empty: false,
        });
    }

    fn change(&self, call: AnyCall) {
        let executed = self.consumer().session.execute(call, now(self.now_ms));
        let reply = executed.into_reply().expect("it does not wait");
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
        self.disk.kill();
        self.broker = open(&SimDisk::new(0), self.now_ms);
        self.disk.crash();
        self.broker = open(&self.disk, self.now_ms);
    }

    pub fn restart(&mut self) {
        self.broker.close().expect("closed");
        self.broker = open(&SimDisk::new(0), self.now_ms);
        self.broker = open(&self.disk, self.now_ms);
    }
}

impl Consumer {
    /// Asks; the answer if it comes at once, with what it waits for.
    pub fn call(&mut self, world: &World, call: Call) -> Option<(Answer, Option<Lsn>)> {
        let call = AnyCall::Group(Box::new(call));
        let (reply, lsn) = match self.session.execute(call, now(world.now_ms)) {
            Executed::Now(reply) => (reply, None),
            Executed::Durable(lsn, reply) => (reply, Some(lsn)),
            Executed::Later => return None,
            Executed::Job(_) => panic!("nothing is read"),
        };
        match reply {
            Reply::Group(answer) => Some((*answer, lsn)),
            other => panic!("{other:?}"),
        }
    }

    pub fn ask(&mut self, world: &World, group: &str, request: Request) -> Option<Answer> {
        let call = Call::To {
            group: group.to_owned(),
            client: Client {
                id: "c".to_owned(),
                host: "here".to_owned(),
            },
            request,
        };
        Some(self.call(world, call)?.0)
    }

    /// The answer that was waited for, if it is there.
    pub fn answer(&mut self) -> Option<Answer> {
        match self.session.prepare(&mut Vec::new(), 4000) {
            Prepared::Nothing => None,
            Prepared::Reply(Reply::Group(answer)) => Some(*answer),
            other => panic!("{other:?}"),
        }
    }

    /// Joins; with both steps, and waits.
    pub fn join(&mut self, world: &World, group: &str) -> Option<Answer> {
        let answer = self.ask(world, group, Request::Join(self.join_request()));
        if let Some(Answer::Joined(Err(GroupError::MemberIdRequired { member }))) = answer {
            self.member = member.to_string();
            return self.ask(world, group, Request::Join(self.join_request()));
        }
        answer
    }

    fn join_request(&self) -> Join {
        Join {
            member: self.member.clone(),
            instance: None,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol {
                name: Arc::from("range"),
                metadata: Arc::from([1, 2]),
                topics: Some(Arc::from(["t".to_owned()])),
            }],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            id_required: self.member.is_empty(),
            may_skip: true,
        }
    }

    /// Takes the answer to a join that waited. Returns the members, if it leads.
    pub fn joined(&mut self) -> Vec<String> {
        let Some(Answer::Joined(Ok(joined))) = self.answer() else {
            panic!("not joined");
        };
        self.member = joined.member.to_string();
        self.generation = joined.generation;
        let members = joined.members.iter();
        members.map(|member| member.member.to_string()).collect()
    }

    pub fn sync(&mut self, world: &World, group: &str, shares: &[(&str, &str)]) -> Option<Answer> {
        let shares = shares.iter();
        let assignments = shares
            .map(|(member, share)| ((*member).to_owned(), Arc::from(share.as_bytes())))
            .collect();
        let request = Request::Sync(Sync {
            member: self.member.clone(),
            generation: self.generation,
            assignments,
            ..Sync::default()
        });
        self.ask(world, group, request)
    }

    pub fn heartbeat(&mut self, world: &World, group: &str) -> Result<(), GroupError> {
        let request = Request::Heartbeat {
            member: self.member.clone(),
            instance: None,
            generation: self.generation,
        };
        match self.ask(world, group, request) {
            Some(Answer::Alive(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Commits one offset; returns with what it is durable.
    pub fn commit(
        &mut self,
        world: &World,
        (group, topic): (&str, &str),
        offset: i64,
    ) -> Result<Option<Lsn>, GroupError> {
        let commit = Request::Commit(Commit {
            member: self.member.clone(),
            instance: None,
            generation: self.generation,
            retention_ms: -1,
            knows_not_found: true,
            topics: vec![CommitTopic {
                topic: named(topic),
                partitions: vec![CommitPartition {
                    partition: 0,
                    offset,
                    leader_epoch: 0,
                    metadata: Arc::from("m"),
                }],
            }],
        });
        let call = Call::To {
            group: group.to_owned(),
            client: Client::default(),
            request: commit,
        };
        match self.call(world, call) {
            Some((Answer::Committed(mut results), lsn)) => {
                let (_, mut partitions) = results.remove(0);
                partitions.remove(0).1.map(|()| lsn)
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a group remembers of the first partition of a topic.
    pub fn fetch(&mut self, world: &World, group: &str, topic: &str) -> Option<i64> {
        let fetch = FetchOffsets {
            topics: Some(vec![FetchTopic {
                topic: named(topic),
                partitions: vec![0],
            }]),
            ..FetchOffsets::default()
        };
        let Some(Answer::Fetched(Ok(topics))) =
            self.ask(world, group, Request::FetchOffsets(fetch))
        else {
            panic!("not fetched");
        };
        let committed = topics[0].partitions[0].committed.as_ref();
        committed
            .expect("it is there")
            .as_ref()
            .map(|said| said.offset)
    }
}

pub fn named(topic: &str) -> Topic {
    Topic {
        name: Arc::from(topic),
        ..Topic::default()
    }
}
