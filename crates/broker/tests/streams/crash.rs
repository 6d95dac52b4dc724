//! Random histories over power cuts: what was confirmed and is not too old is there, in
//! order, whoever reads; a tracked reader never loses a record.

use bongsu_engine::session::{LinkId, Outcome};
use bongsu_record::{Lsn, Value};
use bongsu_sim::Random;
use bongsu_sim::disk::Fault;

use super::world::{World, consume, text};

/// What the test knows of one record of the stream.
#[derive(Clone, Copy, Debug)]
struct Known {
    at_ms: u64,
    wait: Lsn,
    confirmed: bool,
}

struct History {
    world: World,
    random: Random,
    records: Vec<Known>,
    /// The tracked reader: what it settled, as a start may find it at most.
    settled_end: u64,
    attached: bool,
    held: Vec<u64>,
}

const READER: LinkId = LinkId(7);
const AGE_MS: u64 = 8_000;

impl History {
    fn new(seed: u64) -> History {
        let mut world = World::new(seed);
        let age = ("x-max-age", text("8s"));
        world.declare("s", &[("x-queue-type", text("stream")), age]);
        History {
            world,
            random: Random::new(seed),
            records: Vec::new(),
            settled_end: 0,
            attached: false,
            held: Vec::new(),
        }
    }

    fn publish(&mut self) {
        let first = self.records.len() as u64;
        let count = 1 + self.random.below(3);
        let numbers = (first..first + count).map(|number| (number, ""));
        let wait = self.world.publish_waited("s", numbers);
        let at_ms = self.world.now_ms;
        for _ in 0..count {
            let confirmed = false;
            self.records.push(Known {
                at_ms,
                wait,
                confirmed,
            });
        }
    }

    fn confirm(&mut self) {
        let durable = self.world.broker.durable_lsn();
        for known in &mut self.records {
            known.confirmed |= known.wait <= durable;
        }
    }

    fn attach(&mut self) {
        let arguments = [
            ("x-stream-offset", text("first")),
            ("x-stream-automatic-offset-tracking", Value::Bool(true)),
        ];
        self.world.done(consume(READER, "s", 6, &arguments));
        self.attached = true;
    }

    fn read(&mut self) {
        if !self.attached {
            self.attach();
        }
        for (link, _, offset) in self.world.read() {
            if link == READER {
                self.held.push(offset);
            }
        }
    }

    fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = self.random.below(self.held.len() as u64) as usize;
        let offset = self.held.swap_remove(index);
        self.world
            .settle(READER, offset..offset + 1, Outcome::Accept);
        self.settled_end = self.settled_end.max(offset + 1);
    }

    fn restart(&mut self) {
        for known in self.records.iter_mut().filter(|known| !known.confirmed) {
            known.wait = Lsn(u64::MAX);
        }
        self.attached = false;
        self.held.clear();
        self.world.open_again();
    }

    fn power_cut(&mut self) {
        let operation = 1 + self.random.below(12);
        self.world.disk.set_fault(operation, Fault::PowerCut);
        let _ = self.world.broker.step_commit();
        if self.random.chance(1, 2) {
            let _ = self.world.broker.step_checkpoint();
        }
        self.confirm();
        self.world.disk.clear_fault();
        self.restart();
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..6 => self.publish(),
            6..9 => self.read(),
            9..12 => self.settle(),
            12 | 13 => {
                let ms = self.random.below(2_000);
                self.world.pass(ms);
            }
            14..16 => {
                self.world.commit();
                self.confirm();
            }
            16 => {
                self.world.checkpoint();
                self.confirm();
            }
            17 => {
                self.confirm();
                self.world.disk.kill();
                self.restart();
            }
            18 => {
                self.confirm();
                self.power_cut();
            }
            _ => self.check(),
        }
    }

    fn check(&mut self) {
        self.world.commit();
        self.confirm();
        let held_before = self.held.len();
        // Its own deliveries come along.
        let found = self.world_all();
        assert!(self.held.len() >= held_before);
        assert!(found.is_sorted(), "out of order: {found:?}");
        let now_ms = self.world.now_ms;
        for (number, known) in (0..).zip(&self.records) {
            let young = known.at_ms + AGE_MS > now_ms;
            let there = found.binary_search(&number).is_ok();
            assert!(
                !known.confirmed || !young || there,
                "record {number} is lost: {known:?}"
            );
        }
    }

    fn world_all(&mut self) -> Vec<u64> {
        if self.attached {
            self.read();
        }
        self.world.read_all("s")
    }
}

#[test]
fn confirmed_and_young_is_there_whatever_happened() {
    let seeds = match std::env::var("BONGSU_SIM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (1..300).collect::<Vec<u64>>(),
    };
    for seed in seeds {
        let mut history = History::new(seed);
        for _ in 0..history.random.below(120) {
            history.step();
        }
        history.check();
        // A tracked reader comes back to no place behind what it settled, unless what lies
        // between is gone.
        history.world.commit();
        history.confirm();
        history.world.disk.kill();
        history.restart();
        history.attach();
        let first = history.world.read().into_iter().next();
        if let Some((_, number, offset)) = first {
            let oldest = history.world.read_all("s")[0];
            assert!(
                offset <= history.settled_end || number == oldest,
                "seed {seed}: it goes on at {offset}, and settled up to {}",
                history.settled_end
            );
        }
        history.world.pass(AGE_MS + 2_000);
        let left = history.world.read_all("s");
        assert!(left.is_empty(), "seed {seed}: {left:?} is too old");
    }
}
