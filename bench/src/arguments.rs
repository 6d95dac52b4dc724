//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::cases::Options;
use crate::growth::{Axis, Growth};
use crate::workload::Protocol;

/// What was asked for.
pub enum Command {
    /// Show the help.
    Help,
    /// Show the names of the cases.
    List,
    /// Run cases against a broker.
    Run(Options),
    /// Show the names of the cases over Kafka's protocol.
    KafkaList,
    /// Run one of these.
    Kafka(Options),
    /// Show the names of the workloads, the same over every protocol.
    WorkloadList,
    /// Run one of these.
    Workload(Protocol, Options),
    /// Measure one point of an axis.
    Growth(Growth, Options),
    /// Hold connections that do nothing.
    Hold {
        /// To whom.
        broker: SocketAddr,
        /// Which address they come from.
        share: u8,
        /// How many.
        count: u64,
    },
    /// Measure the machine.
    Limits {
        /// Where files are written.
        directory: PathBuf,
        /// How long each takes.
        seconds: Duration,
        /// JSON instead of a table.
        json: bool,
    },
    /// Remove a directory once the parent is gone.
    Tidy {
        /// Which.
        directory: PathBuf,
    },
    /// Run the generator against nothing.
    Sink {
        /// How long each of its parts takes.
        seconds: Duration,
    },
    /// Become a program that dies with its parent.
    Supervise {
        /// The program and its arguments.
        command: Vec<OsString>,
    },
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
    let mut arguments = arguments.peekable();
    let mut command = arguments.next().unwrap_or_default();
    let over_kafka = command == "kafka";
    if over_kafka {
        command = arguments.next().unwrap_or_default();
    }
    let mut protocol = None;
    if command == "workload" {
        command = arguments.next().unwrap_or_default();
        if command == "list" {
            return Ok(Command::WorkloadList);
        }
        protocol = Some(
            Protocol::named(&command).ok_or_else(|| format!("{command:?} is no protocol here"))?,
        );
        command = arguments.next().unwrap_or_default();
    }
    let mut axis = None;
    if command == "growth" {
        command = arguments.next().unwrap_or_default();
        axis = Some(Axis::named(&command).ok_or_else(|| format!("{command:?} is no axis"))?);
    }
    if command == "tidy" {
        let directory = arguments.next().ok_or("tidy needs a directory")?.into();
        return Ok(Command::Tidy { directory });
    }
    if command == "hold" {
        let mut word = |name| arguments.next().ok_or(format!("hold needs {name}"));
        return Ok(Command::Hold {
            broker: read("hold", &word("an address")?)?,
            share: read("hold", &word("a share")?)?,
            count: read("hold", &word("a count")?)?,
        });
    }
    if command == "supervise" {
        let command = arguments
            .skip_while(|argument| argument == "--")
            .map(OsString::from);
        return Ok(Command::Supervise {
            command: command.collect(),
        });
    }
    let mut options = Options {
        broker: SocketAddr::from(([127, 0, 0, 1], 5672)),
        pid: None,
        cases: Vec::new(),
        seconds: Duration::from_secs(8),
        warmup: Duration::from_secs(2),
        backlog: 1_000_000,
        queues: 100_000,
        connections: 2_000,
        json: false,
        driven: false,
    };
    let mut point = 1;
    let mut directory = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--addr" => options.broker = read(&argument, &value()?)?,
            "--pid" => options.pid = Some(read(&argument, &value()?)?),
            "--case" => options.cases.push(value()?),
            "--seconds" => options.seconds = seconds(&argument, &value()?)?,
            "--warmup" => options.warmup = seconds(&argument, &value()?)?,
            "--backlog" => options.backlog = read(&argument, &value()?)?,
            "--connections" => options.connections = read(&argument, &value()?)?,
            "--queues" => options.queues = read(&argument, &value()?)?,
            "--point" => point = read(&argument, &value()?)?,
            "--dir" => directory = Some(PathBuf::from(value()?)),
            "--driven" => options.driven = true,
            "--json" => options.json = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(format!("{argument} is not known; try bench --help").into()),
        }
    }
    if !options.broker.ip().is_loopback() {
        return Err(format!("{} is not a loopback address", options.broker).into());
    }
    if let Some(protocol) = protocol {
        return match command.as_str() {
            "run" => Ok(Command::Workload(protocol, options)),
            _ => Err(format!("{command:?} is not known; try bench --help").into()),
        };
    }
    if let Some(axis) = axis {
        let growth = Growth {
            axis,
            point,
            directory,
        };
        return Ok(Command::Growth(growth, options));
    }
    match command.as_str() {
        "run" if over_kafka => Ok(Command::Kafka(options)),
        "list" if over_kafka => Ok(Command::KafkaList),
        "run" => Ok(Command::Run(options)),
        "sink" => Ok(Command::Sink {
            seconds: options.seconds,
        }),
        "limits" => Ok(Command::Limits {
            directory: directory.ok_or("limits needs --dir")?,
            seconds: options.seconds,
            json: options.json,
        }),
        "list" => Ok(Command::List),
        "" | "help" | "--help" | "-h" => Ok(Command::Help),
        _ => Err(format!("{command} is not known; try bench --help").into()),
    }
}

fn read<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| format!("{name} cannot be {value:?}").into())
}

fn seconds(name: &str, value: &str) -> Result<Duration> {
    match read::<f64>(name, value)? {
        seconds if (0.0..=SECONDS_MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("{name} must lie between 0 and {SECONDS_MAX}").into()),
    }
}

/// What `bench --help` shows.
pub const HELP: &str = "\
Load generator for AMQP 0-9-1 brokers on this machine.

  bench run [options]      run cases against a broker
    --addr HOST:PORT       the broker, on loopback (127.0.0.1:5672)
    --pid PID              its process: measures CPU and memory too
    --case NAME            only this case; may be repeated
    --seconds S            measured time of each timed case (8)
    --warmup S             load before measuring begins (2)
    --backlog COUNT        messages of the cases that gather some (1000000)
    --queues COUNT         queues of queues-100k-idle (100000)
    --connections COUNT    connections of idle (2000)
    --json                 a line of JSON for each case instead of a table
    --driven               ask on standard output to have the broker restarted where a case
                           wants that, read the answer from standard input, leave queues behind
  bench sink [--seconds S] what the generator itself can do, without a broker
  bench list               the names of the cases
  bench kafka run [options]  one case over Kafka's protocol: --addr, --pid, --case, --seconds,
                           --warmup, --json
  bench kafka list         the names of those
  bench workload amqp|kafka|nats|redis run [options]
                           one workload over that protocol: --addr, --pid, --case, --seconds,
                           --warmup, --backlog, --json
  bench workload list      the names of those
  bench growth queues|consumers|size|backlog|connections --point N [options]
                           over AMQP, with N of them; a backlog passes the points before too, and
                           ends where --dir, the broker's, has no room for more
  bench limits --dir DIR   what disk and loopback can do: --seconds, --json
  bench tidy DIR           remove DIR once the parent is gone
  bench supervise -- PROGRAM [ARGUMENT]...
                           become PROGRAM, but die with the parent
";

const SECONDS_MAX: f64 = 600.0;
