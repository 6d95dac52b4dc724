//! `damaged/`: what files were before they were mended.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Work;
use crate::Error;
use crate::disk::{Disk, Mode};

pub struct Aside {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    kept: BTreeSet<PathBuf>,
    copies: Vec<PathBuf>,
}

impl Aside {
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Aside {
        Aside {
            disk,
            folder: dir.join("damaged"),
            kept: BTreeSet::new(),
            copies: Vec::new(),
        }
    }

    /// Copies a file as it is, once; one that is not there is no file.
    pub fn keep(&mut self, path: &Path) -> Result<(), Error> {
        if !self.disk.exists(path) || !self.kept.insert(path.to_owned()) {
            return Ok(());
        }
        let folder = &self.folder;
        self.disk
            .create_dir_all(folder)
            .map_err(Work::io("create", folder))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let names = (0_u32..).map(|number| folder.join(format!("{name}.{number}")));
        let mut free = names.filter(|path| !self.disk.exists(path));
        let copy = free.next().expect("numbers go on");
        let from = self.disk.open(path, Mode::Read, false);
        let from = from.map_err(Work::io("open", path))?;
        let to = self.disk.open(&copy, Mode::CreateNew, false);
        let to = to.map_err(Work::io("create", &copy))?;
        let length = from.len().map_err(Work::io("measure", path))?;
        let mut at = 0;
        while at < length {
            let mut chunk = vec![0; (length - at).min(1 << 20) as usize];
            from.read_at(at, &mut chunk)
                .map_err(Work::io("read", path))?;
            to.write_at(at, &chunk).map_err(Work::io("write", &copy))?;
            at += chunk.len() as u64;
        }
        to.sync_data().map_err(Work::io("sync", &copy))?;
        self.disk
            .sync_dir(folder)
            .map_err(Work::io("sync", folder))?;
        self.copies.push(copy);
        Ok(())
    }

    pub fn copies(&self) -> Vec<PathBuf> {
        self.copies.clone()
    }
}
