//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Result;
use crate::cases::Options;

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
            "--driven" => options.driven = true,
            "--json" => options.json = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ => return Err(format!("{argument} is not known; try bench --help").into()),
        }
    }
    if !options.broker.ip().is_loopback() {
        return Err(format!("{} is not a loopback address", options.broker).into());
    }
    match command.as_str() {
        "run" if over_kafka => Ok(Command::Kafka(options)),
        "list" if over_kafka => Ok(Command::KafkaList),
        "run" => Ok(Command::Run(options)),
        "sink" => Ok(Command::Sink {
            seconds: options.seconds,
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
  bench supervise -- PROGRAM [ARGUMENT]...
                           become PROGRAM, but die with the parent
";

const SECONDS_MAX: f64 = 600.0;
