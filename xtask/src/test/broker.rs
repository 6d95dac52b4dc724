//! A broker of one's own: on a free port, in a fresh directory, gone when dropped.

use super::Context;
use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whose broker the clients are pointed at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    Bongsu,
    /// The judges: what they do is what the suites pin.
    RabbitMq,
    Kafka,
}

impl Product {
    /// As `--against` takes it and `BONGSU_JUDGE` says it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bongsu => "bongsu",
            Self::RabbitMq => "rabbitmq",
            Self::Kafka => "kafka",
        }
    }

    /// Whether it is started by something that must get the signals too.
    const fn is_a_group(self) -> bool {
        matches!(self, Self::RabbitMq)
    }
}

/// One broker process and what must outlive it for a restart: port, data and log.
pub(super) struct Broker {
    product: Product,
    program: PathBuf,
    /// The only directory it sees, if not all.
    world: Option<PathBuf>,
    directory: PathBuf,
    port: u16,
    process: Option<Child>,
    /// RabbitMQ's name server, in the foreground so that it ends with us.
    epmd: Option<(Child, u16)>,
}

impl Broker {
    /// Starts a broker for one suite and waits until it accepts connections.
    pub(super) fn start(context: &Context, suite: &str) -> Result<Self, String> {
        Self::prepare(context, suite).and_then(Self::started)
    }

    /// As [`Broker::start`], with the binary `/bongsu` of a directory that is all it sees:
    /// where we are not root, only its working directory.
    pub(super) fn start_alone(
        context: &Context,
        suite: &str,
        world: &Path,
    ) -> Result<Self, String> {
        let mut broker = Self::prepare(context, suite)?;
        broker.program = world.join("bongsu");
        broker.world = Some(world.to_path_buf());
        broker.started()
    }

    fn started(mut self) -> Result<Self, String> {
        self.launch()?;
        Ok(self)
    }

    fn prepare(context: &Context, suite: &str) -> Result<Self, String> {
        let directory = context
            .target
            .join("test-runs")
            .join(format!("{}-{suite}", std::process::id()));
        fs::create_dir_all(&directory)
            .map_err(|error| format!("creating {}: {error}", directory.display()))?;
        let mut broker = Self {
            product: context.product,
            program: match context.product {
                Product::Bongsu => context.target.join("release/bongsu"),
                Product::RabbitMq => RABBITMQ_SERVER.into(),
                Product::Kafka => context.root.join(KAFKA_SCRIPT),
            },
            world: None,
            directory,
            port: free_port()?,
            process: None,
            epmd: None,
        };
        if broker.product == Product::RabbitMq {
            broker.prepare_rabbitmq()?;
        }
        Ok(broker)
    }

    /// With the vhost spelt out: Java's client reads a bare final slash as a vhost with no name.
    pub(super) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Where Kafka's clients find it.
    pub(super) fn kafka(&self) -> String {
        format!("127.0.0.1:{}", self.port + KAFKA)
    }

    /// The same for those that have to say who they are.
    pub(super) fn kafka_sasl(&self) -> String {
        // Bongsu has one door for both.
        let port = match self.product {
            Product::Kafka => KAFKA_SASL,
            Product::Bongsu | Product::RabbitMq => KAFKA,
        };
        format!("127.0.0.1:{}", self.port + port)
    }

    /// Where those who run it find it.
    pub(super) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port + HTTP)
    }

    /// What is started: suites about starting start more of it.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The death no program can prepare for, and the start after it.
    pub(super) fn kill_and_restart(&mut self) -> Result<(), String> {
        if self.product == Product::RabbitMq {
            // Its catalog is written up to two seconds behind: a durable queue declared just
            // before the kill would be gone, with every confirmed message in it.
            sleep(CATALOG_WRITE_BEHIND);
        }
        self.end_by("KILL")?;
        self.launch()
    }

    /// A polite stop; Bongsu owes an exit code of 0 for it. Data and log stay where asked for.
    pub(super) fn stop(mut self, keep: bool) -> Result<(), String> {
        let status = self.end_by("TERM")?;
        if self.product == Product::Bongsu && !status.success() {
            return Err(format!(
                "the broker was asked to stop and left with {status}"
            ));
        }
        if !keep {
            let _ = fs::remove_dir_all(&self.directory);
        }
        Ok(())
    }

    /// The end of the broker's log, for a failure's report.
    pub(super) fn log_tail(&self) -> String {
        let path = self.log_path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN_MAX)..];
        format!("-- broker log ({}):\n{}", path.display(), tail.join("\n"))
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(|error| format!("opening {}: {error}", self.log_path().display()))?;
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(clone(&log)?)
            .stderr(clone(&log)?);
        self.process = Some(
            command
                .spawn()
                .map_err(|error| format!("starting {}: {error}", self.program.display()))?,
        );
        let port = self.port
            + match self.product {
                Product::Bongsu | Product::RabbitMq => 0,
                Product::Kafka => KAFKA,
            };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            let process = self.process.as_mut().expect("spawned above");
            if let Ok(Some(status)) = process.try_wait() {
                return Err(format!(
                    "the broker left with {status} before it listened\n{}",
                    self.log_tail()
                ));
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the broker does not accept on {address} after {START_TIMEOUT:?}\n{}",
                    self.log_tail()
                ));
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let mut data = self.directory.join("data");
        if let Some(world) = self.world.as_ref().filter(|_| is_root()) {
            command = Command::new("chroot");
            command.arg(world).arg("/bongsu");
            data = "/data".into();
        }
        match self.product {
            Product::Bongsu => {
                command
                    .arg("serve")
                    .env("BONGSU_DATA_DIR", data)
                    .env("BONGSU_AMQP_LISTEN", format!("127.0.0.1:{}", self.port))
                    .env("BONGSU_KAFKA_LISTEN", self.kafka())
                    .env(
                        "BONGSU_ADMIN_LISTEN",
                        format!("127.0.0.1:{}", self.port + HTTP),
                    )
                    .env("BONGSU_KAFKA_GROUP_INITIAL_DELAY", "0s")
                    .env("BONGSU_KAFKA_GROUP_SESSION_TIMEOUT_MIN", "1s");
            }
            Product::Kafka => {
                command
                    .arg("serve")
                    .arg(self.directory.join("data"))
                    .arg((self.port + KAFKA).to_string());
            }
            Product::RabbitMq => {
                let directory = &self.directory;
                let epmd_port = self.epmd.as_ref().map_or(0, |(_, port)| *port);
                command
                    .env("HOME", directory)
                    .env("ERL_EPMD_PORT", epmd_port.to_string())
                    .env("ERL_MAX_PORTS", "65536")
                    .env(
                        "RABBITMQ_NODENAME",
                        format!("judge-{}@localhost", self.port),
                    )
                    .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
                    .env("RABBITMQ_NODE_PORT", self.port.to_string())
                    .env("RABBITMQ_DIST_PORT", (self.port + 1).to_string())
                    .env("RABBITMQ_MNESIA_BASE", directory.join("data"))
                    .env("RABBITMQ_LOG_BASE", directory.join("log"))
                    .env("RABBITMQ_LOGS", "-")
                    .env("RABBITMQ_ENABLED_PLUGINS_FILE", directory.join("plugins"))
                    .env("RABBITMQ_CONFIG_FILE", directory.join("rabbitmq.conf"))
                    .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
                    // A shell starts the virtual machine: a signal must reach both.
                    .process_group(0);
            }
        }
        command
    }

    fn prepare_rabbitmq(&mut self) -> Result<(), String> {
        let write = |name: &str, text: &str| {
            fs::write(self.directory.join(name), text)
                .map_err(|error| format!("writing {name}: {error}"))
        };
        write("plugins", RABBITMQ_PLUGINS)?;
        let conf = format!(
            "loopback_users.guest = true\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n",
            self.port + HTTP
        );
        write("rabbitmq.conf", &conf)?;
        let port = self.port + 2;
        let epmd = Command::new("epmd")
            .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("starting epmd: {error}"))?;
        self.epmd = Some((epmd, port));
        Ok(())
    }

    /// Signals the broker and waits for its end; past the deadline it is killed, an error.
    fn end_by(&mut self, signal: &str) -> Result<ExitStatus, String> {
        let Some(mut process) = self.process.take() else {
            return Err("the broker is not running".into());
        };
        let group = self.product.is_a_group();
        send_signal(signal, process.id(), group);
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            match process.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => sleep(POLL_INTERVAL),
                _ => {
                    send_signal("KILL", process.id(), group);
                    let _ = process.wait();
                    return Err(format!(
                        "the broker still ran {STOP_TIMEOUT:?} after SIG{signal}"
                    ));
                }
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("broker.log")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.end_by("KILL");
        }
        if let Some((mut epmd, _)) = self.epmd.take() {
            let _ = epmd.kill();
            let _ = epmd.wait();
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether Debian's package is installed.
pub(super) fn rabbitmq_is_here() -> bool {
    Path::new(RABBITMQ_SERVER).exists()
}

/// Sends a signal by name, to a process or to the group it leads.
pub(crate) fn send_signal(signal: &str, process_id: u32, group: bool) {
    let sign = if group { "-" } else { "" };
    // The shell's own `kill`: there is always a shell.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -s {signal} -- {sign}{process_id}")])
        .stderr(Stdio::null())
        .status();
}

/// A port below the ephemeral range. In it, a client that keeps connecting while the broker is
/// down may be given the broker's port as its own and end up connected to itself.
pub(crate) fn free_port() -> Result<u16, String> {
    let start = std::process::id() as u16 % 1000;
    (0..1000)
        .map(|step| 20_000 + (start + step) % 1000 * 10)
        .find(|&port| {
            (port..port + PORTS).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        })
        .ok_or_else(|| "no port between 20000 and 30000 is free".into())
}

fn clone(file: &File) -> Result<File, String> {
    file.try_clone()
        .map_err(|error| format!("duplicating the log's handle: {error}"))
}

/// Places of the ports from the first, which is AMQP's; RabbitMQ takes the two after it, Kafka's
/// controller the one between its own.
const KAFKA: u16 = 3;
const KAFKA_SASL: u16 = KAFKA + 2;
const HTTP: u16 = KAFKA_SASL + 1;
const PORTS: u16 = HTTP + 1;
const KAFKA_SCRIPT: &str = "tests/clients/kafka-broker/kafka";
const RABBITMQ_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// What Debian ships of the exchange types that Bongsu has built in; `x-modulus-hash` comes with
/// sharding.
const RABBITMQ_PLUGINS: &str = "[rabbitmq_consistent_hash_exchange, rabbitmq_management, \
                                rabbitmq_random_exchange, rabbitmq_sharding].\n";
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const CATALOG_WRITE_BEHIND: Duration = Duration::from_millis(2500);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const LOG_LINES_SHOWN_MAX: usize = 60;
