//! From an archive back to a data directory.
//!
//! The register is written when all else is on the disk: a copy that broke off has none,
//! and no broker starts from it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::{self, BLOCK_BYTES};
use crate::disk::{Disk, DiskFile, Mode};

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub file_count: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Makes a data directory of an archive. `tell` is told of the bytes read so far.
///
/// # Errors
/// The directory is in use or holds data, the archive is damaged or not whole, or the disk's.
pub fn unpack(
    from: &mut dyn Read,
    disk: &dyn Disk,
    dir: &Path,
    tell: &mut dyn FnMut(u64),
) -> io::Result<Unpacked> {
    let taken = ["register", "data", "lanes"].map(|name| dir.join(name));
    if let Some(there) = taken.iter().find(|path| disk.exists(path)) {
        let what = format!("{} is there already", there.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
    }
    for folder in ["data", "lanes"] {
        disk.create_dir_all(&dir.join(folder))?;
    }
    let _lock = disk.lock(&dir.join("lock"))?;
    let mut done = Unpacked::default();
    let mut register = None;
    loop {
        let mut header = [0; BLOCK_BYTES];
        from.read_exact(&mut header).map_err(not_whole)?;
        let Some((name, bytes)) = archive::read(&header).map_err(damaged)? else {
            // The end is two blocks of zeros.
            from.read_exact(&mut header).map_err(not_whole)?;
            break;
        };
        if register.is_some() {
            return Err(damaged(format!("'{name}' comes after the register")));
        }
        if name == "register" {
            if bytes > REGISTER_BYTES_MAX {
                return Err(damaged(format!("the register has {bytes} bytes")));
            }
            let mut value = vec![0; bytes as usize];
            from.read_exact(&mut value).map_err(not_whole)?;
            register = Some(value);
        } else {
            let path = place(dir, &name).map_err(damaged)?;
            let file = disk.open(&path, Mode::CreateNew, false)?;
            copy(from, &*file, bytes, &mut |read| tell(done.bytes + read))?;
        }
        let mut padding = archive::padding(bytes);
        from.read_exact(&mut padding).map_err(not_whole)?;
        done.file_count += 1;
        done.bytes += bytes;
    }
    let register = register.ok_or_else(|| damaged("there is no register in it".to_owned()))?;
    for folder in ["data", "lanes"] {
        disk.sync_dir(&dir.join(folder))?;
    }
    let fresh = dir.join("register.new");
    let file: Arc<dyn DiskFile> = disk.open(&fresh, Mode::Truncate, false)?;
    file.write_at(0, &register)?;
    file.sync_data()?;
    disk.rename(&fresh, &dir.join("register"))?;
    disk.sync_dir(dir)?;
    Ok(done)
}

/// Where an entry goes: nothing but a file of one of the two folders.
fn place(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let (folder, file) = name.split_once('/').unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_plain = !file.is_empty() && file.chars().all(plain) && !file.starts_with('.');
    match ["data", "lanes"].contains(&folder) && is_plain {
        true => Ok(dir.join(folder).join(file)),
        false => Err(format!("'{name}' is no file of a data directory")),
    }
}

fn copy(
    from: &mut dyn Read,
    to: &dyn DiskFile,
    bytes: u64,
    tell: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; bytes.min(super::CHUNK_BYTES) as usize];
    let mut at = 0;
    while at < bytes {
        let chunk = &mut buffer[..(bytes - at).min(super::CHUNK_BYTES) as usize];
        from.read_exact(chunk).map_err(not_whole)?;
        to.write_at(at, chunk)?;
        at += chunk.len() as u64;
        tell(at);
    }
    to.sync_data()
}

fn not_whole(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("it is not whole".to_owned()),
        _ => error,
    }
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the backup: {what}"))
}

/// A register lists lanes: far fewer than this.
const REGISTER_BYTES_MAX: u64 = 16 << 20;
