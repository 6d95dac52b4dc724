//! The last look: nothing fails any more, and everything that is left is taken out and
//! compared with what clients know.

use std::sync::Arc;
use std::time::Duration;

use bongsu_amqp091::codec::method::{Method, bit};
use tokio::time::Instant;

use crate::amqp::{Amqp, Gone, NO_ARGUMENTS, Told};
use crate::clients::consumer::consume_method;
use crate::clients::reader::note;
use crate::clients::{World, transactions};
use crate::host::Protocol;
use crate::kafka::Kafka;
use crate::ledger::{Queue, Released};
use crate::plan::{Plan, Role};

/// Takes out all that is left. Everything must be possible now.
pub async fn audit(world: &Arc<World>, plan: &Plan) {
    if read_topic(world, plan).await.is_err() {
        return world
            .ledger
            .violated("the last look at the topic was cut short".to_owned());
    }
    for queue in Queue::CONSUMED {
        if drain(world, queue).await.is_err() {
            let cut = format!("the last look at {} was cut short", queue.name());
            return world.ledger.violated(cut);
        }
        if world.ledger.violation().is_some() {
            return;
        }
    }
    world.ledger.conclude();
}

async fn drain(world: &Arc<World>, queue: Queue) -> Result<(), Gone> {
    let (who, end) = world.connect(usize::MAX, Protocol::Amqp).ok_or(Gone)?;
    let mut client = Amqp::open(end).await?;
    client
        .ask(&consume_method(queue), "basic.consume-ok")
        .await?;
    let mut last = Instant::now();
    while last.elapsed() < QUIET {
        let until = last + QUIET;
        let Some(Told::Delivered(message)) = client.next(until).await? else {
            continue;
        };
        last = Instant::now();
        let delivered = world
            .ledger
            .delivered(&who, queue, &message.body, message.redelivered);
        let Some(id) = delivered else {
            return Ok(());
        };
        world.ledger.found(queue, id);
        world.ledger.released(queue, id, Released::Settled);
        let ack = Method::BasicAck {
            delivery_tag: message.tag,
            bits: 0,
        };
        client.write(1, &ack);
    }
    let passive = Method::QueueDeclare {
        ticket: 0,
        queue: queue.name(),
        bits: bit::PASSIVE,
        arguments: NO_ARGUMENTS,
    };
    let answer = client.ask(&passive, "queue.declare-ok").await?;
    if let Some(Method::QueueDeclareOk { message_count, .. }) = answer.method()
        && message_count > 0
    {
        let name = queue.name();
        world.ledger.violated(format!(
            "{name} has {message_count} records and delivers none of them"
        ));
    }
    Ok(())
}

async fn read_topic(world: &Arc<World>, plan: &Plan) -> Result<(), Gone> {
    let (_, end) = world.connect(usize::MAX, Protocol::Kafka).ok_or(Gone)?;
    let mut client = Kafka::new(end);
    for (place, one) in plan.clients.iter().enumerate() {
        if one.role != Role::ProduceInTransactions {
            continue;
        }
        // Whatever is open ends.
        let name = transactions::identity(place);
        let mut tries = 0;
        while client.producer(Some(&name)).await?.is_err() {
            tries += 1;
            if tries > 100 {
                let stuck = format!("the transaction of {name} does not end");
                world.ledger.violated(stuck);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for partition in 0..2 {
        for committed in [false, true] {
            let mut next = 0;
            loop {
                let fetched = client.fetch(partition, next, committed).await?;
                if fetched.code != 0 {
                    let code = fetched.code;
                    world.ledger.violated(format!(
                        "a fetch of partition {partition} from offset {next} was refused with {code}"
                    ));
                    return Ok(());
                }
                if fetched.next == next {
                    break;
                }
                next = fetched.next;
                for (offset, value) in fetched.records {
                    let Some(value) = value else {
                        continue;
                    };
                    note(&world.ledger, partition, offset, &value, committed);
                }
            }
            let whole = world.ledger.topic(|topic| topic.whole(partition, next));
            if whole.is_none() {
                return Ok(());
            }
        }
    }
    let confirmed = world.ledger.confirmed_in_topic();
    world.ledger.topic(|topic| topic.conclude(&confirmed));
    Ok(())
}

/// A queue that delivers nothing for so long has nothing to deliver.
const QUIET: Duration = Duration::from_secs(3);
