//! The register as one small file, replaced whole.
//!
//! ```text
//!   0  magic    "BSRG"
//!   4  CRC-32C  u32  over byte 8 to the end
//!   8  format   u32  1
//!  12  bytes    u32  of the value
//!  16  version  u64
//!  24  value
//! ```
//! A new value is written to `register.new`, synced, and renamed over the old one: a
//! crash leaves the one or the other. The lock file is what fences other brokers here.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Disk, Mode};
use crate::Error;
use crate::seam::Register;
use crate::wire::{Fields, Put, seeded_crc};

/// The register as a file.
pub struct DiskRegister {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    swapping: Mutex<()>,
}

impl DiskRegister {
    /// The register of the data directory `dir`.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> DiskRegister {
        DiskRegister {
            disk,
            dir,
            swapping: Mutex::new(()),
        }
    }
}

impl Register for DiskRegister {
    fn read(&self) -> Result<Option<(u64, Bytes)>, Error> {
        let path = self.path();
        let error = |cause: io::Error| Error::io("read", &path, 0, &cause);
        let file = match self.disk.open(&path, Mode::Read, false) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(error)?,
        };
        let mut bytes = vec![0; file.len().map_err(error)? as usize];
        file.read_at(0, &mut bytes).map_err(error)?;
        match decode(&bytes) {
            Some((FORMAT, version, value)) => Ok(Some((version, Bytes::copy_from_slice(value)))),
            Some((found, ..)) => Err(Error::Format {
                path,
                found,
                supported: FORMAT,
            }),
            None => Err(Error::corrupt(&path, 0, "its checksum does not hold")),
        }
    }

    fn compare_and_swap(&self, expected: u64, value: &[u8]) -> Result<u64, Error> {
        let _one = self.swapping.lock();
        let version = self.read()?.map_or(0, |(version, _)| version);
        if version != expected {
            return Err(Error::Fenced {
                what: format!(
                    "{} has version {version}, expected {expected}",
                    self.path().display()
                ),
            });
        }
        let fresh = self.dir.join("register.new");
        let error = |operation, cause: io::Error| Error::io(operation, &fresh, 0, &cause);
        let file = self
            .disk
            .open(&fresh, Mode::Truncate, false)
            .map_err(|c| error("create", c))?;
        file.write_at(0, &encode(version + 1, value))
            .map_err(|c| error("write", c))?;
        file.sync_data().map_err(|c| error("sync", c))?;
        self.disk
            .rename(&fresh, &self.path())
            .map_err(|c| error("rename", c))?;
        self.disk
            .sync_dir(&self.dir)
            .map_err(|cause| Error::SyncFailed {
                path: self.dir.clone(),
                cause: cause.to_string(),
            })?;
        Ok(version + 1)
    }

    fn path(&self) -> PathBuf {
        self.dir.join("register")
    }
}

pub(crate) fn encode(version: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24 + value.len());
    bytes.put_bytes(MAGIC);
    bytes.put_u32(0);
    bytes.put_u32(FORMAT);
    bytes.put_u32(value.len() as u32);
    bytes.put_u64(version);
    bytes.put_bytes(value);
    let crc = seeded_crc(&[], &[&bytes[8..]]);
    bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Format, version and value.
fn decode(bytes: &[u8]) -> Option<(u32, u64, &[u8])> {
    let mut fields = Fields::new(bytes);
    let magic = fields.take(4)?;
    let crc = fields.u32()?;
    if magic != MAGIC || crc != seeded_crc(&[], &[fields.rest]) {
        return None;
    }
    let format = fields.u32()?;
    let length = fields.u32()? as usize;
    let version = fields.u64()?;
    Some((format, version, fields.take(length)?))
}

const MAGIC: &[u8] = b"BSRG";
const FORMAT: u32 = 1;
