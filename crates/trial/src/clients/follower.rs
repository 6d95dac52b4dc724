//! Reads a partition of the topic through AMQP, as a stream: the same records at the same
//! offsets as Kafka's readers see, and only what is committed.

use std::time::Duration;

use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::codec::wire::Table;
use bongsu_record::{Arguments, Value, table};
use tokio::time::Instant;

use super::Actor;
use super::reader::note;
use crate::amqp::{Amqp, Gone, Told};
use crate::kafka::TOPIC;

/// Follows until it is done.
pub async fn run(actor: &mut Actor) {
    while let Some((_, mut client)) = actor.open().await {
        let _gone = follow(actor, &mut client).await;
        actor.pause(50).await;
    }
}

async fn follow(actor: &mut Actor, client: &mut Amqp) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    let qos = Method::BasicQos {
        prefetch_size: 0,
        prefetch_count: *actor.random.pick(&[1, 10, 100]),
        bits: 0,
    };
    client.ask(&qos, "basic.qos-ok").await?;
    let first = Value::Text("first".to_owned());
    let arguments = Arguments::from_iter([("x-stream-offset".to_owned(), first)]);
    let mut bytes = Vec::new();
    table::encode(&arguments, &mut bytes);
    let consume = Method::BasicConsume {
        ticket: 0,
        queue: TOPIC,
        consumer_tag: "",
        bits: 0,
        arguments: Table(&bytes),
    };
    client.ask(&consume, "basic.consume-ok").await?;
    let mut last = -1;
    while actor.goes_on() {
        let until = Instant::now() + Duration::from_millis(100);
        let Some(Told::Delivered(message)) = client.next(until).await? else {
            actor.acted();
            continue;
        };
        let Some(offset) = message.stream_offset else {
            ledger.violated("a stream delivered a record without its offset".to_owned());
            return Err(Gone);
        };
        if offset <= last {
            ledger.violated(format!("a stream delivered offset {offset} after {last}"));
            return Err(Gone);
        }
        last = offset;
        note(&ledger, 0, offset, &message.body, true);
        let ack = Method::BasicAck {
            delivery_tag: message.tag,
            bits: 0,
        };
        client.write(1, &ack);
    }
    Ok(())
}
