//! The files of a lane as they were at one moment, while it is written.

use std::sync::Arc;

use bongsu_record::Lsn;

use super::block::FILE_HEADER_BYTES;
use super::files::{LaneFiles, file_name};
use super::sealed::{Found, Why, read_file, walk};
use crate::Error;
use crate::disk::aligned::{BLOCK_BYTES, round_up};
use crate::seam::{LaneId, LanePart};

/// From the file that holds `floor` to the block that ends at `until`, as a crash at that
/// moment would have left them. What is behind may be half written, and is left out.
pub fn copy(
    files: &Arc<LaneFiles>,
    lane: LaneId,
    floor: Lsn,
    until: Lsn,
) -> Result<Vec<LanePart>, Error> {
    let found = Found::look(files, lane)?;
    let mut at = found.start(floor)?;
    let mut parts = Vec::new();
    loop {
        let bytes = read_file(files, &at)?;
        let mut end = FILE_HEADER_BYTES;
        let stop = walk(&bytes, &at, &mut |position, block| {
            if block.end() <= until {
                end = position + round_up(block.bytes());
            }
            Ok(())
        })?;
        let goes_on = matches!(stop.why, Why::Continues) && stop.lsn < until;
        let is_sealed = matches!(stop.why, Why::Seal { .. }) && stop.lsn <= until;
        if goes_on || is_sealed {
            end = stop.position + BLOCK_BYTES;
        }
        parts.push(LanePart {
            name: file_name(lane, at.index),
            front: bytes.slice(..end.min(bytes.len())),
            bytes: at.file_bytes,
        });
        if !goes_on {
            return Ok(parts);
        }
        at = found.next(&at, stop.lsn)?;
    }
}
