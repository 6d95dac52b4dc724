//! The seam in memory: simple, and made apart from the disk's, so that the suite tests
//! promises and not an implementation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::Lsn;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    Blob, Blobs, Frame, Lane, LaneId, LaneStore, Needs, Register, Replayed, SealedLane, Seams,
    Waiting,
};
use crate::Error;

/// A data directory in memory. Clones share it; dropping the last one loses it.
#[derive(Clone, Default)]
pub struct MemorySeam {
    lanes: Arc<Mutex<BTreeMap<LaneId, Arc<Mutex<Track>>>>>,
    blobs: Arc<Mutex<BTreeMap<String, Arc<MemoryBlob>>>>,
    register: Arc<Mutex<Option<(u64, Bytes)>>>,
}

impl MemorySeam {
    /// An empty one.
    pub fn new() -> MemorySeam {
        MemorySeam::default()
    }

    /// Handles for a [`Storage`](crate::Storage).
    pub fn seams(&self) -> Seams {
        Seams {
            lanes: Arc::new(self.clone()),
            blobs: Arc::new(self.clone()),
            register: Arc::new(self.clone()),
        }
    }
}

/// The frames of one lane.
#[derive(Default)]
struct Track {
    start: Lsn,
    references_synced: Lsn,
    /// Behind the last committed frame, whether it is still kept or not.
    durable: Lsn,
    committed: Vec<Kept>,
    pending: Vec<Kept>,
    sealed: bool,
    clean: bool,
    torn_bytes: u64,
}

#[derive(Clone)]
struct Kept {
    first: Lsn,
    bytes: Bytes,
    needs: Needs,
}

impl Kept {
    fn end(&self) -> Lsn {
        Lsn(self.first.0 + self.bytes.len() as u64)
    }
}

impl Track {
    fn position(&self) -> Lsn {
        self.pending.last().map_or(self.durable, Kept::end)
    }
}

impl LaneStore for MemorySeam {
    fn create(&self, at_least: LaneId, start: Lsn) -> Result<Arc<dyn Lane>, Error> {
        let mut lanes = self.lanes.lock();
        let next = lanes.last_key_value().map_or(0, |(id, _)| id.0 + 1);
        let id = LaneId(at_least.0.max(next));
        let track = Arc::new(Mutex::new(Track {
            start,
            durable: start,
            ..Track::default()
        }));
        lanes.insert(id, Arc::clone(&track));
        Ok(Arc::new(MemoryLane {
            id,
            track,
            all: self.clone(),
        }))
    }

    fn seal(&self, lane: LaneId, _floor: Lsn) -> Result<Box<dyn SealedLane>, Error> {
        let lanes = self.lanes.lock();
        let track = lanes.get(&lane).ok_or_else(|| Error::Missing {
            path: PathBuf::from(format!("memory/lane-{}", lane.0)),
            what: "the register lists this lane".to_owned(),
        })?;
        let mut locked = track.lock();
        if !locked.sealed {
            locked.sealed = true;
            locked.torn_bytes = locked.position().0 - locked.durable.0;
            locked.pending.clear();
        }
        Ok(Box::new(MemorySealed(Arc::clone(track))))
    }

    fn list(&self) -> Result<Vec<LaneId>, Error> {
        Ok(self.lanes.lock().keys().copied().collect())
    }

    fn keep(&self, keep: &[LaneId]) -> Result<(), Error> {
        self.lanes.lock().retain(|id, _| keep.contains(id));
        Ok(())
    }
}

struct MemoryLane {
    id: LaneId,
    track: Arc<Mutex<Track>>,
    all: MemorySeam,
}

impl MemoryLane {
    fn fenced(&self) -> Error {
        Error::Fenced {
            what: format!("lane {} is sealed", self.id.0),
        }
    }
}

impl Lane for MemoryLane {
    fn id(&self) -> LaneId {
        self.id
    }

    fn append(&self, frame: Frame<'_>) -> Result<Lsn, Error> {
        let mut bytes = Vec::new();
        let mut done = 0;
        for (at, payload) in frame.payloads {
            bytes.extend_from_slice(&frame.head[done..*at]);
            bytes.extend_from_slice(payload);
            done = *at;
        }
        bytes.extend_from_slice(&frame.head[done..]);
        let mut track = self.track.lock();
        if track.sealed {
            return Err(self.fenced());
        }
        let kept = Kept {
            first: track.position(),
            bytes: bytes.into(),
            needs: frame.needs,
        };
        let end = kept.end();
        track.pending.push(kept);
        Ok(end)
    }

    fn position(&self) -> Lsn {
        self.track.lock().position()
    }

    fn durable(&self) -> Lsn {
        self.track.lock().durable
    }

    fn waiting(&self) -> Option<Waiting> {
        let track = self.track.lock();
        let needs = track.pending.iter().map(|kept| kept.needs);
        let needs = needs.reduce(Needs::and)?;
        Some(Waiting {
            bytes: track.position().0 - track.durable.0,
            needs,
        })
    }

    fn commit(
        &self,
        force_sync: bool,
        before_sync: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut track = self.track.lock();
        if track.sealed {
            return Err(self.fenced());
        }
        if track.pending.is_empty() {
            return Ok(false);
        }
        let sync = force_sync || track.pending.iter().any(|k| k.needs.sync);
        if sync {
            before_sync()?;
        }
        let mut taken = std::mem::take(&mut track.pending);
        if sync {
            track.references_synced = taken.last().map_or(Lsn(0), Kept::end);
        }
        track.durable = taken.last().map_or(track.durable, Kept::end);
        track.committed.append(&mut taken);
        Ok(true)
    }

    fn idle(&self, _before_sync: &mut dyn FnMut() -> Result<(), Error>) -> Result<bool, Error> {
        Ok(self.track.lock().pending.is_empty())
    }

    fn is_full(&self) -> bool {
        false
    }

    fn lack(&self) -> Option<String> {
        None
    }

    fn prepare(&self) -> Result<(), Error> {
        Ok(())
    }

    fn set_floor(&self, floor: Lsn) {
        self.all.lanes.lock().retain(|_, track| {
            let mut track = track.lock();
            track.committed.retain(|kept| kept.end() > floor);
            !track.sealed || !track.committed.is_empty()
        });
    }

    fn close(&self) -> Result<(), Error> {
        self.commit(true, &mut || Ok(()))?;
        let mut track = self.track.lock();
        track.sealed = true;
        track.clean = true;
        Ok(())
    }
}

struct MemorySealed(Arc<Mutex<Track>>);

impl SealedLane for MemorySealed {
    fn range(&self) -> Range<Lsn> {
        let track = self.0.lock();
        track.start..track.durable
    }

    fn end_place(&self) -> (PathBuf, u64) {
        (PathBuf::from("memory/lane"), self.0.lock().durable.0)
    }

    fn references_synced(&self) -> Lsn {
        self.0.lock().references_synced
    }

    fn torn_bytes(&self) -> u64 {
        self.0.lock().torn_bytes
    }

    fn is_clean(&self) -> bool {
        self.0.lock().clean
    }

    fn replay(
        &self,
        from: Lsn,
        visit: &mut dyn FnMut(Replayed) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let frames = self.0.lock().committed.clone();
        for kept in frames.into_iter().filter(|kept| kept.first >= from) {
            visit(Replayed {
                lsn: kept.end(),
                bytes: kept.bytes,
            })?;
        }
        Ok(())
    }
}

struct MemoryBlob {
    path: PathBuf,
    bytes: Mutex<Vec<u8>>,
}

impl Blobs for MemorySeam {
    fn create(&self, name: &str) -> Result<Arc<dyn Blob>, Error> {
        let blob = Arc::new(MemoryBlob {
            path: Blobs::path(self, name),
            bytes: Mutex::default(),
        });
        let mut blobs = self.blobs.lock();
        blobs.insert(name.to_owned(), Arc::clone(&blob));
        Ok(blob)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Blob>, Error> {
        match self.blobs.lock().get(name) {
            Some(blob) => Ok(Arc::clone(blob) as Arc<dyn Blob>),
            None => Err(Error::Missing {
                path: Blobs::path(self, name),
                what: "there is no such blob".to_owned(),
            }),
        }
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        self.blobs.lock().remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        Ok(self.blobs.lock().keys().cloned().collect())
    }

    fn sync_names(&self) -> Result<(), Error> {
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }

    fn free_bytes(&self) -> u64 {
        u64::MAX
    }
}

impl Blob for MemoryBlob {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let bytes = self.bytes.lock();
        let found = usize::try_from(position)
            .ok()
            .and_then(|at| bytes.get(at..at.checked_add(buffer.len())?))
            .ok_or_else(|| Error::corrupt(&self.path, position, "the blob ends before"))?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut kept = self.bytes.lock();
        let at = position as usize;
        assert!(at <= kept.len(), "a blob grows at its end");
        let end = (at + bytes.len()).max(kept.len());
        kept.resize(end, 0);
        kept[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    fn cut(&self, bytes: u64) -> Result<(), Error> {
        self.bytes.lock().truncate(bytes as usize);
        Ok(())
    }

    fn len(&self) -> Result<u64, Error> {
        Ok(self.bytes.lock().len() as u64)
    }
}

impl Register for MemorySeam {
    fn read(&self) -> Result<Option<(u64, Bytes)>, Error> {
        Ok(self.register.lock().clone())
    }

    fn compare_and_swap(&self, expected: u64, value: &[u8]) -> Result<u64, Error> {
        let mut current = self.register.lock();
        let version = current.as_ref().map_or(0, |(version, _)| *version);
        if version != expected {
            return Err(Error::Fenced {
                what: format!("the register has version {version}, expected {expected}"),
            });
        }
        *current = Some((version + 1, Bytes::copy_from_slice(value)));
        Ok(version + 1)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("memory/register")
    }
}
