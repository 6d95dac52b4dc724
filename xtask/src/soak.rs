//! `cargo xtask soak`: one broker, real clients that keep a ledger, and everything that goes wrong on
//! a real machine, one after the other. docs/soak.md says what is tried and what must hold.
//!
//! The ledgers (`ledger`) run from the first moment to the last and judge what they get; each fault
//! (`faults`) says what must hold while it is on; the driver measures (`watch`) and tells (`report`).
//! What does not hold is noted with the fault that was on, and the run goes on: exit code 1 at its end.

mod arguments;
mod broker;
mod crowd;
mod faults;
mod http;
mod ledger;
mod picture;
mod random;
mod report;
mod watch;
mod wire;
mod world;

use crate::test::setup::{self, Ecosystem};
use arguments::{Request, Size};
use broker::{Broker, Surroundings};
use faults::Fault;
use ledger::Ledger;
use random::Random;
use report::Row;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use watch::{Watch, What, Who};
use wire::Connection;
use world::World;

/// What a fault has in its hands.
struct Soak {
    broker: Broker,
    watch: Arc<Watch>,
    world: World,
    random: Random,
    size: Size,
    amqp: Ledger,
    kafka: Ledger,
    /// The queue and the topic that the ledgers use, for whoever wants to be in their way.
    queue: String,
    topic: String,
    /// What the fault that is on has to tell.
    facts: Vec<String>,
}

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|word| word == "--help") {
        println!("{}", arguments::usage());
        return ExitCode::SUCCESS;
    }
    let request = match Request::parse(arguments) {
        Ok(request) => request,
        Err(text) => {
            eprintln!("{text}\n\n{}", arguments::usage());
            return ExitCode::from(2);
        }
    };
    match soak(&request) {
        Ok(outcome) => ExitCode::from(u8::from(outcome.violations > 0)),
        Err(reason) => {
            eprintln!("soak: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What a run came to, in numbers.
pub(crate) struct Outcome {
    pub(crate) faults: usize,
    pub(crate) skipped: usize,
    pub(crate) violations: usize,
}

/// As [`run`], for whoever counts.
pub(crate) fn tried(arguments: &[&str]) -> Result<Outcome, String> {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    soak(&Request::parse(&arguments)?)
}

/// The programs that a fault needs many connections for; see [`crowd`].
pub(crate) fn crowd(arguments: &[String]) -> ExitCode {
    crowd::run(arguments)
}

fn soak(request: &Request) -> Result<Outcome, String> {
    let root = crate::root();
    let target = crate::target(&root);
    let clients = root.join("tests/clients/soak");
    setup::prepare(Ecosystem::Python, &clients)?;
    let program = match &request.program {
        Some(program) => program.clone(),
        None => {
            setup::build_bongsu(&root)?;
            target.join("release/bongsu")
        }
    };
    let world = World::create(&target, request.size)?;
    println!("seed {}, {}", request.seed, world.directory.display());
    let result = in_world(request, world, program, &clients);
    match result {
        Ok((world, summary)) => {
            let held = summary.violations.is_empty();
            let page = request
                .report
                .clone()
                .unwrap_or_else(|| target.join("soak/report.md"));
            report::write(&page, &summary)?;
            println!("\n{}", report::in_short(&summary));
            println!("report: {}", page.display());
            world.leave(!held);
            Ok(Outcome {
                faults: summary.rows.len(),
                skipped: summary.skipped.len(),
                violations: summary.violations.len(),
            })
        }
        Err(reason) => Err(reason),
    }
}

fn in_world(
    request: &Request,
    world: World,
    program: PathBuf,
    clients: &Path,
) -> Result<(World, report::Summary), String> {
    let broker = Broker::start(program, &world)?;
    allow_from_anywhere(&broker)?;
    let (watch, watching) = Watch::begin(broker.id.clone());
    let mut amqp = Ledger::start(Who::Amqp, clients, &broker, &watch)?;
    let mut kafka = Ledger::start(Who::Kafka, clients, &broker, &watch)?;
    let queue = amqp.wait("queue", CLIENTS_START_MAX)?;
    let topic = kafka.wait("topic", CLIENTS_START_MAX)?;
    let mut soak = Soak {
        broker,
        watch: watch.clone(),
        world,
        random: Random(request.seed),
        size: request.size,
        amqp,
        kafka,
        queue,
        topic,
        facts: Vec::new(),
    };
    let mut rows = Vec::new();
    let calm = soak.calm()?;
    let deadline = Instant::now() + request.time;
    let mut round: Vec<&Fault> = Vec::new();
    let mut skipped: Vec<(&str, String)> = Vec::new();
    let mut rounds = 0;
    loop {
        let Some(fault) = round.pop() else {
            // A second round is for the hours; the first is what the page is about.
            if rounds > 0 && Instant::now() > deadline {
                break;
            }
            rounds += 1;
            round = faults::ALL
                .iter()
                .filter(|fault| request.wants(fault.name))
                .collect();
            soak.random.shuffle(&mut round);
            if rounds == 1 {
                skipped = unable(&round, &soak.world);
                for (name, reason) in &skipped {
                    println!("   skipped {name}: {reason}");
                }
            }
            round.retain(|fault| skipped.iter().all(|(name, _)| *name != fault.name));
            if round.is_empty() {
                break;
            }
            continue;
        };
        if Instant::now() > deadline {
            skipped.extend(
                round
                    .iter()
                    .chain([&fault])
                    .filter(|_| rounds == 1)
                    .map(|fault| (fault.name, "the time was over before its turn".to_owned())),
            );
            break;
        }
        let left = deadline.saturating_duration_since(Instant::now()).as_secs();
        println!(
            "{:>6.0} s  {:<12} {} ({left} s left)",
            watch.seconds(),
            fault.name,
            fault.about
        );
        rows.push(soak.suffer(fault));
        let quiet = soak.random.within(QUIET_MIN_S, QUIET_MAX_S);
        sleep(Duration::from_secs(request.size.of(quiet, 1)));
    }
    println!("{:>6.0} s  draining", watch.seconds());
    soak.amqp.stop();
    soak.kafka.stop();
    let Soak {
        mut broker,
        world,
        amqp,
        kafka,
        ..
    } = soak;
    let mut sums = Vec::new();
    for ledger in [amqp, kafka] {
        match ledger.end() {
            Ok(sum) => sums.push(sum),
            Err(reason) => watch.violated(&reason),
        }
    }
    let (bad, _) = broker.look_through_log();
    bad.iter().for_each(|line| watch.violated(line));
    if let Err(reason) = broker.stop() {
        watch.violated(&reason);
    }
    watch.end();
    let _ = watching.join();
    let (samples, bands) = watch.history();
    let summary = report::Summary {
        command: request.command(),
        seconds: watch.seconds(),
        disk: world.disk_in_words(),
        calm,
        rows,
        skipped,
        sums,
        violations: watch.violations(),
        samples,
        bands,
    };
    Ok((world, summary))
}

/// Faults that this machine does not allow, with the reason.
fn unable(round: &[&'static Fault], world: &World) -> Vec<(&'static str, String)> {
    let reasons = round.iter().map(|fault| (fault.name, (fault.needs)(world)));
    reasons
        .filter_map(|(name, able)| Some((name, able.err()?)))
        .collect()
}

impl Soak {
    /// What a broker takes that nothing happens to.
    fn calm(&mut self) -> Result<String, String> {
        println!("     0 s  calm");
        self.watch.begin_band("calm");
        self.wait_until("the ledgers to move", CLIENTS_START_MAX, |soak| {
            soak.all_moved()
        })?;
        self.watch.mark();
        sleep(self.size.of(CALM, Duration::from_secs(3)));
        let cpu = self.watch.cpu_over(CPU_OVER);
        self.must_serve(Duration::from_secs(3));
        let worst = self.worst(What::Confirms);
        self.watch.end_band();
        Ok(format!(
            "{} MiB, {cpu:.2} cores, longest without a confirm {:.1} s",
            self.watch.memory_peak_bytes() >> 20,
            worst.as_secs_f64()
        ))
    }

    /// One fault, and until all is as before.
    fn suffer(&mut self, fault: &Fault) -> Row {
        self.watch.begin_band(fault.name);
        let begun = self.watch.seconds();
        self.facts.clear();
        if let Err(reason) = (fault.run)(self) {
            self.watch.violated(&reason);
            self.heal();
        }
        let seconds = self.watch.seconds() - begun;
        let memory_peak_bytes = self.watch.memory_peak_bytes();
        let standstills =
            [What::Confirms, What::Deliveries].map(|what| self.watch.worst_in_band(what));
        if memory_peak_bytes > fault.memory_max_bytes {
            self.watch.violated(&format!(
                "the broker took {} MiB, at most {} were to be",
                memory_peak_bytes >> 20,
                fault.memory_max_bytes >> 20
            ));
        }
        self.watch.mark();
        let recovery = self.wait_until("clients to be served again", RECOVERY_MAX, |soak| {
            soak.all_moved()
                && Who::BOTH
                    .iter()
                    .all(|who| soak.watch.now(*who).blocked == 0)
        });
        if let Err(reason) = &recovery {
            self.watch.violated(reason);
            self.heal();
        }
        self.watch.end_band();
        if let Err(reason) = self.broker.is_alive() {
            self.watch.violated(&reason);
            self.heal();
        }
        let (bad, warnings) = self.broker.look_through_log();
        bad.iter().for_each(|line| self.watch.violated(line));
        let row = Row {
            name: fault.name,
            must: fault.must,
            at_s: begun,
            seconds,
            facts: std::mem::take(&mut self.facts),
            standstills,
            recovery: recovery.ok(),
            memory_peak_bytes,
            warnings,
        };
        for fact in &row.facts {
            println!("          {fact}");
        }
        row
    }

    /// As it was before, whatever a fault left.
    fn heal(&mut self) {
        self.world.make_room();
        if let Ok(network) = &self.world.network {
            let _ = network.join();
        }
        for ledger in [&self.amqp, &self.kafka] {
            ledger.signal("CONT");
        }
        self.broker.signal("CONT");
        let _ = self.broker.stop().or_else(|_| self.broker.kill());
        if let Err(reason) = self.broker.launch(&Surroundings::default()) {
            self.watch.violated(&reason);
        }
    }

    fn fact(&mut self, text: String) {
        self.facts.push(text);
    }

    /// Everything that must not hold is said, and the fault goes on.
    fn must(&self, holds: bool, text: &str) {
        if !holds {
            self.watch.violated(text);
        }
    }

    /// Since the mark, no ledger stood still for longer.
    fn must_serve(&self, longest: Duration) {
        for who in Who::BOTH {
            self.must_serve_one(who, longest);
        }
    }

    fn must_serve_one(&self, who: Who, longest: Duration) {
        for (what, name) in [(What::Confirms, "confirm"), (What::Deliveries, "delivery")] {
            let still = self.watch.standstill(who, what);
            let text = format!(
                "{} went {still:.1?} without a {name}, at most {longest:?} were to be",
                who.name()
            );
            self.must(still <= longest, &text);
        }
    }

    fn worst(&self, what: What) -> Duration {
        let all = Who::BOTH.map(|who| self.watch.standstill(who, what));
        all[0].max(all[1])
    }

    /// Since the mark, both ledgers have had confirms and deliveries.
    fn all_moved(&self) -> bool {
        Who::BOTH.iter().all(|who| self.watch.has_moved(*who))
    }

    /// Who has been waiting for what.
    fn stand_still_in_words(&self) -> String {
        let of = |who: Who, what| self.watch.standstill(who, what).as_secs_f64();
        let words = Who::BOTH.map(|who| {
            format!(
                "{}: {:.1} s without a confirm, {:.1} s without a delivery",
                who.name(),
                of(who, What::Confirms),
                of(who, What::Deliveries)
            )
        });
        words.join("; ")
    }

    /// How long it took.
    fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<Duration, String> {
        let begun = Instant::now();
        while !holds(self) {
            if begun.elapsed() > patience {
                return Err(format!(
                    "still waiting for {what} after {patience:?} ({})",
                    self.stand_still_in_words()
                ));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(begun.elapsed())
    }

    /// A client that does as it is told.
    fn client(&self) -> Result<Connection, String> {
        let opened = Connection::open(self.broker.amqp(0), "guest", 0);
        opened.map_err(|error| format!("a new client is not served: {error}"))
    }

    /// A queue of one's own with so many confirmed records.
    fn queue_of(
        &self,
        name: &str,
        table: &[u8],
        count: usize,
        body: &[u8],
    ) -> Result<Connection, String> {
        let failed = |error: std::io::Error| format!("filling {name}: {error}");
        let mut one = self.client()?;
        one.declare(name, table).map_err(failed)?;
        faults::publish_confirmed(&mut one, name, count, body).map_err(failed)?;
        Ok(one)
    }
}

/// Guest is let in from this machine only, and one fault comes over a cable.
fn allow_from_anywhere(broker: &Broker) -> Result<(), String> {
    let at: SocketAddr = broker.http();
    http::ask(
        at,
        "PUT",
        "/api/users/soak",
        r#"{"password":"soak","tags":""}"#,
    )?;
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    http::ask(at, "PUT", "/api/permissions/%2F/soak", all).map(drop)
}

const CALM: Duration = Duration::from_secs(10);
const CPU_OVER: Duration = Duration::from_secs(3);
const CLIENTS_START_MAX: Duration = Duration::from_secs(30);
const RECOVERY_MAX: Duration = Duration::from_secs(45);
const QUIET_MIN_S: u64 = 5;
const QUIET_MAX_S: u64 = 12;

#[cfg(test)]
mod tests;
