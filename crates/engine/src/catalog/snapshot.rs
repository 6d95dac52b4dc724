//! The durable part of the catalog as lines, each a [`Change`] that makes one thing: a
//! restore is a replay, and there is one format. Spaces come first, then policies, so that what they apply to
//! is read once; then exchanges, queues, configurations of groups, bindings.

use std::fmt;

use crate::catalog::change::Change;
use crate::catalog::edge::Edge;
use crate::catalog::space::SpaceDefinition;
use crate::catalog::state::{Catalog, ExchangeEntry, FIRST_SPACE, PREDECLARED};
use crate::router::{SpaceId, Target};

/// A line of a snapshot that is no change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotMalformed {
    /// Which line of the bytes given, from 0.
    pub line: usize,
    /// What is wrong, for people.
    pub cause: String,
}

impl Catalog {
    /// Writes the durable part to `write`, in chunks of whole lines; stops at its first
    /// error. The same state gives the same bytes.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn snapshot<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + LINE_BYTES_USUAL);
        let reserved = Change::ReserveQueueIds {
            end: self.reserved_end,
        };
        let spaces = self.durable_spaces();
        let policies = self.policies().map(|(space, policy)| Change::SetPolicy {
            space,
            policy: (**policy).clone(),
        });
        let exchanges = self.durable_exchanges();
        let queues = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.definition.durable);
        let queues = queues.map(|(id, queue)| Change::DeclareQueue {
            space: queue.space,
            id: *id,
            queue: (*queue.definition).clone(),
        });
        let groups = self.group_configs.iter();
        let groups = groups.map(|((space, group), configs)| Change::ConfigureGroup {
            space: *space,
            group: group.clone(),
            configs: configs.clone(),
        });
        let bindings = self.durable_bindings();
        let cluster = self.cluster;
        let found = (cluster != 0).then_some(Change::Found { cluster });
        let changes = found
            .into_iter()
            .chain(std::iter::once(reserved))
            .chain(spaces)
            .chain(policies)
            .chain(exchanges)
            .chain(queues)
            .chain(groups)
            .chain(bindings);
        for change in changes {
            serde_json::to_writer(&mut chunk, &change).expect("as Change::encode");
            chunk.push(b'\n');
            if chunk.len() >= CHUNK_BYTES {
                write(&chunk)?;
                chunk.clear();
            }
        }
        write(&chunk)
    }

    /// Applies the whole lines of `bytes`; returns how many bytes they were. The rest is to
    /// be handed over again with what follows it.
    ///
    /// # Errors
    /// [`SnapshotMalformed`]; the lines before it have been applied.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<usize, SnapshotMalformed> {
        let mut used = 0;
        for (line, text) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let Some(text) = text.strip_suffix(b"\n") else {
                break;
            };
            let change = Change::decode(text).map_err(|malformed| SnapshotMalformed {
                line,
                cause: malformed.cause,
            })?;
            self.apply(&change);
            used += text.len() + 1;
        }
        Ok(used)
    }

    /// A new data directory's `/` is what a restore begins with.
    fn durable_spaces(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        let first = SpaceDefinition::named(FIRST_SPACE);
        if self.next_space > SpaceId::DEFAULT.0 + 1 {
            let end = self.next_space;
            changes.push(Change::ReserveSpaceIds { end });
        }
        if !self.spaces.contains_key(&SpaceId::DEFAULT) {
            let (id, name) = (SpaceId::DEFAULT, FIRST_SPACE.to_owned());
            changes.push(Change::DeleteSpace { id, name });
        }
        for (id, space) in self.spaces() {
            if id != SpaceId::DEFAULT || **space != first {
                let space = (**space).clone();
                changes.push(Change::DeclareSpace { id, space });
            }
        }
        changes
    }

    fn durable_exchanges(&self) -> impl Iterator<Item = Change> {
        let own = self.exchanges_by_name().into_iter().filter(|entry| {
            let name = &*entry.definition.name;
            let predeclared = PREDECLARED.iter().any(|(known, _)| *known == name);
            entry.definition.durable && !predeclared
        });
        own.map(|entry| Change::DeclareExchange {
            space: entry.space,
            exchange: (*entry.definition).clone(),
        })
    }

    /// By source, then queues by number, then exchanges by name: exchange numbers differ
    /// between processes.
    fn durable_bindings(&self) -> impl Iterator<Item = Change> {
        self.exchanges_by_name().into_iter().flat_map(|entry| {
            let mut edges: Vec<&Edge> = entry.outbound.iter().map(|edge| &**edge).collect();
            edges.retain(|edge| self.is_durable(edge));
            edges.sort_by_key(|edge| match edge.target {
                Target::Queue(_) => None,
                Target::Exchange(id) => Some(&self.exchanges[&id].definition.name),
            });
            edges
                .into_iter()
                .map(|edge| Change::Bind(self.describe(edge)))
        })
    }

    fn exchanges_by_name(&self) -> Vec<&ExchangeEntry> {
        let mut entries: Vec<&ExchangeEntry> = self.exchanges.values().collect();
        entries.sort_unstable_by_key(|entry| (entry.space, &entry.definition.name));
        entries
    }
}

impl fmt::Display for SnapshotMalformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause)
    }
}

impl std::error::Error for SnapshotMalformed {}

const CHUNK_BYTES: usize = 64 * 1024;
const LINE_BYTES_USUAL: usize = 1024;
