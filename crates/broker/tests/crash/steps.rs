//! What clients ask for that changes what exists, and what they publish.

use bongsu_broker::Executed;
use bongsu_engine::Refused;
use bongsu_engine::session::{
    Binding, Call, DeclareExchange, DeclareQueue, Destination, Publish, Reply,
};
use bongsu_record::blocks::pairs;
use bongsu_record::native::{Builder, Origin, PERSISTENT};
use bongsu_record::{Arguments, Batch, Lsn, Value};

use crate::history::History;
use crate::world::{Bound, Exchange, Headers, Op, Queue, Rule, Type};

pub const QUEUES: [&str; 6] = ["q0", "q1", "q2", "q3", "q4", "q5"];
pub const EXCHANGES: [(&str, Type); 4] = [
    ("jobs", Type::Direct),
    ("logs", Type::Fanout),
    ("news", Type::Topic),
    ("match", Type::Headers),
];
pub const KEYS: [&str; 4] = ["a.x", "a.y", "b.x", "c"];
const PATTERNS: [&str; 6] = ["a.x", "b.x", "a.*", "*.x", "#", "c.#"];

/// The answer, and what must be durable before the client sees it.
pub fn answer(executed: Executed) -> (Reply, Lsn) {
    match executed {
        Executed::Now(reply) => (reply, Lsn(0)),
        Executed::Durable(lsn, reply) => (reply, lsn),
        other => panic!("no call waits: {other:?}"),
    }
}

impl History {
    /// A change of what exists; false if it could not be recorded.
    fn change(&mut self, call: Call, op: Option<Op>, is_durable: bool) -> bool {
        let after = self.position();
        let client = self.some_client();
        let now = self.now;
        let (reply, lsn) = answer(self.clients[client].handle.execute(call, now));
        self.tally.changes += 1;
        if let Reply::Refused(refused) = reply {
            assert!(matches!(refused, Refused::Storage { .. }), "{refused:?}");
            // It holds until a restart, and was not promised.
            self.end();
            return false;
        }
        if let Some(op) = op {
            let recorded = is_durable.then_some(lsn.0);
            self.happened(op, after, recorded, true);
        }
        true
    }

    pub fn declare_queue(&mut self) {
        let name = *self.random.pick(&QUEUES);
        let existing = self.live.queue_named(name);
        let known = existing.map(|number| self.live.queues[&number].clone());
        let durability = match self.random.below(8) {
            0 => "memory",
            1 | 2 if self.kills_only => "os",
            _ => "",
        };
        let queue = known.clone().unwrap_or_else(|| {
            let durable = self.random.chance(5, 6);
            Queue {
                name: name.to_owned(),
                durable,
                kept: durable && durability != "memory",
                auto_delete: self.random.chance(1, 8),
                records: Vec::new(),
                settled: Default::default(),
                unsure: Default::default(),
            }
        });
        if let (Some(known), Some(number)) = (known, existing) {
            let ready = self.passive(name).expect("it is there");
            let most = known.records.len() - known.settled.len();
            assert!(ready <= most as u64, "{name} has {ready} of {most}");
            self.told_client(number ^ ready);
            return;
        }
        let mut arguments = Arguments::new();
        if !durability.is_empty() {
            arguments.insert(
                "x-durability".to_owned(),
                Value::Text(durability.to_owned()),
            );
        }
        let declare = DeclareQueue {
            name: name.to_owned(),
            passive: false,
            durable: queue.durable,
            exclusive: false,
            auto_delete: queue.auto_delete,
            arguments,
        };
        let durable = queue.durable;
        let number = self.next_queue;
        self.next_queue += 1;
        let op = Op::DeclareQueue(number, queue);
        self.change(Call::DeclareQueue(declare), Some(op), durable);
    }

    /// Ready records of a queue, if it exists.
    fn passive(&mut self, name: &str) -> Option<u64> {
        let client = self.some_client();
        let now = self.now;
        passive(&mut self.clients[client].handle, name, now)
    }

    pub fn delete_queue(&mut self) {
        let Some(number) = self.some_queue() else {
            return;
        };
        let queue = &self.live.queues[&number];
        let (name, durable) = (queue.name.clone(), queue.durable);
        let call = Call::DeleteQueue {
            name,
            if_unused: false,
            if_empty: false,
        };
        self.change(call, Some(Op::DeleteQueue(number)), durable);
    }

    pub fn change_exchange(&mut self) {
        let (name, kind) = *self.random.pick(&EXCHANGES);
        if let Some(exchange) = self.live.exchanges.get(name) {
            let durable = exchange.durable;
            if self.random.chance(1, 4) {
                let call = Call::DeleteExchange {
                    name: name.to_owned(),
                    if_unused: false,
                };
                self.change(call, Some(Op::DeleteExchange(name.to_owned())), durable);
            }
            return;
        }
        let durable = self.random.chance(5, 6);
        let declare = DeclareExchange {
            name: name.to_owned(),
            exchange_type: type_name(kind).to_owned(),
            passive: false,
            durable,
            auto_delete: false,
            internal: false,
            arguments: Arguments::new(),
        };
        let op = Op::DeclareExchange(name.to_owned(), Exchange { kind, durable });
        self.change(Call::DeclareExchange(declare), Some(op), durable);
    }

    pub fn change_binding(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let unbind = self.random.chance(1, 5);
        let bound = match unbind {
            true => {
                let all: Vec<Bound> = self.live.bindings.iter().cloned().collect();
                if all.is_empty() {
                    return;
                }
                self.random.pick(&all).clone()
            }
            false => {
                let sources: Vec<String> = self.live.exchanges.keys().cloned().collect();
                let source = self.random.pick(&sources).clone();
                let headers = self.live.exchanges[&source].kind == Type::Headers;
                Bound {
                    source,
                    queue,
                    key: self.random.pick(&PATTERNS).to_string(),
                    rule: match headers {
                        true => Rule {
                            any: self.random.chance(1, 2),
                            pairs: self.some_headers(),
                        },
                        false => Rule::default(),
                    },
                }
            }
        };
        let durable = self.live.is_durable(&bound);
        let is_new = unbind || !self.live.bindings.contains(&bound);
        let binding = binding_of(&bound, &self.live.queues[&bound.queue].name, self);
        let (call, op) = match unbind {
            true => (Call::Unbind(binding), Op::Unbind(bound)),
            false => (Call::Bind(binding), Op::Bind(bound)),
        };
        self.change(call, is_new.then_some(op), durable);
    }

    fn some_headers(&mut self) -> Headers {
        let mut headers = Headers::new();
        for name in ["colour", "size"] {
            if self.random.chance(2, 3) {
                headers.push((name, *self.random.pick(&["red", "blue"])));
            }
        }
        headers
    }

    pub fn publish(&mut self) {
        if self.broker().holds_publishers() && self.random.chance(3, 4) {
            return;
        }
        let (exchange, key) = match self.random.chance(1, 2) {
            true => {
                let names: Vec<String> = self.live.exchanges.keys().cloned().collect();
                let exchange = self.random.pick(&names).clone();
                (exchange, self.random.pick(&KEYS).to_string())
            }
            false => match self.some_queue() {
                Some(number) => (String::new(), self.live.queues[&number].name.clone()),
                None => return,
            },
        };
        let (count, bytes) = match self.random.below(60) {
            // Past the outbox and the mark.
            0 => (1000 + self.random.below(5000), 0),
            1 => (1, (256 << 10) + self.random.below(64 << 10)),
            2..8 => (1 + self.random.below(3), self.random.below(9000)),
            _ => (1 + self.random.below(5), self.random.below(300)),
        };
        let records: Vec<(u64, Headers)> = (0..count)
            .map(|_| {
                self.next_record += 1;
                (self.next_record, self.some_headers())
            })
            .collect();
        let batch = batch(&records, &exchange, &key, bytes as usize);
        self.tally.publishes += 1;
        self.tally.large += u64::from(batch.len() >= self.options.direct_bytes_min);
        let routed: Vec<_> = records
            .iter()
            .map(|(record, headers)| (*record, self.live.route(&exchange, &key, headers)))
            .collect();
        let each_alike = routed.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let reached = routed.iter().any(|(_, queues)| !queues.is_empty());
        let reached_all = routed.iter().all(|(_, queues)| !queues.is_empty());
        let after = self.position();
        let client = self.some_client();
        let now = self.now;
        let call = Call::Publish(Publish {
            exchange,
            routing_key: key,
            more_keys: Vec::new(),
            batch,
        });
        let (reply, _) = answer(self.clients[client].handle.execute(call, now));
        match reply {
            Reply::Published {
                wait, routed: all, ..
            } => {
                assert_eq!(all, reached_all, "{routed:?}");
                let lsn = wait.map(|lsn| lsn.0);
                self.told_client(lsn.unwrap_or(0));
                self.happened(Op::Append(routed), after, lsn, each_alike);
            }
            Reply::Refused(refused) => {
                assert!(matches!(refused, Refused::Storage { .. }), "{refused:?}");
                self.tally.refused += 1;
                if each_alike {
                    return assert_eq!(self.position(), after, "refused, and there");
                }
                // Some of it may have been taken, from the front on: a restart tells.
                assert!(reached);
                self.journal.push(crate::world::Entry {
                    after,
                    lsn: u64::MAX,
                    whole: false,
                    op: Op::Append(routed),
                });
                self.end();
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn purge(&mut self) {
        let Some(number) = self.some_queue() else {
            return;
        };
        let queue = &self.live.queues[&number];
        let call = Call::PurgeQueue {
            name: queue.name.clone(),
        };
        // What waits in an outbox is lent; only its client will know.
        let held = self.held_of(number);
        let sure = !self.is_consumed(number);
        let all = 0..queue.records.len() as u64;
        let offsets: Vec<u64> = all
            .filter(|offset| !queue.settled.contains(offset) && !held.contains(offset))
            .collect();
        let unsure = queue.unsure.len() as u64;
        let end = queue.records.len() as u64;
        let after = self.position();
        let client = self.some_client();
        let now = self.now;
        let (reply, lsn) = answer(self.clients[client].handle.execute(call, now));
        let seen = self.seen.entry(number).or_default();
        // To the machine it is as if all had been lent.
        seen.lent_end = end;
        seen.mark_bound = seen.mark_bound.max(end);
        match reply {
            Reply::Count(count) => {
                let most = offsets.len() as u64;
                let least = if sure { most - unsure } else { 0 };
                assert!(
                    (least..=most).contains(&count),
                    "{count} of {least}..{most}"
                );
                self.told_client(count);
                let op = Op::Settle {
                    queue: number,
                    offsets,
                    sure,
                };
                self.happened(op, after, Some(lsn.0), true);
            }
            Reply::Refused(_) => self.end(),
            other => panic!("{other:?}"),
        }
    }

    pub fn some_queue(&mut self) -> Option<u64> {
        let all: Vec<u64> = self.live.queues.keys().copied().collect();
        match all.is_empty() {
            true => None,
            false => Some(*self.random.pick(&all)),
        }
    }
}

/// Ready records of a queue, if it exists.
pub fn passive(
    session: &mut bongsu_broker::SessionHandle,
    name: &str,
    now: bongsu_engine::session::Now,
) -> Option<u64> {
    let declare = DeclareQueue {
        name: name.to_owned(),
        passive: true,
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    match answer(session.execute(Call::DeclareQueue(declare), now)).0 {
        Reply::Queue { ready, .. } => Some(ready),
        Reply::Refused(Refused::NotFound { .. }) => None,
        other => panic!("{other:?}"),
    }
}

fn binding_of(bound: &Bound, queue: &str, history: &History) -> Binding {
    let mut arguments = Arguments::new();
    if history.live.exchanges[&bound.source].kind == Type::Headers {
        let matching = if bound.rule.any { "any" } else { "all" };
        arguments.insert("x-match".to_owned(), Value::Text(matching.to_owned()));
        for (name, value) in &bound.rule.pairs {
            arguments.insert((*name).to_owned(), Value::Text((*value).to_owned()));
        }
    }
    Binding {
        source: bound.source.clone(),
        destination: Destination::Queue(queue.to_owned()),
        routing_key: bound.key.clone(),
        arguments,
    }
}

pub fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Direct => "direct",
        Type::Fanout => "fanout",
        Type::Topic => "topic",
        Type::Headers => "headers",
    }
}

/// Records whose bodies say which they are, to their last byte.
pub fn batch(records: &[(u64, Headers)], exchange: &str, key: &str, bytes: usize) -> Batch {
    let mut builder = Builder::new();
    for (record, headers) in records {
        let mut block = Vec::new();
        for (name, value) in headers {
            pairs::push(name.as_bytes(), value.as_bytes(), &mut block).expect("short");
        }
        let (exchange, key) = (exchange.as_bytes(), key.as_bytes());
        builder.begin(
            Origin::Pairs,
            PERSISTENT,
            exchange,
            key,
            &block,
            8 + bytes as u64,
        );
        builder.body(&record.to_be_bytes());
        builder.body(&vec![*record as u8; bytes]);
        builder.end();
    }
    builder.finish(1_700_000_000_000).expect("records")
}
