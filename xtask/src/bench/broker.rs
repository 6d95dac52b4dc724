//! Brokers under test: started on loopback with an empty directory, and stopped whatever happens.
//!
//! Three nets, each under the one above: `stop` ends a broker in its own way; dropping kills it;
//! and since every process is started through `bench supervise`, the kernel kills it when this
//! process dies, be it by Ctrl-C.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Places, Result, Suite, peers, root};

/// The brokers that can be compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This workspace's own.
    Bongsu,
    /// The system's RabbitMQ.
    RabbitMq,
    /// Apache Kafka, from Maven's jars.
    Kafka,
    /// NATS with JetStream, from PyPI.
    Nats,
    /// The system's Redis.
    Redis,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bongsu => "bongsu",
            Self::RabbitMq => "rabbitmq",
            Self::Kafka => "kafka",
            Self::Nats => "nats",
            Self::Redis => "redis",
        })
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or(())
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bongsu,
        Self::RabbitMq,
        Self::Kafka,
        Self::Nats,
        Self::Redis,
    ];
}

/// A broker that can be started.
#[derive(Clone)]
pub struct Installed {
    /// Which one.
    pub kind: Kind,
    /// By which protocol it is spoken to.
    pub suite: Suite,
    /// Its name and version, as a table's title.
    pub title: String,
    program: PathBuf,
}

impl Installed {
    /// The release build.
    pub fn bongsu(places: &Places, suite: Suite) -> Self {
        let program = places.release.join("bongsu");
        Self {
            kind: Kind::Bongsu,
            suite,
            title: "Bongsu".into(),
            program,
        }
    }

    /// RabbitMQ where Debian's package puts it. Not its command in the path: that one insists on
    /// the system's user and directories.
    pub fn rabbitmq() -> Option<Self> {
        let program = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
        if !program.exists() {
            return None;
        }
        let version = fs::read_dir("/usr/lib/rabbitmq/lib")
            .ok()?
            .flatten()
            .find_map(|entry| {
                entry
                    .file_name()
                    .to_str()?
                    .strip_prefix("rabbitmq_server-")
                    .map(str::to_owned)
            });
        let title = format!("RabbitMQ {}", version.unwrap_or_default())
            .trim_end()
            .to_owned();
        Some(Self {
            kind: Kind::RabbitMq,
            suite: Suite::Amqp,
            title,
            program,
        })
    }

    /// Apache Kafka as the client tests start it. Its JVM is given what its own start script
    /// gives it, not what keeps a test small.
    pub fn kafka() -> Self {
        Self {
            kind: Kind::Kafka,
            suite: Suite::Kafka,
            title: "Apache Kafka 4.3".into(),
            program: Self::kafka_tools(),
        }
    }

    /// NATS, once [`peers::nats`] has it.
    pub fn nats(program: PathBuf, version: &str) -> Self {
        Self {
            kind: Kind::Nats,
            suite: Suite::Nats,
            title: format!("NATS {version}"),
            program,
        }
    }

    /// Redis where Debian's package puts it.
    pub fn redis() -> Option<Self> {
        let program = PathBuf::from("/usr/bin/redis-server");
        let output = Command::new(&program).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = said
            .split_whitespace()
            .find_map(|word| word.strip_prefix("v="));
        Some(Self {
            kind: Kind::Redis,
            suite: Suite::Redis,
            title: format!("Redis {}", version.unwrap_or_default()),
            program,
        })
    }

    /// The starter of Kafka and of its standard tools.
    pub fn kafka_tools() -> PathBuf {
        root().join("tests/clients/kafka-broker/kafka")
    }

    /// Starts it with nothing stored, with or without a sync before each answer, and waits
    /// until it accepts connections.
    pub fn start(&self, places: &Places, synced: bool) -> Result<Running> {
        let directory = places.work.join(self.kind.to_string());
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let ports = free_ports()?;
        let helper = match self.kind {
            Kind::Bongsu | Kind::Kafka | Kind::Nats | Kind::Redis => None,
            // Started here, because the one that RabbitMQ would start outlives it.
            Kind::RabbitMq => Some(Process::start(
                supervised(places, Path::new("epmd")).args([
                    "-address",
                    "127.0.0.1",
                    "-port",
                    &ports[2].to_string(),
                ]),
                &directory.join("epmd.log"),
            )?),
        };
        let begun = Instant::now();
        let mut running = Running {
            broker: self.start_process(places, &directory, ports, synced)?,
            synced,
            _helper: helper,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])),
            ports,
            directory,
            start_seconds: 0.0,
        };
        running.wait_until_ready(begun)?;
        Ok(running)
    }

    fn start_process(
        &self,
        places: &Places,
        directory: &Path,
        [port, distribution, epmd]: [u16; 3],
        synced: bool,
    ) -> Result<Process> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self.kind {
            Kind::Bongsu => self.start_bongsu(places, directory, address, synced),
            Kind::Kafka => self.start_kafka(places, directory, port, synced),
            Kind::RabbitMq => self.start_rabbitmq(places, directory, address, distribution, epmd),
            Kind::Nats => Process::start(
                peers::nats_command(&mut supervised(places, &self.program), directory, port)?,
                &directory.join(LOG),
            ),
            Kind::Redis => Process::start(
                peers::redis_command(&mut supervised(places, &self.program), directory, port),
                &directory.join(LOG),
            ),
        }
    }

    fn start_bongsu(
        &self,
        places: &Places,
        directory: &Path,
        address: SocketAddr,
        synced: bool,
    ) -> Result<Process> {
        let mut command = supervised(places, &self.program);
        let (this, other) = match self.suite {
            Suite::Kafka => ("BONGSU_KAFKA_LISTEN", "BONGSU_AMQP_LISTEN"),
            _ => ("BONGSU_AMQP_LISTEN", "BONGSU_KAFKA_LISTEN"),
        };
        command
            .arg("serve")
            .env("BONGSU_DATA_DIR", directory.join("data"))
            .env(
                "BONGSU_DATA_DURABILITY",
                if synced { "fsync" } else { "os" },
            )
            .env(this, address.to_string())
            .env(other, "")
            .env("BONGSU_ADMIN_LISTEN", "");
        Process::start(&mut command, &directory.join(LOG))
    }

    fn start_kafka(
        &self,
        places: &Places,
        directory: &Path,
        port: u16,
        synced: bool,
    ) -> Result<Process> {
        let mut command = supervised(places, &self.program);
        command
            .args(["serve".as_ref(), directory.join("kafka").as_os_str()])
            .arg(port.to_string())
            .env("KAFKA_JVM", KAFKA_JVM);
        if synced {
            command.arg("log.flush.interval.messages=1");
        }
        Process::start(&mut command, &directory.join(LOG))
    }

    fn start_rabbitmq(
        &self,
        places: &Places,
        directory: &Path,
        address: SocketAddr,
        distribution_port: u16,
        epmd_port: u16,
    ) -> Result<Process> {
        fs::write(directory.join("plugins"), "[].\n")?;
        fs::write(directory.join("rabbitmq.conf"), "")?;
        let mut command = supervised(places, &self.program);
        command
            .env("HOME", directory)
            .env("RABBITMQ_NODENAME", format!("bench{epmd_port}@localhost"))
            .env("RABBITMQ_NODE_IP_ADDRESS", address.ip().to_string())
            .env("RABBITMQ_NODE_PORT", address.port().to_string())
            .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", directory.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", directory.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", directory.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}",
            )
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", epmd_port.to_string())
            .env("ERL_MAX_PORTS", "65536")
            // Makes the start script become the broker instead of watching over it, so that the
            // process started here is the one to measure and to signal.
            .env("RUNNING_UNDER_SYSTEMD", "true");
        Process::start(&mut command, &directory.join(LOG))
    }
}

/// A broker that runs.
pub struct Running {
    broker: Process,
    /// RabbitMQ's epmd. Fields drop in this order: first the broker, then what it leans on.
    _helper: Option<Process>,
    address: SocketAddr,
    ports: [u16; 3],
    directory: PathBuf,
    start_seconds: f64,
    synced: bool,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.broker.0.id()
    }

    /// How long its last start took until it accepted a connection.
    pub fn start_seconds(&self) -> f64 {
        self.start_seconds
    }

    /// Asks it to end, waits for that, and starts it again on the same data and address.
    pub fn restart(&mut self, installed: &Installed, places: &Places) -> Result<()> {
        self.broker.terminate()?;
        let begun = Instant::now();
        self.broker = installed.start_process(places, &self.directory, self.ports, self.synced)?;
        self.wait_until_ready(begun)
    }

    /// Asks it to end, waits for that, and removes its data.
    pub fn stop(&mut self) -> Result<()> {
        self.broker.terminate()?;
        // What cannot be removed here is removed with the whole run's directory.
        let _ = fs::remove_dir_all(&self.directory);
        Ok(())
    }

    fn wait_until_ready(&mut self, begun: Instant) -> Result<()> {
        let deadline = begun + START_TIME_MAX;
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            let state = match self.broker.0.try_wait()? {
                Some(status) => format!("ended with {status}"),
                None if Instant::now() > deadline => {
                    format!(
                        "does not listen on {} after {START_TIME_MAX:?}",
                        self.address
                    )
                }
                None => {
                    sleep(Duration::from_millis(5));
                    continue;
                }
            };
            let log = fs::read_to_string(self.directory.join(LOG)).unwrap_or_default();
            let said: Vec<&str> = log.trim_end().lines().rev().take(10).collect();
            let said: String = said
                .into_iter()
                .rev()
                .map(|line| format!("\n    {line}"))
                .collect();
            return Err(format!("broker {state}; it said last:{said}").into());
        }
        self.start_seconds = begun.elapsed().as_secs_f64();
        Ok(())
    }
}

/// A child that is killed when dropped.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let child = command
            // Ctrl-C is for this process; children go with it, once.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self(child))
    }

    fn terminate(&mut self) -> Result<()> {
        Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()?;
        let deadline = Instant::now() + STOP_TIME_MAX;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("broker runs {STOP_TIME_MAX:?} after SIGTERM").into());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command for `program` that dies with this process and may open many files.
fn supervised(places: &Places, program: &Path) -> Command {
    let mut command = Command::new(&places.generator);
    command.args(["supervise", "--"]).arg(program);
    command
}

/// Ports that were free a moment ago, one behind the other: Kafka's starter wants them so.
fn free_ports() -> Result<[u16; 3]> {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    for _ in 0..100 {
        let first = bind(0)?;
        let port = first.local_addr()?.port();
        if port < u16::MAX - 1 && bind(port + 1).is_ok() && bind(port + 2).is_ok() {
            return Ok([port, port + 1, port + 2]);
        }
    }
    Err("there are no three free ports in a row".into())
}

/// As kafka-server-start.sh and kafka-run-class.sh have it.
const KAFKA_JVM: &str = "-Xms1G -Xmx1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
                         -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent";
const LOG: &str = "output.log";
// RabbitMQ with a hundred thousand queues takes minutes.
const START_TIME_MAX: Duration = Duration::from_secs(600);
const STOP_TIME_MAX: Duration = Duration::from_secs(600);
