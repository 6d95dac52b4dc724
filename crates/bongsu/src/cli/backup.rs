//! `bongsu backup` and `bongsu restore`: a copy of all that a running broker has, and a data
//! directory of it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use bongsu_storage::backup::unpack::unpack;
use bongsu_storage::disk::LocalDisk;
use clap::Args;
use serde_json::json;
use ureq::http::Method;

use super::Asked;
use super::failure::Failure;
use super::listing::{bytes_text, print_done};
use crate::replay::Progress;

/// Where a backup goes.
#[derive(Debug, Args)]
pub struct Backup {
    /// A file that ends with .tar, or a directory to make: a data directory that a broker can
    /// be started on.
    #[arg(value_name = "PLACE")]
    place: PathBuf,
}

/// What is to be restored.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup: a .tar file; - is the standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory to make. It must not hold data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Copies.
pub fn backup(asked: &Asked, options: &Backup) -> Result<(), Failure> {
    let place = &options.place;
    let is_file = place
        .extension()
        .is_some_and(|extension| extension == "tar");
    if place.exists() && (is_file || std::fs::read_dir(place)?.next().is_some()) {
        let what = format!("{} is there already", place.display());
        return Err(Failure::Usage(what));
    }
    let (total, source) = asked.api()?.stream(Method::POST, "/bongsu/v1/backup")?;
    let mut source = Watched::new(source, total);
    let bytes = match is_file {
        true => keep(&mut source, place)?,
        false => unpacked(&mut source, place)?,
    };
    source.progress.end();
    let name = place.display().to_string();
    let sentence = format!("{name} has {}", bytes_text(bytes as f64));
    let object = json!({ "done": "backup", "place": name, "bytes": bytes });
    print_done(asked.is_json, &sentence, &object)
}

/// Makes a data directory.
pub fn restore(is_json: bool, options: &Restore) -> Result<(), Failure> {
    let file = &options.file;
    let wrong = |error: io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let (total, from): (u64, Box<dyn Read>) = match file == Path::new("-") {
        true => (0, Box::new(io::stdin())),
        false => {
            let file = File::open(file).map_err(wrong)?;
            (file.metadata().map_err(wrong)?.len(), Box::new(file))
        }
    };
    let mut source = Watched::new(Box::new(BufReader::new(from)), total);
    let bytes = unpacked(&mut source, &options.data)?;
    source.progress.end();
    let name = options.data.display().to_string();
    let sentence = format!(
        "{name} has {}; start a broker on it with BONGSU_DATA_DIR={name} bongsu serve",
        bytes_text(bytes as f64)
    );
    let object = json!({ "done": "restore", "data": name, "bytes": bytes });
    print_done(is_json, &sentence, &object)
}

fn unpacked(source: &mut Watched, place: &Path) -> Result<u64, Failure> {
    std::fs::create_dir_all(place)
        .map_err(|error| Failure::Failed(format!("{}: {error}", place.display())))?;
    let done = unpack(source, &LocalDisk, place, &mut |_| ());
    let done = done.map_err(|error| {
        source.progress.end();
        Failure::Failed(format!("{}: {error}", place.display()))
    })?;
    Ok(done.bytes)
}

/// Writes the archive under another name until it is whole.
fn keep(source: &mut Watched, place: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let partial = place.with_extension("tar.partial");
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", partial.display()));
    let mut options = std::fs::OpenOptions::new();
    // It holds records and hashes of passwords: nobody else may read it.
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = BufWriter::new(options.open(&partial).map_err(failed)?);
    let mut end = End::default();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                file.write_all(&buffer[..count]).map_err(failed)?;
                end.saw(&buffer[..count]);
                bytes += count as u64;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let is_whole = end.is_whole() && (source.total == 0 || bytes == source.total);
    if !is_whole {
        let what = format!("the backup broke off after {bytes} bytes");
        return Err(Failure::Failed(what));
    }
    let file = file
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&partial, place).map_err(failed)?;
    Ok(bytes)
}

/// Whether what was seen ends as an archive does: with 1024 zeros.
#[derive(Default)]
struct End {
    zeros: usize,
}

impl End {
    fn saw(&mut self, bytes: &[u8]) {
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = match zeros == bytes.len() {
            true => self.zeros.saturating_add(zeros),
            false => zeros,
        };
    }

    fn is_whole(&self) -> bool {
        self.zeros >= 1024
    }
}

/// A reader that shows how far it is.
struct Watched {
    source: Box<dyn Read>,
    total: u64,
    done: u64,
    progress: Progress,
}

impl Watched {
    fn new(source: Box<dyn Read>, total: u64) -> Watched {
        Watched {
            source,
            total,
            done: 0,
            progress: Progress::new(),
        }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.done += count as u64;
        if self.progress.is_due() {
            self.progress.show_bar(self.done, self.total);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::End;

    #[test]
    fn an_archive_ends_with_zeros() {
        let mut end = End::default();
        end.saw(&[1; 100]);
        end.saw(&[0; 700]);
        assert!(!end.is_whole());
        end.saw(&[0; 324]);
        assert!(end.is_whole());
        end.saw(&[0, 1, 0]);
        assert!(!end.is_whole());
    }
}
