use std::ops::Range;
use std::path::PathBuf;

use bongsu_record::native::{Builder, Origin};

use super::*;
use crate::disk::LocalDisk;
use crate::seam::memory::MemorySeam;
use crate::{Entry, SectionWriter, Stored};

/// A broker with nothing in it: every record is alive until its log's start passes it.
pub(crate) struct Plain(pub Storage);

impl CheckpointSource for Plain {
    fn alive(&self, log: LogId, records: Range<Offset>) -> bool {
        self.0.log(log).is_some_and(|log| records.end > log.start())
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        out.put(7, 1, b"catalog");
        for log in self.0.logs() {
            out.put_log(&log, self.0.position(), b"state");
        }
    }
}

pub(crate) fn batch(records: u32, body_bytes: usize, fill: u8) -> Batch {
    batch_at(1_700_000_000_000, records, body_bytes, fill)
}

pub(crate) fn batch_at(unix_ms: i64, records: u32, body_bytes: usize, fill: u8) -> Batch {
    let mut builder = Builder::new();
    for _ in 0..records {
        builder.begin(Origin::Plain, 0, b"", b"", b"", body_bytes as u64);
        builder.body(&vec![fill; body_bytes]);
        builder.end();
    }
    builder.finish(unix_ms).unwrap()
}

pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("bongsu-store-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            lane_file_bytes: 1 << 20,
            checkpoint_bytes: 1 << 20,
            segment_bytes_max: 1 << 20,
            direct_bytes_min: 64 << 10,
            inline_bytes_max: 16 << 10,
            cache_bytes: 256 << 10,
            reserve_bytes: 64 << 10,
            ..Options::new(&self.0)
        }
    }

    fn open(&self) -> (Storage, Recovery) {
        Storage::open(Arc::new(LocalDisk), self.options()).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every record of the log, as (offset, first byte of the body).
pub(crate) fn contents(log: &Log) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    let mut from = log.start();
    loop {
        let mut out: Vec<Stored> = Vec::new();
        log.fetch(from, 64 << 10, &mut out).unwrap();
        let Some(last) = out.last() else {
            return found;
        };
        from = last.base.plus(u64::from(last.batch.offset_count()));
        for stored in &out {
            for index in 0..stored.batch.record_count() {
                let offset = stored.base.0 + u64::from(index);
                if offset >= log.start().0 {
                    let record = stored.batch.native_record(index).unwrap();
                    found.push((offset, record.body[0]));
                }
            }
        }
    }
}

fn reopen(dir: &Dir) -> (Storage, crate::Report) {
    let (storage, mut recovery) = dir.open();
    recovery
        .replay(&mut |_, entry| {
            if let Entry::Note { kind: 1, id, .. } = entry {
                storage.create_log(LogId(*id), Durability::Fsync);
            }
        })
        .unwrap();
    let report = recovery.finish().unwrap();
    (storage, report)
}

fn created(id: u64) -> EntryRef<'static> {
    EntryRef::Note {
        kind: 1,
        id,
        bytes: b"",
    }
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let dir = Dir::new("restart");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let a = storage.create_log(LogId(1), Durability::Fsync);
    let b = storage.create_log(LogId(2), Durability::Fsync);
    storage.record(&[created(1), created(2)]).unwrap();
    let mut expected = Vec::new();
    for index in 0..100 {
        let fill = index as u8;
        // Every tenth batch is large and goes straight to a segment.
        if index % 10 == 3 {
            storage
                .append(&[(&a, a.end())], &batch(3, 40_000, fill), &[])
                .unwrap();
            expected.extend([fill; 3]);
        } else {
            let both = [(&a, a.end()), (&b, b.end())];
            storage.append(&both, &batch(2, 500, fill), &[]).unwrap();
            expected.extend([fill; 2]);
        }
        if index % 7 == 0 {
            assert!(storage.commit_step().unwrap());
        }
        if index % 30 == 20 {
            storage.checkpoint(&Plain(storage.clone())).unwrap();
        }
    }
    storage.commit_step().unwrap();
    assert_eq!(storage.durable(), storage.position());
    let check = |log: &Log| {
        let found = contents(log);
        assert!(
            found
                .iter()
                .map(|(offset, _)| *offset)
                .eq(0..found.len() as u64)
        );
        found.iter().map(|(_, fill)| *fill).collect::<Vec<_>>()
    };
    assert_eq!(check(&a), expected);
    let second = check(&b);
    drop((a, b));
    drop(storage);

    for _ in 0..3 {
        let (storage, _) = reopen(&dir);
        assert_eq!(check(&storage.log(LogId(1)).unwrap()), expected);
        assert_eq!(check(&storage.log(LogId(2)).unwrap()), second);
    }
    let (storage, _) = reopen(&dir);
    storage.close(&Plain(storage.clone())).unwrap();
    drop(storage);
    let (storage, report) = reopen(&dir);
    assert!(report.clean && report.frame_count == 0, "{report:?}");
    assert_eq!(check(&storage.log(LogId(1)).unwrap()), expected);
}

#[test]
fn memory_carries_a_storage_too() {
    let memory = MemorySeam::new();
    let dir = Dir::new("memory");
    let (storage, recovery) = Storage::open_on(memory.seams(), dir.options()).unwrap();
    recovery.finish().unwrap();
    let log = storage.create_log(LogId(1), Durability::Fsync);
    for index in 0..50 {
        let bytes = if index % 5 == 0 { 100_000 } else { 100 };
        storage
            .append(&[(&log, log.end())], &batch(1, bytes, index), &[])
            .unwrap();
        storage.commit_step().unwrap();
        if index == 30 {
            storage.checkpoint(&Plain(storage.clone())).unwrap();
        }
    }
    let (again, recovery) = Storage::open_on(memory.seams(), dir.options()).unwrap();
    recovery.finish().unwrap();
    let found = contents(&again.log(LogId(1)).unwrap());
    assert!(found.into_iter().eq((0..50).map(|i| (i, i as u8))));
    // The old one is fenced.
    assert!(matches!(
        storage.commit_step(),
        Err(Error::Fenced { .. }) | Ok(false)
    ));
    assert!(
        storage
            .append(&[(&log, log.end())], &batch(1, 1, 0), &[])
            .is_err()
    );
}

#[test]
fn a_second_broker_is_kept_out() {
    let dir = Dir::new("second");
    let (storage, _recovery) = dir.open();
    let refused = Storage::open(Arc::new(LocalDisk), dir.options())
        .err()
        .unwrap();
    assert!(matches!(refused, Error::Locked { .. }));
    assert!(refused.to_string().contains("lock"), "{refused}");
    drop(storage);
}

#[test]
fn drained_logs_give_their_disk_space_back() {
    let dir = Dir::new("drain");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let log = storage.create_log(LogId(1), Durability::Fsync);
    for index in 0..40 {
        storage
            .append(&[(&log, log.end())], &batch(1, 200_000, index), &[])
            .unwrap();
        storage.commit_step().unwrap();
    }
    assert!(log.stats().disk_bytes > 7_000_000);
    log.trim(log.end());
    storage.checkpoint(&Plain(storage.clone())).unwrap();
    assert_eq!(log.stats().disk_bytes, 0);
    let left = std::fs::read_dir(dir.0.join("data")).unwrap();
    let names: Vec<_> = left
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("segment"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(storage.pressure().droppable_bytes, 0);
}

#[test]
fn a_log_of_memory_durability_spills_and_is_gone_after_a_restart() {
    let dir = Dir::new("spill");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let log = storage.create_log(LogId(1), Durability::Memory);
    for index in 0..200u64 {
        let appended = storage
            .append(&[(&log, log.end())], &batch(1, 20_000, index as u8), &[])
            .unwrap();
        assert_eq!(appended.lsn, Lsn(0));
    }
    assert!(storage.checkpoint_due());
    storage.checkpoint(&Plain(storage.clone())).unwrap();
    assert!(storage.pressure().pinned_bytes < 1 << 20);
    assert!(log.stats().disk_bytes > 2_000_000);
    assert!(
        contents(&log)
            .into_iter()
            .eq((0..200).map(|i| (i, i as u8)))
    );
    drop(log);
    drop(storage);
    let (storage, report) = reopen(&dir);
    assert!(report.orphan_count > 0);
    let log = storage.log(LogId(1)).unwrap();
    assert_eq!(
        (log.start(), log.end(), contents(&log).len()),
        (Offset(200), Offset(200), 0)
    );
}

#[test]
fn a_fan_out_is_one_payload() {
    let dir = Dir::new("fan");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let logs: Vec<_> = (1..=1000)
        .map(|id| storage.create_log(LogId(id), Durability::Fsync))
        .collect();
    let targets: Vec<_> = logs.iter().map(|log| (log, Offset(0))).collect();
    storage.append(&targets, &batch(1, 10_000, 5), &[]).unwrap();
    let pressure = storage.pressure();
    assert!(pressure.pinned_bytes < 11_000, "{pressure:?}");
    assert!(pressure.lane_pending_bytes < 30_000, "{pressure:?}");
    drop(targets);
    for log in &logs {
        log.trim(Offset(1));
    }
    let pressure = storage.pressure();
    assert_eq!((pressure.pinned_bytes, pressure.cached_bytes), (0, 0));
}

#[test]
fn threads_commit_and_checkpoint() {
    let dir = Dir::new("threads");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let source: Arc<Plain> = Arc::new(Plain(storage.clone()));
    let weak: Weak<Plain> = Arc::downgrade(&source);
    let threads = storage.start_threads(weak);
    let (send, receive) = std::sync::mpsc::channel();
    storage.on_durable(Box::new(move |lsn| send.send(lsn).unwrap()));
    let log = storage.create_log(LogId(1), Durability::Fsync);
    storage.record(&[created(1)]).unwrap();
    for index in 0..200u64 {
        let appended = storage
            .append(&[(&log, log.end())], &batch(1, 20_000, index as u8), &[])
            .unwrap();
        if index % 20 == 0 {
            while receive.recv().unwrap() < appended.lsn {}
        }
    }
    drop(threads);
    assert_eq!(storage.durable(), storage.position());
    storage.close(source.as_ref()).unwrap();
    drop((source, log, storage));
    let (storage, report) = reopen(&dir);
    assert!(report.clean);
    let found = contents(&storage.log(LogId(1)).unwrap());
    assert!(found.into_iter().eq((0..200).map(|i| (i, i as u8))));
}

#[test]
fn a_backlog_costs_little_memory() {
    let dir = Dir::new("backlog");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let log = storage.create_log(LogId(1), Durability::Fsync);
    let batch = batch(10, 100, 1);
    for _ in 0..20_000 {
        storage.append(&[(&log, log.end())], &batch, &[]).unwrap();
        if storage.checkpoint_due() {
            storage.checkpoint(&Plain(storage.clone())).unwrap();
        }
    }
    storage.checkpoint(&Plain(storage.clone())).unwrap();
    let pressure = storage.pressure();
    assert!(
        pressure.pinned_bytes + pressure.cached_bytes < 512 << 10,
        "{pressure:?}"
    );
    assert!(log.stats().disk_bytes > 20_000_000);
    assert_eq!(contents(&log).len(), 200_000);
    // From the middle, by the index.
    let mut out = Vec::new();
    log.fetch(Offset(123_456), 1, &mut out).unwrap();
    assert_eq!(out[0].base, Offset(123_450));
}

#[test]
fn one_group_may_carry_several_batches() {
    let dir = Dir::new("several");
    let (storage, recovery) = dir.open();
    recovery.finish().unwrap();
    let a = storage.create_log(LogId(1), Durability::Fsync);
    let b = storage.create_log(LogId(2), Durability::Fsync);
    let (one, two) = (batch(1, 10, 1), batch(2, 10, 2));
    let publishes = [
        Publish {
            targets: &[(&a, Offset(0)), (&b, Offset(0))],
            batch: &one,
        },
        Publish {
            targets: &[(&b, Offset(1))],
            batch: &two,
        },
    ];
    storage
        .append_all(&publishes, &[created(1), created(2)])
        .unwrap();
    storage.commit_step().unwrap();
    drop((a, b, storage));
    let (storage, report) = reopen(&dir);
    assert_eq!((report.frame_count, report.record_count), (1, 3));
    let b = storage.log(LogId(2)).unwrap();
    assert_eq!(contents(&b), [(0, 1), (1, 2), (2, 2)]);
}
