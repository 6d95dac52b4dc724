//! A trial from beginning to end.

use std::sync::Arc;
use std::time::Duration;

use bongsu_amqp091::codec::method::{Method, bit};
use bongsu_amqp091::codec::wire::Table;
use bongsu_record::{Arguments, Value, table};
use bongsu_sim::disk::Fault as DiskFault;
use bongsu_sim::{Random, SimDisk};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::amqp::{Amqp, Gone, NO_ARGUMENTS};
use crate::audit::audit;
use crate::clients::{Actor, World};
use crate::host::{Host, Protocol, runtime};
use crate::kafka::{Kafka, TOPIC, text};
use crate::ledger::{Ledger, Queue, Tally};
use crate::plan::{Plan, What};
use crate::wire::HowCut;

/// How a trial went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first thing that was not as it must be.
    pub violation: Option<String>,
    /// What happened.
    pub tally: Tally,
    /// Of all that clients were told, in order.
    pub digest: u64,
    /// Changing operations of the disk.
    pub disk_operations: u64,
}

/// Runs it, on a thread that has no runtime.
pub fn run(plan: &Plan) -> Outcome {
    run_on(plan).0
}

/// Runs it, and what is on its disk in the end.
pub fn run_on(plan: &Plan) -> (Outcome, SimDisk) {
    let runtime = runtime();
    let traces = std::env::var_os("BONGSU_SIM_TRACE").is_some();
    let (ledger, host, world) = runtime.block_on(async {
        let ledger = Arc::new(Ledger::new(traces));
        let mut random = Random::new(plan.seed);
        let host = Host::new(random.number(), ledger.clone());
        let world = World::new(
            host.clone(),
            ledger.clone(),
            plan.clients.len(),
            random.fork(),
        );
        (ledger, host, world)
    });
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(course(plan, &host, &world));
    }));
    if ended.is_err() {
        ledger.violated("the trial panicked".to_owned());
    }
    let disk = host.disk().clone();
    // Tasks hold the world, and the world the host.
    drop((world, host));
    drop(runtime);
    let outcome = Outcome {
        violation: ledger.violation(),
        tally: ledger.tally(),
        digest: ledger.digest(),
        disk_operations: disk.operation_count(),
    };
    (outcome, disk)
}

async fn course(plan: &Plan, host: &Arc<Host>, world: &Arc<World>) {
    let supervisor = host.supervised().await;
    if declare(world).await.is_err() {
        return world
            .ledger
            .violated("nothing fails yet, and declarations do".to_owned());
    }
    let began = Instant::now();
    let until = began + Duration::from_millis(plan.length_ms);
    let mut clients = JoinSet::new();
    for (place, client) in plan.clients.iter().enumerate() {
        let actor = Actor {
            world: world.clone(),
            place,
            random: Random::new(client.seed),
            actions: client.actions,
            until,
            is_calm: plan.faults.is_empty(),
        };
        clients.spawn(actor.act(client.clone()));
    }
    for fault in &plan.faults {
        sleep_until(began + Duration::from_millis(fault.at_ms)).await;
        world.ledger.say(|| format!("{:?}", fault.what));
        strike(&fault.what, host, world).await;
        if world.ledger.violation().is_some() {
            break;
        }
    }
    let left = async {
        while let Some(ended) = clients.join_next().await {
            if let Err(error) = ended {
                world.ledger.violated(format!("a client failed: {error}"));
            }
            if world.ledger.violation().is_some() {
                break;
            }
        }
    };
    let patience = Duration::from_millis(plan.length_ms) + Duration::from_secs(60);
    if timeout(patience, left).await.is_err() {
        let stuck = "a client waits for an answer, and nothing fails";
        world.ledger.violated(stuck.to_owned());
    }
    if world.ledger.violation().is_none() {
        host.heal();
        conclude(plan, host, world).await;
    }
    supervisor.abort();
    host.kill().await;
}

/// Comes to rest, maybe over a last end of the process, and looks.
async fn conclude(plan: &Plan, host: &Arc<Host>, world: &Arc<World>) {
    world.ledger.say(|| "nothing fails any more".to_owned());
    match plan.seed % 4 {
        0 => host.stop().await,
        1 => host.kill().await,
        2 => host.cut_power().await,
        // Who is half open is missed, and all it had comes back.
        _ => sleep(Duration::from_secs(20)).await,
    }
    let up = async {
        while !host.is_up() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(Duration::from_secs(60), up).await.is_err() {
        return world
            .ledger
            .violated("the broker does not start again".to_owned());
    }
    sleep(Duration::from_secs(2)).await;
    audit(world, plan).await;
}

async fn strike(what: &What, host: &Arc<Host>, world: &Arc<World>) {
    let wire = |place: usize| {
        let wires = world.wires.lock();
        wires.get(place).cloned().flatten()
    };
    match *what {
        What::PowerCut { operation } => host.disk().set_fault(operation, DiskFault::PowerCut),
        What::DiskError { operation } => host.disk().set_fault(operation, DiskFault::Error),
        What::Kill => host.kill().await,
        What::Restart => host.stop().await,
        What::DiskFull { room_bytes, for_ms } => {
            host.fill_disk(room_bytes, Duration::from_millis(for_ms));
        }
        What::DiskSlow { by_ms, for_ms } => {
            host.slow_disk(Duration::from_millis(by_ms), Duration::from_millis(for_ms));
        }
        What::Split { client, for_ms } => {
            if let Some(wire) = wire(client) {
                wire.split(Duration::from_millis(for_ms));
            }
        }
        What::Cut { client, half } => {
            if let Some(wire) = wire(client) {
                wire.cut(if half {
                    HowCut::ClientOnly
                } else {
                    HowCut::Both
                });
            }
        }
        What::ClockJump { by_ms } => host.jump(by_ms),
    }
}

/// Makes the queues and the topic.
async fn declare(world: &Arc<World>) -> Result<(), Gone> {
    let (_, end) = world.connect(usize::MAX, Protocol::Amqp).ok_or(Gone)?;
    let mut client = Amqp::open(end).await?;
    let words = |pairs: &[(&str, Value)]| -> Vec<u8> {
        let owned = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        let arguments: Arguments = pairs.iter().map(owned).collect();
        let mut bytes = Vec::new();
        table::encode(&arguments, &mut bytes);
        bytes
    };
    let text_of = |text: &str| Value::Text(text.to_owned());
    let number = |number: i64| Value::Int(number);
    for (queue, arguments) in [
        (Queue::Plain, words(&[])),
        (Queue::FanA, words(&[])),
        (Queue::FanB, words(&[])),
        (Queue::Dead, words(&[])),
        (Queue::Expired, words(&[])),
        (
            Queue::Brief,
            words(&[
                ("x-message-ttl", number(250)),
                ("x-dead-letter-exchange", text_of("")),
                ("x-dead-letter-routing-key", text_of("expired")),
            ]),
        ),
        (
            Queue::Work,
            words(&[
                ("x-dead-letter-exchange", text_of("")),
                ("x-dead-letter-routing-key", text_of("dead")),
            ]),
        ),
        (
            Queue::Grouped,
            words(&[("x-group-key", text_of("routing-key"))]),
        ),
        (
            Queue::Bounded,
            words(&[
                ("x-max-length", number(40)),
                ("x-overflow", text_of("reject-publish")),
            ]),
        ),
        (Queue::TxA, words(&[])),
        (Queue::TxB, words(&[])),
        (Queue::Fence, words(&[("x-max-length", number(1))])),
    ] {
        let declare = Method::QueueDeclare {
            ticket: 0,
            queue: queue.name(),
            bits: bit::DURABLE,
            arguments: Table(&arguments),
        };
        client.ask(&declare, "queue.declare-ok").await?;
    }
    for (exchange, exchange_type, bindings) in [
        ("fan", "fanout", &[(Queue::FanA, ""), (Queue::FanB, "")][..]),
        ("by-key", "topic", &[(Queue::Grouped, "#")][..]),
    ] {
        let declare = Method::ExchangeDeclare {
            ticket: 0,
            exchange,
            exchange_type,
            bits: bit::DURABLE,
            arguments: NO_ARGUMENTS,
        };
        client.ask(&declare, "exchange.declare-ok").await?;
        for (queue, routing_key) in bindings {
            let bind = Method::QueueBind {
                ticket: 0,
                queue: queue.name(),
                exchange,
                routing_key,
                bits: 0,
                arguments: NO_ARGUMENTS,
            };
            client.ask(&bind, "queue.bind-ok").await?;
        }
    }
    let (_, end) = world.connect(usize::MAX, Protocol::Kafka).ok_or(Gone)?;
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(TOPIC)))
        .with_num_partitions(2)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let answer: CreateTopicsResponse = Kafka::new(end)
        .ask(ApiKey::CreateTopics, 5, &request)
        .await?;
    match answer.topics[0].error_code {
        0 => Ok(()),
        _ => Err(Gone),
    }
}
