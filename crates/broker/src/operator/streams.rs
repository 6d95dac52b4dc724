//! Streams as people see them: partitions with their bounds, sizes and times, and who reads.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::catalog::QueueId;
use bongsu_record::Offset;

use super::Operator;
use super::queues::{QueueKind, QueueSeen};
use crate::cell::QueueCell;
use crate::handle::{not_found, refused};

/// A stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamSeen {
    /// Its first partition, as a queue.
    pub queue: QueueSeen,
    /// All of them.
    pub partitions: Vec<StreamPart>,
    /// Subscriptions to any of them, by name; places of share groups are not among them.
    pub subscriptions: Vec<Arc<str>>,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct StreamPart {
    /// From 0.
    pub partition: usize,
    /// First that is kept.
    pub start: Offset,
    /// Behind the last.
    pub end: Offset,
    /// Behind the last that no crash takes back.
    pub durable_end: Offset,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub segments: usize,
    /// Readers.
    pub readers: u32,
    /// When the first batch was written: Unix milliseconds; looked up only where asked.
    pub oldest_ms: Option<i64>,
    /// When the last was.
    pub newest_ms: Option<i64>,
}

impl Operator {
    /// The streams of a space whose names contain a text, in the order of names, without
    /// times.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn streams(&self, space: &str, text: &str) -> Result<Vec<StreamSeen>, Refused> {
        let queues = self.queue_names(space, text)?;
        let streams = queues.iter().filter(|one| one.kind == QueueKind::Stream);
        let seen = streams.filter_map(|one| self.named(one));
        Ok(seen.map(|queue| self.stream_seen(queue)).collect())
    }

    /// A stream with the times of its first and last records. May read the disk.
    ///
    /// # Errors
    /// [`Refused::NotFound`] also if it is a queue, [`Refused::Denied`],
    /// [`Refused::Storage`].
    pub async fn stream(&self, space: &str, name: &str) -> Result<StreamSeen, Refused> {
        let queue = self.queue(space, name)?;
        if queue.kind != QueueKind::Stream {
            return Err(not_found(name));
        }
        let mut seen = self.stream_seen(queue);
        let cells = self.part_cells(space, name)?;
        let times = self
            .blocking(move || {
                let times = cells.iter().map(|cell| {
                    let first = cell.log.start_time().map_err(|error| refused(&error))?;
                    let end = cell.log.end();
                    let last = Offset(end.0.saturating_sub(1));
                    let newest = match cell.log.start() < end {
                        true => cell.time_at(last)?,
                        false => None,
                    };
                    let newest = newest.and_then(|ms| i64::try_from(ms).ok());
                    Ok((first.filter(|_| newest.is_some()), newest))
                });
                times.collect::<Result<Vec<_>, Refused>>()
            })
            .await??;
        for (part, (oldest_ms, newest_ms)) in seen.partitions.iter_mut().zip(times) {
            part.oldest_ms = oldest_ms;
            part.newest_ms = newest_ms;
        }
        Ok(seen)
    }

    fn part_cells(&self, space: &str, name: &str) -> Result<Vec<Arc<QueueCell>>, Refused> {
        let found = self.find_queue(space, name)?;
        let parts: Vec<QueueId> = {
            let catalog = self.broker().catalog();
            match catalog.topic(found.space, name) {
                Some(topic) => topic.partitions.to_vec(),
                None => vec![found.cell.id],
            }
        };
        let cells = parts.into_iter();
        Ok(cells.filter_map(|id| self.broker().cell(id)).collect())
    }

    fn stream_seen(&self, queue: QueueSeen) -> StreamSeen {
        let cells = self.part_cells(&queue.space, &queue.definition.name);
        let cells = cells.unwrap_or_default();
        let durable = self.broker().durable_lsn();
        let mut subscriptions = Vec::new();
        let mut partitions = Vec::with_capacity(cells.len());
        for (partition, cell) in cells.iter().enumerate() {
            let readers = cell.lock().link_count();
            let bounds = cell.log.bounds(durable);
            partitions.push(StreamPart {
                partition,
                start: bounds.start,
                end: bounds.end,
                durable_end: bounds.durable_end,
                bytes: cell.log.size_bytes(),
                segments: cell.log.stats().segment_count,
                readers,
                oldest_ms: None,
                newest_ms: None,
            });
            let catalog = self.broker().catalog();
            let named = catalog.subscriptions(cell.id).filter_map(|id| {
                let name = catalog.queue(id)?.name.clone();
                (!name.starts_with("$share/")).then_some(name)
            });
            subscriptions.extend(named);
        }
        StreamSeen {
            queue,
            partitions,
            subscriptions,
        }
    }
}
