//! The machine that the broker runs on: its disk, its clock, and the process itself, which is
//! started, killed, stopped, and started again.
//!
//! What the broker's threads do in production, its steps do here, one after the other, at
//! times that follow from the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bongsu_broker::topics::{Bounds, TopicSettings};
use bongsu_broker::{Broker, Limits};
use bongsu_engine::group::Settings as GroupSettings;
use bongsu_engine::transaction::Settings as TransactionSettings;
use bongsu_net::connection::drive;
use bongsu_net::pipe::End;
use bongsu_net::stream::Stream;
use bongsu_sim::{Random, SimDisk};
use bongsu_storage::{Durability, Options};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::crowd::Crowd;
use crate::ledger::Ledger;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AMQP 0-9-1.
    Amqp,
    /// Kafka's.
    Kafka,
}

/// See the module's comment.
pub struct Host {
    disk: SimDisk,
    options: Options,
    random: Mutex<Random>,
    began: Instant,
    /// How far the clock on the wall is off.
    jumped_ms: AtomicI64,
    slow: Mutex<(Instant, Duration)>,
    full_until: Mutex<Option<Instant>>,
    /// Most at once.
    connections: AtomicU64,
    process: Mutex<Option<Process>>,
    /// A process is on its way out, and nothing takes its place before.
    ending: AtomicBool,
    ledger: Arc<Ledger>,
}

/// A running broker.
struct Process {
    broker: Broker,
    tasks: JoinSet<()>,
    connections: Crowd,
}

impl Host {
    /// A machine whose disk is empty.
    pub fn new(seed: u64, ledger: Arc<Ledger>) -> Arc<Host> {
        let mut random = Random::new(seed);
        let disk = SimDisk::new(random.number());
        let options = Options {
            durability: Durability::Fsync,
            lane_pending_bytes_max: 16 << 20,
            direct_bytes_min: *random.pick(&[4 << 10, 256 << 10]),
            ..bongsu_sim::history::options(&mut random)
        };
        Host::with(disk, options, random, ledger)
    }

    /// A machine with a disk that is not empty.
    pub fn on(disk: SimDisk, options: Options, seed: u64, ledger: Arc<Ledger>) -> Arc<Host> {
        Host::with(disk, options, Random::new(seed), ledger)
    }

    fn with(disk: SimDisk, options: Options, random: Random, ledger: Arc<Ledger>) -> Arc<Host> {
        Arc::new(Host {
            disk,
            options,
            random: Mutex::new(random),
            began: Instant::now(),
            jumped_ms: AtomicI64::new(0),
            slow: Mutex::new((Instant::now(), Duration::ZERO)),
            full_until: Mutex::new(None),
            connections: AtomicU64::new(0),
            process: Mutex::new(None),
            ending: AtomicBool::new(false),
            ledger,
        })
    }

    /// Starts the broker and keeps it running; comes back once it is up, or cannot be.
    pub async fn supervised(self: &Arc<Host>) -> JoinHandle<()> {
        let supervisor = tokio::spawn(self.clone().supervise());
        while !self.is_up() && self.ledger.violation().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        supervisor
    }

    /// Keeps the broker running for ever: starts it again when it is gone, after a while.
    async fn supervise(self: Arc<Host>) {
        loop {
            if self.is_up() {
                self.look().await;
            } else if !self.ending.load(Ordering::Relaxed) {
                let pause = self.random.lock().below(800);
                sleep(Duration::from_millis(pause)).await;
                self.start().await;
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    /// Whether there is a process.
    pub fn is_up(&self) -> bool {
        self.process.lock().is_some()
    }

    /// The broker, if it runs.
    pub fn broker(&self) -> Option<Broker> {
        let process = self.process.lock();
        process.as_ref().map(|process| process.broker.clone())
    }

    /// The disk, for faults and for counts.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// What the clock on the wall says, in Unix milliseconds.
    pub fn wall_ms(&self) -> u64 {
        let passed = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let jumped = self.jumped_ms.load(Ordering::Relaxed);
        u64::try_from(BEGAN_MS + passed + jumped).unwrap_or(1)
    }

    /// Makes the broker see what time it is.
    pub fn tick(&self) {
        if let Some(process) = &*self.process.lock() {
            process.broker.set_time(self.wall_ms());
        }
    }

    /// Sets the clock on the wall.
    pub fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
        self.tick();
    }

    /// The disk takes only so much more, for some time.
    pub fn fill_disk(&self, room_bytes: u64, time: Duration) {
        self.disk.set_capacity(self.disk.used_bytes() + room_bytes);
        *self.full_until.lock() = Some(Instant::now() + time);
        self.ledger.room_changed(false);
    }

    /// Each sync takes longer, for some time.
    pub fn slow_disk(&self, by: Duration, time: Duration) {
        *self.slow.lock() = (Instant::now() + time, by);
    }

    /// Nothing fails from here on but what has failed.
    pub fn heal(&self) {
        self.disk.clear_fault();
        self.disk.set_capacity(u64::MAX);
        *self.full_until.lock() = None;
        self.ledger.room_changed(true);
        *self.slow.lock() = (Instant::now(), Duration::ZERO);
    }

    /// The process is killed.
    pub async fn kill(&self) {
        if let Some(process) = self.take() {
            self.end(process, SimDisk::kill).await;
        }
    }

    /// The machine's power goes, between two operations of its disk.
    pub async fn cut_power(&self) {
        if let Some(process) = self.take() {
            self.end(process, SimDisk::crash).await;
        }
    }

    /// An orderly stop.
    pub async fn stop(&self) {
        let Some(mut process) = self.take() else {
            return;
        };
        process.broker.stop();
        // What steps the broker goes on meanwhile.
        let leaving = async {
            while process.connections.count() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _late = timeout(Duration::from_secs(5), leaving).await;
        let broker = process.broker.clone();
        process.tasks.shutdown().await;
        // It may fail as the disk does; then the next start replays.
        let _closed = broker.close();
        drop(broker);
        let is_off = self.disk.is_off();
        let disk_ends = if is_off {
            SimDisk::crash
        } else {
            SimDisk::kill
        };
        self.end(process, disk_ends).await;
    }

    fn take(&self) -> Option<Process> {
        self.ledger.say(|| {
            format!(
                "the broker ends, durable to {:?}",
                self.broker().map(|broker| broker.durable_lsn())
            )
        });
        let taken = self.process.lock().take();
        if taken.is_some() {
            self.ending.store(true, Ordering::Relaxed);
        }
        taken
    }

    async fn end(&self, mut process: Process, disk_ends: fn(&SimDisk)) {
        process.tasks.shutdown().await;
        drop(process);
        disk_ends(&self.disk);
        self.ending.store(false, Ordering::Relaxed);
    }

    /// Ends a process whose power or whose disk is gone.
    async fn look(&self) {
        let failed = {
            let mut process = self.process.lock();
            let Some(process) = process.as_mut() else {
                return;
            };
            while let Some(ended) = process.tasks.try_join_next() {
                if let Err(error) = ended {
                    self.ledger
                        .violated(format!("a task of the broker failed: {error}"));
                }
            }
            let alarm = process.broker.alarm();
            let alarm = alarm.borrow();
            alarm
                .as_ref()
                .is_some_and(|alarm| alarm.starts_with("storage failed"))
        };
        let over = self
            .full_until
            .lock()
            .is_some_and(|until| until <= Instant::now());
        if over {
            *self.full_until.lock() = None;
            self.ledger.room_changed(true);
            self.disk.set_capacity(u64::MAX);
        }
        if self.disk.is_off() {
            self.cut_power().await;
            self.ledger.broker_ended();
        } else if failed {
            self.kill().await;
            self.ledger.broker_ended();
        }
    }

    async fn start(self: &Arc<Host>) {
        let disk = Arc::new(self.disk.clone());
        let limits = Limits {
            memory_bytes: MEMORY_BYTES,
            disk_free_bytes_min: 32 << 10,
            pending_bytes: PENDING_BYTES,
        };
        let opened = Broker::open(disk, self.options.clone(), Durability::Fsync, limits);
        let broker = match opened {
            Ok((broker, _)) if !self.disk.is_off() => broker,
            Ok(_) => return self.disk.crash(),
            Err(_) if self.disk.is_off() => return self.disk.crash(),
            Err(error) => {
                let injected = error.to_string().contains("injected");
                if !error.is_full() && !injected {
                    self.ledger
                        .violated(format!("the broker does not start: {error}"));
                }
                self.disk.kill();
                // Somebody makes room.
                self.disk.set_capacity(u64::MAX);
                return;
            }
        };
        broker.set_time(self.wall_ms());
        broker.set_seed(self.random.lock().number());
        broker.set_topic_settings(TopicSettings {
            auto_create: false,
            bounds: Bounds {
                usual: 2,
                per_topic_max: 10,
                in_all_max: 100,
            },
            segment_bytes_usual: 16 << 10,
        });
        broker.configure_groups(GroupSettings::default());
        broker.configure_transactions(TransactionSettings {
            timeout_ms_max: 60_000,
            id_expiration_ms: 3_600_000_000,
            producer_expiration_ms: 3_600_000_000,
        });
        broker.start_stepped();
        self.ledger.say(|| "the broker is up".to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn(commit(self.clone(), broker.clone()));
        tasks.spawn(checkpoint(self.clone(), broker.clone()));
        tasks.spawn(clerk(self.clone(), broker.clone()));
        tasks.spawn(watch(self.clone(), broker.clone()));
        let connections = Crowd::default();
        tasks.spawn(connections.clone().run());
        *self.process.lock() = Some(Process {
            broker,
            tasks,
            connections,
        });
    }

    /// A client has come. Its end is dropped if nobody is there.
    pub fn accept(&self, protocol: Protocol, end: End) {
        let mut process = self.process.lock();
        let Some(process) = process.as_mut() else {
            return;
        };
        self.ledger.say(|| format!("a connection: {protocol:?}"));
        let handle = process.broker.session(true);
        let seed = self.random.lock().number();
        let now = Instant::now().into_std();
        let stream = Stream::Memory(end);
        match protocol {
            Protocol::Amqp => {
                let settings = bongsu_amqp091::Settings {
                    heartbeat_s: 2,
                    ..bongsu_amqp091::Settings::default()
                };
                let session = bongsu_amqp091::Session::new(settings, seed, now);
                process.connections.join(async move {
                    drive(stream, session, handle).await;
                });
            }
            Protocol::Kafka => {
                let settings = bongsu_kafka::Settings {
                    node_id: 1,
                    advertised_host: "broker".to_owned(),
                    advertised_port: 9092,
                    request_bytes_max: 1 << 20,
                    decompressed_bytes_max: 1 << 20,
                    idle: Duration::from_secs(600),
                    space: "/".to_owned(),
                    configs: Arc::new([]),
                };
                let session = bongsu_kafka::Session::new(Arc::new(settings), seed, now);
                process.connections.join(async move {
                    drive(stream, session, handle).await;
                });
            }
        }
    }

    fn pause_ms(&self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.random.lock().below((to - from) * 1000))
    }
}

async fn commit(host: Arc<Host>, broker: Broker) {
    let mut idle = 0;
    loop {
        sleep(host.pause_ms(1, 6)).await;
        let (until, by) = *host.slow.lock();
        if until > Instant::now() {
            sleep(by).await;
        }
        host.tick();
        match broker.step_commit() {
            Ok(true) => {
                idle = 0;
                host.ledger
                    .say(|| format!("committed to {:?}", broker.durable_lsn()));
            }
            Ok(false) => idle += 1,
            // Whoever supervises sees it.
            Err(_) => {}
        }
        if idle == 20 {
            let _ = broker.step_idle();
        }
        host.check_memory(&broker);
    }
}

async fn checkpoint(host: Arc<Host>, broker: Broker) {
    loop {
        sleep(host.pause_ms(20, 700)).await;
        host.tick();
        let _ = broker.step_checkpoint();
    }
}

async fn clerk(host: Arc<Host>, broker: Broker) {
    loop {
        sleep(host.pause_ms(1, 12)).await;
        host.tick();
        for _ in 0..100 {
            if !broker.step_clerk() {
                break;
            }
        }
    }
}

async fn watch(host: Arc<Host>, broker: Broker) {
    loop {
        sleep(Duration::from_millis(100)).await;
        host.tick();
        broker.watch_limits();
    }
}

impl Host {
    /// What waits to be written, and what could be dropped: within the limits, but for what each
    /// connection was reading at the moment they were reached.
    fn check_memory(&self, broker: &Broker) {
        let connections = match &*self.process.lock() {
            Some(process) => process.connections.most() as u64,
            None => return,
        };
        // Also of a process before this one: what it had read is read again by a start.
        let before = self.connections.fetch_max(connections, Ordering::Relaxed);
        let connections = connections.max(before);
        let resources = broker.resources();
        let over = connections * READ_BYTES;
        for (what, bytes, bytes_max) in [
            ("unwritten", resources.unwritten_bytes, MEMORY_BYTES + over),
            ("pending", resources.pending_bytes, PENDING_BYTES + over),
            (
                "cached",
                resources.cached_bytes,
                self.options.cache_bytes + over,
            ),
        ] {
            if bytes > bytes_max {
                self.ledger.violated(format!(
                    "{bytes} bytes are {what}, and {bytes_max} is what there may be"
                ));
            }
        }
    }
}

const BEGAN_MS: i64 = 1_700_000_000_000;
const MEMORY_BYTES: u64 = 1 << 20;
const PENDING_BYTES: u64 = 256 << 10;
/// What a connection reads at once, and what it may have become.
const READ_BYTES: u64 = 300 << 10;

/// One thread, and time that passes when nobody has anything to do.
///
/// # Panics
/// If the system has not even that.
pub fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets")
}
