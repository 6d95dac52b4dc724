//! What both implementations of the seam promise.

use std::sync::Arc;

use super::memory::MemorySeam;
use super::*;
use crate::Durability;
use crate::disk::LocalDisk;
use crate::disk::blobs::DiskBlobs;
use crate::disk::register::DiskRegister;
use crate::lane::{DiskLaneStore, LaneOptions};

/// Runs `check` on seams that it may open again and again, as restarts do.
fn on_both(name: &str, check: fn(&dyn Fn() -> Seams)) {
    let memory = MemorySeam::new();
    check(&|| memory.seams());
    let dir = std::env::temp_dir().join(format!("bongsu-seam-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    check(&|| {
        let disk = Arc::new(LocalDisk);
        let lanes = LaneOptions {
            dir: dir.join("lanes"),
            durability: Durability::Fsync,
            file_bytes: 64 << 10,
            pending_bytes_max: 1 << 20,
            direct: true,
        };
        Seams {
            lanes: Arc::new(DiskLaneStore::open(disk.clone(), lanes).unwrap()),
            blobs: Arc::new(DiskBlobs::open(disk.clone(), dir.join("data")).unwrap()),
            register: Arc::new(DiskRegister::new(disk, dir.clone())),
        }
    });
    std::fs::remove_dir_all(dir).unwrap();
}

const HURRY: Needs = Needs {
    hurry: true,
    sync: true,
};

/// A frame of `bytes` bytes that ends in a payload.
fn append(lane: &dyn Lane, fill: u8, bytes: usize) -> Result<Lsn, Error> {
    let mut head = (bytes as u32 - 4).to_be_bytes().to_vec();
    head.extend_from_slice(&[fill; 6]);
    let payload = Bytes::from(vec![fill; bytes - 10]);
    lane.append(Frame {
        head: &head,
        payloads: &[(7, payload)],
        needs: HURRY,
    })
}

fn commit(lane: &dyn Lane) -> bool {
    lane.commit(false, &mut || Ok(())).unwrap()
}

fn replay(sealed: &dyn SealedLane, from: Lsn) -> Vec<(u64, u8, usize)> {
    let mut frames = Vec::new();
    sealed
        .replay(from, &mut |frame| {
            assert!(frame.bytes[4..].iter().all(|byte| *byte == frame.bytes[4]));
            frames.push((frame.lsn.0, frame.bytes[4], frame.bytes.len()));
            Ok(())
        })
        .unwrap();
    frames
}

#[test]
fn committed_frames_replay_and_pending_ones_do_not() {
    on_both("replay", |open| {
        let seams = open();
        let lane = seams.lanes.create(LaneId(1), Lsn(100)).unwrap();
        assert_eq!((lane.position(), lane.durable()), (Lsn(100), Lsn(100)));
        assert!(lane.waiting().is_none() && !commit(&*lane));
        let mut expected = Vec::new();
        for index in 0..60u8 {
            // Some larger than a lane file.
            let bytes = if index % 20 == 7 { 90_000 } else { 3000 };
            let lsn = append(&*lane, index, bytes).unwrap();
            assert_eq!(lane.position(), lsn);
            expected.push((lsn.0, index, bytes));
            if index % 3 == 0 {
                assert!(lane.durable() < lsn);
                assert_eq!(lane.waiting().map(|waiting| waiting.needs), Some(HURRY));
                assert!(commit(&*lane));
                assert_eq!(lane.durable(), lsn);
            }
        }
        // 57 was the last committed.
        expected.truncate(58);
        drop(lane);
        for _ in 0..2 {
            let sealed = open().lanes.seal(LaneId(1), Lsn(100)).unwrap();
            assert_eq!(sealed.range(), Lsn(100)..Lsn(expected[57].0));
            assert!(!sealed.is_clean());
            assert_eq!(replay(&*sealed, Lsn(100)), expected);
            let from = Lsn(expected[30].0);
            assert_eq!(replay(&*sealed, from), expected[31..]);
        }
    });
}

#[test]
fn an_error_before_the_sync_leaves_all_pending() {
    on_both("before", |open| {
        let lane = open().lanes.create(LaneId(1), Lsn(0)).unwrap();
        let lsn = append(&*lane, 1, 100).unwrap();
        let refuse = Error::Full {
            what: "test".to_owned(),
            needed_bytes: 0,
        };
        let refused = lane.commit(false, &mut || Err(refuse.clone()));
        assert!(refused.unwrap_err().is_full());
        assert_eq!(lane.durable(), Lsn(0));
        assert!(lane.waiting().is_some());
        assert!(commit(&*lane));
        assert_eq!(lane.durable(), lsn);
    });
}

#[test]
fn a_closed_lane_is_clean_and_fenced() {
    on_both("closed", |open| {
        let lane = open().lanes.create(LaneId(4), Lsn(0)).unwrap();
        let lsn = append(&*lane, 1, 100).unwrap();
        lane.close().unwrap();
        assert_eq!(lane.durable(), lsn);
        assert!(matches!(append(&*lane, 2, 100), Err(Error::Fenced { .. })));
        let sealed = open().lanes.seal(LaneId(4), Lsn(0)).unwrap();
        assert!(sealed.is_clean());
        assert_eq!(replay(&*sealed, Lsn(0)), [(100, 1, 100)]);
    });
}

#[test]
fn lane_ids_are_never_used_twice() {
    on_both("ids", |open| {
        let first = open().lanes.create(LaneId(3), Lsn(0)).unwrap();
        let second = open().lanes.create(LaneId(3), Lsn(0)).unwrap();
        assert_eq!((first.id(), second.id()), (LaneId(3), LaneId(4)));
        let lanes = open().lanes;
        assert_eq!(lanes.list().unwrap(), [LaneId(3), LaneId(4)]);
        lanes.keep(&[LaneId(4)]).unwrap();
        assert_eq!(lanes.list().unwrap(), [LaneId(4)]);
        let missing = lanes.seal(LaneId(3), Lsn(0)).err().unwrap();
        assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    });
}

#[test]
fn below_the_floor_nothing_need_be_there() {
    on_both("floor", |open| {
        let seams = open();
        let lane = seams.lanes.create(LaneId(1), Lsn(0)).unwrap();
        let mut ends = Vec::new();
        for index in 0..100u8 {
            ends.push(append(&*lane, index, 5000).unwrap());
            commit(&*lane);
            lane.idle(&mut || Ok(())).unwrap();
            if index % 10 == 9 {
                lane.set_floor(ends[index as usize - 4]);
            }
        }
        let floor = ends[95];
        let sealed = open().lanes.seal(LaneId(1), floor).unwrap();
        let frames = replay(&*sealed, floor);
        let fills: Vec<u8> = frames.iter().map(|frame| frame.1).collect();
        assert_eq!(fills, [96, 97, 98, 99]);
    });
}

#[test]
fn blobs_grow_read_back_and_go() {
    on_both("blobs", |open| {
        let blobs = open().blobs;
        let blob = blobs.create("b").unwrap();
        blob.write_at(0, b"hello ").unwrap();
        blob.write_at(6, b"world").unwrap();
        blob.sync().unwrap();
        blobs.create("a").unwrap();
        blobs.sync_names().unwrap();
        assert_eq!(open().blobs.list().unwrap(), ["a", "b"]);
        let blob = open().blobs.open("b").unwrap();
        let mut bytes = [0; 5];
        blob.read_at(6, &mut bytes).unwrap();
        assert_eq!(&bytes, b"world");
        let short = blob.read_at(8, &mut bytes).unwrap_err();
        assert!(
            matches!(short, Error::Corrupt { position: 8, .. }),
            "{short}"
        );
        blob.cut(5).unwrap();
        assert_eq!(blob.len().unwrap(), 5);
        assert!(blobs.create("b").unwrap().is_empty().unwrap(), "replaced");
        blobs.delete("b").unwrap();
        blobs.delete("b").unwrap();
        assert!(matches!(blobs.open("b"), Err(Error::Missing { .. })));
    });
}

#[test]
fn the_register_swaps_only_what_was_read() {
    on_both("register", |open| {
        let register = open().register;
        assert_eq!(register.read().unwrap(), None);
        assert_eq!(register.compare_and_swap(0, b"one").unwrap(), 1);
        assert!(matches!(
            register.compare_and_swap(0, b"x"),
            Err(Error::Fenced { .. })
        ));
        assert_eq!(open().register.compare_and_swap(1, b"two").unwrap(), 2);
        let (version, value) = open().register.read().unwrap().unwrap();
        assert_eq!((version, &value[..]), (2, &b"two"[..]));
    });
}
