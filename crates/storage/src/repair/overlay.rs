//! A disk on which everything can be tried: what is written stays in memory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile, DiskLock, Mode};

/// See the module's comment. Memory follows what is written.
pub struct Overlay {
    under: Arc<dyn Disk>,
    /// What is otherwise than underneath; none: removed.
    files: Mutex<BTreeMap<PathBuf, Option<Arc<Sheet>>>>,
}

impl Overlay {
    /// Over `under`, of which nothing is changed but that its lock is taken.
    pub fn new(under: Arc<dyn Disk>) -> Overlay {
        Overlay {
            under,
            files: Mutex::default(),
        }
    }

    /// The file as it is here; from below it comes with nothing written yet.
    fn find(&self, path: &Path) -> io::Result<Option<Arc<Sheet>>> {
        if let Some(known) = self.files.lock().get(path) {
            return Ok(known.clone());
        }
        match self.under.open(path, Mode::Read, false) {
            Ok(under) => Ok(Some(Arc::new(Sheet::over(under)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, path: &Path, sheet: Option<Arc<Sheet>>) {
        self.files.lock().insert(path.to_owned(), sheet);
    }
}

impl Disk for Overlay {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = match self.under.list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        for (file, sheet) in self.files.lock().iter() {
            if file.parent() != Some(path) {
                continue;
            }
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            names.retain(|known| *known != name);
            if sheet.is_some() {
                names.push(name.into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, path: &Path, mode: Mode, _direct: bool) -> io::Result<Arc<dyn DiskFile>> {
        let found = self.find(path)?;
        let sheet = match (mode, found) {
            (Mode::Read | Mode::Write, None) => return Err(io::ErrorKind::NotFound.into()),
            (Mode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Mode::Read, Some(sheet)) => return Ok(sheet),
            (Mode::Write, Some(sheet)) => sheet,
            (Mode::CreateNew, None) | (Mode::Truncate, _) => Arc::new(Sheet::default()),
        };
        self.put(path, Some(Arc::clone(&sheet)));
        Ok(sheet)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let sheet = self.find(from)?.ok_or(io::ErrorKind::NotFound)?;
        self.put(to, Some(sheet));
        self.put(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.find(path)?.ok_or(io::ErrorKind::NotFound)?;
        self.put(path, None);
        Ok(())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        match self.files.lock().get(path) {
            Some(known) => known.is_some(),
            None => self.under.exists(path),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.under.lock(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.under.free_bytes(path)
    }
}

/// A file: pages that were written, over what was there.
#[derive(Default)]
struct Sheet {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// With how much of it still shows.
    under: Option<(Arc<dyn DiskFile>, u64)>,
    pages: BTreeMap<u64, Vec<u8>>,
    length: u64,
}

impl Sheet {
    fn over(under: Arc<dyn DiskFile>) -> io::Result<Sheet> {
        let length = under.len()?;
        let state = State {
            under: Some((under, length)),
            length,
            ..State::default()
        };
        Ok(Sheet {
            state: Mutex::new(state),
        })
    }
}

impl State {
    /// A page as it is, zeros where nothing is.
    fn page(&self, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = self.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = vec![0; PAGE_BYTES as usize];
        if let Some((under, shows)) = &self.under {
            let at = number * PAGE_BYTES;
            let there = shows.saturating_sub(at).min(PAGE_BYTES);
            if there > 0 {
                under.read_at(at, &mut page[..there as usize])?;
            }
        }
        Ok(page)
    }
}

impl DiskFile for Sheet {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        if position + buffer.len() as u64 > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What was never written to is read in one go.
        if let (Some((under, shows)), true) = (&state.under, state.pages.is_empty())
            && position + buffer.len() as u64 <= *shows
        {
            return under.read_at(position, buffer);
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = position + done as u64;
            let page = state.page(at / PAGE_BYTES)?;
            let from = (at % PAGE_BYTES) as usize;
            let count = (page.len() - from).min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&page[from..from + count]);
            done += count;
        }
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut done = 0;
        while done < bytes.len() {
            let at = position + done as u64;
            let mut page = state.page(at / PAGE_BYTES)?;
            let from = (at % PAGE_BYTES) as usize;
            let count = (page.len() - from).min(bytes.len() - done);
            page[from..from + count].copy_from_slice(&bytes[done..done + count]);
            state.pages.insert(at / PAGE_BYTES, page);
            done += count;
        }
        state.length = state.length.max(position + bytes.len() as u64);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some((_, shows)) = &mut state.under {
            *shows = bytes.min(*shows);
        }
        if bytes < state.length {
            let last = bytes / PAGE_BYTES;
            let mut page = state.page(last)?;
            page[(bytes % PAGE_BYTES) as usize..].fill(0);
            state.pages.split_off(&last);
            state.pages.insert(last, page);
        }
        state.length = bytes;
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().length)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

const PAGE_BYTES: u64 = 4096;
