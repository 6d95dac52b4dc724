//! Mending a data directory that a broker refuses to start on.
//!
//! What is checked is what every start checks, because it is a start: [`repair`] opens the
//! directory as a broker would and takes what it is refused for, until nothing is left; then
//! it reads through every segment, which a start leaves to its readers. On an
//! [`Overlay`](overlay::Overlay) all of that happens in memory and changes nothing.
//!
//! How each kind of damage is mended:
//!
//! - *a segment*: where its batches cannot be read, a mark of the same length is put that
//!   holds no record (a control batch), so that everything before and behind stays where it
//!   is. Lost are the offsets in between.
//! - *the lane*: it is cut where it cannot be read. Lost is everything later; what of that is
//!   in sound blocks is named.
//! - *the register*: it is made again, from the newest checkpoint and the lanes that are there.
//! - *a checkpoint* cannot be mended: it says which queues there are.
//!
//! No byte of what was damaged is thrown away: files are copied to `damaged/` before they
//! are changed. Nobody else may use the directory meanwhile; the lock sees to that.

// It is returned once in a run, and moved to be printed.
#![allow(clippy::result_large_err)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bongsu_record::{LogId, Offset};

use crate::disk::Disk;
use crate::log::Segment;
use crate::recovery::Report;
use crate::segment::Identity;
use crate::{Durability, Entry, Error, Options, Storage};

mod aside;

mod hole;

mod cut;

mod register;

pub mod overlay;

use aside::Aside;

/// What was found and done.
#[derive(Clone, Debug, Default)]
pub struct Repaired {
    /// In the order in which it was found.
    pub damages: Vec<Damage>,
    /// Records that are gone, by log.
    pub lost: Vec<Lost>,
    /// Changes of the broker (to queues, users, groups) that are gone: how many.
    pub lost_note_count: u64,
    /// Bytes of the lane that nothing can be said of.
    pub unreadable_bytes: u64,
    /// Copies of what was damaged.
    pub set_aside: Vec<PathBuf>,
    /// Of the recovery that went through in the end.
    pub report: Report,
    /// Segments that were read through.
    pub segment_count: u64,
}

/// One damage.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: u64,
    /// What is wrong.
    pub what: String,
    /// How it is mended.
    pub mend: String,
}

/// Records that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Of which log.
    pub log: LogId,
    /// Which. Some of them may have been settled before.
    pub offsets: Range<Offset>,
}

/// Mends what can be. With an overlay as the disk: says what would be.
///
/// # Errors
/// What cannot be mended; what was mended until then stays so.
pub fn repair(disk: &Arc<dyn Disk>, options: &Options) -> Result<Repaired, (Repaired, Error)> {
    let mut work = Work {
        disk: Arc::clone(disk),
        options: options.clone(),
        aside: Aside::new(Arc::clone(disk), options.dir.clone()),
        done: Repaired::default(),
    };
    let ended = work.run();
    work.done.set_aside = work.aside.copies();
    work.done
        .lost
        .sort_by_key(|lost| (lost.log, lost.offsets.start));
    match ended {
        Ok(()) => Ok(work.done),
        Err(error) => Err((work.done, error)),
    }
}

struct Work {
    disk: Arc<dyn Disk>,
    options: Options,
    aside: Aside,
    done: Repaired,
}

impl Work {
    fn run(&mut self) -> Result<(), Error> {
        // Each turn mends one damage; the same one twice would be ours.
        for _ in 0..DAMAGES_MAX {
            let mut opened = None;
            match self.start(&mut opened) {
                Ok(()) => return Ok(()),
                Err(error) => self.mend(error, opened.as_ref())?,
            }
        }
        Err(Error::corrupt(
            &self.options.dir,
            0,
            format!("more than {DAMAGES_MAX} damages"),
        ))
    }

    /// Opens as a broker does, and reads everything.
    fn start(&mut self, opened: &mut Option<Storage>) -> Result<(), Error> {
        let (storage, mut recovery) = Storage::open(Arc::clone(&self.disk), self.options.clone())?;
        *opened = Some(storage.clone());
        recovery.replay(&mut |_, entry| {
            // A log that begins in the lane is one that a note has made: what it has must
            // not be taken for what nobody knows. One that begins later is gone.
            let first = |log: LogId| drop(storage.create_log(log, Durability::Fsync));
            match entry {
                Entry::Append { targets, .. } => {
                    for (log, base) in targets {
                        if *base == Offset(0) && storage.log(*log).is_some() {
                            first(*log);
                        }
                    }
                }
                Entry::Stored { log, base, .. } if *base == Offset(0) => first(*log),
                _ => {}
            }
        })?;
        self.done.report = recovery.finish()?;
        self.done.segment_count = 0;
        for log in storage.logs() {
            let segments: Vec<Segment> = log.inner.lock().segments.iter().copied().collect();
            for segment in segments {
                self.done.segment_count += 1;
                let identity = log.identity(segment.id);
                let holes = self.fill(&identity, &segment)?;
                debug_assert!(holes || self.done.damages.len() < DAMAGES_MAX);
            }
        }
        Ok(())
    }

    fn mend(&mut self, error: Error, opened: Option<&Storage>) -> Result<(), Error> {
        let (path, position, what) = match &error {
            Error::Corrupt {
                path,
                position,
                what,
            } => (path.clone(), *position, what.clone()),
            Error::Missing { path, what } => (path.clone(), 0, format!("it is missing: {what}")),
            _ => return Err(error),
        };
        let folder = path.parent().and_then(Path::file_name);
        let folder = folder.and_then(|name| name.to_str()).unwrap_or_default();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        let is_register = path == self.options.dir.join("register");
        if is_register && opened.is_none() && self.register_is_broken() {
            let mend = register::rebuild(self)?;
            self.note(path, position, what, mend);
            return Ok(());
        }
        if folder == "lanes" {
            let mend = cut::cut(self, &path, position, &error)?;
            self.note(path, position, what, mend);
            return Ok(());
        }
        if let (Some(identity), Some(storage)) = (Identity::parse(&name), opened) {
            let log = storage.log(identity.log);
            let segment = log.and_then(|log| {
                let inner = log.inner.lock();
                let found = inner.segments.iter().find(|s| s.id == identity.segment);
                found.copied()
            });
            let before = self.done.damages.len();
            if let Some(segment) = segment {
                self.fill(&identity, &segment)?;
            }
            if self.done.damages.len() > before {
                return Ok(());
            }
        }
        Err(error)
    }

    fn note(&mut self, path: PathBuf, position: u64, what: String, mend: String) {
        self.done.damages.push(Damage {
            path,
            position,
            what,
            mend,
        });
    }

    fn register_is_broken(&self) -> bool {
        use crate::seam::Register as _;
        let register = crate::disk::register::DiskRegister::new(
            Arc::clone(&self.disk),
            self.options.dir.clone(),
        );
        let value = register.read();
        let sound = |value: &[u8]| crate::manifest::Manifest::decode(value).is_some();
        !matches!(value, Ok(Some((_, value))) if sound(&value))
    }

    fn lost(&mut self, log: LogId, offsets: Range<Offset>) {
        if offsets.start < offsets.end {
            self.done.lost.push(Lost { log, offsets });
        }
    }

    fn io(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error {
        let path = path.to_owned();
        move |cause| Error::io(operation, &path, 0, &cause)
    }
}

/// More than anybody will read.
const DAMAGES_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
