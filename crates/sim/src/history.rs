//! One random history: appends, settles, checkpoints, crashes, and the check after each
//! recovery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bongsu_record::{LogId, Offset};
use bongsu_storage::disk::Disk;
use bongsu_storage::{CompactOptions, Durability, EntryRef, Error, Options, Publish};

use crate::broker::{Broker, Queue, batch, key, kind, read_all};
use crate::disk::{Fault, SimDisk};
use crate::model::{Effect, Group, World};
use crate::random::Random;

mod steps;

/// What a history did, for those who count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Groups appended.
    pub groups: u64,
    /// Power cuts and kills.
    pub crashes: u64,
    /// Of those, in the middle of a recovery.
    pub crashes_in_recovery: u64,
    /// Checkpoints that became durable.
    pub checkpoints: u64,
    /// Batches that went straight to a segment.
    pub direct: u64,
    /// Appends refused because the disk was full.
    pub refused_full: u64,
    /// Failed writes and syncs.
    pub errors: u64,
    /// Records found again after a crash.
    pub records_checked: u64,
    /// Records that compactions took.
    pub compacted: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.groups += other.groups;
        self.crashes += other.crashes;
        self.crashes_in_recovery += other.crashes_in_recovery;
        self.checkpoints += other.checkpoints;
        self.direct += other.direct;
        self.refused_full += other.refused_full;
        self.errors += other.errors;
        self.records_checked += other.records_checked;
        self.compacted += other.compacted;
    }
}

/// A history in progress.
pub struct History {
    random: Random,
    /// The disk it happens on.
    pub disk: SimDisk,
    options: Options,
    broker: Option<Broker>,
    groups: Vec<Group>,
    world: World,
    /// Records of logs of memory durability: offset of the first, numbers.
    memory: BTreeMap<u64, (u64, Vec<u64>)>,
    /// Below: survives a power cut.
    safe: u64,
    /// Below: must be there after the end that the process came to.
    promised: u64,
    /// Told to be durable.
    told: u64,
    /// Records of os durability that a power cut may have taken.
    fragile: BTreeSet<u64>,
    /// Logs that were compacted, and below what.
    compacted: BTreeMap<u64, u64>,
    next_record: u64,
    next_log: u64,
    /// Counts.
    pub tally: Tally,
    /// Whether to say what happens.
    pub trace: bool,
}

/// Small enough that a few hundred steps see everything happen.
pub fn options(random: &mut Random) -> Options {
    let durability = match random.chance(1, 8) {
        true => Durability::Os,
        false => Durability::Fsync,
    };
    Options {
        durability,
        lane_file_bytes: *random.pick(&[32 << 10, 64 << 10]),
        lane_pending_bytes_max: 256 << 10,
        checkpoint_bytes: *random.pick(&[8 << 10, 64 << 10]),
        droppable_bytes: 64 << 10,
        segment_bytes_max: *random.pick(&[4 << 10, 32 << 10]),
        direct_bytes_min: *random.pick(&[1 << 10, 4 << 10]),
        inline_bytes_max: *random.pick(&[0, 512, 4 << 10]),
        inline_total_bytes_max: 8 << 10,
        cache_bytes: *random.pick(&[0, 4 << 10, 64 << 10]),
        read_ahead_bytes: *random.pick(&[64, 1 << 10, 8 << 10]),
        reserve_bytes: 16 << 10,
        ..Options::new("/data")
    }
}

impl History {
    /// A new data directory.
    pub fn new(seed: u64) -> History {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.number());
        let options = options(&mut random);
        let mut history = History {
            random,
            disk,
            options,
            broker: None,
            groups: Vec::new(),
            world: World::default(),
            memory: BTreeMap::new(),
            safe: 0,
            promised: 0,
            told: 0,
            fragile: BTreeSet::new(),
            compacted: BTreeMap::new(),
            next_record: 1,
            next_log: 1,
            tally: Tally::default(),
            trace: std::env::var_os("BONGSU_SIM_TRACE").is_some(),
        };
        history.say(|| format!("{:?}", history.options));
        history.recover();
        history
    }

    /// Runs `steps` random steps, with crashes among them, and a last check.
    pub fn run(&mut self, steps: u64) {
        let faulty = self.random.below(4);
        for _ in 0..steps {
            if self.broker.is_none() {
                self.recover();
            }
            if faulty > 0 && self.random.chance(1, 40) {
                let after = 1 + self.random.below(12);
                let fault = match self.random.chance(1, 4) {
                    true => Fault::Error,
                    false => Fault::PowerCut,
                };
                self.disk.set_fault(after, fault);
            }
            if faulty == 3 && self.random.chance(1, 50) {
                let used = self.disk.used_bytes();
                let room = self.random.below(80 << 10);
                self.disk.set_capacity(used + room);
            } else if self.random.chance(1, 20) {
                self.disk.set_capacity(u64::MAX);
            }
            self.step();
        }
        self.disk.clear_fault();
        self.disk.set_capacity(u64::MAX);
        if self.broker.is_some() {
            self.end(true);
        }
        self.recover();
        self.check_reads();
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            let operations = self.disk.operation_count();
            eprintln!("[{operations}] {}", what());
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=4 => self.create(),
            5..=6 => self.remove(),
            7..=44 => self.append(),
            45..=59 => self.settle(),
            60..=63 => self.mark(),
            64 => self.note(),
            65..=66 => self.compact(),
            67..=85 => self.commit(),
            86..=88 => self.idle(),
            89..=92 => self.checkpoint(),
            93..=97 => self.check_reads(),
            98 => self.end(true),
            _ if self.random.chance(1, 2) => self.end(false),
            _ => self.close(),
        }
        self.after_fault();
    }

    /// A power cut that struck ends the process; so does a storage that failed.
    fn after_fault(&mut self) {
        let Some(broker) = &self.broker else {
            return;
        };
        let failed = broker.storage.failed().is_some();
        if self.disk.is_off() {
            self.end(true);
        } else if failed {
            self.tally.errors += 1;
            let cut = self.random.chance(1, 2);
            self.end(cut);
        }
    }

    /// The process ends: by a power cut, or by itself.
    pub fn end(&mut self, power_cut: bool) {
        self.tally.crashes += 1;
        self.say(|| format!("ends, power cut {power_cut}"));
        self.broker = None;
        self.disk.clear_fault();
        if power_cut {
            self.cut();
        } else {
            self.disk.kill();
            self.promised = self.told;
        }
    }

    /// The power goes: what was written and not synced is promised no longer.
    fn cut(&mut self) {
        self.disk.crash();
        self.promised = self.safe;
        let safe = self.safe;
        for group in self.groups.iter().filter(|group| group.lsn > safe) {
            for effect in &group.effects {
                if let Effect::Append(log, records) = effect
                    && self.is_fragile(*log)
                {
                    self.fragile.extend(records);
                }
            }
        }
    }

    fn is_fragile(&self, log: u64) -> bool {
        let durability = self.world.logs.get(&log).map(|log| log.durability);
        durability != Some(Durability::Fsync) || self.options.durability == Durability::Os
    }

    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs")
    }

    /// Opens until it works, cutting the power in between now and then, and compares.
    fn recover(&mut self) {
        for attempt in 0..4 {
            let cut = attempt < 3 && self.random.chance(1, 4);
            if cut {
                let after = 1 + self.random.below(20);
                self.disk.set_fault(after, Fault::PowerCut);
            }
            self.disk.set_capacity(u64::MAX);
            let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
            match Broker::open(disk, self.options.clone()) {
                Ok((broker, report)) if !self.disk.is_off() => {
                    self.say(|| format!("recovered: {report:?}"));
                    self.disk.clear_fault();
                    self.broker = Some(broker);
                    self.check_recovered();
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    assert!(self.disk.is_off(), "recovery failed: {error}");
                }
            }
            self.tally.crashes_in_recovery += 1;
            self.disk.clear_fault();
            self.cut();
        }
        unreachable!("the last attempt is not cut");
    }

    /// The recovered world is that after a prefix of the groups, with all confirmed.
    fn check_recovered(&mut self) {
        let position = self.broker().storage.position().0;
        assert!(
            position >= self.promised,
            "recovered to LSN {position}, but {} was confirmed",
            self.promised
        );
        let kept = self.groups.partition_point(|group| group.lsn <= position);
        let end = kept.checked_sub(1).map_or(0, |last| self.groups[last].lsn);
        assert_eq!(position, end, "recovered to the middle of a group");
        self.groups.truncate(kept);
        self.world = World::after(&self.groups);
        // What survived is written again, or sealed: it is as safe as it gets.
        self.safe = position;
        self.told = position;

        let broker = self.broker.as_ref().expect("it runs");
        let mut state = broker.state.lock();
        assert!(
            state.queues.keys().eq(self.world.logs.keys()),
            "the logs differ"
        );
        assert_eq!(state.notes, self.world.notes, "the notes differ");
        self.memory.clear();
        for (id, queue) in &mut state.queues {
            let expected = &self.world.logs[id];
            let durability = queue.log.durability();
            assert_eq!(durability, expected.durability, "log {id}");
            if durability == Durability::Memory {
                assert_eq!(queue.log.start(), queue.log.end());
                queue.settled.clear();
                self.memory.insert(*id, (queue.log.end().0, Vec::new()));
                continue;
            }
            assert_eq!(
                queue.log.end().0,
                expected.records.len() as u64,
                "end of log {id}"
            );
            assert_eq!(queue.next, expected.next, "mark of log {id}");
            let start = queue.log.start().0;
            let below = (0..start).all(|offset| expected.settled.contains(&offset));
            assert!(below, "log {id} starts at {start} above what is settled");
            let above = expected.settled.range(start..);
            assert!(queue.settled.iter().eq(above), "settled of log {id} differ");
        }
        drop(state);
        self.check_reads();
    }

    /// Every log gives what the model says.
    pub fn check_reads(&mut self) {
        let Err(error) = self.try_reads() else {
            return;
        };
        assert!(self.disk.is_off(), "a read failed: {error}");
    }

    /// As [`History::check_reads`]; an error is the caller's to judge.
    ///
    /// # Errors
    /// The storage's.
    pub fn try_reads(&mut self) -> Result<(), Error> {
        let broker = self.broker.as_ref().expect("it runs");
        let state = broker.state.lock();
        for (id, queue) in &state.queues {
            let found = read_all(&queue.log)?;
            let nothing = (0, Vec::new());
            let (first, records, settled) = match queue.log.durability() {
                Durability::Memory => {
                    let (first, records) = self.memory.get(id).unwrap_or(&nothing);
                    (*first, records, None)
                }
                _ => {
                    let log = &self.world.logs[id];
                    (0, &log.records, Some(&log.settled))
                }
            };
            for (offset, number) in &found {
                let expected = records.get((offset - first) as usize);
                assert_eq!(Some(number), expected, "log {id} offset {offset}");
            }
            self.tally.records_checked += found.len() as u64;
            for offset in queue.log.start().0..first + records.len() as u64 {
                let number = records[(offset - first) as usize];
                let needed = match settled {
                    Some(settled) => !settled.contains(&offset) && !self.fragile.contains(&number),
                    None => !queue.settled.contains(&offset),
                };
                let superseded = || {
                    let bound = self.compacted.get(id).map_or(0, |bound| bound - first);
                    let below = (bound as usize).min(records.len());
                    let later = ((offset - first) as usize + 1).min(below);
                    let mut later = records[later..below].iter();
                    later.any(|later| key(*later) == key(number))
                };
                assert!(
                    !needed || found.contains_key(&offset) || superseded(),
                    "log {id} lost offset {offset}, record {number}"
                );
            }
        }
        Ok(())
    }

    /// A storage says `Full`, or something that was injected went wrong.
    fn refused(&mut self, error: &Error) {
        if error.is_full() {
            self.tally.refused_full += 1;
        }
    }

    fn appended(&mut self, lsn: u64, effects: Vec<Effect>) {
        self.tally.groups += 1;
        let written_only = effects.iter().all(|effect| match effect {
            Effect::Append(log, _) | Effect::Settle(log, _) | Effect::Mark(log, _) => {
                self.world.logs[log].durability == Durability::Os
            }
            Effect::Create(..) | Effect::Remove(_) | Effect::Note(..) => false,
        });
        let group = Group {
            lsn,
            written_only,
            effects,
        };
        self.say(|| format!("{group:?}"));
        self.world.apply(&group);
        self.groups.push(group);
    }

    fn commit(&mut self) {
        let committed = self.broker().storage.commit_step();
        self.say(|| {
            format!(
                "commit {committed:?} to {}",
                self.broker().storage.durable()
            )
        });
        self.confirmed(false);
        if let Err(error) = committed {
            self.refused(&error);
        }
    }

    /// Takes over what the storage says is durable.
    fn confirmed(&mut self, synced: bool) {
        let durable = self.broker().storage.durable().0;
        let from = self.groups.partition_point(|group| group.lsn <= self.told);
        let to = self.groups.partition_point(|group| group.lsn <= durable);
        let written_only = self.groups[from..to].iter().all(|group| group.written_only);
        let lane_syncs = self.options.durability == Durability::Fsync;
        if synced || (lane_syncs && durable > self.told && !written_only) {
            self.safe = durable;
        }
        self.told = durable;
    }

    fn idle(&mut self) {
        let idle = self.broker().storage.idle_step();
        self.say(|| format!("idle {idle:?}"));
        self.confirmed(matches!(idle, Ok(true)));
    }

    fn checkpoint(&mut self) {
        let anyway = self.random.chance(1, 4);
        let broker = self.broker();
        if !broker.storage.checkpoint_due() && !anyway {
            return;
        }
        let taken = broker.storage.checkpoint(broker);
        let done = matches!(taken, Ok(true));
        self.say(|| {
            format!(
                "checkpoint {taken:?} of {}",
                self.broker().storage.position()
            )
        });
        self.tally.checkpoints += u64::from(done);
        self.confirmed(done);
        if let Err(error) = taken {
            self.refused(&error);
        }
    }

    fn close(&mut self) {
        let broker = self.broker();
        if broker.storage.close(broker).is_ok() {
            self.confirmed(true);
            let all = self.groups.last().map_or(0, |group| group.lsn);
            assert_eq!(self.told, all, "a clean stop confirms everything");
        } else {
            self.confirmed(false);
        }
        let cut = self.random.chance(1, 2);
        self.end(cut);
    }

    /// Whether the lane is synced at commits.
    pub fn is_synced(&self) -> bool {
        self.options.durability == Durability::Fsync
    }

    /// The numbers that what happens to this history follow from.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Recovers from `disk` instead, and checks that all that was confirmed is there.
    ///
    /// # Errors
    /// The storage's.
    pub fn verify_on(&mut self, disk: SimDisk) -> Result<(), Error> {
        let own = std::mem::replace(&mut self.disk, disk);
        let verified = self.try_recover();
        self.broker = None;
        self.disk = own;
        verified
    }

    /// Makes everything so far durable, provably, and ends the process.
    pub fn settle_down(&mut self) {
        self.disk.clear_fault();
        self.disk.set_capacity(u64::MAX);
        if self.broker.is_none() {
            self.recover();
        }
        while self
            .broker()
            .storage
            .commit_step()
            .expect("nothing is injected")
        {}
        self.idle();
        let broker = self.broker();
        if broker.storage.checkpoint_due() {
            let taken = broker.storage.checkpoint(broker);
            assert!(taken.is_ok(), "nothing is injected: {taken:?}");
            self.idle();
        }
        self.end(false);
    }

    /// Opens the data directory as it stands and checks it against all that was
    /// confirmed; an error is the caller's to judge.
    ///
    /// # Errors
    /// The storage's.
    pub fn try_recover(&mut self) -> Result<(), Error> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (broker, _) = Broker::open(disk, self.options.clone())?;
        for (id, queue) in &broker.state.lock().queues {
            self.memory.insert(*id, (queue.log.end().0, Vec::new()));
        }
        self.broker = Some(broker);
        let position = self.broker().storage.position().0;
        assert!(
            position >= self.safe,
            "confirmed groups are gone without a word"
        );
        self.try_reads()
    }
}

fn ranges(offsets: &[u64]) -> Vec<std::ops::Range<Offset>> {
    let mut ranges: Vec<std::ops::Range<Offset>> = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some(last) if last.end.0 == *offset => last.end.0 += 1,
            _ => ranges.push(Offset(*offset)..Offset(offset + 1)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests;
