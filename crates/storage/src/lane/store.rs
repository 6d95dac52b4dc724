//! Lanes on a disk, by id.

use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::Lsn;

use super::block::FileHeader;
use super::files::LaneFiles;
use super::sealed::DiskSealedLane;
use super::writer::DiskLane;
use crate::disk::Disk;
use crate::seam::{Lane, LaneId, LanePart, LaneStore, SealedLane};
use crate::{Durability, Error};

/// What lanes on a disk are opened with; see [`Options`](crate::Options).
#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// Folder of the lane files.
    pub dir: PathBuf,
    /// `Os` never syncs but on demand.
    pub durability: Durability,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bound of what is pending.
    pub pending_bytes_max: u64,
    /// Whether to ask for direct I/O.
    pub direct: bool,
}

/// Lanes on a disk, by id.
pub struct DiskLaneStore {
    files: Arc<LaneFiles>,
}

impl DiskLaneStore {
    /// Opens the folder, making it if need be.
    ///
    /// # Errors
    /// `ReadOnly` or `Io`.
    pub fn open(disk: Arc<dyn Disk>, options: LaneOptions) -> Result<DiskLaneStore, Error> {
        let files = Arc::new(LaneFiles::open(disk, options)?);
        Ok(DiskLaneStore { files })
    }
}

impl LaneStore for DiskLaneStore {
    fn create(&self, at_least: LaneId, start: Lsn) -> Result<Arc<dyn Lane>, Error> {
        let present = self.files.present()?;
        let next = present.last().map_or(0, |(lane, _, _)| lane.0 + 1);
        let header = FileHeader {
            index: 0,
            lane: LaneId(at_least.0.max(next)),
            first: start,
            salt: self.files.disk.salt(),
            file_bytes: 0,
        };
        let first = self.files.make(header, 0)?;
        Ok(Arc::new(DiskLane::new(Arc::clone(&self.files), first)))
    }

    fn seal(&self, lane: LaneId, floor: Lsn) -> Result<Box<dyn SealedLane>, Error> {
        let sealed = DiskSealedLane::seal(Arc::clone(&self.files), lane, floor)?;
        Ok(Box::new(sealed))
    }

    fn list(&self) -> Result<Vec<LaneId>, Error> {
        let present = self.files.present()?;
        let mut lanes: Vec<_> = present.into_iter().map(|(lane, ..)| lane).collect();
        lanes.dedup();
        Ok(lanes)
    }

    fn copy(&self, lane: LaneId, floor: Lsn, until: Lsn) -> Result<Vec<LanePart>, Error> {
        super::copy::copy(&self.files, lane, floor, until)
    }

    fn keep(&self, lanes: &[LaneId]) -> Result<(), Error> {
        self.files.keep(lanes)
    }
}
