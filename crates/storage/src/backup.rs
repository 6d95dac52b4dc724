//! A copy of a data directory while it is in use.
//!
//! Nothing is copied in one moment. What is durable at one moment is *pinned*: while a pin
//! is held, checkpoints go on, but no file that the pinned register refers to is deleted or
//! used again. Segments only grow, a checkpoint never changes, and the lane is copied up to
//! the pinned position: so the copy, however long it takes, is what a crash at that moment
//! would have left, and starting from it is the recovery that every start is.
//!
//! Bounds: one pin at a time; a copy holds [`CHUNK_BYTES`] and what the lane holds above the
//! floor. What a pin costs is disk: what checkpoints would have given back meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_record::Lsn;
use bytes::Bytes;

use crate::checkpoint::blob;
use crate::disk::register;
use crate::manifest::Manifest;
use crate::seam::LanePart;
use crate::segment::Identity;
use crate::storage::Shared;
use crate::{Error, Storage};

pub mod archive;

pub mod unpack;

/// One moment of a data directory. Dropping it lets go.
pub struct Pinned {
    shared: Arc<Shared>,
    until: Lsn,
    parts: Vec<Part>,
}

/// One file of a copy.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it goes, from the data directory.
    pub name: String,
    /// How many bytes it has in the copy.
    pub bytes: u64,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Blob(String),
    Bytes(Bytes),
}

impl Storage {
    /// Pins what is durable now. `None`: there is a pin already.
    ///
    /// # Errors
    /// Any; nothing is pinned then.
    pub fn pin(&self) -> Result<Option<Pinned>, Error> {
        let shared = &self.shared;
        // No checkpoint is under way while this is held.
        let manifest = shared.manifest.lock();
        if shared.pinned.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let mut pinned = Pinned {
            shared: Arc::clone(shared),
            until: Lsn(0),
            parts: Vec::new(),
        };
        let found = pinned.look(&manifest.1, manifest.0);
        // Letting go takes the lock.
        drop(manifest);
        found?;
        Ok(Some(pinned))
    }
}

impl Pinned {
    fn look(&mut self, manifest: &Manifest, version: u64) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        shared.commit(true)?;
        self.until = shared.lane.durable();
        let blobs = &shared.seams.blobs;
        let checkpoint = blob::name(manifest.checkpoint);
        for name in blobs.list()? {
            let is_segment = Identity::parse(&name).is_some_and(|identity| !identity.memory);
            if !is_segment && (manifest.checkpoint == 0 || name != checkpoint) {
                continue;
            }
            let bytes = match blobs.open(&name) {
                // What a compaction gave up before anything referred to it.
                Err(Error::Missing { .. }) => continue,
                opened => opened?.len()?,
            };
            self.parts.push(Part {
                name: format!("data/{name}"),
                bytes,
                source: Source::Blob(name),
            });
        }
        for lane in &manifest.lanes {
            let copied = shared
                .seams
                .lanes
                .copy(lane.id, manifest.floor, self.until)?;
            for LanePart { name, front, bytes } in copied {
                self.parts.push(Part {
                    name: format!("lanes/{name}"),
                    bytes,
                    source: Source::Bytes(front),
                });
            }
        }
        let register = register::encode(version, &manifest.encode());
        self.parts.push(Part {
            name: "register".to_owned(),
            bytes: register.len() as u64,
            source: Source::Bytes(register.into()),
        });
        Ok(())
    }

    /// The moment: everything at or below is in the copy, nothing above.
    pub fn until(&self) -> Lsn {
        self.until
    }

    /// The files, in the order in which a copy must get them: the register, which makes a
    /// data directory of them, last.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Hands out the bytes of one file, a chunk at a time.
    ///
    /// # Errors
    /// The disk's, or the taker's.
    pub fn read(
        &self,
        part: &Part,
        take: &mut dyn FnMut(Bytes) -> io::Result<()>,
    ) -> io::Result<()> {
        let failed = |error: Error| io::Error::other(error.to_string());
        match &part.source {
            Source::Blob(name) => {
                let blob = self.shared.seams.blobs.open(name).map_err(failed)?;
                let mut at = 0;
                while at < part.bytes {
                    let mut chunk = vec![0; (part.bytes - at).min(CHUNK_BYTES) as usize];
                    blob.read_at(at, &mut chunk).map_err(failed)?;
                    at += chunk.len() as u64;
                    take(chunk.into())?;
                }
            }
            Source::Bytes(front) => {
                take(front.clone())?;
                let mut rest = part.bytes - front.len() as u64;
                // The rest of a lane file is preallocated, and says nothing.
                let zeros = Bytes::from(vec![0; rest.min(CHUNK_BYTES) as usize]);
                while rest > 0 {
                    let chunk = rest.min(CHUNK_BYTES);
                    take(zeros.slice(..chunk as usize))?;
                    rest -= chunk;
                }
            }
        }
        Ok(())
    }

    /// Hands out everything as one archive: see [`archive`].
    ///
    /// # Errors
    /// As [`Pinned::read`].
    pub fn pack(&self, take: &mut dyn FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
        for part in &self.parts {
            take(archive::header(&part.name, part.bytes).into())?;
            self.read(part, take)?;
            take(archive::padding(part.bytes).into())?;
        }
        take(archive::end().into())
    }

    /// Bytes that [`Pinned::pack`] hands out.
    pub fn packed_bytes(&self) -> u64 {
        let parts = self.parts.iter().map(|part| {
            let padding = archive::padding(part.bytes).len() as u64;
            archive::BLOCK_BYTES as u64 + part.bytes + padding
        });
        parts.sum::<u64>() + archive::end().len() as u64
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let manifest = self.shared.manifest.lock();
        self.shared.pinned.store(false, Ordering::Release);
        // Checkpoints that were succeeded meanwhile. One that stays is an orphan: the next
        // start tries again.
        let blobs = &self.shared.seams.blobs;
        let current = blob::name(manifest.1.checkpoint);
        for name in blobs.list().unwrap_or_default() {
            if blob::is_checkpoint(&name) && name != current {
                let _ = blobs.delete(&name);
            }
        }
    }
}

/// Bytes that a copy has in memory at once.
pub const CHUNK_BYTES: u64 = 256 << 10;

#[cfg(test)]
mod tests;
