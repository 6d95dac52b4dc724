//! Fetch sessions (KIP-227): a client says once which partitions it reads, then only what
//! changes; it is told only of partitions of which there is news.
//!
//! Sessions live as long as their connection: a client that comes back is told that its
//! session is not known and says everything again, as it does when Kafka's cache is full.

use std::collections::{HashMap, HashSet};

use bongsu_engine::session::records::TopicRef;
use bongsu_record::Offset;

use crate::errors::Code;

/// Which partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartKey {
    pub topic: TopicRef,
    pub partition: i32,
}

/// What is wanted of a partition, and what the client knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub key: PartKey,
    pub offset: i64,
    pub bytes_max: i32,
    pub leader_epoch: i32,
    /// `None`: nothing yet.
    pub seen: Option<Seen>,
}

/// What a client was told of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub code: Code,
    pub start: Offset,
    pub durable_end: Offset,
    pub stable: Offset,
}

/// The sessions of one connection.
#[derive(Debug)]
pub(crate) struct Sessions {
    next_id: u64,
    open: Vec<FetchSession>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct FetchSession {
    id: i32,
    /// That of the next request.
    pub epoch: i32,
    /// In the order in which they are served: who was served last is behind the others.
    order: Vec<PartKey>,
    parts: HashMap<PartKey, Part>,
}

impl Sessions {
    pub fn new(seed: u64) -> Sessions {
        Sessions {
            next_id: seed,
            open: Vec::new(),
        }
    }

    /// Opens a session; the oldest goes if there are too many.
    pub fn open(&mut self, parts: Vec<Part>) -> i32 {
        // Mixed, so that ids of connections do not meet; never 0.
        self.next_id = self
            .next_id
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let id = ((self.next_id >> 33) as i32).max(1);
        if self.open.len() >= SESSIONS_MAX {
            self.open.remove(0);
        }
        let order = parts.iter().map(|part| part.key.clone()).collect();
        let parts = parts.into_iter().map(|part| (part.key.clone(), part));
        self.open.push(FetchSession {
            id,
            epoch: 1,
            order,
            parts: parts.collect(),
        });
        id
    }

    pub fn close(&mut self, id: i32) {
        self.open.retain(|session| session.id != id);
    }

    pub fn find(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.open.iter_mut().find(|session| session.id == id)
    }
}

impl FetchSession {
    /// Takes what a client says anew, and forgets what it no longer reads.
    pub fn update(&mut self, asked: Vec<Part>, forgotten: &[PartKey]) {
        for mut part in asked {
            match self.parts.get(&part.key) {
                Some(known) => part.seen = known.seen,
                None => self.order.push(part.key.clone()),
            }
            self.parts.insert(part.key.clone(), part);
        }
        if !forgotten.is_empty() {
            for key in forgotten {
                self.parts.remove(key);
            }
            self.order.retain(|key| self.parts.contains_key(key));
        }
    }

    /// All, in the order in which they are to be served.
    pub fn parts(&self) -> Vec<Part> {
        let parts = self.order.iter().filter_map(|key| self.parts.get(key));
        parts.cloned().collect()
    }

    /// The client is told this of a partition.
    pub fn told(&mut self, key: &PartKey, seen: Seen) {
        if let Some(part) = self.parts.get_mut(key) {
            part.seen = Some(seen);
        }
    }

    /// These were served, in this order: they go behind the others.
    pub fn served(&mut self, keys: Vec<PartKey>) {
        let served: HashSet<&PartKey> = keys.iter().collect();
        self.order.retain(|key| !served.contains(key));
        self.order.extend(keys);
    }
}

/// Sessions of one connection; a client has one.
const SESSIONS_MAX: usize = 4;
