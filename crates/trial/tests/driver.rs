//! The driver of connections, where clients do not do what it would like.

use std::sync::Arc;
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

/// What is lent while more than enough waits for a slow client is delivered once it reads, also
/// if nothing else ever happens. Once it was not: whoever was woken looked no further than at
/// what was unwritten, and forgot that it had been woken.
#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_the_last_record() {
    let ledger = Arc::new(Ledger::new(false));
    let host = Host::new(3, ledger.clone());
    let supervisor = host.supervised().await;
    let mut publisher = client(&host).await;
    let declare = Method::QueueDeclare {
        ticket: 0,
        queue: Queue::Plain.name(),
        bits: bit::DURABLE,
        arguments: NO_ARGUMENTS,
    };
    let declared = publisher.ask(&declare, "queue.declare-ok").await;
    declared.expect("declared");
    let mut consumer = client(&host).await;
    let consuming = consumer
        .ask(&consume_method(Queue::Plain), "basic.consume-ok")
        .await;
    consuming.expect("consuming");
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
