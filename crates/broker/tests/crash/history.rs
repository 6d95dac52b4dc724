//! One random history: a broker's life, its ends, and what each recovery must find.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Limits, SessionHandle};
use bongsu_engine::session::{Call, Now};
use bongsu_sim::disk::Fault;
use bongsu_sim::{Random, SimDisk};
use bongsu_storage::{Durability, Error, Options};

use crate::consume::Client;
use crate::steps::answer;
use crate::world::{Entry, Op, QueueNumber, World};

/// What a history did, for those who count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub publishes: u64,
    pub large: u64,
    pub refused: u64,
    pub deliveries: u64,
    pub changes: u64,
    pub checkpoints: u64,
    pub ends: u64,
    pub ends_in_recovery: u64,
    pub failures: u64,
    pub clean_stops: u64,
    pub records_checked: u64,
    /// Of everything that clients were told, in order.
    pub digest: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.publishes += other.publishes;
        self.large += other.large;
        self.refused += other.refused;
        self.deliveries += other.deliveries;
        self.changes += other.changes;
        self.checkpoints += other.checkpoints;
        self.ends += other.ends;
        self.ends_in_recovery += other.ends_in_recovery;
        self.failures += other.failures;
        self.clean_stops += other.clean_stops;
        self.records_checked += other.records_checked;
        self.digest ^= other.digest;
    }
}

/// Which records of a queue clients have seen, or may have.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Handed to a client: comes back flagged, if it comes back.
    pub handed_out: BTreeSet<u64>,
    /// The highest offset lent for certain, not included.
    pub lent_end: u64,
    /// The mark can be no higher: what lies above is new to everybody.
    pub mark_bound: u64,
}

pub struct History {
    pub random: Random,
    pub disk: SimDisk,
    pub options: Options,
    /// Only the process ends, never the machine: queues may be of `os` durability.
    pub kills_only: bool,
    pub broker: Option<Broker>,
    pub clients: Vec<Client>,
    pub live: World,
    pub journal: Vec<Entry>,
    pub seen: BTreeMap<QueueNumber, Seen>,
    /// Clients were told that everything up to here is safe.
    pub told: u64,
    pub next_record: u64,
    pub next_queue: QueueNumber,
    pub now: Now,
    pub tally: Tally,
    trace: bool,
}

impl History {
    pub fn new(seed: u64) -> History {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.number());
        let options = Options {
            durability: Durability::Fsync,
            // Never reached: what is refused for it is told to nobody, see `Input::Settle`.
            lane_pending_bytes_max: 16 << 20,
            direct_bytes_min: *random.pick(&[1 << 10, 4 << 10, 256 << 10]),
            ..bongsu_sim::history::options(&mut random)
        };
        let mut history = History {
            kills_only: random.chance(1, 5),
            random,
            disk,
            options,
            broker: None,
            clients: Vec::new(),
            live: World::new(true),
            journal: Vec::new(),
            seen: BTreeMap::new(),
            told: 0,
            next_record: 1,
            next_queue: 1,
            now: Now {
                instant: Instant::now(),
                unix_ms: 1_700_000_000_000,
            },
            tally: Tally::default(),
            trace: std::env::var_os("BONGSU_SIM_TRACE").is_some(),
        };
        history.recover();
        history
    }

    /// Runs `steps` random steps, with ends among them, and a last check.
    pub fn run(&mut self, steps: u64) {
        let faulty = self.random.below(4);
        for _ in 0..steps {
            if self.broker.is_none() {
                self.recover();
            }
            if faulty > 0 && self.random.chance(1, 40) {
                let fault = match self.kills_only || self.random.chance(1, 4) {
                    true => Fault::Error,
                    false => Fault::PowerCut,
                };
                let after = 1 + self.random.below(12);
                self.disk.set_fault(after, fault);
            }
            if faulty == 3 && self.random.chance(1, 50) {
                let room = self.random.below(80 << 10);
                self.disk.set_capacity(self.disk.used_bytes() + room);
            } else if self.random.chance(1, 20) {
                self.disk.set_capacity(u64::MAX);
            }
            self.step();
            self.after_step();
        }
        self.disk.clear_fault();
        if self.broker.is_some() {
            self.end();
        }
        self.recover();
    }

    fn step(&mut self) {
        self.now.unix_ms += 1;
        match self.random.below(100) {
            0..6 => self.declare_queue(),
            6 => self.delete_queue(),
            7..9 => self.change_exchange(),
            9..14 => self.change_binding(),
            14..44 => self.publish(),
            44..50 => self.consume(),
            50..62 => self.deliver(),
            62..72 => self.settle(),
            72..77 => self.get(),
            77 => self.purge(),
            78..80 => self.close_link(),
            80 => self.leave(),
            81..93 => self.commit(),
            93 => self.idle(),
            94..97 => self.checkpoint(),
            97 => self.broker().watch_limits(),
            98 => self.end(),
            _ => self.stop(),
        }
    }

    /// A power cut that struck ends the process; so does a lane that failed, after which
    /// nothing was confirmed.
    fn after_step(&mut self) {
        let Some(broker) = &self.broker else {
            return;
        };
        let alarm = broker.alarm();
        let reason = alarm.borrow();
        let failed = reason
            .as_ref()
            .is_some_and(|r| r.starts_with("storage failed"));
        drop(reason);
        if failed && !self.disk.is_off() {
            self.tally.failures += 1;
            let durable = broker.durable_lsn();
            for _ in 0..3 {
                self.publish();
                let Some(broker) = &self.broker else {
                    return;
                };
                assert!(
                    broker.step_commit().is_err(),
                    "a failed lane commits nothing"
                );
                assert_eq!(broker.durable_lsn(), durable, "nothing more is confirmed");
            }
        }
        if failed || self.disk.is_off() {
            return self.end();
        }
        self.note_leases();
    }

    pub fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs")
    }

    pub fn position(&self) -> u64 {
        self.broker().position().0
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("[{}] {}", self.disk.operation_count(), what());
        }
    }

    /// Makes a difference to the digest.
    pub fn told_client(&mut self, number: u64) {
        let mixed = (self.tally.digest ^ number).wrapping_mul(0x0100_0000_01b3);
        self.tally.digest = mixed.rotate_left(17);
    }

    /// Something happened: `lsn` is the log's end behind it, if it was recorded.
    pub fn happened(&mut self, op: Op, after: u64, lsn: Option<u64>, whole: bool) {
        self.live.apply(&op);
        if let Some(lsn) = lsn.filter(|lsn| *lsn > after) {
            self.say(|| format!("{after}..{lsn} {op:?}"));
            self.journal.push(Entry {
                after,
                lsn,
                whole,
                op,
            });
        }
    }

    fn commit(&mut self) {
        let committed = self.broker().step_commit();
        self.say(|| format!("commit {committed:?} to {}", self.broker().durable_lsn()));
        self.confirm();
    }

    fn idle(&mut self) {
        let _ = self.broker().step_idle();
        self.confirm();
    }

    fn checkpoint(&mut self) {
        let taken = self.broker().step_checkpoint();
        self.say(|| format!("checkpoint {taken:?} at {}", self.position()));
        self.tally.checkpoints += u64::from(matches!(taken, Ok(true)));
        self.confirm();
    }

    /// Takes over what the broker says is durable.
    pub fn confirm(&mut self) {
        let durable = self.broker().durable_lsn().0;
        assert!(durable >= self.told, "the durable position went back");
        self.told = durable;
        self.told_client(durable);
    }

    /// An orderly stop, all clients gone.
    fn stop(&mut self) {
        while !self.clients.is_empty() {
            self.leave();
        }
        let stopped = self.broker().close();
        self.confirm();
        if stopped.is_ok() {
            self.tally.clean_stops += 1;
            assert_eq!(self.told, self.position(), "a clean stop keeps everything");
        }
        self.end();
    }

    /// The process ends, by itself or with the machine.
    pub fn end(&mut self) {
        self.confirm();
        self.note_leases();
        let power_cut = !self.kills_only && (self.disk.is_off() || self.random.chance(3, 4));
        self.say(|| format!("ends, power cut {power_cut}, {} was told", self.told));
        self.tally.ends += 1;
        self.disk.clear_fault();
        // What clients leave behind as they go is pending, and never committed.
        self.clients.clear();
        self.broker = None;
        match power_cut {
            true => self.disk.crash(),
            false => self.disk.kill(),
        }
    }

    /// Opens until it works, the power going in between now and then, and compares.
    fn recover(&mut self) {
        self.disk.set_capacity(u64::MAX);
        for attempt in 0..5 {
            if !self.kills_only && attempt < 4 && self.random.chance(1, 4) {
                let after = 1 + self.random.below(20);
                self.disk.set_fault(after, Fault::PowerCut);
            }
            match open(&self.disk, &self.options) {
                Ok(broker) if !self.disk.is_off() => {
                    self.disk.clear_fault();
                    self.broker = Some(broker);
                    self.verify();
                    return;
                }
                Ok(_) => {}
                Err(error) => assert!(self.disk.is_off(), "recovery failed: {error}"),
            }
            self.tally.ends_in_recovery += 1;
            self.disk.clear_fault();
            self.disk.crash();
        }
        unreachable!("the last attempt is not cut");
    }

    /// Keeps the bound of each queue's mark: all that its links may have been lent.
    pub fn note_leases(&mut self) {
        for (number, queue) in &self.live.queues {
            let links = self.clients.iter().flat_map(|client| client.links.values());
            let consuming = links.filter(|link| link.queue == *number && link.consumes);
            let credit: u64 = consuming
                .map(|link| match link.credit {
                    0 => OUTBOX_RECORDS,
                    credit => u64::from(credit),
                })
                .sum();
            let seen = self.seen.entry(*number).or_default();
            let end = queue.records.len() as u64;
            let lent = end.min(seen.lent_end + credit);
            if lent > 0 && (credit > 0 || seen.lent_end > 0) {
                seen.mark_bound = seen.mark_bound.max(lent + MARK_AHEAD);
            }
        }
    }
}

pub fn open(disk: &SimDisk, options: &Options) -> Result<Broker, Error> {
    // Small, so that publishers are held back now and then.
    let limits = Limits {
        memory_bytes: 1 << 20,
        disk_free_bytes_min: 32 << 10,
        pending_bytes: 128 << 10,
    };
    open_with(disk, options, limits)
}

pub fn open_with(disk: &SimDisk, options: &Options, limits: Limits) -> Result<Broker, Error> {
    let disk = Arc::new(disk.clone());
    let (broker, _) = Broker::open(disk, options.clone(), Durability::Fsync, limits)?;
    Ok(broker)
}

/// A session that may do anything.
pub fn login(broker: &Broker, now: Now) -> SessionHandle {
    let mut session = broker.session(true);
    let guest = "guest".to_owned();
    for call in [
        Call::Login {
            user: guest.clone(),
            password: guest,
        },
        Call::OpenSpace {
            space: "/".to_owned(),
        },
    ] {
        let (reply, _) = answer(session.execute(call, now));
        assert!(
            matches!(reply, bongsu_engine::session::Reply::Done),
            "{reply:?}"
        );
    }
    session
}

/// As the engine's cursor has it: so far ahead of the last lease is the mark.
const MARK_AHEAD: u64 = 4096;
/// Most that a link without a limit is lent unseen.
const OUTBOX_RECORDS: u64 = 8192;
