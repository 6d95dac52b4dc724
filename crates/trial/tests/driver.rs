//! The driver of connections, where clients do not do what it would like.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bongsu_amqp091::codec::method::{Method, bit};
use bongsu_net::pipe::pipe;
use bongsu_trial::amqp::{Amqp, NO_ARGUMENTS, Told};
use bongsu_trial::clients::consumer::consume_method;
use bongsu_trial::host::{Host, Protocol};
use bongsu_trial::ledger::{Ledger, Queue, body, identity};
use tokio::time::Instant;

async fn client(host: &Host) -> Amqp {
    let (client, broker) = pipe(64 << 10);
    host.accept(Protocol::Amqp, broker);
    Amqp::open(client).await.expect("it is let in")
}

async fn declare(client: &mut Amqp) {
    let declare = Method::QueueDeclare {
        ticket: 0,
        queue: Queue::Plain.name(),
        bits: bit::DURABLE,
        arguments: NO_ARGUMENTS,
    };
    let declared = client.ask(&declare, "queue.declare-ok").await;
    declared.expect("declared");
}

async fn consume(client: &mut Amqp) {
    let consume = consume_method(Queue::Plain);
    let consuming = client.ask(&consume, "basic.consume-ok").await;
    consuming.expect("consuming");
}

/// What is lent while more than enough waits for a slow client is delivered once it reads, also
/// if nothing else ever happens. Once it was not: whoever was woken looked no further than at
/// what was unwritten, and forgot that it had been woken.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_the_last_record() {
    let ledger = Arc::new(Ledger::new(false));
    let host = Host::new(3, ledger.clone());
    let supervisor = host.supervised().await;
    let mut publisher = client(&host).await;
    declare(&mut publisher).await;
    let mut consumer = client(&host).await;
    consume(&mut consumer).await;
    for id in 0..6 {
        publisher.publish("", Queue::Plain.name(), &body(id, 300 << 10));
        // Each is lent by itself, while those before it wait for the client.
        let until = Instant::now() + Duration::from_millis(100);
        publisher.next(until).await.expect("it is there");
    }
    for id in 0..6 {
        let until = Instant::now() + Duration::from_secs(3);
        let told = consumer.next(until).await.expect("it is there");
        let Some(Told::Delivered(message)) = told else {
            panic!("record {id} is not delivered: {told:?}");
        };
        assert_eq!(identity(&message.body), Some(id));
    }
    assert_eq!(ledger.violation(), None);
    supervisor.abort();
    host.kill().await;
}

/// More than a process may usually have open files: they say nothing but that they live, and a
/// pair beside them goes on.
#[tokio::test(start_paused = true)]
async fn fifty_thousand_idle_connections() {
    const COUNT: usize = 50_000;
    let ledger = Arc::new(Ledger::new(false));
    let host = Host::new(4, ledger.clone());
    let supervisor = host.supervised().await;
    let mut busy = client(&host).await;
    declare(&mut busy).await;
    consume(&mut busy).await;

    let before_bytes = resident_bytes();
    let lying = Arc::new(AtomicUsize::new(0));
    let mut idle = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let (client, broker) = pipe(4 << 10);
        host.accept(Protocol::Amqp, broker);
        let counted = lying.clone();
        idle.push(tokio::spawn(async move {
            let mut client = Amqp::open(client).await.expect("it is let in");
            counted.fetch_add(1, Ordering::Relaxed);
            // Heartbeats are sent and looked for meanwhile.
            let until = Instant::now() + Duration::from_secs(3600);
            let told = client.next(until).await;
            panic!("an idle client is told {:?}", told.is_ok());
        }));
        if idle.len().is_multiple_of(500) {
            while lying.load(Ordering::Relaxed) < idle.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    let each_bytes = (resident_bytes() - before_bytes) / COUNT;
    println!("{each_bytes} bytes each, both ends");
    assert!(each_bytes < 64 << 10, "{each_bytes} bytes each, both ends");

    for id in 0..100 {
        busy.publish("", Queue::Plain.name(), &body(id, 100));
        let until = Instant::now() + Duration::from_secs(1);
        let told = busy.next(until).await.expect("it is there");
        let Some(Told::Delivered(message)) = told else {
            panic!("record {id} is not delivered: {told:?}");
        };
        assert_eq!(identity(&message.body), Some(id));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!idle.iter().any(tokio::task::JoinHandle::is_finished));
    assert_eq!(ledger.violation(), None);
    supervisor.abort();
    host.kill().await;
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: usize = pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4096
}
