//! The files of all lanes of a data directory: names, spares, and which can go.
//!
//! A spare is a preallocated file that no lane uses: new and full of zeros, or one that
//! fell below the floor. Its old blocks need no wiping, see [`super::block`].

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::Lsn;
use parking_lot::Mutex;

use super::block::{FILE_HEADER_BYTES, FileHeader};
use super::store::LaneOptions;
use crate::Error;
use crate::disk::aligned::AlignedBuffer;
use crate::disk::{Disk, DiskFile, Mode};
use crate::seam::LaneId;

pub struct LaneFiles {
    pub disk: Arc<dyn Disk>,
    pub options: LaneOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In use, of this lane and of sealed ones.
    used: Vec<Used>,
    spares: VecDeque<String>,
    next_spare: u64,
}

struct Used {
    lane: LaneId,
    name: String,
    /// Where its blocks end; none while it is written.
    end: Option<Lsn>,
}

/// A lane file, open for writing.
pub struct LaneFile {
    pub file: Arc<dyn DiskFile>,
    pub path: PathBuf,
    pub header: FileHeader,
}

impl LaneFiles {
    pub fn open(disk: Arc<dyn Disk>, options: LaneOptions) -> Result<LaneFiles, Error> {
        let dir = &options.dir;
        disk.create_dir_all(dir)
            .map_err(|cause| Error::io("create", dir, 0, &cause))?;
        let files = LaneFiles {
            disk,
            options,
            state: Mutex::default(),
        };
        let mut state = State::default();
        for name in files.list()? {
            if let Some(number) = name.strip_prefix(SPARE) {
                let number = number.parse::<u64>().unwrap_or(0);
                state.next_spare = state.next_spare.max(number + 1);
                state.spares.push_back(name);
            }
        }
        *files.state.lock() = state;
        Ok(files)
    }

    pub fn list(&self) -> Result<Vec<String>, Error> {
        let dir = &self.options.dir;
        let names = self.disk.list(dir);
        names.map_err(|cause| Error::io("list", dir, 0, &cause))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.options.dir.join(name)
    }

    /// Lane files as they lie in the directory: lane, index, name.
    pub fn present(&self) -> Result<Vec<(LaneId, u32, String)>, Error> {
        let names = self.list()?;
        let parsed = names.into_iter().filter_map(|name| {
            let (lane, index) = parse_name(&name)?;
            Some((lane, index, name))
        });
        let mut present: Vec<_> = parsed.collect();
        present.sort();
        Ok(present)
    }

    /// Makes the file of `header` durable, its own length filled in: from a spare if one
    /// is there and long enough, else by writing zeros.
    pub fn make(&self, mut header: FileHeader, bytes_min: u64) -> Result<LaneFile, Error> {
        let bytes = self.options.file_bytes.max(bytes_min);
        let spare = match bytes == self.options.file_bytes {
            true => self.take_spare(),
            false => None,
        };
        let (from, file) = match spare {
            Some(found) => found,
            None => self.allocate(bytes)?,
        };
        let name = file_name(header.lane, header.index);
        let path = self.path(&name);
        header.file_bytes = bytes;
        // If this fails, whatever it is called then is not used: a later start cleans up.
        self.name_and_head(&from, &path, &*file, &header)?;
        let mut state = self.state.lock();
        // A roll that found no room for the old file's last block is tried again.
        state.used.retain(|used| used.name != name);
        state.used.push(Used {
            lane: header.lane,
            name,
            end: None,
        });
        drop(state);
        Ok(LaneFile { file, path, header })
    }

    fn name_and_head(
        &self,
        from: &str,
        path: &std::path::Path,
        file: &dyn DiskFile,
        header: &FileHeader,
    ) -> Result<(), Error> {
        let error = |operation, cause: std::io::Error| Error::io(operation, path, 0, &cause);
        let mut buffer = AlignedBuffer::default();
        let block = buffer.get(FILE_HEADER_BYTES);
        header.encode(block);
        file.write_at(0, block).map_err(|c| error("write", c))?;
        file.sync_data().map_err(|c| error("sync", c))?;
        // Named only now: under its name a lane file always has its header.
        self.disk
            .rename(&self.path(from), path)
            .map_err(|c| error("rename to", c))?;
        self.sync_names()
    }

    pub fn sync_names(&self) -> Result<(), Error> {
        let dir = &self.options.dir;
        self.disk
            .sync_dir(dir)
            .map_err(|cause| Error::io("sync", dir, 0, &cause))
    }

    fn take_spare(&self) -> Option<(String, Arc<dyn DiskFile>)> {
        loop {
            let name = self.state.lock().spares.pop_front()?;
            let path = self.path(&name);
            let opened = self.disk.open(&path, Mode::Write, self.options.direct);
            if let Ok(file) = opened
                && file.len().is_ok_and(|len| len == self.options.file_bytes)
            {
                return Some((name, file));
            }
            // Half made before a crash, or made under another setting.
            let _ = self.disk.remove(&path);
        }
    }

    fn allocate(&self, bytes: u64) -> Result<(String, Arc<dyn DiskFile>), Error> {
        let name = {
            let mut state = self.state.lock();
            state.next_spare += 1;
            format!("{SPARE}{}", state.next_spare)
        };
        let path = self.path(&name);
        let free = self.disk.free_bytes(&self.options.dir).unwrap_or(u64::MAX);
        if free < bytes {
            return Err(Error::Full {
                what: format!("lane file {}, with {free} bytes free", path.display()),
                needed_bytes: bytes,
            });
        }
        let file = self
            .disk
            .open(&path, Mode::Truncate, self.options.direct)
            .map_err(|cause| Error::io("create", &path, 0, &cause))?;
        if let Err(cause) = file.allocate(bytes) {
            let _ = self.disk.remove(&path);
            return Err(Error::io("allocate", &path, bytes, &cause));
        }
        Ok((name, file))
    }

    pub fn has_spare(&self) -> bool {
        !self.state.lock().spares.is_empty()
    }

    /// Makes a spare if there is none.
    pub fn prepare(&self) -> Result<(), Error> {
        if self.has_spare() {
            return Ok(());
        }
        let (name, _) = self.allocate(self.options.file_bytes)?;
        self.state.lock().spares.push_back(name);
        Ok(())
    }

    /// Blocks of the file end at `end`.
    pub fn ended(&self, lane: LaneId, index: u32, end: Lsn) {
        let name = file_name(lane, index);
        let mut state = self.state.lock();
        match state.used.iter_mut().find(|used| used.name == name) {
            Some(used) => used.end = Some(end),
            None => state.used.push(Used {
                lane,
                name,
                end: Some(end),
            }),
        }
    }

    /// Turns files whose blocks end at or below `floor` into spares, or deletes them if
    /// there are enough. A crash may undo that; the file then is one below the floor.
    pub fn set_floor(&self, floor: Lsn) {
        self.release(|used| used.end.is_some_and(|end| end <= floor));
    }

    /// Drops files of lanes that are not in `lanes`.
    pub fn keep(&self, lanes: &[LaneId]) -> Result<(), Error> {
        self.release(|used| !lanes.contains(&used.lane));
        for (lane, _, name) in self.present()? {
            if !lanes.contains(&lane) {
                let _ = self.disk.remove(&self.path(&name));
            }
        }
        Ok(())
    }

    fn release(&self, goes: impl Fn(&Used) -> bool) {
        let mut gone = Vec::new();
        self.state.lock().used.retain(|used| {
            let stays = !goes(used);
            if !stays {
                gone.push(used.name.clone());
            }
            stays
        });
        for name in gone {
            self.recycle(&name);
        }
    }

    fn recycle(&self, name: &str) {
        let path = self.path(name);
        let spare = {
            let mut state = self.state.lock();
            state.next_spare += 1;
            let wanted = state.spares.len() < SPARES_MAX;
            wanted.then(|| format!("{SPARE}{}", state.next_spare))
        };
        let renamed = spare.filter(|spare| {
            let renamed = self.disk.rename(&path, &self.path(spare));
            renamed.is_ok()
        });
        match renamed {
            Some(spare) => self.state.lock().spares.push_back(spare),
            // What cannot be deleted is below the floor: the next start tries again.
            None => drop(self.disk.remove(&path)),
        }
    }
}

pub fn file_name(lane: LaneId, index: u32) -> String {
    format!("lane-{:08}-{index:08}", lane.0)
}

pub fn parse_name(name: &str) -> Option<(LaneId, u32)> {
    let (lane, index) = name.strip_prefix("lane-")?.split_once('-')?;
    Some((LaneId(lane.parse().ok()?), index.parse().ok()?))
}

const SPARE: &str = "spare-";
const SPARES_MAX: usize = 3;
