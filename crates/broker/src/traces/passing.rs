//! What a group of consumers settles when it commits an offset: every record between the
//! offset that it had committed before and this one.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::catalog::{Catalog, SpaceId};
use bongsu_engine::group::{Answer, Group, Request};
use bongsu_engine::session::Outcome;
use bongsu_record::Offset;

use super::Traces;
use super::leading::{self, Reader};
use crate::broker::Broker;
use crate::cell::QueueCell;
use crate::registry::Connection;

/// See the module's comment.
pub(crate) struct Passing {
    parts: Vec<Part>,
    since_ns: u64,
}

struct Part {
    topic: Arc<str>,
    partition: i32,
    cell: Arc<QueueCell>,
    records: Range<Offset>,
}

impl Passing {
    /// What the request would settle; to be asked before the group is.
    pub(crate) fn of(
        request: &Request,
        group: &Group,
        (catalog, space): (&Catalog, SpaceId),
        broker: &Broker,
    ) -> Option<Passing> {
        let Request::Commit(commit) = request else {
            return None;
        };
        let since_ns = leading::now_ns();
        let mut parts = Vec::new();
        for of in &commit.topics {
            let Some((_, cells)) = catalog.partitions_by_id(space, of.topic.id) else {
                continue;
            };
            for part in &of.partitions {
                let known = group.offsets().find((of.topic.id, part.partition));
                let from = known.map_or(0, |known| known.offset);
                let offset = |offset: i64| Offset(u64::try_from(offset).unwrap_or(0));
                let records = offset(from)..offset(part.offset);
                let index = usize::try_from(part.partition).unwrap_or(usize::MAX);
                let cell = cells.get(index).and_then(|id| broker.cell(*id));
                if let (true, Some(cell)) = (records.start < records.end, cell) {
                    parts.push(Part {
                        topic: of.topic.name.clone(),
                        partition: part.partition,
                        cell,
                        records,
                    });
                }
            }
        }
        (!parts.is_empty()).then_some(Passing { parts, since_ns })
    }

    /// The group has answered.
    pub(crate) fn passed(
        self,
        answer: &Answer,
        group: &str,
        connection: &Connection,
        traces: &Traces,
    ) {
        let Answer::Committed(results) = answer else {
            return;
        };
        for part in self.parts {
            let of_topic = results
                .iter()
                .filter(|(topic, _)| topic.name == part.topic)
                .flat_map(|(_, partitions)| partitions);
            let taken = of_topic
                .filter(|(partition, _)| *partition == part.partition)
                .any(|(_, result)| result.is_ok());
            if !taken {
                continue;
            }
            let reader = Reader {
                key: 0,
                connection: Some(connection),
                group: Some(group),
                partition: Some(part.partition),
            };
            let (records, since) = (std::slice::from_ref(&part.records), (self.since_ns, true));
            traces.settled(&part.cell, records, reader, Some(Outcome::Accept), since);
        }
    }
}
