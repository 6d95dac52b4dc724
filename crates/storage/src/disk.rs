//! The one small trait that all file access goes through.
//!
//! A test puts a disk under it that fails, fills up, tears writes, and at a crash loses
//! or reorders what was not synced. So nothing in this crate may touch `std::fs` but
//! [`LocalDisk`].

use std::io;
use std::path::Path;
use std::sync::Arc;

pub mod local;

pub mod aligned;

pub mod blobs;

pub mod register;

pub use local::LocalDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Must exist; reads only.
    Read,
    /// Must exist; reads and writes.
    Write,
    /// Created empty; it must not exist.
    CreateNew,
    /// Created if missing, emptied if there.
    Truncate,
}

/// A file system, or something that plays one.
pub trait Disk: Send + Sync {
    /// Creates the directory and its parents; not an error if it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// File names (not directories) in `path`, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens a file. `direct` asks for I/O past the page cache, in multiples of
    /// [`aligned::BLOCK_BYTES`]; a disk that cannot do that ignores it.
    fn open(&self, path: &Path, mode: Mode, direct: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames, replacing `to`; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `path` durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> bool;
    /// Takes the lock file, without waiting; `WouldBlock` if another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Bytes that can still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// How large the disk below `path` is, as far as it may be used.
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// What makes all that was written to files below `path` durable in one go, where there
    /// is such a thing: thousands of files, each with a little, then cost one sync.
    fn whole(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskSync>>> {
        let _ = path;
        Ok(None)
    }
    /// A number that nobody can guess, for the checksums of a lane. A simulated disk
    /// takes it from its seed.
    fn salt(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        std::hash::RandomState::new().build_hasher().finish()
    }
}

/// An open file. Reads and writes name their position and are complete or an error.
pub trait DiskFile: Send + Sync {
    /// Fills `buffer` from `position`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `position`, growing the file if needed.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `position` and makes just that durable. Other writes are not
    /// covered.
    fn write_synced_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(position, bytes)?;
        self.sync_data()
    }
    /// Makes what was written, and the length, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or grows the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// The length.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Makes the file `bytes` long, every block of it written (not merely reserved), so
    /// that a later sync of a write within it has no metadata to write.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

/// See [`Disk::whole`].
pub trait DiskSync: Send + Sync {
    /// Makes everything durable that was written before the call. An error that the disk had
    /// since the last call, or since this was opened, is reported.
    fn sync(&self) -> io::Result<()>;
}

/// Held while the data directory is in use; dropping it lets go.
pub trait DiskLock: Send + Sync {}
