//! A disk in memory that keeps what was synced, and of the rest what it likes.
//!
//! A file is what a process sees (`current`), what survives (`durable`), and which
//! sectors of 512 bytes differ. A folder's creations, renames and removals wait for
//! `sync_dir`; at a power cut a random part of them happened, but of those that touch one
//! file or one name only a first few: that much every journal promises.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bongsu_storage::disk::{Disk, DiskFile, DiskLock, Mode};
use parking_lot::Mutex;

use crate::random::Random;

mod cut;

/// What goes wrong at the operation that is counted down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes: this operation is half done, all after it fail.
    PowerCut,
    /// This operation fails, the next one works.
    Error,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    random: Random,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    name_changes: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    /// Handles of an earlier generation are of a process that is gone.
    generation: u64,
    operations: u64,
    fault: Option<(u64, Fault)>,
    fault_happened: bool,
    off: bool,
    capacity: u64,
    read_only: bool,
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// One change of names in a folder: each name and what it means then.
#[derive(Clone)]
struct NameChange {
    dir: PathBuf,
    inode: u64,
    sets: Vec<(PathBuf, Option<u64>)>,
}

impl SimDisk {
    /// An empty disk that behaves as `seed` says.
    pub fn new(seed: u64) -> SimDisk {
        let state = State {
            random: Random::new(seed),
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            dirs: BTreeSet::new(),
            locks: BTreeSet::new(),
            generation: 0,
            operations: 0,
            fault: None,
            fault_happened: false,
            off: false,
            capacity: u64::MAX,
            read_only: false,
        };
        SimDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Another disk with the same files, of a process that is gone.
    #[must_use]
    pub fn fork(&self) -> SimDisk {
        let mut state = self.state.lock().clone();
        state.locks.clear();
        SimDisk {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// `fault` happens at the `after`th changing operation from now.
    pub fn set_fault(&self, after: u64, fault: Fault) {
        let mut state = self.state.lock();
        state.fault = Some((state.operations + after, fault));
        state.fault_happened = false;
    }

    /// No fault will happen; whether the last one did.
    pub fn clear_fault(&self) -> bool {
        let mut state = self.state.lock();
        state.fault = None;
        std::mem::take(&mut state.fault_happened)
    }

    /// Whether the power is off: a cut struck.
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// Files may take up so many bytes together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Bytes that files take up together.
    pub fn used_bytes(&self) -> u64 {
        self.state.lock().used_bytes()
    }

    /// Every change is refused, or no longer.
    pub fn set_read_only(&self, read_only: bool) {
        self.state.lock().read_only = read_only;
    }

    /// Operations that changed something so far.
    pub fn operation_count(&self) -> u64 {
        self.state.lock().operations
    }

    /// The process is gone, the machine is not: everything written stays.
    pub fn kill(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.locks.clear();
        state.off = false;
    }

    /// Names and lengths of all files, sorted.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.lock();
        let length = |inode: &u64| state.inodes[inode].current.len() as u64;
        let names = state.names.iter();
        names
            .map(|(path, inode)| (path.clone(), length(inode)))
            .collect()
    }

    /// All bytes of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state.lock();
        let inode = state.names.get(path)?;
        Some(state.inodes[inode].current.clone())
    }

    /// Replaces a file's bytes, durably, as a failing medium would.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let inode = state.names[path];
        let inode = state.inodes.get_mut(&inode).expect("named files exist");
        change(&mut inode.current);
        inode.durable = inode.current.clone();
        inode.dirty.clear();
    }

    /// Takes a file away, durably.
    pub fn take_away(&self, path: &Path) {
        let mut state = self.state.lock();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        let lengths = self.names.values();
        lengths
            .map(|inode| self.inodes[inode].current.len() as u64)
            .sum()
    }

    /// Counts a changing operation. An error: it does not happen. `Ok(true)`: it happens,
    /// and the power goes with it.
    fn operation(&mut self, generation: Option<u64>) -> io::Result<bool> {
        self.check(generation)?;
        self.operations += 1;
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match self.fault {
            Some((at, fault)) if at <= self.operations => {
                self.fault = None;
                self.fault_happened = true;
                match fault {
                    Fault::PowerCut => {
                        self.off = true;
                        Ok(true)
                    }
                    Fault::Error => Err(io::Error::other("injected")),
                }
            }
            _ => Ok(false),
        }
    }

    fn check(&self, generation: Option<u64>) -> io::Result<()> {
        if self.off || generation.is_some_and(|of| of != self.generation) {
            return Err(io::Error::other("the power is off"));
        }
        Ok(())
    }

    fn change_names(&mut self, dir: &Path, inode: u64, sets: Vec<(PathBuf, Option<u64>)>) {
        apply(&mut self.names, &sets);
        self.name_changes.push(NameChange {
            dir: dir.to_path_buf(),
            inode,
            sets,
        });
    }

    /// Whether a file may grow by so much.
    fn has_room(&self, bytes: u64) -> bool {
        self.capacity == u64::MAX || self.used_bytes() + bytes <= self.capacity
    }
}

fn apply(names: &mut BTreeMap<PathBuf, u64>, sets: &[(PathBuf, Option<u64>)]) {
    for (path, inode) in sets {
        match inode {
            Some(inode) => names.insert(path.clone(), *inode),
            None => names.remove(path),
        };
    }
}

fn dir_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_path_buf()
}

fn cut() -> io::Error {
    io::Error::other("the power went")
}

impl Disk for SimDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(None)?;
        // Folders are made once, at the first start: taken for durable.
        if !state.dirs.contains(path) && state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        state.dirs.insert(path.to_path_buf());
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.check(None)?;
        let inside = state
            .names
            .keys()
            .filter(|name| name.parent() == Some(path));
        let names = inside.filter_map(|name| name.file_name());
        Ok(names
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    fn open(&self, path: &Path, mode: Mode, direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.check(None)?;
        let found = state.names.get(path).copied();
        if state.read_only && mode != Mode::Read {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let inode = match (mode, found) {
            (Mode::Read | Mode::Write, None) => return Err(io::ErrorKind::NotFound.into()),
            (Mode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Mode::Read | Mode::Write, Some(inode)) => inode,
            (Mode::Truncate, Some(inode)) => {
                let gone = state.operation(None)?;
                let file = state.inodes.get_mut(&inode).expect("named files exist");
                file.set_len(0);
                if gone {
                    return Err(cut());
                }
                inode
            }
            (Mode::CreateNew | Mode::Truncate, None) => {
                let gone = state.operation(None)?;
                let inode = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(inode, Inode::default());
                let sets = vec![(path.to_path_buf(), Some(inode))];
                state.change_names(&dir_of(path), inode, sets);
                if gone {
                    return Err(cut());
                }
                inode
            }
        };
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            generation: state.generation,
            inode,
            direct,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(inode) = state.names.get(from).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let gone = state.operation(None)?;
        let sets = vec![(from.to_path_buf(), None), (to.to_path_buf(), Some(inode))];
        state.change_names(&dir_of(to), inode, sets);
        if gone { Err(cut()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let Some(inode) = state.names.get(path).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let gone = state.operation(None)?;
        let sets = vec![(path.to_path_buf(), None)];
        state.change_names(&dir_of(path), inode, sets);
        if gone { Err(cut()) } else { Ok(()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.operation(None)? {
            return Err(cut());
        }
        let State {
            name_changes,
            durable_names,
            ..
        } = &mut *state;
        name_changes.retain(|change| {
            let synced = change.dir == path;
            if synced {
                apply(durable_names, &change.sets);
            }
            !synced
        });
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        state.names.contains_key(path) || state.dirs.contains(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state.lock();
        state.check(None)?;
        if state.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if !state.locks.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock {
            state: Arc::clone(&self.state),
            generation: state.generation,
            path: path.to_path_buf(),
        }))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        state.check(None)?;
        match state.capacity {
            u64::MAX => Ok(u64::MAX),
            capacity => Ok(capacity.saturating_sub(state.used_bytes())),
        }
    }

    fn salt(&self) -> u64 {
        self.state.lock().random.number()
    }
}

struct SimLock {
    state: Arc<Mutex<State>>,
    generation: u64,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.generation == self.generation {
            state.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    generation: u64,
    inode: u64,
    direct: bool,
}

impl SimFile {
    fn grow(&self, state: &State, end: u64) -> io::Result<()> {
        let length = state.inodes[&self.inode].current.len() as u64;
        if end > length && !state.has_room(end - length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn inode<'a>(&self, state: &'a mut State) -> &'a mut Inode {
        let inode = state.inodes.get_mut(&self.inode);
        inode.expect("an open file exists")
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.check(Some(self.generation))?;
        let current = &self.inode(&mut state).current;
        let at = position as usize;
        let found = current.get(at..at + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        if self.direct {
            let aligned = position.is_multiple_of(4096) && bytes.len().is_multiple_of(4096);
            assert!(aligned, "direct I/O is in whole blocks");
        }
        let gone = state.operation(Some(self.generation))?;
        self.grow(&state, position + bytes.len() as u64)?;
        self.inode(&mut state).write(position as usize, bytes);
        if gone { Err(cut()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let happened = state.operation(Some(self.generation));
        match happened {
            Ok(false) => {
                self.inode(&mut state).sync();
                Ok(())
            }
            Ok(true) => Err(cut()),
            Err(error) => {
                // The kernel forgets that the pages were dirty: a later sync that works
                // does not write them.
                if !state.off {
                    self.inode(&mut state).dirty.clear();
                }
                Err(error)
            }
        }
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let gone = state.operation(Some(self.generation))?;
        self.grow(&state, bytes)?;
        self.inode(&mut state).set_len(bytes as usize);
        if gone { Err(cut()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.state.lock();
        state.check(Some(self.generation))?;
        Ok(self.inode(&mut state).current.len() as u64)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let gone = state.operation(Some(self.generation))?;
        self.grow(&state, bytes)?;
        let inode = self.inode(&mut state);
        inode.set_len(bytes as usize);
        if gone {
            return Err(cut());
        }
        inode.sync();
        Ok(())
    }
}

impl Inode {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.current.len() {
            self.set_len(end);
        }
        self.current[at..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(at / SECTOR..=(end - 1) / SECTOR);
        }
    }

    fn set_len(&mut self, bytes: usize) {
        let old = self.current.len();
        self.current.resize(bytes, 0);
        // What was cut off and grown again reads as zeros: those sectors changed too.
        let changed = old.min(bytes) / SECTOR..bytes.div_ceil(SECTOR);
        self.dirty.extend(changed);
    }

    fn sync(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.copy_sector(sector);
        }
    }

    /// Makes one sector durable, as far as both lengths go.
    fn copy_sector(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR)
            .min(self.current.len())
            .min(self.durable.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.current[start..end]);
        }
    }
}

const SECTOR: usize = 512;

#[cfg(test)]
mod tests;
