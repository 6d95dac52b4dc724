//! What must be there: the journal of all that was recorded, and what it comes to.
//!
//! The same [`World`] is kept twice: as clients see it now, and, after a restart, built
//! anew from the entries of the journal that the disk kept.

use std::collections::{BTreeMap, BTreeSet};

/// A queue's number: of two with the same name, one deleted, each has its own.
pub type QueueNumber = u64;

/// Something recorded, in the order of the write-ahead log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// It is not there if the log ends here or before.
    pub after: u64,
    /// It is there, whole, if the log ends here or behind.
    pub lsn: u64,
    /// It is one group: the log cannot end in between.
    pub whole: bool,
    pub op: Op,
}

#[derive(Clone, Debug)]
pub enum Op {
    DeclareQueue(QueueNumber, Queue),
    DeleteQueue(QueueNumber),
    DeclareExchange(String, Exchange),
    DeleteExchange(String),
    Bind(Bound),
    Unbind(Bound),
    /// Records, each with the queues it goes to.
    Append(Vec<(u64, Vec<QueueNumber>)>),
    /// Offsets that need not come again; if not `sure`, some of them.
    Settle {
        queue: QueueNumber,
        offsets: Vec<u64>,
        sure: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub durable: bool,
    /// Its records survive a restart.
    pub kept: bool,
    pub auto_delete: bool,
    /// By offset.
    pub records: Vec<u64>,
    pub settled: BTreeSet<u64>,
    /// Settled or not.
    pub unsure: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Direct,
    Fanout,
    Topic,
    Headers,
}

#[derive(Clone, Debug)]
pub struct Exchange {
    pub kind: Type,
    pub durable: bool,
}

/// A binding of a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    pub source: String,
    pub queue: QueueNumber,
    pub key: String,
    pub rule: Rule,
}

/// What a headers exchange asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    pub any: bool,
    pub pairs: Headers,
}

pub type Headers = Vec<(&'static str, &'static str)>;

#[derive(Clone, Debug)]
pub struct World {
    /// Memory queues have their records: nobody has restarted.
    pub live: bool,
    pub queues: BTreeMap<QueueNumber, Queue>,
    pub exchanges: BTreeMap<String, Exchange>,
    pub bindings: BTreeSet<Bound>,
}

impl World {
    /// What a new data directory has.
    pub fn new(live: bool) -> World {
        let predeclared = [
            ("amq.direct", Type::Direct),
            ("amq.fanout", Type::Fanout),
            ("amq.topic", Type::Topic),
            ("amq.headers", Type::Headers),
        ];
        let durable = true;
        let exchanges =
            predeclared.map(|(name, kind)| (name.to_owned(), Exchange { kind, durable }));
        World {
            live,
            queues: BTreeMap::new(),
            exchanges: BTreeMap::from(exchanges),
            bindings: BTreeSet::new(),
        }
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::DeclareQueue(number, queue) => {
                self.queues.insert(*number, queue.clone());
            }
            Op::DeleteQueue(number) => {
                self.queues.remove(number);
                self.bindings.retain(|bound| bound.queue != *number);
            }
            Op::DeclareExchange(name, exchange) => {
                self.exchanges.insert(name.clone(), exchange.clone());
            }
            Op::DeleteExchange(name) => {
                self.exchanges.remove(name);
                self.bindings.retain(|bound| bound.source != *name);
            }
            Op::Bind(bound) => {
                self.bindings.insert(bound.clone());
            }
            Op::Unbind(bound) => {
                self.bindings.remove(bound);
            }
            Op::Append(records) => {
                for (record, queues) in records {
                    for number in queues {
                        match self.queues.get_mut(number) {
                            Some(queue) if queue.kept || self.live => queue.records.push(*record),
                            _ => {}
                        }
                    }
                }
            }
            Op::Settle {
                queue,
                offsets,
                sure,
            } => {
                let live = self.live;
                let queue = self.queues.get_mut(queue);
                let Some(queue) = queue.filter(|queue| queue.kept || live) else {
                    return;
                };
                for offset in offsets {
                    match sure {
                        true => {
                            queue.settled.insert(*offset);
                            queue.unsure.remove(offset);
                        }
                        false if queue.settled.contains(offset) => {}
                        false => {
                            queue.unsure.insert(*offset);
                        }
                    }
                }
            }
        }
    }

    pub fn queue_named(&self, name: &str) -> Option<QueueNumber> {
        let mut queues = self.queues.iter();
        queues
            .find(|(_, queue)| queue.name == name)
            .map(|(number, _)| *number)
    }

    /// A binding outlives a restart if both its ends do.
    pub fn is_durable(&self, bound: &Bound) -> bool {
        self.exchanges[&bound.source].durable && self.queues[&bound.queue].durable
    }

    /// The queues that a record goes to.
    pub fn route(&self, exchange: &str, key: &str, headers: &Headers) -> Vec<QueueNumber> {
        if exchange.is_empty() {
            return self.queue_named(key).into_iter().collect();
        }
        let kind = self.exchanges[exchange].kind;
        let from = self
            .bindings
            .iter()
            .filter(|bound| bound.source == exchange);
        let reached: BTreeSet<QueueNumber> = from
            .filter(|bound| match kind {
                Type::Direct => bound.key == key,
                Type::Fanout => true,
                Type::Topic => matches(&bound.key, key),
                Type::Headers => bound.rule.matches(headers),
            })
            .map(|bound| bound.queue)
            .collect();
        reached.into_iter().collect()
    }
}

impl Rule {
    fn matches(&self, headers: &Headers) -> bool {
        let fits = |pair| headers.contains(pair);
        match self.any {
            true => self.pairs.iter().any(fits),
            false => self.pairs.iter().all(fits),
        }
    }
}

impl Queue {
    /// Offsets of what is owed to somebody, for certain.
    pub fn owed(&self) -> Vec<u64> {
        let all = 0..self.records.len() as u64;
        let owed = |offset: &u64| !self.settled.contains(offset) && !self.unsure.contains(offset);
        all.filter(owed).collect()
    }
}

/// Topics as the book has them; the broker's trie is not asked.
fn matches(pattern: &str, key: &str) -> bool {
    fn words(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], _) => (0..=key.len()).any(|taken| words(rest, &key[taken..])),
            (["*", rest @ ..], [_, after @ ..]) => words(rest, after),
            ([word, rest @ ..], [first, after @ ..]) => word == first && words(rest, after),
            _ => false,
        }
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = key.split('.').collect();
    words(&pattern, &key)
}
