//! What can still be read of lane files that a start refuses.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bongsu_record::Lsn;
use bytes::Bytes;

use super::block::{BLOCK_HEADER_BYTES, BlockHeader, FILE_HEADER_BYTES, FileHeader};
use super::files::parse_name;
use super::sealed::{Why, walk};
use crate::Error;
use crate::disk::aligned::BLOCK_BYTES;
use crate::disk::{Disk, Mode};
use crate::seam::LaneId;

/// Every lane of a folder, with where its first file that is there begins.
pub fn ids_and_starts(disk: &Arc<dyn Disk>, folder: &Path) -> Result<Vec<(LaneId, Lsn)>, Error> {
    let names = disk.list(folder);
    let names = names.map_err(|cause| Error::io("list", folder, 0, &cause))?;
    let mut files: Vec<_> = names
        .iter()
        .filter_map(|name| Some((parse_name(name)?, name)))
        .collect();
    files.sort();
    let mut found: Vec<(LaneId, Lsn)> = Vec::new();
    for ((lane, _), name) in files {
        if found.last().is_some_and(|(last, _)| *last == lane) {
            continue;
        }
        if let Ok(header) = FileHeader::decode(&read(disk, &folder.join(name))?) {
            found.push((lane, header.first));
        }
    }
    Ok(found)
}

/// Where a file says that the next one goes on.
pub fn goes_on_at(disk: &Arc<dyn Disk>, path: &Path) -> Result<Option<u64>, Error> {
    let bytes = read(disk, path)?;
    let Ok(header) = FileHeader::decode(&bytes) else {
        return Ok(None);
    };
    let stop = walk(&bytes, &header, &mut |_, _| Ok(()))?;
    let goes_on = matches!(stop.why, Why::Continues);
    Ok(goes_on.then_some(stop.position as u64))
}

/// Visits the frames of each block at or behind `from` whose checksum holds, with the
/// block's place in the lane.
pub fn sound_frames(bytes: &Bytes, from: usize, visit: &mut dyn FnMut(Range<Lsn>, Bytes)) {
    let Ok(header) = FileHeader::decode(bytes) else {
        return;
    };
    let mut at = from.max(FILE_HEADER_BYTES);
    while let Some(rest) = bytes
        .get(at..)
        .filter(|rest| rest.len() >= BLOCK_HEADER_BYTES)
    {
        let block = BlockHeader::decode(rest, header.lane, header.index);
        // A block of an earlier life of the file has the salt of that life.
        if let Some(block) = block.filter(|block| block.holds(header.salt, rest)) {
            let body = bytes.slice(at + BLOCK_HEADER_BYTES..at + block.bytes());
            let mut frames = body;
            for _ in 0..block.frame_count {
                let length = frames.first_chunk().map(|first| u32::from_be_bytes(*first));
                let Some(end) = length.map(|length| 4 + length as usize) else {
                    break;
                };
                if end > frames.len() {
                    break;
                }
                visit(block.first..block.end(), frames.split_to(end));
            }
        }
        at += BLOCK_BYTES;
    }
}

/// How long the block at a position says that its body is.
pub fn body_bytes_at(bytes: &Bytes, at: usize) -> Option<u64> {
    let header = FileHeader::decode(bytes).ok()?;
    let block = BlockHeader::decode(bytes.get(at..)?, header.lane, header.index)?;
    Some(u64::from(block.body_bytes))
}

fn read(disk: &Arc<dyn Disk>, path: &Path) -> Result<Bytes, Error> {
    let failed = |cause: std::io::Error| Error::io("read", path, 0, &cause);
    let file = disk.open(path, Mode::Read, false).map_err(failed)?;
    let mut bytes = vec![0; file.len().map_err(failed)? as usize];
    file.read_at(0, &mut bytes).map_err(failed)?;
    Ok(bytes.into())
}
