//! What can go wrong below the engine, sorted by who must act.
//!
//! Every error names the operation, the file, the place in it and the cause. `Corrupt`,
//! `Full`, `SyncFailed` and `Locked` are apart because they are answered apart: stop and
//! repair, wait for room, restart, start elsewhere.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A storage operation that failed.
#[derive(Debug, Clone)]
pub enum Error {
    /// Bytes that were durable are not what was written.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file the damage begins.
        position: u64,
        /// What is wrong there.
        what: String,
    },
    /// A file that something durable refers to is not there.
    Missing {
        /// The file.
        path: PathBuf,
        /// Who refers to it.
        what: String,
    },
    /// No room: on the disk, or in a bounded buffer. Nothing confirmed is touched; the
    /// same call may succeed later.
    Full {
        /// The file or buffer that has no room.
        what: String,
        /// Bytes that were asked for.
        needed_bytes: u64,
    },
    /// The file system refuses writes.
    ReadOnly {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Another broker uses the data directory.
    Locked {
        /// The lock file it holds.
        path: PathBuf,
    },
    /// A sync or a write of the lane failed: what is on the disk is unknown, so the lane
    /// takes no more writes until a restart replays it.
    SyncFailed {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        cause: String,
    },
    /// The file was written by another version.
    Format {
        /// The file.
        path: PathBuf,
        /// The format number in it.
        found: u32,
        /// The newest format number this program reads.
        supported: u32,
    },
    /// The register changed under us: somebody else owns the data directory now.
    Fenced {
        /// What was fenced.
        what: String,
    },
    /// A checkpoint that would have lost a log: the broker did not put it. The next
    /// attempt may find it put, or removed.
    Unlisted {
        /// The log.
        log: bongsu_record::LogId,
        /// Below this LSN it holds records.
        floor: bongsu_record::Lsn,
    },
    /// Anything else the operating system said.
    Io {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Where in the file.
        position: u64,
        /// The operating system's kind.
        kind: io::ErrorKind,
        /// The operating system's word.
        cause: String,
    },
}

impl Error {
    /// Sorts what the operating system said about `operation` at `position` of `path`.
    pub fn io(operation: &'static str, path: &Path, position: u64, cause: &io::Error) -> Error {
        let path = path.to_path_buf();
        match cause.kind() {
            // Files that others have open now are as transient as their bytes: nothing was begun.
            _ if is_lack(cause) => Error::Full {
                what: format!("{} {}: {cause}", operation, path.display()),
                needed_bytes: 0,
            },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Error::ReadOnly { operation, path }
            }
            kind => Error::Io {
                operation,
                path,
                position,
                kind,
                cause: cause.to_string(),
            },
        }
    }

    /// Damage at `position` of `path`.
    pub fn corrupt(path: &Path, position: u64, what: impl Into<String>) -> Error {
        Error::Corrupt {
            path: path.to_path_buf(),
            position,
            what: what.into(),
        }
    }

    /// Whether the cause is a lack of room.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Full { .. })
    }
}

/// Whether it goes away once somebody gives something back: room, or open files.
fn is_lack(cause: &io::Error) -> bool {
    let room = matches!(
        cause.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let errno = cause.raw_os_error();
    room || errno.is_some_and(|errno| {
        [Errno::MFILE, Errno::NFILE]
            .iter()
            .any(|files| files.raw_os_error() == errno)
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Corrupt {
                path,
                position,
                what,
            } => write!(
                f,
                "{} is corrupt at byte {position}: {what}; nothing was skipped or changed; \
                 `bongsu repair` with the data directory says what it holds and mends what can \
                 be, or put an undamaged copy of the file in its place",
                path.display()
            ),
            Error::Missing { path, what } => {
                write!(
                    f,
                    "{} is missing: {what}; `bongsu repair` says what that means",
                    path.display()
                )
            }
            Error::Full { what, needed_bytes } => match needed_bytes {
                0 => f.write_str(what),
                _ => write!(f, "no room for {needed_bytes} bytes: {what}"),
            },
            Error::ReadOnly { operation, path } => {
                write!(f, "cannot {operation} {}: not writable", path.display())
            }
            Error::Locked { path } => write!(
                f,
                "another broker uses this data directory: it holds the lock file {}",
                path.display()
            ),
            Error::SyncFailed { path, cause } => write!(
                f,
                "{} could not be written and synced ({cause}); it takes no more writes, \
                 a restart replays what is durable",
                path.display()
            ),
            Error::Format {
                path,
                found,
                supported,
            } => write!(
                f,
                "{} has format {found}, this program reads up to {supported}",
                path.display()
            ),
            Error::Fenced { what } => write!(f, "fenced: {what}"),
            Error::Unlisted { log, floor } => write!(
                f,
                "log {log} holds records below LSN {floor} and was not put into the checkpoint"
            ),
            Error::Io {
                operation,
                path,
                position,
                cause,
                ..
            } => write!(
                f,
                "cannot {operation} {} at byte {position}: {cause}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
