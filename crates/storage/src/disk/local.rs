//! The machine's own file system.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Disk, DiskFile, DiskLock, Mode};

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn list(&self, _path: &Path) -> io::Result<Vec<String>> {
        todo!()
    }
    fn open(&self, _path: &Path, _mode: Mode, _direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        todo!()
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        todo!()
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        todo!()
    }
    fn exists(&self, _path: &Path) -> bool {
        todo!()
    }
    fn lock(&self, _path: &Path) -> io::Result<Box<dyn DiskLock>> {
        todo!()
    }
    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        todo!()
    }
}
