use std::fs;

use bongsu_record::Offset;

use super::overlay::Overlay;
use super::*;
use crate::disk::LocalDisk;
use crate::storage::tests::{Plain, batch};

/// A data directory with two logs: one with segments, listed in a checkpoint, and both with
/// more in the lane.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("bongsu-mend-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let folder = Folder(path);
        let (storage, recovery) = folder.open();
        recovery.finish().unwrap();
        append(&storage, 1, 0..40);
        append(&storage, 2, 0..10);
        storage.checkpoint(&Plain(storage.clone())).unwrap();
        append(&storage, 1, 40..60);
        append(&storage, 2, 10..30);
        folder
    }

    fn options(&self) -> Options {
        Options {
            lane_file_bytes: 64 << 10,
            checkpoint_bytes: 64 << 20,
            segment_bytes_max: 100_000,
            direct_bytes_min: 20_000,
            inline_bytes_max: 4 << 10,
            reserve_bytes: 64 << 10,
            ..Options::new(&self.0)
        }
    }

    fn open(&self) -> (Storage, crate::Recovery) {
        Storage::open(Arc::new(LocalDisk), self.options()).unwrap()
    }

    fn repair(&self) -> Result<Repaired, (Repaired, Error)> {
        let disk: Arc<dyn Disk> = Arc::new(LocalDisk);
        repair(&disk, &self.options())
    }

    fn look(&self) -> Result<Repaired, (Repaired, Error)> {
        let before = self.bytes();
        let disk: Arc<dyn Disk> = Arc::new(Overlay::new(Arc::new(LocalDisk)));
        let found = repair(&disk, &self.options());
        assert!(self.bytes() == before, "a look changes nothing");
        found
    }

    fn bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut all = Vec::new();
        for folder in ["data", "lanes", "."] {
            for entry in fs::read_dir(self.0.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    all.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        all.sort();
        all
    }

    fn files(&self, folder: &str, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(folder)).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        let begins = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(prefix)
        };
        paths.retain(begins);
        paths.sort();
        paths
    }

    /// What a start finds in both logs.
    fn after(&self) -> [Vec<(u64, u8)>; 2] {
        let (storage, recovery) = self.open();
        recovery.finish().unwrap();
        let of = |id| {
            storage
                .log(LogId(id))
                .map_or(Vec::new(), |log| readable(&log))
        };
        [of(1), of(2)]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every record, without what marks take up.
fn readable(log: &crate::Log) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    let mut from = log.start();
    loop {
        let mut out: Vec<crate::Stored> = Vec::new();
        log.fetch(from, 64 << 10, &mut out).unwrap();
        let Some(last) = out.last() else {
            return found;
        };
        from = last.base.plus(u64::from(last.batch.offset_count()));
        for stored in out.iter().filter(|stored| !stored.batch.is_control()) {
            for index in 0..stored.batch.record_count() {
                let record = stored.batch.native_record(index).unwrap();
                found.push((stored.base.0 + u64::from(index), record.body[0]));
            }
        }
    }
}

fn append(storage: &Storage, log: u64, fills: Range<u8>) {
    let log = storage.create_log(LogId(log), Durability::Fsync);
    for fill in fills {
        let bytes = if fill.is_multiple_of(7) {
            30_000
        } else {
            2_000
        };
        let target = [(&log, log.end())];
        storage
            .append(&target, &batch(1, bytes, fill), &[])
            .unwrap();
        storage.commit_step().unwrap();
    }
}

fn all(count: u8) -> Vec<(u64, u8)> {
    (0..count).map(|fill| (u64::from(fill), fill)).collect()
}

fn without(count: u8, lost: &[Lost], log: u64) -> Vec<(u64, u8)> {
    let mut all = all(count);
    for lost in lost.iter().filter(|lost| lost.log == LogId(log)) {
        all.retain(|(offset, _)| !lost.offsets.contains(&Offset(*offset)));
    }
    all
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_directory_is_left_alone() {
    let folder = Folder::new("sound");
    let found = folder.look().unwrap();
    assert!(
        found.damages.is_empty() && found.lost.is_empty(),
        "{found:?}"
    );
    assert!(found.segment_count > 0);
    assert_eq!(folder.after(), [all(60), all(30)]);
}

#[test]
fn a_damaged_batch_costs_itself() {
    for seed in 0..20 {
        let folder = Folder::new(&format!("batch-{seed}"));
        let segments = folder.files("data", "segment-");
        let path = &segments[seed % segments.len()];
        let length = fs::metadata(path).unwrap().len() as usize;
        flip(path, 64 + (length - 64) * seed / 20);
        let look = folder.look().unwrap();
        let done = folder.repair().unwrap();
        assert_eq!(look.lost, done.lost);
        assert_eq!(look.damages.len(), done.damages.len());
        // In a trailer, or behind what is referred to, a flip costs nothing.
        if done.damages.is_empty() {
            assert_eq!(folder.after(), [all(60), all(30)]);
            continue;
        }
        let lost: u64 = done
            .lost
            .iter()
            .map(|l| l.offsets.end.0 - l.offsets.start.0)
            .sum();
        assert!((1..=2).contains(&lost), "{done:?}");
        assert_eq!(done.set_aside.len(), 1);
        let expected = [without(60, &done.lost, 1), without(30, &done.lost, 2)];
        assert_eq!(folder.after(), expected, "{done:?}");
        assert!(folder.repair().unwrap().damages.is_empty(), "once");
    }
}

#[test]
fn a_segment_that_is_gone_or_short_costs_what_was_in_it() {
    for how in ["gone", "short", "header"] {
        let folder = Folder::new(how);
        let path = folder.files("data", "segment-").remove(0);
        match how {
            "gone" => fs::remove_file(&path).unwrap(),
            "short" => fs::write(&path, &fs::read(&path).unwrap()[..40_000]).unwrap(),
            _ => flip(&path, 20),
        }
        let done = folder.repair().unwrap();
        assert_eq!(done.lost.is_empty(), how == "header", "{done:?}");
        let expected = [without(60, &done.lost, 1), without(30, &done.lost, 2)];
        assert_eq!(folder.after(), expected, "{done:?}");
    }
}

#[test]
fn a_damaged_lane_ends_where_it_is_damaged() {
    let folder = Folder::new("lane");
    let lanes = folder.files("lanes", "lane-");
    assert!(lanes.len() > 2, "{lanes:?}");
    // In the first file, so that all later ones are behind it.
    let bytes = fs::read(&lanes[0]).unwrap();
    let fill = bytes
        .windows(64)
        .position(|w| w.iter().all(|b| *b == 45))
        .expect("a body");
    flip(&lanes[0], fill);
    let (_, error) = {
        let opened = Storage::open(Arc::new(LocalDisk), folder.options());
        ((), opened.err().expect("damaged"))
    };
    assert!(error.to_string().contains("bongsu repair"), "{error}");
    let look = folder.look().unwrap();
    let done = folder.repair().unwrap();
    assert_eq!(look.lost, done.lost);
    assert!(
        done.unreadable_bytes > 0 && !done.set_aside.is_empty(),
        "{done:?}"
    );
    let [one, two] = folder.after();
    assert_eq!(one, all(45), "record 45 is in the damaged block");
    assert_eq!(two, all(10));
    // What is behind is named, but for the block itself.
    for offset in (46..60).filter(|offset| offset % 7 != 0) {
        let is_named = |lost: &Lost| lost.log == LogId(1) && lost.offsets.contains(&Offset(offset));
        assert!(done.lost.iter().any(is_named), "{offset}: {done:?}");
    }
    let of_two = done.lost.iter().filter(|lost| lost.log == LogId(2)).count();
    assert_eq!(of_two, 20);
}

#[test]
fn a_lane_file_that_is_gone_ends_the_lane_before_it() {
    let folder = Folder::new("lane-file");
    let lanes = folder.files("lanes", "lane-");
    fs::remove_file(&lanes[1]).unwrap();
    let done = folder.repair().unwrap();
    let [one, two] = folder.after();
    assert!(one.len() >= 40 && one.len() < 60, "{}", one.len());
    assert_eq!((one.clone(), two), (all(one.len() as u8), all(10)));
    assert!(!done.lost.is_empty());
}

#[test]
fn a_register_is_made_again() {
    for how in ["damaged", "gone"] {
        let folder = Folder::new(how);
        let register = folder.0.join("register");
        match how {
            "gone" => fs::remove_file(&register).unwrap(),
            _ => flip(&register, 30),
        }
        let done = folder.repair().unwrap();
        assert_eq!(done.damages.len(), 1, "{done:?}");
        assert!(done.lost.is_empty());
        assert_eq!(folder.after(), [all(60), all(30)], "{how}");
    }
}

#[test]
fn a_checkpoint_cannot_be_mended() {
    let folder = Folder::new("checkpoint");
    let path = folder.files("data", "checkpoint-").remove(0);
    flip(&path, 80);
    let (_, error) = folder.repair().unwrap_err();
    assert!(error.to_string().contains("checkpoint-"), "{error}");
}
