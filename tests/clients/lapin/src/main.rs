//! What a Rust user does with lapin, one scenario a run.
//!
//! Usage: `AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f cargo run -- SCENARIO`

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind, message::Delivery, options::*, types::FieldTable,
};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const PERSISTENT: u8 = 2;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome {
    match std::env::args().nth(1).as_deref() {
        Some("hello") => hello().await,
        Some("work_queue") => work_queue().await,
        Some("reconnect") => reconnect().await,
        other => Err(format!("no scenario {other:?}").into()),
    }
}

async fn hello() -> Outcome {
    let connection = connect().await?;
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare("logs".into(), ExchangeKind::Fanout, durable, none())
        .await?;
    let queue = channel
        .queue_declare("".into(), QueueDeclareOptions::exclusive(), none())
        .await?;
    let name = queue.name().clone();
    assert!(name.as_str().starts_with("amq.gen-"), "{name}");
    channel
        .queue_bind(
            name.clone(),
            "logs".into(),
            "".into(),
            Default::default(),
            none(),
        )
        .await?;
    let auto_ack = BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let mut consumer = channel
        .basic_consume(name, "".into(), auto_ack, none())
        .await?;
    channel
        .basic_publish(
            "logs".into(),
            "".into(),
            Default::default(),
            b"Hello, Broker!",
            BasicProperties::default(),
        )
        .await?;
    let message = next(&mut consumer, "the greeting").await?;
    println!("Received: {}", text(&message));
    assert_eq!(text(&message), "Hello, Broker!");
    assert_eq!(message.exchange.as_str(), "logs");
    assert_eq!(message.routing_key.as_str(), "");
    assert!(!message.redelivered);
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// A consumer on a channel of its own, with a prefetch of one.
struct Worker {
    channel: Channel,
    consumer: Consumer,
}

impl Worker {
    async fn start(connection: &Connection, queue: &str) -> Outcome<Self> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(1, Default::default()).await?;
        let consumer = channel
            .basic_consume(queue.into(), "".into(), Default::default(), none())
            .await?;
        Ok(Self { channel, consumer })
    }

    async fn one(&mut self, what: &str) -> Outcome<Delivery> {
        let message = next(&mut self.consumer, what).await?;
        assert_eq!(message.properties.delivery_mode(), &Some(PERSISTENT));
        Ok(message)
    }
}

async fn work_queue() -> Outcome {
    let connection = connect().await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(Default::default()).await?;
    let queue = unique("work");
    channel
        .queue_declare(
            queue.as_str().into(),
            QueueDeclareOptions::durable(),
            none(),
        )
        .await?;
    let mut workers = [
        Worker::start(&connection, &queue).await?,
        Worker::start(&connection, &queue).await?,
    ];
    publish(&channel, &queue, "task-", 0..20).await?;

    for first in (0..20).step_by(2) {
        let mut held = Vec::new();
        for worker in &mut workers {
            held.push(worker.one(&format!("round {first}")).await?);
        }
        let tasks: Vec<String> = held.iter().map(text).collect();
        let mut sorted = tasks.clone();
        sorted.sort_by_key(|task| task["task-".len()..].parse::<u32>().ok());
        assert_eq!(
            sorted,
            [format!("task-{first}"), format!("task-{}", first + 1)]
        );
        assert!(first > 0 || tasks == sorted, "not in turn: {tasks:?}");
        assert!(held.iter().all(|message| !message.redelivered), "{tasks:?}");
        // What is requeued comes back at once, to the only one with room for it.
        if let Some(index) = tasks.iter().position(|task| task == "task-9") {
            let requeue = BasicNackOptions {
                requeue: true,
                ..Default::default()
            };
            held[index].nack(requeue).await?;
            held[index] = workers[index].one("task-9 again").await?;
            assert_eq!(text(&held[index]), "task-9");
            assert!(held[index].redelivered);
        }
        for message in &held {
            if text(message) == "task-6" {
                message
                    .reject(BasicRejectOptions { requeue: false })
                    .await?;
            } else {
                message.ack(Default::default()).await?;
            }
        }
    }
    for worker in &mut workers {
        let tag = worker.consumer.tag();
        worker.channel.basic_cancel(tag, Default::default()).await?;
        assert!(worker.consumer.next().await.is_none(), "more came");
    }
    let found = passive(&channel, &queue).await?;
    assert_eq!((found.message_count(), found.consumer_count()), (0, 0));
    let rest = channel
        .basic_get(queue.as_str().into(), Default::default())
        .await?;
    assert!(rest.is_none(), "a message is left");
    for worker in &workers {
        worker.channel.close(200, "done".into()).await?;
    }
    let deleted = channel
        .queue_delete(queue.as_str().into(), Default::default())
        .await?;
    assert_eq!(deleted, 0, "messages came back");
    connection.close(200, "bye".into()).await?;
    Ok(())
}

async fn reconnect() -> Outcome {
    let connection = connect().await?;
    let publisher = connection.create_channel().await?;
    publisher.confirm_select(Default::default()).await?;
    let queue = unique("reconnect");
    publisher
        .queue_declare(
            queue.as_str().into(),
            QueueDeclareOptions::durable(),
            none(),
        )
        .await?;
    publish(&publisher, &queue, "", 0..200).await?;

    let channel = connection.create_channel().await?;
    channel.basic_qos(50, Default::default()).await?;
    let mut consumer = channel
        .basic_consume(queue.as_str().into(), "".into(), Default::default(), none())
        .await?;
    for number in 0..50 {
        let message = next(&mut consumer, "50 messages").await?;
        assert_eq!(text(&message), number.to_string());
        if number < 20 {
            message.ack(Default::default()).await?;
        }
    }
    passive(&channel, &queue).await?; // Answered after the acks before it.
    publish(&publisher, &queue, "", 200..210).await?;

    println!("KILL ME");
    // The rest of the prefetch, then the end.
    while let Some(delivery) = soon(consumer.next(), "the kill").await? {
        if delivery.is_err() {
            break;
        }
    }

    let connection = again().await?;
    let channel = connection.create_channel().await?;
    let mut consumer = channel
        .basic_consume(queue.as_str().into(), "".into(), Default::default(), none())
        .await?;
    for number in 20..210 {
        let message = next(
            &mut consumer,
            &format!("message {number} after the restart"),
        )
        .await?;
        assert_eq!(text(&message), number.to_string());
        message.ack(Default::default()).await?;
    }
    assert_eq!(passive(&channel, &queue).await?.message_count(), 0);
    channel.close(200, "done".into()).await?;
    let channel = connection.create_channel().await?;
    let deleted = channel
        .queue_delete(queue.as_str().into(), Default::default())
        .await?;
    assert_eq!(deleted, 0, "messages came back");
    connection.close(200, "bye".into()).await?;
    Ok(())
}

/// Sends persistent messages and waits until each one is confirmed.
async fn publish(
    channel: &Channel,
    queue: &str,
    prefix: &str,
    numbers: std::ops::Range<u32>,
) -> Outcome {
    let mut pending = Vec::new();
    for number in numbers {
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let body = format!("{prefix}{number}");
        pending.push(
            channel
                .basic_publish(
                    "".into(),
                    queue.into(),
                    mandatory,
                    body.as_bytes(),
                    properties,
                )
                .await?,
        );
    }
    for confirm in pending {
        let confirmation = soon(confirm, "a confirm").await??;
        assert!(
            matches!(confirmation, Confirmation::Ack(None)),
            "{confirmation:?}"
        );
    }
    Ok(())
}

async fn passive(channel: &Channel, queue: &str) -> Outcome<lapin::Queue> {
    let passive = QueueDeclareOptions::default().passive();
    Ok(channel.queue_declare(queue.into(), passive, none()).await?)
}

async fn connect() -> Outcome<Connection> {
    let url = std::env::var("AMQP_URL")?;
    Ok(Connection::connect(&url, ConnectionProperties::default()).await?)
}

/// Connects to the restarted broker within a bounded number of attempts.
async fn again() -> Outcome<Connection> {
    for _ in 0..240 {
        match connect().await {
            Ok(connection) => return Ok(connection),
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
    Err("the broker did not come back".into())
}

async fn next(consumer: &mut Consumer, what: &str) -> Outcome<Delivery> {
    match soon(consumer.next(), what).await? {
        Some(delivery) => Ok(delivery?),
        None => Err(format!("the consumer ended while waiting for {what}").into()),
    }
}

async fn soon<T>(future: impl IntoFuture<Output = T>, what: &str) -> Outcome<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| format!("waited {PATIENCE:?} for {what}").into())
}

fn text(message: &Delivery) -> String {
    String::from_utf8_lossy(&message.data).into_owned()
}

fn none() -> FieldTable {
    FieldTable::default()
}

fn unique(name: &str) -> String {
    let since = std::time::UNIX_EPOCH
        .elapsed()
        .expect("the clock is past 1970");
    format!("{name}-{}", since.as_nanos())
}
