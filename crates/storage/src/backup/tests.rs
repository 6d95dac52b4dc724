use std::path::PathBuf;
use std::sync::Arc;

use bongsu_record::{LogId, Offset};

use super::unpack::unpack;
use super::*;
use crate::disk::LocalDisk;
use crate::storage::tests::{Plain, batch, contents};
use crate::{Durability, Options, Recovery};

/// Two folders: one in use, and one for its copy.
struct Folders(PathBuf);

impl Folders {
    fn new(name: &str) -> Folders {
        let path = std::env::temp_dir().join(format!("bongsu-pin-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Folders(path)
    }

    fn open(&self, folder: &str) -> (Storage, Recovery) {
        let options = Options {
            lane_file_bytes: 256 << 10,
            checkpoint_bytes: 1 << 20,
            segment_bytes_max: 128 << 10,
            direct_bytes_min: 64 << 10,
            inline_bytes_max: 16 << 10,
            reserve_bytes: 64 << 10,
            ..Options::new(self.0.join(folder))
        };
        Storage::open(Arc::new(LocalDisk), options).unwrap()
    }

    fn unpack(&self, mut packed: &[u8]) -> io::Result<unpack::Unpacked> {
        let dir = self.0.join("copy");
        unpack(&mut packed, &LocalDisk, &dir, &mut |_| ())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn append(storage: &Storage, from: u8, to: u8) {
    let log = storage.create_log(LogId(1), Durability::Fsync);
    for fill in from..to {
        // Some go straight to a segment, some to the lane first.
        let bytes = if fill.is_multiple_of(5) {
            70_000
        } else {
            9_000
        };
        let target = [(&log, log.end())];
        storage
            .append(&target, &batch(1, bytes, fill), &[])
            .unwrap();
        storage.commit_step().unwrap();
    }
}

fn packed(pinned: &Pinned) -> Vec<u8> {
    let mut out = Vec::new();
    let mut take = |bytes: Bytes| {
        out.extend_from_slice(&bytes);
        Ok(())
    };
    pinned.pack(&mut take).unwrap();
    assert_eq!(out.len() as u64, pinned.packed_bytes());
    out
}

#[test]
fn a_copy_is_the_moment_of_its_pin_whatever_happens_meanwhile() {
    let folders = Folders::new("moment");
    let (storage, recovery) = folders.open("used");
    recovery.finish().unwrap();
    let source = Plain(storage.clone());
    append(&storage, 0, 30);
    storage.checkpoint(&source).unwrap();
    append(&storage, 30, 60);
    let pinned = storage.pin().unwrap().expect("the first pin");
    assert!(storage.pin().unwrap().is_none(), "one at a time");
    // Checkpoints go on, and what they no longer need is what the copy does.
    append(&storage, 60, 90);
    let log = storage.log(LogId(1)).unwrap();
    for start in [20, 70, 90] {
        log.trim(Offset(start));
        storage.checkpoint(&source).unwrap();
        append(&storage, 90, 100);
    }
    let bytes = packed(&pinned);
    drop(pinned);
    assert!(storage.pin().unwrap().is_some(), "it was let go");

    folders.unpack(&bytes).unwrap();
    let (copy, recovery) = folders.open("copy");
    recovery.finish().unwrap();
    let expected: Vec<_> = (0..60).map(|fill| (u64::from(fill), fill)).collect();
    assert_eq!(contents(&copy.log(LogId(1)).unwrap()), expected);
    copy.close(&Plain(copy.clone())).unwrap();

    // The one in use lost nothing by it, and the next checkpoint gives all back.
    storage.checkpoint(&source).unwrap();
    let names = storage.shared.seams.blobs.list().unwrap();
    let checkpoints = names.iter().filter(|name| blob::is_checkpoint(name));
    assert_eq!(checkpoints.count(), 1, "{names:?}");
    storage.close(&source).unwrap();
    drop((log, source, storage));
    let (again, recovery) = folders.open("used");
    recovery.finish().unwrap();
    assert_eq!(again.log(LogId(1)).unwrap().end(), Offset(120));
}

#[test]
fn half_a_copy_is_no_data_directory() {
    let folders = Folders::new("half");
    let (storage, recovery) = folders.open("used");
    recovery.finish().unwrap();
    append(&storage, 0, 10);
    let bytes = packed(&storage.pin().unwrap().expect("a pin"));
    for cut in [100, bytes.len() / 2, bytes.len() - 1] {
        let error = folders.unpack(&bytes[..cut]).unwrap_err();
        assert!(error.to_string().contains("not whole"), "{cut}: {error}");
        assert!(!folders.0.join("copy").join("register").exists());
        let error = folders.unpack(&bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
        std::fs::remove_dir_all(folders.0.join("copy")).unwrap();
    }
    let outside = [archive::header("data/../../x", 0), archive::end()].concat();
    let error = folders.unpack(&outside).unwrap_err();
    assert!(error.to_string().contains("no file of a data"), "{error}");
}
