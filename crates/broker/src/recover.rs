//! A start: takes over what the last owner of the data directory left.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use bongsu_engine::catalog::{Catalog, Change, LogDurability, QueueDefinition, QueueId, Settings};
use bongsu_engine::queue::dedup::Dedup;
use bongsu_engine::queue::{Note, Restoring};
use bongsu_engine::router::WindowId;
use bongsu_record::{LogId, Lsn, Offset};
use bongsu_storage::disk::Disk;
use bongsu_storage::{Durability, Entry, Error, Log, Options, Recovery, Report, Storage};

use crate::access::{ACCESS_NOTE, RestoredAccess};
use crate::broker::{Broker, CATALOG_NOTE, Limits, unix_ms};
use crate::cell::{QUEUE_NOTE, QueueCell};
use crate::change::durability;
use crate::groups::GROUP_NOTE;
use crate::groups::restore::RestoredGroups;
use crate::producers::RestoredProducers;
use crate::reading::{TRACK_NOTE, TrackedOf, decode_tracked};
use crate::topics::{TRIM_NOTE, decode_trim};
use crate::transactions::{RestoredTransactions, TRANSACTION_NOTE};
use crate::windows::{self, WINDOW_NOTE, Windows};

/// What a start found.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Storage's account.
    pub storage: Report,
    /// Queues that were there.
    pub queue_count: usize,
    /// Records in them, ready.
    pub record_count: u64,
}

/// A queue while the WAL is replayed.
struct Replayed {
    log: Arc<Log>,
    queue: Restoring,
    /// Entries at or below are in the cursor already.
    applied: Lsn,
}

impl Broker {
    /// Opens the data directory and takes over what is in it. [`Broker::start`] next.
    /// `durability_usual` is that of durable queues which do not say.
    ///
    /// # Errors
    /// Storage's, naming file and position; nothing was changed or skipped.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        durability_usual: Durability,
        limits: Limits,
    ) -> Result<(Broker, Recovered), Error> {
        let settings = Settings {
            durability: match durability_usual {
                Durability::Fsync => LogDurability::Fsync,
                Durability::Os => LogDurability::Os,
                Durability::Memory => LogDurability::Memory,
            },
            hash_seed: RandomState::new().build_hasher().finish(),
        };
        let place = (disk.clone(), options.dir.clone());
        let (storage, mut recovery) = Storage::open(disk, options)?;
        let (mut catalog, catalog_applied) = restored_catalog(&recovery, settings)?;
        let mut queues = restored_queues(&recovery)?;
        let mut tracked = restored_tracked(&recovery)?;
        let mut failed = None;
        let mut windows = RestoredWindows::of(&recovery);
        let now_ms = unix_ms();
        let mut producers = RestoredProducers::of(&recovery, now_ms)?;
        let mut transactions = RestoredTransactions::of(&recovery)?;
        let mut groups = RestoredGroups::of(&recovery)?;
        let mut access = RestoredAccess::of(&recovery)?;
        let mut trims = HashMap::new();
        recovery.replay(&mut |lsn, entry| {
            producers.replay(entry);
            let applied = match entry {
                Entry::Note { kind, bytes, .. } if *kind == CATALOG_NOTE => {
                    if lsn <= catalog_applied {
                        return;
                    }
                    replay_change(bytes, lsn, &mut catalog, &mut queues, &storage)
                }
                Entry::Note { kind, id, bytes } if *kind == WINDOW_NOTE => {
                    windows.replay(lsn, WindowId(*id), bytes)
                }
                Entry::Note { kind, bytes, .. } if *kind == ACCESS_NOTE => {
                    access.replay(lsn, bytes)
                }
                Entry::Note { kind, bytes, .. } if *kind == GROUP_NOTE => groups.replay(lsn, bytes),
                Entry::Note { kind, bytes, .. } if *kind == TRANSACTION_NOTE => {
                    transactions.replay("lane", lsn.0, bytes)
                }
                Entry::Note { kind, id, bytes } if *kind == TRACK_NOTE => {
                    let of = tracked.entry(LogId(*id)).or_default();
                    decode_tracked(bytes, of).ok_or_else(|| {
                        let what = format!("a note of readers of log {id} is cut short");
                        Error::corrupt("lane".as_ref(), lsn.0, what)
                    })
                }
                Entry::Note { kind, id, bytes } if *kind == TRIM_NOTE => match decode_trim(bytes) {
                    Some(start) => {
                        trims.insert(LogId(*id), start);
                        Ok(())
                    }
                    None => {
                        let what = format!("a note of where log {id} begins");
                        Err(Error::corrupt("lane".as_ref(), lsn.0, what))
                    }
                },
                other => replay_entry(lsn, other, &mut queues),
            };
            failed = failed.take().or(applied.err());
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let report = recovery.finish()?;
        catalog.replayed();
        let mut cells = HashMap::new();
        let mut record_count = 0;
        for (id, space, definition) in catalog.queues() {
            let replayed = queues.remove(&id.log());
            let (log, mut queue) = match replayed {
                Some(replayed) => (replayed.log, replayed.queue),
                None => {
                    let log = storage.create_log(id.log(), durability(definition.log));
                    (log, fresh(definition))
                }
            };
            if let Some(start) = trims.get(&id.log()) {
                // Of a log that does not wait for the disk, what was trimmed may be lost too.
                log.trim(log.end().min(*start));
            }
            let properties = Arc::clone(catalog.properties(id).expect("it is among its queues"));
            let source = definition.source.map(|source| source.queue);
            let source: Option<Arc<QueueCell>> = source.and_then(|id| cells.get(&id).cloned());
            if let Some(source) = &source {
                // Numbers ascend: what it consumes is there already. Whatever was handed out
                // before a crash, of what was there by then, may have been seen.
                queue.cursor.replay_append(source.readable_end(&properties));
            }
            let machine = queue.finish(properties, now_ms);
            let place = (space, definition.name.clone());
            let auto_delete = definition.auto_delete;
            let tracked = tracked.remove(&id.log()).unwrap_or_default();
            let logs = (log, source);
            let known = (tracked, producers.take(id.log()));
            let cell = QueueCell::new(id, place, logs, auto_delete, machine, known, now_ms);
            cell.is_told_of_source();
            if let Some(reading) = &mut cell.lock().reading {
                // What the retention had dropped since the checkpoint is there again.
                reading.wake_at(0);
            }
            record_count += cell.ready(&cell.lock());
            cells.insert(id, cell);
        }
        // Logs of queues that were deleted since the checkpoint.
        let mut deleted: Vec<LogId> = queues.into_keys().collect();
        deleted.sort_unstable();
        for log in deleted {
            storage.remove_log(log);
        }
        let recovered = Recovered {
            storage: report,
            queue_count: cells.len(),
            record_count,
        };
        let windows = windows.finish(&catalog)?;
        let transactions = transactions.finish();
        let broker = Broker::assemble(
            storage,
            place,
            limits,
            catalog,
            (cells, windows, transactions),
        );
        access.finish(&broker);
        groups.finish(&broker);
        Ok((broker, recovered))
    }
}

/// Windows while the WAL is replayed. How much each remembers is in the catalog, which is
/// whole only at the end.
#[derive(Default)]
struct RestoredWindows {
    /// Up to where each knows, and what.
    sections: HashMap<WindowId, (Lsn, Vec<u8>)>,
    since: HashMap<WindowId, Vec<Vec<u8>>>,
}

impl RestoredWindows {
    fn of(recovery: &Recovery) -> RestoredWindows {
        let sections = recovery.sections().iter();
        let sections = sections.filter(|section| section.kind == WINDOW_NOTE);
        let sections = sections.filter_map(|section| {
            let (applied, bytes) = section.bytes.split_first_chunk::<8>()?;
            let applied = Lsn(u64::from_be_bytes(*applied));
            Some((WindowId(section.id), (applied, bytes.to_vec())))
        });
        RestoredWindows {
            sections: sections.collect(),
            since: HashMap::new(),
        }
    }

    fn replay(&mut self, lsn: Lsn, id: WindowId, bytes: &[u8]) -> Result<(), Error> {
        let applied = self.sections.get(&id).map_or(Lsn(0), |section| section.0);
        if lsn > applied {
            self.since.entry(id).or_default().push(bytes.to_vec());
        }
        Ok(())
    }

    fn finish(mut self, catalog: &Catalog) -> Result<Windows, Error> {
        let windows = Windows::default();
        for (id, settings) in catalog.windows() {
            let limits = windows::limits(&settings);
            let malformed = |what: String| Error::corrupt("checkpoint".as_ref(), 0, what);
            let mut seen = match self.sections.remove(&id) {
                Some((_, bytes)) => Dedup::decode(&bytes, limits)
                    .map_err(|error| malformed(format!("window {}: {error:?}", id.0)))?,
                None => Dedup::new(limits),
            };
            for note in self.since.remove(&id).unwrap_or_default() {
                windows::replay(&note, &mut seen)
                    .ok_or_else(|| malformed(format!("a note of window {}", id.0)))?;
            }
            windows.put(id, &settings, seen, true);
        }
        Ok(windows)
    }
}

fn restored_catalog(recovery: &Recovery, settings: Settings) -> Result<(Catalog, Lsn), Error> {
    let section = recovery
        .sections()
        .iter()
        .find(|section| section.kind == CATALOG_NOTE);
    let Some(section) = section else {
        return Ok((Catalog::new(settings), Lsn(0)));
    };
    let malformed = |cause: String| Error::corrupt("checkpoint".as_ref(), 0, cause);
    let Some((applied, bytes)) = section.bytes.split_first_chunk::<8>() else {
        return Err(malformed("the catalog's section is empty".to_owned()));
    };
    let mut catalog = Catalog::new(settings);
    let used = catalog
        .restore(bytes)
        .map_err(|error| malformed(format!("catalog line {}: {}", error.line, error.cause)))?;
    if used != bytes.len() {
        return Err(malformed("the catalog's last line has no end".to_owned()));
    }
    Ok((catalog, Lsn(u64::from_be_bytes(*applied))))
}

fn restored_queues(recovery: &Recovery) -> Result<HashMap<LogId, Replayed>, Error> {
    let mut queues = HashMap::new();
    for section in recovery.log_sections() {
        let queue = Restoring::decode(&section.state).map_err(|error| {
            let what = format!("the cursor of log {}: {error:?}", section.log.id());
            Error::corrupt("checkpoint".as_ref(), 0, what)
        })?;
        queues.insert(
            section.log.id(),
            Replayed {
                log: section.log.clone(),
                queue,
                applied: section.applied,
            },
        );
    }
    Ok(queues)
}

fn restored_tracked(recovery: &Recovery) -> Result<TrackedOf, Error> {
    let mut all = TrackedOf::new();
    for section in recovery.sections() {
        if section.kind == TRACK_NOTE {
            let tracked = all.entry(LogId(section.id)).or_default();
            decode_tracked(&section.bytes, tracked).ok_or_else(|| {
                let what = format!("the readers of log {} are cut short", section.id);
                Error::corrupt("checkpoint".as_ref(), 0, what)
            })?;
        }
    }
    Ok(all)
}

/// What is known of a queue of which nothing is.
fn fresh(definition: &QueueDefinition) -> Restoring {
    match definition.source {
        Some(source) => Restoring::starting_at(Offset(source.start)),
        None => Restoring::default(),
    }
}

fn replay_change(
    bytes: &[u8],
    lsn: Lsn,
    catalog: &mut Catalog,
    queues: &mut HashMap<LogId, Replayed>,
    storage: &Storage,
) -> Result<(), Error> {
    let change = Change::decode(bytes)
        .map_err(|error| Error::corrupt("lane".as_ref(), lsn.0, error.to_string()))?;
    let emptied: Vec<QueueId> = match &change {
        Change::DeleteSpace { id, .. } => catalog.queues_in(*id).collect(),
        _ => Vec::new(),
    };
    for id in emptied {
        queues.remove(&id.log());
        storage.remove_log(id.log());
    }
    catalog.apply(&change);
    match &change {
        Change::DeclareQueue { id, queue, .. } => {
            queues.entry(id.log()).or_insert_with(|| Replayed {
                log: storage.create_log(id.log(), durability(queue.log)),
                queue: fresh(queue),
                applied: Lsn(0),
            });
        }
        Change::DeleteQueue { id, .. } => {
            queues.remove(&id.log());
            storage.remove_log(id.log());
        }
        _ => {}
    }
    Ok(())
}

/// Entries of logs that are not there belong to queues deleted later: their deletion is in
/// the catalog's section already, or was just replayed.
fn replay_entry(
    lsn: Lsn,
    entry: &Entry,
    queues: &mut HashMap<LogId, Replayed>,
) -> Result<(), Error> {
    let mut with = |log: LogId, act: &mut dyn FnMut(&mut Restoring)| {
        if let Some(queue) = queues.get_mut(&log).filter(|queue| queue.applied < lsn) {
            act(&mut queue.queue);
        }
    };
    match entry {
        Entry::Append { targets, batch } => {
            let count = u64::from(batch.offset_count());
            for (log, base) in targets {
                with(*log, &mut |queue| {
                    queue.cursor.replay_append(base.plus(count));
                    if batch.has_terms() {
                        queue.cursor.replay_judges();
                    }
                });
            }
        }
        Entry::Stored {
            log, base, count, ..
        } => with(*log, &mut |queue| {
            // Its records have no terms: else they were in the lane.
            queue.cursor.replay_append(base.plus(u64::from(*count)));
        }),
        Entry::Settle { log, ranges } => with(*log, &mut |queue| {
            for range in ranges {
                queue.cursor.replay_settle(range.clone());
            }
        }),
        Entry::Mark { log, next } => with(*log, &mut |queue| queue.cursor.replay_mark(*next)),
        Entry::Note { kind, id, bytes } if *kind == QUEUE_NOTE => {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let note = Note::decode(&mut rest).map_err(|error| {
                    let what = format!("a note of log {id}: {error:?}");
                    Error::corrupt("lane".as_ref(), lsn.0, what)
                })?;
                with(LogId(*id), &mut |queue| queue.replay(note.clone()));
            }
        }
        Entry::Note { .. } => {}
    }
    Ok(())
}
