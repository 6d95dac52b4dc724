//! A data directory whose checksums hold and whose content is anything at all.
//!
//! Input, over and over:
//!
//! ```text
//!  0  u8   what: a note's kind; 0x80 + kind: a section of a checkpoint, 0xff: the state of
//!          the log `id` in it; 0xf0: a settle of eight bytes (start, end), 0xf1: a mark,
//!          0xf2: a batch for the log `id`
//!  1  u8   id
//!  2  u16  n, big-endian
//!  4  n bytes
//! ```

use std::sync::Arc;
use std::time::Duration;

use bongsu_broker::{Broker, Limits};
use bongsu_net::pipe::pipe;
use bongsu_record::{Batch, LogId, Lsn, Offset};
use bongsu_sim::SimDisk;
use bongsu_storage::{
    CheckpointSource, Durability, Entry, EntryRef, Log, Options, Publish, SectionWriter, Storage,
};
use bytes::Bytes;

use crate::amqp::Amqp;
use crate::host::{Host, Protocol, runtime};
use crate::ledger::Ledger;

/// What a broker has left on a disk, as an input: where hostile content begins.
///
/// # Panics
/// If the storage does not open.
pub fn of(disk: &SimDisk) -> Vec<u8> {
    let mut out = Vec::new();
    let mut push = |what: u8, id: u64, bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
        if out.len() + bytes.len() < INPUT_BYTES_MAX {
            out.extend_from_slice(&[what, id as u8]);
            out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
            out.extend_from_slice(bytes);
        }
    };
    let opened = Storage::open(Arc::new(disk.fork()), options());
    let (_storage, mut recovery) = opened.expect("a broker left it");
    for section in recovery.sections() {
        push(0x80 | section.kind, section.id, &section.bytes);
    }
    for section in recovery.log_sections() {
        push(0x80 | 0x7f, section.log.id().0, &section.state);
    }
    let replayed = recovery.replay(&mut |_, entry| match entry {
        Entry::Note { kind, id, bytes } => push(*kind, *id, bytes),
        Entry::Mark { log, .. } => push(0xf1, log.0, &[0; 40]),
        Entry::Settle { log, ranges } => {
            for range in ranges {
                let numbers = [range.start.0 as u32, range.end.0 as u32];
                let bytes: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
                push(0xf0, log.0, &bytes);
            }
        }
        Entry::Append { targets, batch } => push(0xf2, targets[0].0.0, batch.bytes()),
        Entry::Stored { .. } => {}
    });
    replayed.expect("a broker left it");
    out
}

/// One piece of the input.
struct Piece<'a> {
    what: u8,
    id: u8,
    bytes: &'a [u8],
}

/// The sections of a checkpoint.
struct Sections<'a> {
    pieces: Vec<Piece<'a>>,
    logs: Vec<Arc<Log>>,
    applied: Lsn,
}

impl CheckpointSource for Sections<'_> {
    fn alive(&self, _log: LogId, _records: std::ops::Range<Offset>) -> bool {
        true
    }

    fn sections(&self, out: &mut SectionWriter<'_>) {
        for piece in &self.pieces {
            let state_of = piece.what == 0xff;
            if let Some(log) = self.logs.get(usize::from(piece.id)).filter(|_| state_of) {
                out.put_log(log, self.applied, piece.bytes);
                continue;
            }
            out.put(piece.what & 0x7f, u64::from(piece.id), piece.bytes);
        }
    }
}

/// What any content whatever must pass: a start refuses it by name, or serves.
///
/// # Panics
/// If it does not.
pub fn check(bytes: &[u8]) {
    let disk = SimDisk::new(7);
    write(&disk, bytes);
    let opened = Broker::open(
        Arc::new(disk.clone()),
        options(),
        Durability::Fsync,
        Limits::default(),
    );
    match opened {
        // It says which file, or which of the two that are read before all others.
        Err(error) => {
            let said = error.to_string();
            let names = ["/", "checkpoint", "lane"];
            assert!(names.iter().any(|name| said.contains(name)), "{said}");
        }
        Ok((broker, _)) => {
            drop(broker);
            disk.kill();
            serve(disk);
        }
    }
}

/// A data directory with these entries in it.
fn write(disk: &SimDisk, bytes: &[u8]) {
    let (storage, mut recovery) =
        Storage::open(Arc::new(disk.clone()), options()).expect("an empty disk");
    recovery
        .replay(&mut |_: Lsn, _: &Entry| ())
        .expect("nothing to replay");
    recovery.finish().expect("nothing to replay");
    let logs: Vec<_> = (0..LOGS)
        .map(|id| storage.create_log(LogId(id), Durability::Fsync))
        .collect();
    let mut sections = Sections {
        pieces: Vec::new(),
        logs: logs.clone(),
        applied: Lsn(0),
    };
    let mut offsets = vec![0_u64; logs.len()];
    for piece in pieces(bytes) {
        let id = u64::from(piece.id);
        match piece.what {
            0xf0 => {
                if let [a, b, c, d, e, f, g, h] = *piece.bytes {
                    let start = u64::from(u32::from_be_bytes([a, b, c, d]));
                    let end = u64::from(u32::from_be_bytes([e, f, g, h]));
                    let ranges = &[Offset(start)..Offset(end)];
                    let log = LogId(id);
                    // Whether it is taken is the storage's to say.
                    let _ = storage.record(&[EntryRef::Settle { log, ranges }]);
                }
            }
            0xf1 => {
                let next = Offset(piece.bytes.len() as u64);
                let log = LogId(id);
                let _ = storage.record(&[EntryRef::Mark { log, next }]);
            }
            0xf2 => {
                let log = (id % LOGS) as usize;
                let Ok(batch) = Batch::parse_unchecked(&Bytes::copy_from_slice(piece.bytes)) else {
                    continue;
                };
                if batch.offset_count() == 0 || batch.offset_count() > 1 << 20 {
                    continue;
                }
                let targets = [(&logs[log], Offset(offsets[log]))];
                let publish = Publish {
                    targets: &targets,
                    batch: &batch,
                };
                if storage.append_all(&[publish], &[]).is_ok() {
                    offsets[log] += u64::from(batch.offset_count());
                }
            }
            what if what & 0x80 != 0 => sections.pieces.push(piece),
            kind => {
                let bytes = piece.bytes;
                let _ = storage.record(&[EntryRef::Note { kind, id, bytes }]);
            }
        }
    }
    let _ = storage.commit_step();
    sections.applied = storage.position();
    if !sections.pieces.is_empty() {
        let _ = storage.checkpoint(&sections);
    }
    let _ = storage.commit_step();
    drop((sections, logs, storage));
    disk.kill();
}

/// A broker on it, and a client of the broker.
fn serve(disk: SimDisk) {
    let runtime = runtime();
    runtime.block_on(async {
        let ledger = Arc::new(Ledger::new(false));
        let host = Host::on(disk, options(), 7, ledger.clone());
        let supervisor = host.supervised().await;
        let (client, broker) = pipe(64 << 10);
        host.accept(Protocol::Amqp, broker);
        // The space may be gone, or the user: then it is told so.
        let _ = Amqp::open(client).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ledger.violation(), None);
        supervisor.abort();
        host.kill().await;
    });
}

fn pieces(mut rest: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (front, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([front[2], front[3]]));
        let (bytes, behind) = behind.split_at(length.min(behind.len()));
        rest = behind;
        Some(Piece {
            what: front[0],
            id: front[1],
            bytes,
        })
    })
}

fn options() -> Options {
    Options {
        lane_file_bytes: 256 << 10,
        reserve_bytes: 16 << 10,
        ..Options::new("/data")
    }
}

const LOGS: u64 = 4;
/// Small enough to be bent a thousand times a second.
const INPUT_BYTES_MAX: usize = 12 << 10;
