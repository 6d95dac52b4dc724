//! After a recovery: a second broker on a copy of the disk is asked for everything, so
//! that looking changes nothing for the one that goes on.

use std::collections::{BTreeMap, BTreeSet};

use bongsu_broker::{Broker, Prepared, SessionHandle};
use bongsu_engine::session::{Call, Consume, LinkId, Publish, Reply};
use bongsu_record::Arguments;

use crate::consume::records_of;
use crate::history::{History, login, open};
use crate::steps::{KEYS, QUEUES, answer, batch, passive};
use crate::world::{Entry, Headers, Op, World};

/// Records of a queue as a consumer gets them: offset, number, redelivered.
type Found = Vec<(u64, u64, bool)>;

impl History {
    /// What is there is what the recovered part of the journal comes to; all that was
    /// confirmed is in that part.
    pub fn verify(&mut self) {
        let end = self.position();
        self.say(|| format!("recovered to {end}"));
        assert!(
            end >= self.told,
            "recovered to {end}, {} was confirmed",
            self.told
        );
        let probe = open(&self.disk.fork(), &self.options).expect("a copy opens");
        assert_eq!(probe.position().0, end, "a copy is recovered alike");
        let mut session = login(&probe, self.now);
        let mut counts = BTreeMap::new();
        for (link, name) in QUEUES.iter().enumerate() {
            if let Some(ready) = passive(&mut session, name, self.now) {
                counts.insert(*name, ready);
                let call = consume(name, link);
                let (reply, _) = answer(session.execute(call, self.now));
                assert!(matches!(reply, Reply::Done), "{reply:?}");
            }
        }
        let mut found = collect(&probe, &mut session);
        for (name, ready) in counts {
            let records = found.entry(name).or_default();
            assert_eq!(ready, records.len() as u64, "{name} counts wrong");
        }
        self.keep_journal(end, &found);
        let mut world = World::new(false);
        for entry in &self.journal {
            world.apply(&entry.op);
        }
        let names: BTreeSet<&str> = world.queues.values().map(|q| q.name.as_str()).collect();
        assert!(
            found.keys().copied().eq(names),
            "other queues than declared"
        );
        self.compare(&mut world, &found, end);
        self.check_routes(&world, &probe, &mut session);
        self.live = World {
            live: true,
            ..world
        };
        self.told = end;
    }

    /// Drops from the journal what the log does not reach, and decides by what was found
    /// where it may end in the middle of one call.
    fn keep_journal(&mut self, end: u64, found: &BTreeMap<&str, Found>) {
        let there: BTreeSet<u64> = found
            .values()
            .flat_map(|records| records.iter().map(|(_, record, _)| *record))
            .collect();
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        let mut kept: BTreeMap<u64, bool> = BTreeMap::new();
        let keep = |mut entry: Entry| {
            if let Op::DeclareQueue(number, queue) = &entry.op {
                names.insert(*number, queue.name.clone());
                kept.insert(*number, queue.kept);
            }
            if entry.lsn <= end {
                return Some(entry);
            }
            if entry.after >= end {
                return None;
            }
            assert!(!entry.whole, "recovered into the middle of {entry:?}");
            match &mut entry.op {
                Op::DeleteQueue(number) if found.contains_key(names[number].as_str()) => {
                    return None;
                }
                Op::Settle { sure, .. } => *sure = false,
                Op::Append(records) => {
                    let in_log = |queue: &u64| kept.get(queue) == Some(&true);
                    let is_there = |(record, queues): &(u64, Vec<u64>)| {
                        there.contains(record) || !queues.iter().any(in_log)
                    };
                    let count = records.iter().take_while(|record| is_there(record)).count();
                    records.truncate(count);
                }
                _ => {}
            }
            entry.lsn = end;
            Some(entry)
        };
        let journal = std::mem::take(&mut self.journal);
        self.journal = journal.into_iter().filter_map(keep).collect();
    }

    fn compare(&mut self, world: &mut World, found: &BTreeMap<&str, Found>, end: u64) {
        // What was unsure is decided by what is there.
        self.journal
            .retain(|entry| !matches!(entry.op, Op::Settle { sure: false, .. }));
        for (number, queue) in &mut world.queues {
            let records = &found[queue.name.as_str()];
            let name = &queue.name;
            let seen = self.seen.entry(*number).or_default();
            if !queue.kept {
                assert!(
                    records.is_empty(),
                    "{name} keeps nothing, and has {records:?}"
                );
                *seen = Default::default();
                continue;
            }
            let settled_end = queue.settled.last().map_or(0, |last| last + 1);
            let unsure_end = queue.unsure.last().map_or(0, |last| last + 1);
            let mark_bound = seen.mark_bound.max(settled_end).max(unsure_end);
            let mut last = None;
            for (at, record, redelivered) in records {
                assert!(last < Some(*at), "{name} hands out {at} behind {last:?}");
                last = Some(*at);
                let expected = queue.records.get(*at as usize);
                assert_eq!(expected, Some(record), "{name} at {at}");
                assert!(
                    !queue.settled.contains(at),
                    "{name}: {record} was settled, and is back"
                );
                let handed_out = seen.handed_out.contains(at);
                assert!(
                    *redelivered || !handed_out,
                    "{name}: {record} at {at} was handed out, and comes back as new"
                );
                assert!(
                    !*redelivered || *at < mark_bound,
                    "{name}: {record} at {at} is flagged; nobody saw it, nor near it"
                );
            }
            self.tally.records_checked += records.len() as u64;
            let there: BTreeSet<u64> = records.iter().map(|(at, ..)| *at).collect();
            for at in queue.owed() {
                let record = queue.records[at as usize];
                assert!(there.contains(&at), "{name} lost {record} at {at}");
            }
            let offsets: Vec<u64> = queue.unsure.difference(&there).copied().collect();
            queue.unsure.clear();
            queue.settled.extend(&offsets);
            self.journal.push(Entry {
                after: end,
                lsn: end,
                whole: true,
                op: Op::Settle {
                    queue: *number,
                    offsets,
                    sure: true,
                },
            });
            let length = queue.records.len() as u64;
            seen.handed_out.retain(|at| *at < length);
            // All below the mark counts as lent from here on, and the next lease of any
            // of it moves the mark ahead.
            seen.lent_end = seen.mark_bound.min(length);
        }
    }

    /// Every exchange leads where it should: one record for each way, and all of them are
    /// where they belong.
    fn check_routes(&mut self, world: &World, probe: &Broker, session: &mut SessionHandle) {
        let mut expected: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut record = self.next_record + 1_000_000;
        let default = String::new();
        let all_headers: [Headers; 3] = [
            vec![],
            vec![("colour", "red")],
            vec![("colour", "blue"), ("size", "red")],
        ];
        for exchange in world.exchanges.keys().chain([&default]) {
            let keys = match exchange.is_empty() {
                true => &QUEUES[..],
                false => &KEYS[..],
            };
            for (key, headers) in keys.iter().zip(all_headers.iter().cycle()) {
                record += 1;
                let reached = world.route(exchange, key, headers);
                let publish = Publish {
                    exchange: exchange.clone(),
                    routing_key: (*key).to_owned(),
                    more_keys: Vec::new(),
                    batch: batch(&[(record, headers.clone())], exchange, key, 10),
                };
                match answer(session.execute(Call::Publish(publish), self.now)).0 {
                    Reply::Published { routed, .. } => {
                        assert_eq!(routed, !reached.is_empty(), "{exchange} {key} {headers:?}");
                    }
                    other => panic!("{exchange}: {other:?}"),
                }
                for queue in reached {
                    expected.entry(queue).or_default().push(record);
                }
            }
        }
        let mut found = collect(probe, session);
        for (number, queue) in &world.queues {
            let records = found.remove(queue.name.as_str()).unwrap_or_default();
            let records: Vec<u64> = records.iter().map(|(_, record, _)| *record).collect();
            let expected = expected.remove(number).unwrap_or_default();
            assert_eq!(records, expected, "routed to {}", queue.name);
        }
    }
}

fn consume(name: &str, link: usize) -> Call {
    Call::Consume(Consume {
        channel: 1,
        tag: String::new(),
        link: LinkId(link as u32),
        queue: name.to_owned(),
        name: String::new(),
        credit: 0,
        pool: None,
        auto_settle: false,
        exclusive: false,
        arguments: Arguments::new(),
    })
}

/// Everything that the session's links are lent, by queue, in its order.
fn collect(probe: &Broker, session: &mut SessionHandle) -> BTreeMap<&'static str, Found> {
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    let mut deliveries = Vec::new();
    loop {
        match session.prepare(&mut deliveries, 1 << 20) {
            Prepared::Nothing => return found,
            Prepared::Deliver => {
                for delivery in &deliveries {
                    let name = QUEUES[delivery.link.0 as usize];
                    let records = records_of(delivery).into_iter();
                    let flagged = records.map(|(at, record)| (at, record, delivery.redelivered));
                    found.entry(name).or_default().extend(flagged);
                }
                session.delivered(&deliveries);
                deliveries.clear();
            }
            Prepared::Wait(lsn) => {
                probe.step_commit().expect("nothing is injected");
                assert!(probe.durable_lsn() >= lsn, "a commit commits all");
            }
            Prepared::Read(job) => session.have_read(job.run()),
            other => panic!("no link is closed and no call waits: {other:?}"),
        }
    }
}
