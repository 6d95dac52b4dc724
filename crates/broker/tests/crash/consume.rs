//! Clients that take deliveries, settle them, get, and go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bongsu_broker::{Prepared, SessionHandle};
use bongsu_engine::Refused;
use bongsu_engine::session::{Call, Consume, Delivery, LinkId, Outcome, PoolId, Reply, Settle};
use bongsu_record::{Arguments, Offset};

use crate::history::{History, login};
use crate::steps::answer;
use crate::world::{Op, QueueNumber};

/// A session and what its client knows.
pub struct Client {
    pub handle: SessionHandle,
    pub links: BTreeMap<u32, Link>,
    next_link: u32,
}

/// A link as its client sees it.
pub struct Link {
    pub queue: QueueNumber,
    pub consumes: bool,
    auto_settle: bool,
    pub credit: u32,
    /// Offsets handed to it and not settled.
    held: BTreeSet<u64>,
    /// New records come in order.
    newest: u64,
    gets_from: Option<String>,
}

impl History {
    /// One of up to three clients.
    pub fn some_client(&mut self) -> usize {
        let index = self.random.below(3) as usize;
        while self.clients.len() <= index {
            let handle = login(self.broker(), self.now);
            self.clients.push(Client {
                handle,
                links: BTreeMap::new(),
                next_link: 1,
            });
        }
        index
    }

    /// What clients hold of a queue.
    pub fn held_of(&self, queue: QueueNumber) -> BTreeSet<u64> {
        let links = self.clients.iter().flat_map(|client| client.links.values());
        let of_queue = links.filter(|link| link.queue == queue);
        of_queue
            .flat_map(|link| link.held.iter().copied())
            .collect()
    }

    pub fn is_consumed(&self, queue: QueueNumber) -> bool {
        let mut links = self.clients.iter().flat_map(|client| client.links.values());
        links.any(|link| link.queue == queue && link.consumes)
    }

    pub fn consume(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let client = self.some_client();
        let credit = *self.random.pick(&[0, 1, 3, 50]);
        let auto_settle = self.random.chance(1, 4);
        let pool = self.random.chance(1, 5).then_some(PoolId(1));
        let now = self.now;
        if pool.is_some() && self.random.chance(1, 2) {
            let credit = self.random.below(5) as u32;
            let set = Call::SetPool {
                pool: PoolId(1),
                credit,
            };
            self.clients[client].handle.execute(set, now);
        }
        let name = self.live.queues[&queue].name.clone();
        let it = &mut self.clients[client];
        let number = it.next_link;
        it.next_link += 1;
        let (reply, _) = answer(it.handle.execute(
            Call::Consume(Consume {
                channel: 1,
                tag: String::new(),
                link: LinkId(number),
                queue: name,
                name: String::new(),
                credit,
                pool,
                auto_settle,
                exclusive: false,
                arguments: Arguments::new(),
            }),
            now,
        ));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        let link = Link {
            queue,
            consumes: true,
            auto_settle,
            credit,
            held: BTreeSet::new(),
            newest: 0,
            gets_from: None,
        };
        it.links.insert(number, link);
    }

    /// One client takes what there is for it, or a part.
    pub fn deliver(&mut self) {
        let client = self.some_client();
        let room = *self.random.pick(&[1, 500, 20_000, 1 << 20]);
        let mut deliveries = Vec::new();
        loop {
            match self.clients[client].handle.prepare(&mut deliveries, room) {
                Prepared::Nothing => return,
                Prepared::Deliver => {
                    self.take(client, &deliveries);
                    deliveries.clear();
                    if self.random.chance(1, 4) {
                        return;
                    }
                }
                Prepared::Closed(link) => {
                    if let Some(link) = self.clients[client].links.remove(&link.0) {
                        let gone = !self.live.queues.contains_key(&link.queue);
                        assert!(
                            gone || self.disk.is_off(),
                            "a link of a live queue was closed"
                        );
                    }
                }
                Prepared::Wait(lsn) => {
                    assert!(lsn > self.broker().durable_lsn(), "waits for what is there");
                    let committed = self.broker().step_commit();
                    self.confirm();
                    if committed.is_err() || self.random.chance(1, 4) {
                        return;
                    }
                }
                Prepared::Read(job) => {
                    let read = job.run();
                    self.clients[client].handle.have_read(read);
                }
                other => panic!("no call waits: {other:?}"),
            }
        }
    }

    /// The client has these, and its session has encoded them.
    fn take(&mut self, client: usize, deliveries: &[Delivery]) {
        let after = self.position();
        let mut settled: BTreeMap<QueueNumber, Vec<u64>> = BTreeMap::new();
        for delivery in deliveries {
            let link = self.clients[client].links.get(&delivery.link.0);
            let link = link.expect("nothing comes for a link that was given up");
            let (queue, auto_settle) = (link.queue, link.auto_settle);
            self.receive(client, delivery, true);
            if auto_settle {
                let records = delivery.records.start.0..delivery.records.end.0;
                settled.entry(queue).or_default().extend(records);
            }
        }
        self.clients[client].handle.delivered(deliveries);
        let lsn = self.position();
        for (queue, offsets) in settled {
            let links = self.clients[client].links.values_mut();
            for link in links.filter(|link| link.queue == queue && link.auto_settle) {
                link.held.retain(|offset| !offsets.contains(offset));
            }
            self.settled(queue, offsets, after, lsn);
        }
    }

    fn settled(&mut self, queue: QueueNumber, offsets: Vec<u64>, after: u64, lsn: u64) {
        let op = Op::Settle {
            queue,
            offsets,
            sure: true,
        };
        self.happened(op, after, Some(lsn), false);
    }

    /// Checks one delivery against what is known, and remembers it. `seen`: the client has
    /// it for certain.
    fn receive(&mut self, client: usize, delivery: &Delivery, seen: bool) {
        let number = self.clients[client].links[&delivery.link.0].queue;
        let held = self.held_of(number);
        let Some(queue) = self.live.queues.get_mut(&number) else {
            // Deleted while it was on its way.
            return;
        };
        let known = self.seen.entry(number).or_default();
        let link = self.clients[client].links.get_mut(&delivery.link.0);
        let link = link.expect("looked up above");
        let mut digest = Vec::new();
        for (offset, record) in records_of(delivery) {
            let expected = queue.records.get(offset as usize);
            assert_eq!(expected, Some(&record), "{} at {offset}", queue.name);
            assert!(
                !queue.settled.contains(&offset),
                "{record} was settled and came back"
            );
            assert!(!held.contains(&offset), "{record} is with another client");
            let flagged = delivery.redelivered;
            let twice = known.handed_out.contains(&offset);
            assert!(flagged || !twice, "{record} came back as if new");
            assert!(flagged || offset >= link.newest, "{record} came too late");
            if !flagged {
                link.newest = offset;
            }
            queue.unsure.remove(&offset);
            if seen {
                known.handed_out.insert(offset);
            }
            known.lent_end = known.lent_end.max(offset + 1);
            link.held.insert(offset);
            digest.push(record ^ (u64::from(flagged) << 63));
        }
        self.tally.deliveries += digest.len() as u64;
        for number in digest {
            self.told_client(number);
        }
    }

    pub fn settle(&mut self) {
        let client = self.some_client();
        let it = &self.clients[client];
        let holding = it.links.iter().filter(|(_, link)| !link.held.is_empty());
        let holding: Vec<u32> = holding.map(|(number, _)| *number).collect();
        if holding.is_empty() {
            return;
        }
        let number = *self.random.pick(&holding);
        let link = &self.clients[client].links[&number];
        let queue = link.queue;
        let held: Vec<u64> = link.held.iter().copied().collect();
        let offsets: Vec<u64> = match self.random.below(3) {
            0 => held,
            1 => {
                let count = 1 + self.random.below(5) as usize;
                held.into_iter().take(count).collect()
            }
            _ => {
                let skip = self.random.below(held.len() as u64) as usize;
                held.into_iter().skip(skip).take(2).collect()
            }
        };
        let outcome = *self.random.pick(&[
            Outcome::Accept,
            Outcome::Accept,
            Outcome::Reject,
            Outcome::Release,
        ]);
        let call = Call::Settle(Settle {
            link: LinkId(number),
            ranges: ranges(&offsets),
            outcome,
        });
        let after = self.position();
        let now = self.now;
        let it = &mut self.clients[client];
        let (reply, _) = answer(it.handle.execute(call, now));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        let link = it.links.get_mut(&number).expect("chosen from these");
        link.held.retain(|offset| !offsets.contains(offset));
        if outcome != Outcome::Release {
            let lsn = self.position();
            self.settled(queue, offsets, after, lsn);
        }
    }

    pub fn get(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let name = self.live.queues[&queue].name.clone();
        let auto_settle = self.random.chance(1, 3);
        let client = self.some_client();
        let it = &mut self.clients[client];
        let mut links = it.links.iter();
        // One link for each name, whatever stood behind the name before.
        let used = links.find(|(_, link)| link.gets_from.as_ref() == Some(&name));
        let number = used.map_or(it.next_link, |(number, _)| *number);
        it.next_link = it.next_link.max(number + 1);
        let link = it.links.entry(number).or_insert_with(|| Link {
            queue,
            consumes: false,
            auto_settle: false,
            credit: 1,
            held: BTreeSet::new(),
            newest: 0,
            gets_from: Some(name.clone()),
        });
        if link.queue != queue {
            link.queue = queue;
            link.held.clear();
            link.newest = 0;
        }
        let call = Call::Get {
            link: LinkId(number),
            queue: name,
            auto_settle,
        };
        let after = self.position();
        let now = self.now;
        let (reply, wait) = answer(self.clients[client].handle.execute(call, now));
        match reply {
            Reply::Got(Some((delivery, _))) => {
                let lsn = self.position();
                if wait > self.broker().durable_lsn() && self.random.chance(3, 4) {
                    let _ = self.broker().step_commit();
                    self.confirm();
                }
                let seen = wait <= self.broker().durable_lsn();
                self.receive(client, &delivery, seen);
                if auto_settle {
                    let offset = delivery.records.start.0;
                    let link = self.clients[client].links.get_mut(&number);
                    link.expect("made above").held.remove(&offset);
                    self.settled(queue, vec![offset], after, lsn);
                }
            }
            Reply::Got(None) => {
                if !self.is_consumed(queue) && self.live.queues[&queue].unsure.is_empty() {
                    let owed = self.live.queues[&queue].owed();
                    let held = self.held_of(queue);
                    let left = owed.iter().find(|offset| !held.contains(offset));
                    assert_eq!(left, None, "something is ready, and a get finds nothing");
                }
            }
            Reply::Refused(Refused::Storage { .. }) if self.disk.is_off() => {}
            Reply::Refused(Refused::Storage { cause }) => panic!("a get was refused: {cause}"),
            other => panic!("{other:?}"),
        }
    }

    pub fn close_link(&mut self) {
        let client = self.some_client();
        let it = &self.clients[client];
        let all: Vec<u32> = it.links.keys().copied().collect();
        if all.is_empty() {
            return;
        }
        let number = *self.random.pick(&all);
        let release = self.random.chance(1, 2);
        let after = self.position();
        let call = Call::CloseLink {
            link: LinkId(number),
            release,
        };
        let now = self.now;
        let it = &mut self.clients[client];
        let (reply, _) = answer(it.handle.execute(call, now));
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        let link = it.links.get_mut(&number).expect("chosen from these");
        let (queue, consumed) = (link.queue, std::mem::take(&mut link.consumes));
        link.gets_from = None;
        if release {
            it.links.remove(&number);
        }
        self.auto_deleted(&[(queue, consumed)], after);
    }

    /// A client goes, and with it the queues that were to go with their last consumer.
    pub fn leave(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let index = self.random.below(self.clients.len() as u64) as usize;
        let after = self.position();
        let client = self.clients.remove(index);
        let links = client.links.values();
        let closed: Vec<_> = links.map(|link| (link.queue, link.consumes)).collect();
        drop(client);
        self.auto_deleted(&closed, after);
    }

    fn auto_deleted(&mut self, closed: &[(QueueNumber, bool)], after: u64) {
        let lsn = self.position();
        for (number, consumed) in closed {
            let Some(queue) = self.live.queues.get(number) else {
                continue;
            };
            if *consumed && queue.auto_delete && !self.is_consumed(*number) {
                let durable = queue.durable;
                let op = Op::DeleteQueue(*number);
                self.happened(op, after, durable.then_some(lsn), false);
            }
        }
    }
}

/// Offset and number of each record delivered; fails if a body is not its own.
pub fn records_of(delivery: &Delivery) -> Vec<(u64, u64)> {
    let offsets = delivery.records.start.0..delivery.records.end.0;
    let read = |offset: u64| {
        let index = offset - delivery.base.0;
        let record = delivery
            .batch
            .native_record(index as u32)
            .expect("in the batch");
        let (number, filling) = record.body.split_first_chunk::<8>().expect("a number");
        let number = u64::from_be_bytes(*number);
        let intact = filling.iter().all(|byte| *byte == number as u8);
        assert!(intact, "record {number} at {offset} has another's bytes");
        (offset, number)
    };
    offsets.map(read).collect()
}

fn ranges(offsets: &[u64]) -> Vec<Range<Offset>> {
    let mut ranges: Vec<Range<Offset>> = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some(last) if last.end.0 == *offset => last.end.0 += 1,
            _ => ranges.push(Offset(*offset)..Offset(offset + 1)),
        }
    }
    ranges
}
