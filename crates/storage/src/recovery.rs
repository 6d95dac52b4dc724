//! Start-up: what the last owner of the data directory left.
//!
//! **A restart is a takeover of one's own previous lane**, in the same steps that take
//! over another machine's:
//!
//! 1. read the register; load the checkpoint it names;
//! 2. seal every lane it lists, from the floor on: each must begin where the one before
//!    it ended;
//! 3. make a new lane that begins where the last one ends, and list it;
//! 4. replay what is above the floor;
//! 5. verify the segments that replay referred to, and cut what nothing refers to.
//!
//! Each step can be cut short by a crash and done again from the first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bongsu_record::{LogId, Lsn, Offset};
use bytes::Bytes;

use crate::checkpoint::blob::{self, Captured, Decoded, Wrong};
use crate::disk::DiskLock;
use crate::entry::decode_frame;
use crate::log::Segment;
use crate::log::budget::Payload;
use crate::log::shelf::Shelf;
use crate::log::tail::Item;
use crate::manifest::{ListedLane, Manifest};
use crate::seam::{LaneId, Replayed, SealedLane, Seams};
use crate::storage::Storage;
use crate::{Entry, Error, Log, Options, SegmentId};

mod verify;

/// A section that the broker put into the checkpoint.
#[derive(Clone, Debug)]
pub struct Section {
    /// As it was put.
    pub kind: u8,
    /// As it was put.
    pub id: u64,
    /// As it was put.
    pub bytes: Bytes,
}

/// A log out of the checkpoint, with the state its queue put.
#[derive(Clone)]
pub struct LogSection {
    /// The log, restored as far as the checkpoint goes.
    pub log: Arc<Log>,
    /// Replay entries of this queue above this LSN only.
    pub applied: Lsn,
    /// As it was put.
    pub state: Bytes,
}

/// Start-up in three steps: [`Recovery::sections`] and [`Recovery::log_sections`], then
/// [`Recovery::replay`], then [`Recovery::finish`]. Nothing may be appended before
/// `finish` has returned.
pub struct Recovery {
    storage: Storage,
    sections: Vec<Section>,
    log_sections: Vec<LogSection>,
    sealed: Vec<Box<dyn SealedLane>>,
    floor: Lsn,
    follow: BTreeMap<LogId, Follow>,
    /// Up to here, what frames of the lane in replay refer to was synced.
    references_synced: Lsn,
    replayed: bool,
    report: Report,
    started: Instant,
}

/// What recovery knows of a log beyond the log itself.
#[derive(Default)]
struct Follow {
    /// Out of the checkpoint. Else only replay saw it, and it is dropped unless the
    /// broker claims it: it was removed before the checkpoint, or not yet made.
    listed: bool,
    /// Base of the first append that replay saw, if it is not in the checkpoint.
    first: Option<Offset>,
    /// Segments of this or a later name were made after the checkpoint.
    next_segment: u64,
    /// Segments that replay extended.
    extended: BTreeMap<SegmentId, Extended>,
}

#[derive(Default)]
struct Extended {
    /// Where its units, and the records in them, were known to end before.
    from: u64,
    from_end: Offset,
    /// Ascending.
    references: Vec<Reference>,
}

/// What recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the last owner closed cleanly: then nothing was replayed.
    pub clean: bool,
    /// Lanes replayed.
    pub lane_count: u64,
    /// Frames replayed.
    pub frame_count: u64,
    /// Records in replayed appends.
    pub record_count: u64,
    /// Bytes of frames replayed.
    pub replayed_bytes: u64,
    /// Bytes at the end of the last lane that were not whole, never confirmed.
    pub torn_bytes: u64,
    /// Records of `os` durability that a power cut took.
    pub lost_record_count: u64,
    /// Segment and lane files that nothing referred to.
    pub orphan_count: u64,
    /// How long it took, from `Storage::open`.
    pub duration: Duration,
}

/// What the lane says of a segment.
#[derive(Clone, Copy)]
struct Reference {
    /// Where its units end, then.
    units_end: u64,
    /// Whether a sync of the same lane covers it. Another lane's does not: the recovery
    /// between them may have found it lost, and gone on without.
    vouched: bool,
}

impl Recovery {
    pub(crate) fn open(
        seams: Seams,
        options: Options,
        lock: Option<Box<dyn DiskLock>>,
    ) -> Result<(Storage, Recovery), Error> {
        let started = Instant::now();
        let (version, manifest) = read_manifest(&seams)?;
        let (decoded, checkpoint_bytes) = load_checkpoint(&seams, manifest.checkpoint)?;
        let Takeover {
            sealed,
            listed,
            end,
            clean,
            torn_bytes,
        } = seal_lanes(&seams, &manifest)?;

        let at_least = manifest.lanes.iter().map(|lane| lane.id.0 + 1).max();
        let lane = seams.lanes.create(LaneId(at_least.unwrap_or(1)), end)?;
        let mut next = Manifest {
            lanes: listed,
            ..manifest
        };
        next.lanes.push(ListedLane {
            id: lane.id(),
            start: end,
            end: None,
        });
        let version = seams.register.compare_and_swap(version, &next.encode())?;
        let ids: Vec<LaneId> = next.lanes.iter().map(|lane| lane.id).collect();
        seams.lanes.keep(&ids)?;

        let shelf = Arc::new(Shelf::new(
            Arc::clone(&seams.blobs),
            options,
            decoded.next_segment.max(1),
        ));
        let floor = next.floor;
        let storage =
            Storage::assemble(seams, shelf, lane, (version, next), checkpoint_bytes, lock);
        let mut recovery = Recovery {
            storage: storage.clone(),
            sections: decoded.sections,
            log_sections: Vec::new(),
            report: Report {
                clean,
                torn_bytes,
                ..Report::default()
            },
            sealed,
            floor,
            follow: BTreeMap::new(),
            references_synced: Lsn(0),
            replayed: false,
            started,
        };
        for (captured, state) in decoded.logs {
            recovery.restore(captured, state);
        }
        // Zeros for the next lane file now, rather than in somebody's commit.
        if let Err(error) = storage.shared.lane.prepare()
            && !error.is_full()
        {
            return Err(error);
        }
        storage.shared.restore_reserve();
        Ok((storage, recovery))
    }

    fn restore(&mut self, captured: Captured, state: Bytes) {
        let shared = &self.storage.shared;
        let log = shared.log_or_new(captured.id, captured.durability);
        {
            let mut inner = log.inner.lock();
            inner.start = captured.start;
            inner.segments = captured.segments.into();
            for (base, batch) in &captured.inline {
                // Dead batches were left out: the tail may begin with gaps, which only
                // readers below what is alive would see.
                let payload = Payload::new(batch, &shared.shelf.budget);
                inner.push(Item::new(*base, self.floor, payload, true));
            }
            inner.end = captured.kept_end;
            inner.first_append = Some(self.floor);
        }
        log.claimed.store(true, Ordering::Relaxed);
        let follow = Follow {
            listed: true,
            next_segment: captured.next_segment,
            ..Follow::default()
        };
        self.follow.insert(captured.id, follow);
        self.log_sections.push(LogSection {
            log,
            applied: captured.applied,
            state,
        });
    }

    /// The broker's sections of the checkpoint, in the order they were put.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The logs of the checkpoint, in the order they were put.
    pub fn log_sections(&self) -> &[LogSection] {
        &self.log_sections
    }

    /// Visits every entry since the checkpoint's floor, in order. The LSN is the one
    /// that the append or record returned: an entry belongs to a queue's state if it is
    /// above the `applied` of that queue's section. Logs fill their tails meanwhile. A
    /// log that is not in the checkpoint exists only if the visitor calls
    /// [`Storage::create_log`](crate::Storage::create_log) for it, at the note that says so.
    ///
    /// # Errors
    /// `Corrupt` or `Missing`; nothing is skipped.
    pub fn replay(&mut self, visit: &mut dyn FnMut(Lsn, &Entry)) -> Result<(), Error> {
        if std::mem::replace(&mut self.replayed, true) {
            return Ok(());
        }
        for lane in std::mem::take(&mut self.sealed) {
            let before = self.report.frame_count;
            let place = lane.end_place();
            self.references_synced = lane.references_synced();
            lane.replay(self.floor, &mut |frame| {
                self.replay_frame(&frame, &place.0, visit)
            })?;
            self.report.lane_count += u64::from(self.report.frame_count > before);
        }
        self.report.clean &= self.report.frame_count == 0;
        Ok(())
    }

    fn replay_frame(
        &mut self,
        frame: &Replayed,
        lane: &std::path::Path,
        visit: &mut dyn FnMut(Lsn, &Entry),
    ) -> Result<(), Error> {
        let wrong = |what: String| Error::corrupt(lane, 0, format!("LSN {}: {what}", frame.lsn));
        let entries = decode_frame(&frame.bytes)
            .ok_or_else(|| wrong("a frame's entries do not add up".to_owned()))?;
        self.report.frame_count += 1;
        self.report.replayed_bytes += frame.bytes.len() as u64;
        for entry in &entries {
            self.apply(frame.lsn, entry).map_err(wrong)?;
            // A reference without records is a word between storage and itself.
            if !matches!(entry, Entry::Stored { count: 0, .. }) {
                visit(frame.lsn, entry);
            }
        }
        Ok(())
    }

    /// What the entry does to logs.
    fn apply(&mut self, lsn: Lsn, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Append { targets, batch } => {
                self.report.record_count += u64::from(batch.record_count());
                let mut payload = None;
                for (id, base) in targets {
                    let (log, _) = self.follow(*id, *base);
                    let mut inner = log.inner.lock();
                    if *base < inner.end {
                        continue;
                    }
                    if *base > inner.end {
                        return Err(gap(*id, inner.end, *base));
                    }
                    let budget = &self.storage.shared.shelf.budget;
                    let payload = payload.get_or_insert_with(|| Payload::new(batch, budget));
                    inner.push(Item::new(*base, lsn, Arc::clone(payload), true));
                }
            }
            Entry::Stored {
                log,
                base,
                count,
                segment,
                position,
                bytes,
            } => {
                self.report.record_count += u64::from(*count);
                let reference = Reference {
                    units_end: position + u64::from(*bytes),
                    vouched: lsn <= self.references_synced,
                };
                let units_end = reference.units_end;
                let (log, follow) = self.follow(*log, *base);
                let end = base.plus(u64::from(*count));
                let mut inner = log.inner.lock();
                if *count > 0 && *base > inner.end {
                    return Err(gap(log.id(), inner.end, *base));
                }
                let known = inner.segments.iter_mut().find(|s| s.id == *segment);
                match known {
                    // The checkpoint has it.
                    Some(known) if known.bytes >= units_end => return Ok(()),
                    Some(known) => {
                        follow.extend(*segment, (known.bytes, known.end), reference);
                        known.bytes = units_end;
                        known.end = end;
                    }
                    // Dropped before the checkpoint.
                    None if segment.0 < follow.next_segment => return Ok(()),
                    None => {
                        follow.extend(*segment, (0, Offset(0)), reference);
                        inner.segments.push_back(Segment {
                            id: *segment,
                            base: *base,
                            end,
                            bytes: units_end,
                            sealed: false,
                            first_ms: None,
                            peak: None,
                        });
                    }
                }
                inner.end = inner.end.max(end);
                inner.first_append.get_or_insert(lsn);
            }
            Entry::Settle { .. } | Entry::Mark { .. } | Entry::Note { .. } => {}
        }
        Ok(())
    }

    fn follow(&mut self, id: LogId, base: Offset) -> (Arc<Log>, &mut Follow) {
        let shared = &self.storage.shared;
        let log = shared.log_or_new(id, shared.options.durability);
        let follow = self.follow.entry(id).or_default();
        if !follow.listed && follow.first.is_none() {
            follow.first = Some(base);
            log.inner.lock().end = base;
        }
        (log, follow)
    }

    /// Verifies that every segment still needed is there and sound, drops tails that
    /// segments cover, removes orphans.
    ///
    /// # Errors
    /// `Corrupt`, `Missing` or `Io`.
    pub fn finish(mut self) -> Result<Report, Error> {
        self.replay(&mut |_, _| ())?;
        self.verify()?;
        let mut report = self.report;
        report.duration = self.started.elapsed();
        Ok(report)
    }
}

impl Follow {
    fn extend(&mut self, segment: SegmentId, from: (u64, Offset), reference: Reference) {
        let extended = self.extended.entry(segment).or_insert(Extended {
            from: from.0,
            from_end: from.1,
            references: Vec::new(),
        });
        extended.references.push(reference);
    }
}

fn gap(log: LogId, end: Offset, base: Offset) -> String {
    format!("log {log} ends at offset {end}, and the next append is at {base}")
}

fn read_manifest(seams: &Seams) -> Result<(u64, Manifest), Error> {
    let path = seams.register.path();
    if let Some((version, value)) = seams.register.read()? {
        let manifest = Manifest::decode(&value);
        let what = "its fields do not add up";
        return Ok((version, manifest.ok_or(Error::corrupt(&path, 0, what))?));
    }
    // The register is the first thing written: without it there is nothing else, or it
    // was taken away.
    let lanes = seams.lanes.list()?;
    let blobs = seams.blobs.list()?;
    if let Some(what) = blobs
        .iter()
        .map(|name| seams.blobs.path(name).display().to_string())
        .chain(lanes.iter().map(|lane| format!("lane {}", lane.0)))
        .next()
    {
        return Err(Error::Missing {
            path,
            what: format!("it says what of the data directory is current, and there is {what}"),
        });
    }
    let manifest = Manifest::default();
    let version = seams.register.compare_and_swap(0, &manifest.encode())?;
    Ok((version, manifest))
}

fn load_checkpoint(seams: &Seams, number: u64) -> Result<(Decoded, u64), Error> {
    if number == 0 {
        return Ok((Decoded::default(), 0));
    }
    let name = blob::name(number);
    let path = seams.blobs.path(&name);
    let file = seams.blobs.open(&name)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(0, &mut bytes)?;
    match blob::decode(&bytes, number) {
        Ok(decoded) => Ok((decoded, bytes.len() as u64)),
        Err(Wrong::Damaged(position, what)) => Err(Error::corrupt(&path, position, what)),
        Err(Wrong::Format(found)) => Err(Error::Format {
            path,
            found,
            supported: blob::FORMAT,
        }),
    }
}

/// What sealing found.
#[derive(Default)]
struct Takeover {
    /// Lanes that hold something above the floor, and how the register lists them.
    sealed: Vec<Box<dyn SealedLane>>,
    listed: Vec<ListedLane>,
    /// Where the last lane ends.
    end: Lsn,
    clean: bool,
    torn_bytes: u64,
}

/// Seals what the register lists.
fn seal_lanes(seams: &Seams, manifest: &Manifest) -> Result<Takeover, Error> {
    let mut all = Takeover {
        end: manifest.floor,
        ..Takeover::default()
    };
    for lane in &manifest.lanes {
        if lane.start > all.end {
            return Err(Error::corrupt(
                &seams.register.path(),
                0,
                format!(
                    "lane {} begins at LSN {}, after {}",
                    lane.id.0, lane.start, all.end
                ),
            ));
        }
        let found = seams.lanes.seal(lane.id, manifest.floor)?;
        let range = found.range();
        let (path, position) = found.end_place();
        let short = lane.end.unwrap_or(manifest.floor.max(lane.start));
        if range.end < short {
            return Err(Error::corrupt(
                &path,
                position,
                format!(
                    "the lane ends at LSN {}, but was durable to {short}",
                    range.end
                ),
            ));
        }
        all.end = range.end;
        all.clean = found.is_clean();
        all.torn_bytes += found.torn_bytes();
        // A lane of a start that came no further than this says nothing.
        if range.end > manifest.floor && range.end > lane.start {
            all.listed.push(ListedLane {
                end: Some(range.end),
                ..*lane
            });
            all.sealed.push(found);
        }
    }
    Ok(all)
}
