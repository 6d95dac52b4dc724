//! What a trial is: who takes part, what fails and when. Plain data, so that a trial that fails
//! can be made smaller and kept.

use bongsu_sim::Random;
use serde::{Deserialize, Serialize};

/// A trial, whole: the same plan has the same course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the disk, the network, and when the broker's own work is done.
    pub seed: u64,
    /// How long clients go on before everything heals and is looked through.
    pub length_ms: u64,
    /// Who takes part.
    pub clients: Vec<Client>,
    /// What fails, in the order of time.
    pub faults: Vec<Fault>,
}

/// One that takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What it does.
    pub role: Role,
    /// Of all it chooses.
    pub seed: u64,
    /// Most it does.
    pub actions: u32,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// AMQP: publishes with confirms, to this place.
    Publish(Place),
    /// AMQP: consumes this queue, settling now and then.
    Consume(Place),
    /// AMQP: transactions over two queues, taking from one and publishing to both.
    Transact,
    /// AMQP: reads a partition of the topic as a stream, from its first record on.
    Follow,
    /// Kafka: an idempotent producer.
    Produce,
    /// Kafka: transactions over two partitions.
    ProduceInTransactions,
    /// Kafka: reads all partitions and commits how far it is.
    Read,
}

/// Where to, and where from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A plain queue.
    Plain,
    /// A fan-out to two queues; consumed: the first of them.
    Fan,
    /// The other.
    OtherFan,
    /// A queue whose rejected records go to [`Place::Dead`].
    Work,
    /// Where they go.
    Dead,
    /// A queue whose records expire soon, and go to [`Place::Expired`].
    Brief,
    /// Where they go.
    Expired,
    /// A queue whose records are ordered by their key.
    Grouped,
    /// A queue that refuses what it has no room for.
    Bounded,
    /// A partition of a topic, through AMQP.
    Topic,
}

/// Something that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The power goes at the disk's n-th operation from then, maybe in a recovery.
    PowerCut {
        /// 1 and more.
        operation: u64,
    },
    /// The process is killed.
    Kill,
    /// An operation of the disk fails.
    DiskError {
        /// 1 and more.
        operation: u64,
    },
    /// The disk has only so much room left, for some time.
    DiskFull {
        /// Bytes that it still takes.
        room_bytes: u64,
        /// How long.
        for_ms: u64,
    },
    /// A sync takes longer, for some time.
    DiskSlow {
        /// By so much.
        by_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// An orderly stop and start.
    Restart,
    /// Nothing passes between a client and the broker, for some time.
    Split {
        /// Its place among the clients.
        client: usize,
        /// How long.
        for_ms: u64,
    },
    /// A client's connection is cut.
    Cut {
        /// Its place among the clients.
        client: usize,
        /// The broker learns nothing of it.
        half: bool,
    },
    /// The clock on the wall is set.
    ClockJump {
        /// Forwards or backwards.
        by_ms: i64,
    },
}

impl Plan {
    /// One of all there can be.
    pub fn of_seed(seed: u64) -> Plan {
        let mut random = Random::new(seed);
        let length_ms = 3_000 + random.below(9_000);
        let mut clients = Vec::new();
        let mut add = |role: Role, random: &mut Random| {
            clients.push(Client {
                role,
                seed: random.number(),
                actions: 5 + random.below(60) as u32,
            });
        };
        let scenes: [&[Role]; 11] = [
            &[Role::Publish(Place::Plain), Role::Consume(Place::Plain)],
            &[
                Role::Publish(Place::Plain),
                Role::Publish(Place::Plain),
                Role::Consume(Place::Plain),
                Role::Consume(Place::Plain),
            ],
            &[
                Role::Publish(Place::Fan),
                Role::Consume(Place::Fan),
                Role::Consume(Place::OtherFan),
            ],
            &[
                Role::Publish(Place::Work),
                Role::Consume(Place::Work),
                Role::Consume(Place::Dead),
            ],
            &[
                Role::Publish(Place::Brief),
                Role::Consume(Place::Brief),
                Role::Consume(Place::Expired),
            ],
            &[
                Role::Produce,
                Role::Publish(Place::Topic),
                Role::Follow,
                Role::Read,
            ],
            &[
                Role::Publish(Place::Grouped),
                Role::Consume(Place::Grouped),
                Role::Consume(Place::Grouped),
            ],
            &[
                Role::Publish(Place::Bounded),
                Role::Publish(Place::Bounded),
                Role::Consume(Place::Bounded),
            ],
            &[Role::Transact, Role::Transact],
            &[Role::Produce, Role::Read, Role::Publish(Place::Topic)],
            &[Role::ProduceInTransactions, Role::Produce, Role::Read],
        ];
        for _ in 0..1 + random.below(3) {
            for role in *random.pick(&scenes) {
                add(*role, &mut random);
            }
        }
        let mut faults = Vec::new();
        // In many nothing fails: then what is late can be told from what waits.
        let count = if random.chance(1, 4) {
            0
        } else {
            random.below(9)
        };
        // Some trials have faults of one kind only, so that one does not hide another.
        let only = random.below(3 * KINDS);
        for _ in 0..count {
            let kind = if only < KINDS {
                only
            } else {
                random.below(KINDS)
            };
            let what = fault(kind, clients.len(), &mut random);
            let at_ms = random.below(length_ms);
            faults.push(Fault { at_ms, what });
        }
        faults.sort_by_key(|fault| fault.at_ms);
        Plan {
            seed: random.number(),
            length_ms,
            clients,
            faults,
        }
    }
}

fn fault(kind: u64, clients: usize, random: &mut Random) -> What {
    let client = random.below(clients as u64) as usize;
    match kind {
        0 => What::PowerCut {
            operation: 1 + random.below(30),
        },
        1 => What::Kill,
        2 => What::DiskError {
            operation: 1 + random.below(20),
        },
        3 => What::DiskFull {
            room_bytes: random.below(120 << 10),
            for_ms: 100 + random.below(2_000),
        },
        4 => What::DiskSlow {
            by_ms: 10 + random.below(500),
            for_ms: 100 + random.below(3_000),
        },
        5 => What::Restart,
        6 => What::Split {
            client,
            for_ms: 50 + random.below(8_000),
        },
        7 => What::Cut {
            client,
            half: random.chance(1, 2),
        },
        _ => What::ClockJump {
            by_ms: random.below(7_200_000) as i64 - 3_600_000,
        },
    }
}

const KINDS: u64 = 9;
