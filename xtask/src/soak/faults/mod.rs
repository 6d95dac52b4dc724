//! The faults: what is done, and what must hold while it is.
//!
//! A fault measures from the mark that was set before it; what it starts it ends, also when it
//! fails. What must hold after every one of them is the driver's: all are served again, nothing was
//! lost, nobody panicked.

mod clock;
mod crowds;
mod descriptors;
mod disk;
mod flood;
mod half_open;
mod process;
mod queues;
mod readers;

use super::Soak;
use super::broker::MEMORY_BYTES;
use super::wire::{self, Arguments, Connection};
use super::world::World;
use std::io::{self, Write};

/// One kind of trouble.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// What must hold, for the page.
    pub(super) must: &'static str,
    /// Most memory that the broker may take meanwhile.
    pub(super) memory_max_bytes: u64,
    /// Why it cannot be had here.
    pub(super) needs: fn(&World) -> Result<(), String>,
    pub(super) run: fn(&mut Soak) -> Result<(), String>,
}

pub(super) const ALL: &[Fault] = &[
    Fault {
        name: "kill",
        about: "SIGKILL of the broker, and its start, again and again",
        must: "accepts again within 10 s of each start",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| Ok(()),
        run: process::kill,
    },
    Fault {
        name: "freeze",
        about: "SIGSTOP of the broker for seconds, and for longer than heartbeats wait",
        must: "goes on where it was; nobody is sent away for heartbeats it slept through for less",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| Ok(()),
        run: process::freeze,
    },
    Fault {
        name: "disk-full",
        about: "a foreign file takes the disk, to the last byte",
        must: "publishers are told to wait, consumers go on, and all go on once there is room, without a restart",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: World::can_fill,
        run: disk::full,
    },
    Fault {
        name: "disk-slow",
        about: "a disk that stands still for 400 of 500 ms, then for 8 s at once",
        must: "nobody waits 5 s while it stutters; all are served within 20 s after it stood still",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: World::can_freeze,
        run: disk::slow,
    },
    Fault {
        name: "clock",
        about: "the clock jumps hours forwards and backwards, a kill in between",
        must: "what is due by the clock expires, nobody waits 5 s, nothing spins",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| clock::library().map(drop),
        run: clock::jumps,
    },
    Fault {
        name: "storm",
        about: "thousands of connections that log in and leave, or break off half way",
        must: "nobody who is in waits 5 s; what came is forgotten within 15 s",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| Ok(()),
        run: crowds::storm,
    },
    Fault {
        name: "readers",
        about: "consumers that stop reading, of both protocols, and ledgers that are stopped",
        must: "nobody else waits 5 s; at most 3 MiB each",
        memory_max_bytes: MEMORY_MAX_BYTES + readers::COUNT_MAX * readers::BYTES_MAX,
        needs: |_| Ok(()),
        run: readers::stop_reading,
    },
    Fault {
        name: "flood",
        about: "publishers that outrun a slow disk",
        must: "they are held back, memory is bounded, nobody waits 20 s; room comes back",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: World::can_freeze,
        run: flood::flood,
    },
    Fault {
        name: "half-open",
        about: "clients that vanish without a word, with what they were lent",
        must: "sent away by their heartbeat of 5 s within 20 s; what they were lent goes to others",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |world| world.network.as_ref().map(drop).map_err(Clone::clone),
        run: half_open::vanish,
    },
    Fault {
        name: "idle",
        about: "50,000 connections that do nothing",
        must: "all are let in, nobody who works waits 5 s, at most 32 KiB each",
        memory_max_bytes: MEMORY_MAX_BYTES + (50_000 * crowds::IDLE_BYTES_MAX),
        needs: |_| Ok(()),
        run: crowds::idle,
    },
    Fault {
        name: "queues",
        about: "10,000 queues that are declared, used and deleted, twice",
        must: "nobody waits 10 s; memory and disk come back",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| Ok(()),
        run: queues::come_and_go,
    },
    Fault {
        name: "descriptors",
        about: "more clients than there are file descriptors",
        must: "who is in goes on, who is not is sent away within 5 s, the storage has its files, nothing spins",
        memory_max_bytes: MEMORY_MAX_BYTES,
        needs: |_| Ok(()),
        run: descriptors::exhaust,
    },
];

/// Publishes so many records, and waits for the confirm of the last.
pub(super) fn publish_confirmed(
    one: &mut Connection,
    queue: &str,
    count: usize,
    body: &[u8],
) -> io::Result<()> {
    one.call(Arguments::default().octet(0), wire::CONFIRM_SELECT)?;
    let frames = wire::publish(queue, body);
    // What is confirmed meanwhile is read in between, else both ends would wait.
    let at_once = (256 * 1024 / frames.len()).max(1);
    let mut confirmed = 0;
    let mut sent = 0;
    while confirmed < count as u64 {
        let batch = at_once.min(count - sent);
        if batch > 0 {
            one.socket.write_all(&frames.repeat(batch))?;
            sent += batch;
        }
        while confirmed < sent.saturating_sub(4 * at_once) as u64
            || (sent == count && confirmed < count as u64)
        {
            let (_, tag) = one.wait(&[wire::ACK])?;
            let tag = tag.get(..8).ok_or(io::ErrorKind::InvalidData)?;
            confirmed = u64::from_be_bytes(tag.try_into().expect("eight bytes"));
        }
    }
    Ok(())
}

/// In MiB, for people.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// What is allowed beside the records that wait for the disk: code, caches, buffers of some
/// hundred connections, a checkpoint.
const MEMORY_MAX_BYTES: u64 = MEMORY_BYTES + (272 << 20);
