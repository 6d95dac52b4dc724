//! A lane that is over: finding its end, and replaying it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::Lsn;
use bytes::Bytes;

use super::block::{
    BLOCK_HEADER_BYTES, BlockHeader, FILE_HEADER_BYTES, FORMAT, FileHeader, NotHeader, flag,
};
use super::files::{LaneFiles, file_name};
use crate::Error;
use crate::disk::Mode;
use crate::disk::aligned::{AlignedBuffer, BLOCK_BYTES, round_up};
use crate::seam::{LaneId, Replayed, SealedLane};

pub struct DiskSealedLane {
    files: Arc<LaneFiles>,
    /// The chain, from the file that holds the floor.
    chain: Vec<FileHeader>,
    end: Lsn,
    end_place: (PathBuf, u64),
    /// The most that a block says was synced; seals apart.
    proven: Lsn,
    references_synced: Lsn,
    torn_bytes: u64,
    clean: bool,
}

/// Where a walk through one file's blocks stopped, and why.
pub(super) struct Stop {
    pub(super) position: usize,
    pub(super) lsn: Lsn,
    pub(super) why: Why,
}

pub(super) enum Why {
    Continues,
    Seal { clean: bool },
    Bad,
}

impl DiskSealedLane {
    pub fn seal(files: Arc<LaneFiles>, lane: LaneId, floor: Lsn) -> Result<Self, Error> {
        let found = Found::look(&files, lane)?;
        let mut at = found.start(floor)?;
        let mut chain = Vec::new();
        // From blocks only: a lane without one was never used.
        let mut proven = Lsn(0);
        let mut references_synced = Lsn(0);
        let (stop, bytes) = loop {
            let header = at;
            let bytes = read_file(&files, &header)?;
            chain.push(header);
            let stop = walk(&bytes, &header, &mut |_, block| {
                proven = proven.max(block.synced);
                if block.flags & flag::REFERENCES_SYNCED != 0 {
                    references_synced = block.end();
                }
                Ok(())
            })?;
            if !matches!(stop.why, Why::Continues) {
                break (stop, bytes);
            }
            files.ended(lane, header.index, stop.lsn);
            at = found.next(&header, stop.lsn)?;
        };
        let last = *chain.last().expect("the loop pushed one");
        let path = files.path(&file_name(lane, last.index));
        let mut sealed = DiskSealedLane {
            end: stop.lsn,
            end_place: (path, stop.position as u64),
            proven,
            references_synced,
            torn_bytes: 0,
            clean: false,
            files,
            chain,
        };
        match stop.why {
            Why::Seal { clean } => sealed.clean = clean,
            Why::Continues | Why::Bad => sealed.check_torn(&found, &bytes, &last, &stop)?,
        }
        sealed.write_seal(&last, &stop)?;
        for (index, _) in &found.files {
            let end = match *index < sealed.chain[0].index {
                true => floor.min(sealed.end),
                false => sealed.end,
            };
            if *index >= last.index || *index < sealed.chain[0].index {
                sealed.files.ended(lane, *index, end);
            }
        }
        Ok(sealed)
    }

    /// Decides whether the bad place at `stop` is a torn tail or damage.
    fn check_torn(
        &mut self,
        found: &Found,
        bytes: &Bytes,
        header: &FileHeader,
        stop: &Stop,
    ) -> Result<(), Error> {
        let mut position = stop.position;
        while position + BLOCK_HEADER_BYTES <= bytes.len() {
            let block = bytes.get(position..).unwrap_or_default();
            if let Some(later) = BlockHeader::decode(block, header.lane, header.index)
                && later.first >= stop.lsn
            {
                if position == stop.position {
                    self.torn_bytes = u64::from(later.body_bytes);
                }
                if later.synced > stop.lsn && later.holds(header.salt, block) {
                    return Err(self.damage(format!(
                        "the block there should begin with LSN {}, but its checksum does not \
                         hold, and the block at byte {position} says that all up to LSN {} was \
                         durable",
                        stop.lsn, later.synced
                    )));
                }
            }
            position += BLOCK_BYTES;
        }
        for (index, later) in &found.files {
            let Some(later) = later.as_ref().filter(|_| *index > header.index) else {
                continue;
            };
            let bytes = read_file(&self.files, later)?;
            let first = BlockHeader::decode(&bytes[FILE_HEADER_BYTES..], later.lane, *index);
            let whole = first.is_some_and(|b| b.holds(later.salt, &bytes[FILE_HEADER_BYTES..]));
            if whole {
                return Err(self.damage(format!(
                    "the block there should begin with LSN {}, but its checksum does not hold, \
                     and {} goes on behind it",
                    stop.lsn,
                    file_name(later.lane, *index)
                )));
            }
        }
        Ok(())
    }

    fn damage(&self, what: String) -> Error {
        Error::corrupt(&self.end_place.0, self.end_place.1, what)
    }

    /// Makes durable what the walk found, with the mark where it stopped.
    ///
    /// What no block proves is written again and not only synced: after a sync that
    /// failed, the page cache may show blocks that no later sync will write. That goes
    /// for a seal that is there already, too: who wrote it may have failed to sync it.
    fn write_seal(&self, last: &FileHeader, stop: &Stop) -> Result<(), Error> {
        for (place, header) in self.chain.iter().enumerate() {
            let next = self.chain.get(place + 1);
            if next.is_some_and(|next| next.first < self.proven) {
                continue;
            }
            let path = self.files.path(&file_name(header.lane, header.index));
            let error = |operation, cause: std::io::Error| Error::io(operation, &path, 0, &cause);
            let bytes = read_file(&self.files, header)?;
            let mut unproven = None;
            let here = walk(&bytes, header, &mut |at, block| {
                // A mark without frames ends where it begins, and is proven by nothing.
                if block.first >= self.proven {
                    unproven.get_or_insert(at);
                }
                Ok(())
            })?;
            let file = self
                .files
                .disk
                .open(&path, Mode::Write, self.files.options.direct)
                .map_err(|c| error("open", c))?;
            let put = |position: usize, bytes: &[u8]| {
                for (part, block) in bytes.chunks(WRITE_BYTES).enumerate() {
                    let at = (position + part * WRITE_BYTES) as u64;
                    file.write_at(at, block).map_err(|c| error("seal", c))?;
                }
                file.sync_data().map_err(|c| error("sync", c))
            };
            let is_last = header.index == last.index;
            let from = unproven.unwrap_or(here.position);
            let to = match is_last {
                true => here.position,
                false => here.position + BLOCK_BYTES,
            };
            let mut buffer = AlignedBuffer::default();
            if from < to {
                let region = buffer.get(to - from);
                region.copy_from_slice(&bytes[from..to]);
                put(from, region)?;
            }
            if is_last {
                // Only now: the seal says that all before it is durable.
                let clean = match self.clean {
                    true => flag::CLEAN,
                    false => 0,
                };
                let seal = BlockHeader {
                    lane: last.lane,
                    first: stop.lsn,
                    synced: stop.lsn,
                    body_bytes: 0,
                    frame_count: 0,
                    file_index: last.index,
                    flags: flag::SEAL | clean,
                };
                let block = buffer.get(BLOCK_BYTES);
                block.fill(0);
                seal.encode(last.salt, block);
                put(here.position, block)?;
            }
        }
        Ok(())
    }
}

impl SealedLane for DiskSealedLane {
    fn range(&self) -> Range<Lsn> {
        self.chain[0].first..self.end
    }

    fn end_place(&self) -> (PathBuf, u64) {
        self.end_place.clone()
    }

    fn references_synced(&self) -> Lsn {
        self.references_synced
    }

    fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn is_clean(&self) -> bool {
        self.clean
    }

    fn replay(
        &self,
        from: Lsn,
        visit: &mut dyn FnMut(Replayed) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (place, header) in self.chain.iter().enumerate() {
            let next = self.chain.get(place + 1);
            if next.is_some_and(|next| next.first <= from) {
                continue;
            }
            let bytes = read_file(&self.files, header)?;
            let path = self.files.path(&file_name(header.lane, header.index));
            walk(&bytes, header, &mut |at, block| {
                if block.end() <= from {
                    return Ok(());
                }
                let start = at + BLOCK_HEADER_BYTES;
                let body = bytes.slice(start..at + block.bytes());
                frames(&body, &block, from, visit).unwrap_or_else(|| {
                    let what = "a frame reaches past its block";
                    Err(Error::corrupt(&path, at as u64, what))
                })
            })?;
        }
        Ok(())
    }
}

/// Visits the frames of one body. `None` if they do not fill it.
fn frames(
    body: &Bytes,
    block: &BlockHeader,
    from: Lsn,
    visit: &mut dyn FnMut(Replayed) -> Result<(), Error>,
) -> Option<Result<(), Error>> {
    let mut at = 0;
    for _ in 0..block.frame_count {
        let length: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
        let end = at.checked_add(4 + u32::from_be_bytes(length) as usize)?;
        if end > body.len() {
            return None;
        }
        if block.first.0 + at as u64 >= from.0 {
            let visited = visit(Replayed {
                lsn: Lsn(block.first.0 + end as u64),
                bytes: body.slice(at..end),
            });
            if visited.is_err() {
                return Some(visited);
            }
        }
        at = end;
    }
    (at == body.len()).then_some(Ok(()))
}

/// Follows the chain of blocks through one file.
pub(super) fn walk(
    bytes: &Bytes,
    header: &FileHeader,
    visit: &mut dyn FnMut(usize, BlockHeader) -> Result<(), Error>,
) -> Result<Stop, Error> {
    let mut position = FILE_HEADER_BYTES;
    let mut lsn = header.first;
    loop {
        let rest = bytes.get(position..).unwrap_or_default();
        let block = BlockHeader::decode(rest, header.lane, header.index)
            .filter(|block| block.first == lsn && block.holds(header.salt, rest));
        let Some(block) = block else {
            let why = Why::Bad;
            return Ok(Stop { position, lsn, why });
        };
        let why = match block.flags {
            flags if flags & flag::CONTINUES != 0 => Some(Why::Continues),
            flags if flags & flag::SEAL != 0 => Some(Why::Seal {
                clean: flags & flag::CLEAN != 0,
            }),
            _ => None,
        };
        if let Some(why) = why {
            return Ok(Stop { position, lsn, why });
        }
        visit(position, block)?;
        position += round_up(block.bytes());
        lsn = block.end();
    }
}

pub(super) fn read_file(files: &LaneFiles, header: &FileHeader) -> Result<Bytes, Error> {
    let path = files.path(&file_name(header.lane, header.index));
    let error = |cause: std::io::Error| Error::io("read", &path, 0, &cause);
    let file = files.disk.open(&path, Mode::Read, false).map_err(error)?;
    let length = file.len().map_err(error)?;
    if length != header.file_bytes {
        let what = format!(
            "the file has {length} bytes, its header says {}",
            header.file_bytes
        );
        return Err(Error::corrupt(&path, length, what));
    }
    let mut bytes = vec![0; length as usize];
    file.read_at(0, &mut bytes).map_err(error)?;
    Ok(bytes.into())
}

const WRITE_BYTES: usize = 1 << 20;

/// The files that carry a lane's name.
pub(super) struct Found {
    store: Arc<LaneFiles>,
    lane: LaneId,
    /// Index and header; none if the header is damaged or of another lane or file, which
    /// is what a crash leaves of a spare that was just renamed.
    files: Vec<(u32, Option<FileHeader>)>,
}

impl Found {
    pub(super) fn look(store: &Arc<LaneFiles>, lane: LaneId) -> Result<Found, Error> {
        let mut files = Vec::new();
        for (of, index, name) in store.present()? {
            if of != lane {
                continue;
            }
            let path = store.path(&name);
            let error = |cause: std::io::Error| Error::io("read", &path, 0, &cause);
            let file = store.disk.open(&path, Mode::Read, false).map_err(error)?;
            let mut bytes = [0; 64];
            let header = match file.read_at(0, &mut bytes) {
                Ok(()) => FileHeader::decode(&bytes),
                Err(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
                    Err(NotHeader::Damaged)
                }
                Err(cause) => return Err(error(cause)),
            };
            let header = match header {
                Ok(header) => Some(header).filter(|h| h.lane == lane && h.index == index),
                Err(NotHeader::Damaged) => None,
                Err(NotHeader::Format(found)) => {
                    return Err(Error::Format {
                        path,
                        found,
                        supported: FORMAT,
                    });
                }
            };
            files.push((index, header));
        }
        let store = Arc::clone(store);
        Ok(Found { store, lane, files })
    }

    /// The file that replay from `floor` begins with.
    pub(super) fn start(&self, floor: Lsn) -> Result<FileHeader, Error> {
        let headers = || self.files.iter().filter_map(|(_, header)| *header);
        let holding = headers().rfind(|h| h.first <= floor);
        // A lane that began above the floor begins with its first file.
        let first = headers().find(|header| header.index == 0);
        if let Some(start) = holding.or(first) {
            return Ok(start);
        }
        if self.files.is_empty() {
            let name = format!("lane-{:08}-*", self.lane.0);
            return Err(Error::Missing {
                path: self.store.path(&name),
                what: format!("replay begins in one of them, at LSN {floor}"),
            });
        }
        let wanted = match headers().next() {
            Some(after) => after.index - 1,
            None => self.files.first().map_or(0, |(index, _)| *index),
        };
        Err(self.absent(wanted, format!("replay begins in it, at LSN {floor}")))
    }

    /// The file after `header`, which ends at `lsn` and says that the chain goes on.
    pub(super) fn next(&self, header: &FileHeader, lsn: Lsn) -> Result<FileHeader, Error> {
        let index = header.index + 1;
        let found = self.files.iter().find(|(of, _)| *of == index);
        match found.and_then(|(_, header)| *header) {
            Some(next) if next.first == lsn => Ok(next),
            _ => Err(self.absent(
                index,
                format!(
                    "{} goes on in it, at LSN {lsn}",
                    file_name(self.lane, header.index)
                ),
            )),
        }
    }

    fn absent(&self, index: u32, what: String) -> Error {
        let path = self.store.path(&file_name(self.lane, index));
        match self.files.iter().any(|(of, _)| *of == index) {
            true => Error::corrupt(&path, 0, format!("its file header is damaged; {what}")),
            false => Error::Missing { path, what },
        }
    }
}
