//! The machine's own file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags};

use super::aligned::AlignedBuffer;
use super::{Disk, DiskFile, DiskLock, DiskSync, Mode};

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn whole(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskSync>>> {
        // Kept open: the kernel remembers for each handle which errors it was told of.
        let folder = File::open(path)?;
        Ok(Some(Arc::new(LocalSync(folder))))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode, direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            Mode::Read => {}
            Mode::Write => {
                options.write(true);
            }
            Mode::CreateNew => {
                options.write(true).create_new(true);
            }
            Mode::Truncate => {
                options.write(true).create(true).truncate(true);
            }
        }
        if direct {
            let flag = rustix::fs::OFlags::DIRECT.bits() as i32;
            // tmpfs and some network file systems refuse the flag: the page cache then.
            match options.clone().custom_flags(flag).open(path) {
                Ok(file) => return Ok(Arc::new(LocalFile(file))),
                Err(cause) if cause.kind() == io::ErrorKind::InvalidInput => {
                    if mode == Mode::CreateNew {
                        // The refusal comes after the file was made.
                        let _ = fs::remove_file(path);
                    }
                }
                Err(cause) => return Err(cause),
            }
        }
        Ok(Arc::new(LocalFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(LocalLock { _file: file }))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_blocks.saturating_mul(found.f_frsize))
    }
}

struct LocalFile(File);

impl DiskFile for LocalFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    /// One call instead of two: the tail of its latency is half as long.
    fn write_synced_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut position, mut rest) = (position, bytes);
        while !rest.is_empty() {
            let part = [io::IoSlice::new(rest)];
            match rustix::io::pwritev2(&self.0, &part, position, ReadWriteFlags::DSYNC) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    position += count as u64;
                    rest = &rest[count..];
                }
                Err(Errno::INTR) => {}
                // A file system that does not know the flag.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.write_at(position, rest)?;
                    return self.sync_data();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        // Reserving is not enough: the first write into reserved blocks changes their
        // state, which is metadata that every sync would then have to write.
        let mut buffer = AlignedBuffer::default();
        let zeros = buffer.get(ZERO_BYTES);
        let mut position = 0;
        while position < bytes {
            let part = usize::try_from(bytes - position).map_or(ZERO_BYTES, |n| n.min(ZERO_BYTES));
            self.0.write_all_at(&zeros[..part], position)?;
            position += part as u64;
        }
        self.0.set_len(bytes)?;
        self.0.sync_all()
    }
}

struct LocalLock {
    _file: File,
}

impl DiskLock for LocalLock {}

const ZERO_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests;

/// The file system that a folder is on.
struct LocalSync(File);

impl DiskSync for LocalSync {
    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }
}
