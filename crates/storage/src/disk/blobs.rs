//! Blobs as files of one folder.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Disk, DiskFile, DiskSync, Mode};
use crate::Error;
use crate::seam::{Blob, Blobs};

/// Blobs as files of one folder.
pub struct DiskBlobs {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    whole: Option<Arc<dyn DiskSync>>,
}

impl DiskBlobs {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// `ReadOnly` or `Io`.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf) -> Result<DiskBlobs, Error> {
        disk.create_dir_all(&dir)
            .map_err(|cause| Error::io("create", &dir, 0, &cause))?;
        let whole = disk
            .whole(&dir)
            .map_err(|cause| Error::io("open", &dir, 0, &cause))?;
        Ok(DiskBlobs { disk, dir, whole })
    }

    fn file(&self, name: &str, mode: Mode) -> Result<Arc<dyn Blob>, Error> {
        let path = self.path(name);
        match self.disk.open(&path, mode, false) {
            Ok(file) => Ok(Arc::new(DiskBlob { file, path })),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(Error::Missing {
                path,
                what: "the checkpoint or the lane refers to it".to_owned(),
            }),
            Err(cause) => Err(Error::io("open", &path, 0, &cause)),
        }
    }
}

impl Blobs for DiskBlobs {
    fn create(&self, name: &str) -> Result<Arc<dyn Blob>, Error> {
        self.file(name, Mode::Truncate)
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Blob>, Error> {
        self.file(name, Mode::Write)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match self.disk.remove(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("delete", &path, 0, &cause))
            }
            _ => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<String>, Error> {
        let names = self.disk.list(&self.dir);
        names.map_err(|cause| Error::io("list", &self.dir, 0, &cause))
    }

    fn sync_names(&self) -> Result<(), Error> {
        self.disk
            .sync_dir(&self.dir)
            .map_err(|cause| Error::SyncFailed {
                path: self.dir.clone(),
                cause: cause.to_string(),
            })
    }

    fn sync_all(&self) -> Result<bool, Error> {
        let Some(whole) = &self.whole else {
            return Ok(false);
        };
        let synced = whole.sync().map_err(|cause| Error::SyncFailed {
            path: self.dir.clone(),
            cause: cause.to_string(),
        });
        synced.map(|()| true)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn free_bytes(&self) -> u64 {
        self.disk.free_bytes(&self.dir).unwrap_or(u64::MAX)
    }
}

struct DiskBlob {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
}

impl Blob for DiskBlob {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let read = self.file.read_at(position, buffer);
        read.map_err(|cause| match cause.kind() {
            io::ErrorKind::UnexpectedEof => Error::corrupt(
                &self.path,
                position,
                format!("the file ends before {} more bytes", buffer.len()),
            ),
            _ => Error::io("read", &self.path, position, &cause),
        })
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_at(position, bytes);
        written.map_err(|cause| Error::io("write", &self.path, position, &cause))
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|cause| Error::SyncFailed {
            path: self.path.clone(),
            cause: cause.to_string(),
        })
    }

    fn cut(&self, bytes: u64) -> Result<(), Error> {
        let cut = self.file.set_len(bytes);
        cut.map_err(|cause| Error::io("cut", &self.path, bytes, &cause))
    }

    fn len(&self) -> Result<u64, Error> {
        let length = self.file.len();
        length.map_err(|cause| Error::io("measure", &self.path, 0, &cause))
    }
}
