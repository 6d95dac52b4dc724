//! The lane, cut where it cannot be read.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bongsu_record::{LogId, Lsn, Offset};
use bytes::Bytes;

use super::{Work, register};
use crate::disk::Mode;
use crate::disk::aligned::BLOCK_BYTES;
use crate::disk::register::DiskRegister;
use crate::entry::decode_frame;
use crate::lane::{self, sound_frames};
use crate::manifest::Manifest;
use crate::seam::Register as _;
use crate::{Entry, Error};

/// Takes away what is at and behind the damage. How it was done.
pub fn cut(work: &mut Work, path: &Path, position: u64, error: &Error) -> Result<String, Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some((lane, index)) = name.and_then(lane::parse_file_name) else {
        return Err(error.clone());
    };
    let folder = work.options.dir.join("lanes");
    let dir = work.options.dir.clone();
    let registered = DiskRegister::new(Arc::clone(&work.disk), dir).read()?;
    let Some((version, value)) = registered else {
        return Err(error.clone());
    };
    let mut manifest = Manifest::decode(&value).ok_or_else(|| error.clone())?;
    // Of a file whose header does not hold nothing is known; the one before says that it
    // goes on there.
    let (cut_path, cut_at) = match position {
        0 if index == 0 => return Err(error.clone()),
        0 => {
            let before = folder.join(lane::file_name_of(lane, index - 1));
            let at = lane::goes_on_at(&work.disk, &before)?;
            (before, at.ok_or_else(|| error.clone())?)
        }
        position => (path.to_owned(), position),
    };
    let behind: Vec<PathBuf> = work
        .disk
        .list(&folder)
        .map_err(Work::io("list", &folder))?
        .into_iter()
        .filter(|name| {
            let found = lane::parse_file_name(name);
            found.is_some_and(|(of, at)| {
                of > lane || (of == lane && folder.join(name) > cut_path && at > 0)
            })
        })
        .map(|name| folder.join(name))
        .collect();
    let mut read = vec![(cut_path.clone(), cut_at as usize)];
    read.extend(behind.iter().map(|path| (path.clone(), 0)));
    for (path, from) in &read {
        work.aside.keep(path)?;
        account(work, path, *from)?;
    }
    let file = work.disk.open(&cut_path, Mode::Write, false);
    let file = file.map_err(Work::io("open", &cut_path))?;
    let length = file.len().map_err(Work::io("measure", &cut_path))?;
    let mut at = cut_at;
    while at < length {
        let zeros = vec![0; (length - at).min(1 << 20) as usize];
        file.write_at(at, &zeros)
            .map_err(Work::io("write", &cut_path))?;
        at += zeros.len() as u64;
    }
    file.sync_data().map_err(Work::io("sync", &cut_path))?;
    manifest.lanes.retain(|listed| listed.id <= lane);
    for listed in manifest.lanes.iter_mut().filter(|listed| listed.id == lane) {
        listed.end = None;
    }
    // Before the files go: a register that lists what is gone would be one more damage.
    register::write(work, version + 1, &manifest)?;
    for path in &behind {
        work.disk.remove(path).map_err(Work::io("remove", path))?;
    }
    work.disk
        .sync_dir(&folder)
        .map_err(Work::io("sync", &folder))?;
    Ok(format!(
        "the lane ends there: {} files behind it are set aside",
        behind.len()
    ))
}

/// What of the rest of a file can still be read is named as lost.
fn account(work: &mut Work, path: &Path, from: usize) -> Result<(), Error> {
    let file = work.disk.open(path, Mode::Read, false);
    let file = file.map_err(Work::io("open", path))?;
    let mut bytes = vec![0; file.len().map_err(Work::io("measure", path))? as usize];
    file.read_at(0, &mut bytes)
        .map_err(Work::io("read", path))?;
    let bytes = Bytes::from(bytes);
    let mut lost: Vec<(LogId, Range<Offset>)> = Vec::new();
    let mut unreadable = Lsn(0)..Lsn(0);
    let mut first = true;
    sound_frames(&bytes, from, &mut |block, frame| {
        if first && from > 0 && block.start > unreadable.end {
            unreadable = unreadable.end..block.start;
        }
        first = false;
        for entry in decode_frame(&frame).unwrap_or_default() {
            match entry {
                Entry::Append { targets, batch } => {
                    let count = u64::from(batch.offset_count());
                    let each = targets.into_iter();
                    lost.extend(each.map(|(log, base)| (log, base..base.plus(count))));
                }
                Entry::Stored {
                    log, base, count, ..
                } => lost.push((log, base..base.plus(u64::from(count)))),
                Entry::Note { .. } => work.done.lost_note_count += 1,
                Entry::Settle { .. } | Entry::Mark { .. } => {}
            }
        }
    });
    if from > 0 {
        let damaged = lane::body_bytes_at(&bytes, from).unwrap_or(BLOCK_BYTES as u64);
        work.done.unreadable_bytes += damaged;
    }
    for (log, offsets) in lost {
        work.lost(log, offsets);
    }
    Ok(())
}
