//! Conversations with one transactional id: text in, effects out. `BONGSU_BLESS=1` rewrites
//! the answers; the diff is the review.
//!
//!     init [timeout=MS] [expects=ID/EPOCH]
//!     join ID/EPOCH [PARTITION]... [group=NAME]
//!     verify ID/EPOCH PARTITION
//!     end ID/EPOCH commit|abort [bump]
//!     at MS                       # the time is this, and deadlines are looked at
//!     epoch N                     # as if it had been taken over so often
//!     restart                     # what comes back is what was recorded
//!
//! Numbers of producers are 7, 8, … in the order in which they are needed.

use std::fmt::Write;
use std::sync::Arc;

use super::*;
use crate::router::{QueueId, SpaceId};

struct World {
    transaction: Transaction,
    recorded: Vec<u8>,
    fresh: i64,
    now_ms: u64,
    out: String,
}

impl World {
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let named = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
        let partitions: Vec<QueueId> = words[1..]
            .iter()
            .filter_map(|word| word.parse().ok().map(QueueId))
            .collect();
        match words[0] {
            "init" => self.handle(Input::Init {
                timeout_ms: named("timeout=").map_or(1000, |ms| ms.parse().unwrap()),
                expected: named("expects=").map(producer),
            }),
            "join" => self.handle(Input::Join {
                producer: producer(words[1]),
                partitions: &partitions,
                group: named("group=").map(Arc::from).as_ref(),
            }),
            "verify" => {
                let verified = self.transaction.verify(producer(words[1]), partitions[0]);
                writeln!(self.out, "---- {verified:?}").unwrap();
            }
            "end" => self.handle(Input::End {
                producer: producer(words[1]),
                committed: words[2] == "commit",
                bumps_epoch: words.contains(&"bump"),
            }),
            "at" => {
                self.now_ms = words[1].parse().unwrap();
                self.handle(Input::Timeout);
            }
            "epoch" => {
                self.transaction.producer.epoch = words[1].parse().unwrap();
                self.record();
            }
            "restart" => {
                let Change::Is { transaction, .. } =
                    Change::decode(&mut self.recorded.as_slice()).unwrap()
                else {
                    panic!("something else was recorded");
                };
                self.transaction = transaction;
            }
            other => panic!("{other}?"),
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut effects = Vec::new();
        let mut fresh = || {
            self.fresh += 1;
            Some(self.fresh - 1)
        };
        let now_ms = self.now_ms;
        self.transaction
            .handle(input, &mut fresh, now_ms, &mut effects);
        for effect in effects {
            self.out.push_str("---- ");
            match effect {
                Effect::End(ending) => {
                    let how = if ending.committed { "commit" } else { "abort" };
                    let Producer { id, epoch } = ending.producer;
                    let (partitions, groups) = (ending.partitions, ending.groups);
                    write!(
                        self.out,
                        "{how} {id}/{epoch} in {partitions:?} of {groups:?}"
                    )
                }
                Effect::Record => {
                    self.record();
                    write!(self.out, "record {}", self.transaction.state().name())
                }
                Effect::Answer(Ok(Producer { id, epoch })) => write!(self.out, "{id}/{epoch}"),
                Effect::Answer(Err(refused)) => write!(self.out, "refused: {refused:?}"),
            }
            .unwrap();
            self.out.push('\n');
        }
    }

    fn record(&mut self) {
        self.recorded.clear();
        encode_is(SpaceId(0), "t", &self.transaction, &mut self.recorded);
    }
}

fn producer(text: &str) -> Producer {
    let (id, epoch) = text.split_once('/').unwrap();
    Producer {
        id: id.parse().unwrap(),
        epoch: epoch.parse().unwrap(),
    }
}

fn run(text: &str) -> String {
    let mut world = World {
        transaction: Transaction::new(7),
        recorded: Vec::new(),
        fresh: 8,
        now_ms: 0,
        out: String::new(),
    };
    for line in text.lines().filter(|line| !line.starts_with("----")) {
        writeln!(world.out, "{line}").unwrap();
        let command = line.split('#').next().unwrap();
        if !command.trim().is_empty() {
            world.line(command);
        }
    }
    world.out
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transaction/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let answered = run(&text);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&file, &answered).unwrap();
            continue;
        }
        assert_eq!(answered, text, "{}", file.display());
    }
}
