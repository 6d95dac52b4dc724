//! The broker under trial: started, killed, stopped and started again on the same ports and data.

use super::world::World;
use crate::test::broker::{free_port, send_signal};
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(super) struct Broker {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    port: u16,
    cable: Option<Ipv4Addr>,
    process: Option<Child>,
    /// 0 while there is none.
    pub(super) id: Arc<AtomicU32>,
    /// Up to here the log has been looked through.
    log_seen: usize,
}

/// In what a broker is started.
#[derive(Default)]
pub(super) struct Surroundings {
    /// Most open files, if not what the machine has.
    pub(super) files_max: Option<u64>,
    pub(super) environment: Vec<(String, String)>,
}

impl Broker {
    pub(super) fn start(program: PathBuf, world: &World) -> Result<Self, String> {
        let mut broker = Self {
            program,
            data: world.volume.join("data"),
            log: world.directory.join("broker.log"),
            port: free_port()?,
            cable: world.network.as_ref().ok().map(|network| network.here),
            process: None,
            id: Arc::default(),
            log_seen: 0,
        };
        broker.launch(&Surroundings::default())?;
        Ok(broker)
    }

    /// Where AMQP is spoken. There are several, because a client has only so many ports for each.
    pub(super) fn amqp(&self, client: usize) -> SocketAddr {
        let last = u8::try_from(1 + client % ADDRESSES).expect("there are few");
        SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), self.port))
    }

    /// The same, for who comes over the cable.
    pub(super) fn amqp_by_cable(&self) -> Option<SocketAddr> {
        self.cable.map(|here| SocketAddr::from((here, self.port)))
    }

    pub(super) fn kafka(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + 3))
    }

    pub(super) fn http(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + 6))
    }

    /// Without a login.
    pub(super) fn metrics(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port + 5))
    }

    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.end_by("KILL")
    }

    /// A polite stop.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        self.end_by("TERM")
    }

    pub(super) fn signal(&self, signal: &str) {
        send_signal(signal, self.id.load(Ordering::Relaxed), false);
    }

    pub(super) fn launch(&mut self, surroundings: &Surroundings) -> Result<(), String> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| format!("{}: {error}", self.log.display()))?;
        let errors = log
            .try_clone()
            .map_err(|error| format!("the log: {error}"))?;
        let mut command = Command::new("sh");
        let limit = match surroundings.files_max {
            Some(files) => format!("ulimit -n {files}; "),
            None => String::new(),
        };
        let mut amqp: Vec<_> = (0..ADDRESSES).map(|at| self.amqp(at).to_string()).collect();
        amqp.extend(self.amqp_by_cable().map(|address| address.to_string()));
        command
            .args(["-c", &format!("{limit}exec \"$0\" serve")])
            .arg(&self.program)
            .env("BONGSU_DATA_DIR", &self.data)
            .env("BONGSU_AMQP_LISTEN", amqp.join(","))
            .env("BONGSU_KAFKA_LISTEN", self.kafka().to_string())
            .env("BONGSU_ADMIN_LISTEN", self.http().to_string())
            .env("BONGSU_METRICS_LISTEN", self.metrics().to_string())
            .env("BONGSU_KAFKA_GROUP_INITIAL_DELAY", "0s")
            .env(
                "BONGSU_LIMITS_DISK_FREE_BYTES_MIN",
                DISK_FREE_BYTES_MIN.to_string(),
            )
            .env("BONGSU_LIMITS_MEMORY_BYTES", MEMORY_BYTES.to_string())
            .envs(
                surroundings
                    .environment
                    .iter()
                    .map(|(key, value)| (key, value)),
            )
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let process = command
            .spawn()
            .map_err(|error| format!("starting a broker: {error}"))?;
        self.id.store(process.id(), Ordering::Relaxed);
        self.process = Some(process);
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect_timeout(&self.http(), Duration::from_secs(1)).is_err() {
            self.is_alive()?;
            if Instant::now() > deadline {
                return Err(format!(
                    "the broker does not listen {START_MAX:?} after its start"
                ));
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether it still runs, when nobody has ended it.
    pub(super) fn is_alive(&mut self) -> Result<(), String> {
        match self.process.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => Ok(()),
            Some(Ok(Some(status))) => Err(format!("the broker left by itself: {status}")),
            _ => Err("there is no broker".into()),
        }
    }

    /// Lines of the log since it was asked last that nobody may write, and how many warn.
    pub(super) fn look_through_log(&mut self) -> (Vec<String>, usize) {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[self.log_seen.min(bytes.len())..]);
        self.log_seen = bytes.len();
        let bad = |line: &&str| line.contains("panicked") || line.contains("ERROR");
        let bad = text.lines().filter(bad).map(str::to_owned).collect();
        (
            bad,
            text.lines().filter(|line| line.contains("WARN")).count(),
        )
    }

    fn end_by(&mut self, signal: &str) -> Result<(), String> {
        self.is_alive()?;
        let mut process = self.process.take().expect("it is alive");
        self.id.store(0, Ordering::Relaxed);
        send_signal(signal, process.id(), false);
        let deadline = Instant::now() + STOP_MAX;
        loop {
            match process.try_wait() {
                Ok(Some(status)) if signal == "TERM" && !status.success() => {
                    return Err(format!("asked to stop, the broker left with {status}"));
                }
                Ok(Some(_)) => return Ok(()),
                _ if Instant::now() > deadline => {
                    send_signal("KILL", process.id(), false);
                    let _ = process.wait();
                    return Err(format!("the broker ran on {STOP_MAX:?} after SIG{signal}"));
                }
                _ => sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Room that publishers leave on the disk.
pub(super) const DISK_FREE_BYTES_MIN: u64 = 64 << 20;
/// Records in memory beyond which publishers wait.
pub(super) const MEMORY_BYTES: u64 = 128 << 20;
/// 127.0.0.1 and on.
const ADDRESSES: usize = 4;
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(40);
