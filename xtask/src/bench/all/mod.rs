//! `cargo xtask bench all`: every broker on the same workloads in one run, what the machine itself
//! could do, and how cost grows; as JSON, as pictures and as a section of `docs/performance.md`.
//!
//! The run is a list of steps made before it begins, so that it can say how long it will take. Rounds
//! alternate between brokers. A step that fails, or does not end in its time, is noted and not tried
//! again; when the whole run's time is over the rest is skipped, and said so.
//!
//! Reading order: [`columns`] (who takes part), [`steps`] (what is done, and its time), [`runner`]
//! (one step), [`gathered`] (all figures, as JSON), [`limits`] (how far from them), [`pages`] (the
//! section), [`pictures`] with [`svg`], [`bars`] and [`lines`]; [`machine`] says what it ran on.

mod bars;

mod columns;

mod gathered;

mod json;

mod limits;

mod lines;

mod machine;

mod pages;

mod pictures;

mod runner;

mod scale;

mod steps;

mod svg;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::broker::Kind;
use super::{Places, Result, build, document, read, root, table};
use columns::Column;
use gathered::Gathered;
use steps::Step;

/// Runs it all.
pub fn run(arguments: &[String]) -> Result<()> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{HELP}");
        return Ok(());
    };
    build("bench")?;
    build("bongsu")?;
    let places = Places::find()?;
    let _janitor = Janitor::start(&places)?;
    let columns = columns::present(&options, &places);
    let steps = steps::plan(&options, &columns);
    if steps.is_empty() {
        return Err("nothing is left to measure; see --help for what --only may say".into());
    }
    let mut gathered = Gathered::new(&options, arguments, &columns);
    measure(&steps, &columns, &options, &places, &mut gathered);
    // Ours to remove: it is named after this process.
    let _ = std::fs::remove_dir_all(&places.work);

    std::fs::create_dir_all(&options.out)?;
    let results = options.out.join("results.json");
    let pictures = pictures::draw(&gathered, &columns, &options.out)?;
    let section = pages::section(&gathered, &columns, &pictures);
    print!("{section}");
    let failures = gathered.failures();
    std::fs::write(&results, gathered.json())?;
    if let Some(file) = &options.markdown {
        document::write_between(file, BEGIN, &section)?;
    }
    eprintln!("written: {}", results.display());
    match failures {
        0 => Ok(()),
        failures => Err(format!("{failures} of the measurements failed").into()),
    }
}

fn measure(
    steps: &[Step],
    columns: &[Column],
    options: &Options,
    places: &Places,
    gathered: &mut Gathered,
) {
    let begun = Instant::now();
    let planned: f64 = steps.iter().map(|step| step.seconds).sum();
    eprintln!(
        "{} measurements, about {} minutes",
        steps.len(),
        (planned / 60.0).ceil()
    );
    let mut done = 0.0;
    for (number, step) in steps.iter().enumerate() {
        let elapsed = begun.elapsed();
        // What is to come takes as much longer than planned as what was.
        let pace = if done > 30.0 {
            elapsed.as_secs_f64() / done
        } else {
            1.0
        };
        let left = Duration::from_secs_f64((planned - done) * pace).as_secs();
        let column = &columns[step.column];
        let title = format!(
            "[{:>3}/{}] {:>2}:{:02} left  {:<28}{:<14}",
            number + 1,
            steps.len(),
            left / 60,
            left % 60,
            step.name(options.rounds),
            column.id
        );
        done += step.seconds;
        if elapsed > options.time_max {
            eprintln!("{title}skipped: the run's {:?} are over", options.time_max);
            gathered.skip(&step.name(options.rounds), column);
            continue;
        }
        if gathered.failed(step, column) {
            continue;
        }
        match runner::run(step, column, options, places) {
            Ok(lines) => {
                let last = lines.last().map(table::headline).unwrap_or_default();
                eprintln!("{title}{last}");
                gathered.add(step, column, lines);
            }
            Err(error) => {
                eprintln!("{title}failed: {error}");
                gathered.fail(step, column, error.to_string());
            }
        }
    }
    eprintln!("took {} minutes", begun.elapsed().as_secs().div_ceil(60));
}

/// A process that outlives this one by a moment, to remove what the brokers stored.
struct Janitor(Child);

impl Janitor {
    fn start(places: &Places) -> Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let child = Command::new(&places.generator)
            .arg("tidy")
            .arg(&places.work)
            // Not for Ctrl-C: that is when it is wanted.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The command line.
pub struct Options {
    /// How often each workload is measured on each broker.
    pub rounds: u32,
    /// Measured time of each.
    pub seconds: f64,
    /// Fewer and shorter: for trying things.
    pub quick: bool,
    /// Names of workloads and axes, or `limits`; empty means all.
    pub only: Vec<String>,
    /// Which brokers stand beside Bongsu.
    pub peers: Vec<Kind>,
    /// After this no further step begins.
    pub time_max: Duration,
    /// Where JSON and pictures go.
    pub out: PathBuf,
    /// The document with a place for the section.
    pub markdown: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Option<Self>> {
        let mut options = Self {
            rounds: 3,
            seconds: 4.0,
            quick: false,
            only: Vec::new(),
            peers: Kind::ALL.to_vec(),
            time_max: Duration::from_secs(25 * 60),
            out: root().join("docs/performance"),
            markdown: Some(root().join("docs/performance.md")),
        };
        let (mut rounds, mut seconds, mut out) = (None, None, None);
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
            match name {
                "--quick" => options.quick = true,
                "--rounds" => rounds = Some(read(name, value()?)?),
                "--seconds" => seconds = Some(read(name, value()?)?),
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--peers" => {
                    let names = value()?.split(',').filter(|name| !name.is_empty());
                    options.peers = names
                        .map(|peer| read(name, peer))
                        .collect::<Result<Vec<Kind>>>()?;
                }
                "--minutes" => {
                    let minutes: f64 = read(name, value()?)?;
                    options.time_max = Duration::try_from_secs_f64(minutes * 60.0)?;
                }
                "--out" => out = Some(PathBuf::from(value()?)),
                "--help" | "-h" => return Ok(None),
                _ => {
                    return Err(
                        format!("{name} is not known; try cargo xtask bench all --help").into(),
                    );
                }
            }
        }
        if let Some(out) = out {
            options.out = out;
            options.markdown = None;
        } else if options.quick || !options.only.is_empty() || options.peers.len() < Kind::ALL.len()
        {
            // A part of it, or a hasty one, is not what the document is about.
            options.out = super::Places::find()?.peers.with_file_name("bench-results");
            options.markdown = None;
        }
        options.rounds = rounds.unwrap_or(if options.quick { 1 } else { options.rounds });
        options.seconds = seconds.unwrap_or(if options.quick { 2.0 } else { options.seconds });
        if !(0.1..=600.0).contains(&options.seconds) || options.rounds == 0 {
            return Err("--seconds lies between 0.1 and 600, --rounds is at least 1".into());
        }
        let known: Vec<&str> = steps::names().collect();
        if let Some(unknown) = options
            .only
            .iter()
            .find(|only| !known.contains(&only.as_str()))
        {
            return Err(format!("there is no {unknown}; there are {}", known.join(", ")).into());
        }
        Ok(Some(options))
    }

    /// Whether a workload or axis was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

const BEGIN: &str = "<!-- written by cargo xtask bench all -->";
const HELP: &str = "\
cargo xtask bench all [options]
  Measures Bongsu (over AMQP 0-9-1 and over Kafka's protocol), RabbitMQ, Apache Kafka, NATS JetStream
  and Redis on the same workloads, an answer to a publish meaning a sync everywhere; then the machine's
  own limits, and how cost grows. Writes docs/performance/results.json, a picture a workload and axis
  beside it, and the section of docs/performance.md about them. A broker that is not to be had is left
  out. With --quick, --only or --peers the results go to target/bench-results instead.

    --rounds N             how often each workload is measured on each broker; medians count (3)
    --seconds S            measured time of each (4)
    --quick                one round of two seconds, fewer points
    --only NAME,...        only these workloads and axes, or limits
    --peers KIND,...       of rabbitmq, kafka, nats and redis only these; \"\" for none
    --minutes M            begin nothing after so long (25)
    --out DIR              results go there, and the document is left alone
";
