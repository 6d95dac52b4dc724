//! What the broker runs on: memory, disk, its own process; how full it is, and since when
//! publishers are held back and why.

use std::sync::Arc;

use bongsu_storage::{CheckpointTimes, Pressure};
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::statistics::{Churn, reading};

/// Why publishers are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// More records wait to be written than memory is to hold.
    Memory,
    /// The disk has too little room.
    Disk,
    /// What is written does not arrive: nothing is taken until a restart.
    Storage,
}

impl AlarmKind {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            AlarmKind::Memory => "memory",
            AlarmKind::Disk => "disk",
            AlarmKind::Storage => "storage",
        }
    }
}

/// An alarm that is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmFacts {
    /// What for.
    pub kind: AlarmKind,
    /// As publishers are told.
    pub reason: Arc<str>,
    /// Unix milliseconds.
    pub since_ms: u64,
}

/// The alarm that is on, as last looked at.
#[derive(Debug, Default)]
pub(crate) struct Alarms(Mutex<Option<AlarmFacts>>);

impl Alarms {
    /// It is this one now, or none.
    pub(crate) fn set(&self, alarm: Option<(AlarmKind, Arc<str>)>, now_ms: u64) {
        let mut current = self.0.lock();
        let since_ms = |kind| match &*current {
            Some(known) if known.kind == kind => known.since_ms,
            _ => now_ms,
        };
        *current = alarm.map(|(kind, reason)| AlarmFacts {
            kind,
            reason,
            since_ms: since_ms(kind),
        });
    }
}

/// How full everything is.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Memory of the process, in bytes; 0 where the system does not say.
    pub memory_bytes: u64,
    /// Memory that the process may have: of the machine, or of its control group.
    pub memory_total_bytes: u64,
    /// Bytes of records in memory that are in no segment yet.
    pub unwritten_bytes: u64,
    /// Beyond so many, publishers are held back.
    pub unwritten_bytes_max: u64,
    /// Bytes of records that could be dropped from memory.
    pub cached_bytes: u64,
    /// Bytes that wait for a commit.
    pub pending_bytes: u64,
    /// Bytes of the write-ahead log that a restart would replay.
    pub lane_bytes: u64,
    /// Where everything is kept.
    pub data_dir: String,
    /// Room on the disk; `None` where it cannot say.
    pub disk_free_bytes: Option<u64>,
    /// Below so much, publishers are held back.
    pub disk_free_bytes_min: u64,
    /// Its size; `None` where it cannot say.
    pub disk_total_bytes: Option<u64>,
    /// Checkpoints since the start: how many, and how long they took.
    pub checkpoints: CheckpointTimes,
    /// Alarms that are on.
    pub alarms: Vec<AlarmFacts>,
    /// When the broker started: Unix milliseconds.
    pub started_at_ms: u64,
}

impl Broker {
    /// How full everything is.
    pub fn resources(&self) -> Resources {
        let Pressure {
            pinned_bytes,
            cached_bytes,
            lane_pending_bytes,
            lane_bytes,
            ..
        } = self.storage().pressure();
        let (data_dir, disk_free_bytes) = self.room();
        let limits = self.limits();
        Resources {
            memory_bytes: resident_bytes(),
            memory_total_bytes: memory_total_bytes(),
            unwritten_bytes: pinned_bytes,
            unwritten_bytes_max: limits.memory_bytes,
            cached_bytes,
            pending_bytes: lane_pending_bytes,
            lane_bytes,
            data_dir,
            disk_free_bytes,
            disk_free_bytes_min: limits.disk_free_bytes_min,
            disk_total_bytes: self.disk_total_bytes(),
            checkpoints: self.storage().checkpoint_times(),
            alarms: self.alarms().0.lock().iter().cloned().collect(),
            started_at_ms: self.started_at_ms(),
        }
    }

    /// Adds a reading to the history, if it is time for one.
    pub(crate) fn sample(&self) {
        let statistics = self.statistics();
        let at_ms = self.now_ms();
        if !statistics.history.is_due(at_ms) {
            return;
        }
        let registry = self.registry();
        statistics.history.take(&reading(
            statistics,
            at_ms,
            (resident_bytes(), self.room().1.unwrap_or(0)),
            (
                registry.count() as u64,
                registry.channel_count(),
                registry.consumer_count(),
            ),
        ));
    }

    /// What came and went so far.
    pub fn churn(&self) -> &Churn {
        &self.statistics().churn
    }
}

/// Of this process, as the kernel counts it.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(PAGE_BYTES)
}

/// Of the machine, or of the control group if that may have less; 0 where neither says.
fn memory_total_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib.saturating_mul(1024))
    });
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok());
    match (machine, group) {
        (Some(machine), Some(group)) => machine.min(group),
        (machine, group) => machine.or(group).unwrap_or(0),
    }
}

/// Of every machine we are built for, as `statm` counts.
const PAGE_BYTES: u64 = 4096;
