//! One broker on a disk that can lose power, one session, and the time as the test says.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Limits, Prepared, ReadJob, SessionHandle};
use bongsu_engine::session::{
    Call, Consume, DeclareQueue, Delivery, LinkId, Now, Outcome, Publish, Reply, Settle,
};
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Lsn, Offset, Value, table};
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

pub struct World {
    pub disk: SimDisk,
    pub broker: Broker,
    pub session: SessionHandle,
    pub now_ms: u64,
    /// Links that the broker closed.
    pub closed: Vec<LinkId>,
    next_link: u32,
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub fn table_of(pairs: &[(&str, Value)]) -> Arguments {
    let owned = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
    pairs.iter().map(owned).collect()
}

pub fn consume(link: LinkId, queue: &str, credit: u32, arguments: &[(&str, Value)]) -> Call {
    Call::Consume(Consume {
        channel: 1,
        tag: String::new(),
        link,
        queue: queue.to_owned(),
        name: "reader".to_owned(),
        credit,
        pool: None,
        auto_settle: false,
        exclusive: false,
        arguments: table_of(arguments),
    })
}

fn open(disk: &SimDisk, now_ms: u64) -> (Broker, SessionHandle) {
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
    let limits = Limits::default();
    let (broker, _) = Broker::open(disk, options, Durability::Fsync, limits).expect("it opens");
    broker.set_time(now_ms);
    let mut session = broker.session(true);
    let (user, password) = ("guest".to_owned(), "guest".to_owned());
    execute(&mut session, Call::Login { user, password }, now_ms);
    let space = "/".to_owned();
    execute(&mut session, Call::OpenSpace { space }, now_ms);
    (broker, session)
}

fn execute(session: &mut SessionHandle, call: Call, now_ms: u64) -> Reply {
    let now = Now {
        instant: Instant::now(),
        unix_ms: now_ms as i64,
    };
    let executed = session.execute(call, now);

    executed.into_reply().expect("none of these calls waits")
}

impl World {
    pub fn new(seed: u64) -> World {
        let disk = SimDisk::new(seed);
        let now_ms = 1_700_000_000_000;
        let (broker, session) = open(&disk, now_ms);
        World {
            disk,
            broker,
            session,
            now_ms,
            closed: Vec::new(),
            next_link: 1_000,
        }
    }

    pub fn call(&mut self, call: Call) -> Reply {
        execute(&mut self.session, call, self.now_ms)
    }

    pub fn done(&mut self, call: Call) {
        let reply = self.call(call);
        assert!(!matches!(reply, Reply::Refused(_)), "{reply:?}");
    }

    pub fn declare(&mut self, name: &str, arguments: &[(&str, Value)]) {
        self.declared(name, false, table_of(arguments));
        self.commit();
    }

    /// Records ready and links open.
    fn declared(&mut self, name: &str, passive: bool, arguments: Arguments) -> (u64, u32) {
        let declare = Call::DeclareQueue(DeclareQueue {
            name: name.to_owned(),
            passive,
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        });
        match self.call(declare) {
            Reply::Queue { ready, links, .. } => (ready, links),
            other => panic!("{other:?}"),
        }
    }

    pub fn ready(&mut self, name: &str) -> u64 {
        self.declared(name, true, Arguments::new()).0
    }

    pub fn links(&mut self, name: &str) -> u32 {
        self.declared(name, true, Arguments::new()).1
    }

    /// Publishes numbers in one batch, each in a body of 1000 bytes. Returns the first: what
    /// a test that has no crashes may expect as its offset.
    pub fn publish(&mut self, queue: &str, numbers: Range<u64>) -> u64 {
        let first = numbers.start;
        self.publish_all(queue, numbers.map(|number| (number, "")));
        first
    }

    pub fn publish_coloured(&mut self, queue: &str, number: u64, colour: &str) {
        self.publish_all(queue, std::iter::once((number, colour)));
    }

    fn publish_all<'a>(&mut self, queue: &str, records: impl Iterator<Item = (u64, &'a str)>) {
        self.publish_waited(queue, records);
    }

    /// As [`World::publish`]; returns what must be durable for it to be confirmed.
    pub fn publish_waited<'a>(
        &mut self,
        queue: &str,
        records: impl Iterator<Item = (u64, &'a str)>,
    ) -> Lsn {
        let mut builder = Builder::new();
        for (number, colour) in records {
            let mut block = vec![0x20, 0];
            let headers = match colour {
                "" => Arguments::new(),
                colour => table_of(&[("x-stream-filter-value", text(colour))]),
            };
            table::encode(&headers, &mut block);
            let key = queue.as_bytes();
            builder.begin(Origin::Amqp091, PERSISTENT, b"", key, &block, 1000);
            builder.body(&number.to_be_bytes());
            builder.body(&[0; 992]);
            builder.end();
        }
        let publish = Call::Publish(Publish {
            exchange: String::new(),
            routing_key: queue.to_owned(),
            more_keys: Vec::new(),
            batch: builder.finish(self.now_ms as i64).expect("records"),
        });
        match self.call(publish) {
            Reply::Published {
                wait, routed: true, ..
            } => wait.expect("durable"),
            other => panic!("{other:?}"),
        }
    }

    pub fn settle(&mut self, link: LinkId, records: Range<u64>, outcome: Outcome) {
        self.done(Call::Settle(Settle {
            link,
            ranges: vec![Offset(records.start)..Offset(records.end)],
            outcome,
        }));
    }

    /// Takes one record for good.
    pub fn get(&mut self, queue: &str) -> Option<u64> {
        let get = Call::Get {
            link: LinkId(999),
            queue: queue.to_owned(),
            auto_settle: true,
        };
        let Reply::Got(got) = self.call(get) else {
            panic!("not got");
        };
        got.map(|(delivery, _)| numbers(&delivery)[0].1)
    }

    /// What there is to be delivered now: link, number, offset. Stops at what is not durable.
    pub fn read(&mut self) -> Vec<(LinkId, u64, u64)> {
        let mut found = Vec::new();
        let mut deliveries = Vec::new();
        loop {
            deliveries.clear();
            match self.session.prepare(&mut deliveries, 4000) {
                Prepared::Deliver => {
                    for delivery in &deliveries {
                        for (offset, number) in numbers(delivery) {
                            found.push((delivery.link, number, offset));
                        }
                    }
                    self.session.delivered(&deliveries);
                }
                Prepared::Read(job) => self.session.have_read(job.run()),
                Prepared::Closed(link) => self.closed.push(link),
                Prepared::Wait(_) | Prepared::Nothing => return found,
                other => panic!("no call waits: {other:?}"),
            }
        }
    }

    /// What must be read from the disk before anything is delivered.
    pub fn read_job(&mut self) -> ReadJob {
        match self.session.prepare(&mut Vec::new(), 4000) {
            Prepared::Read(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Every number that can be read, by a reader of its own.
    pub fn read_all(&mut self, queue: &str) -> Vec<u64> {
        self.next_link += 1;
        let link = LinkId(self.next_link);
        let arguments = [
            ("x-stream-offset", text("first")),
            ("x-stream-until", text("next")),
        ];
        self.done(consume(link, queue, 10_000, &arguments));
        let found = self.read();
        assert_eq!(self.closed.pop(), Some(link), "it has an end");
        let own = found.into_iter().filter(|(of, _, _)| *of == link);
        own.map(|(_, number, _)| number).collect()
    }

    /// Time passes, and the clerk does what is due.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.broker.set_time(self.now_ms);
        self.clerk();
    }

    pub fn clerk(&mut self) {
        for _ in 0..100 {
            if !self.broker.step_clerk() {
                return;
            }
        }
        panic!("the clerk finds no end");
    }

    pub fn commit(&mut self) {
        self.broker.step_commit().expect("committed");
    }

    pub fn checkpoint(&mut self) {
        self.broker.step_checkpoint().expect("taken");
    }

    /// A polite stop, and the start after it.
    pub fn restart(&mut self) {
        self.session.end();
        self.clerk();
        self.broker.close().expect("closed");
        self.open_again();
    }

    /// Nobody says goodbye, and what was not synced is gone.
    pub fn crash(&mut self) {
        self.disk.kill();
        self.open_again();
    }

    pub fn open_again(&mut self) {
        let (spare, session) = open(&SimDisk::new(0), self.now_ms);
        let old = std::mem::replace(&mut self.session, session);
        std::mem::forget(old);
        self.broker = spare;
        self.disk.crash();
        let (broker, session) = open(&self.disk, self.now_ms);
        self.broker = broker;
        self.session = session;
        self.clerk();
    }

    /// Bytes of segments on the disk.
    pub fn segment_bytes(&mut self) -> u64 {
        self.checkpoint();
        let files = self.disk.files().into_iter();
        let is_segment = |path: &std::path::Path| path.to_string_lossy().contains("segment-");
        let segments = files.filter(|(path, _)| is_segment(path));
        segments.map(|(_, bytes)| bytes).sum()
    }
}

/// Offset and number of each record.
fn numbers(delivery: &Delivery) -> Vec<(u64, u64)> {
    let offsets = delivery.records.start.0..delivery.records.end.0;
    let of = |offset: u64| {
        let index = (offset - delivery.base.0) as u32;
        let record = delivery.batch.native_record(index).expect("a record");
        let number = record.body.first_chunk().expect("eight bytes");
        (offset, u64::from_be_bytes(*number))
    };
    offsets.map(of).collect()
}
