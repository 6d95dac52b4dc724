//! Clients that vanish: a cable is pulled, nobody says goodbye, and what they were lent is still out.

use super::super::crowd::{Crowd, Manner, program};
use super::super::http;
use super::Soak;
use crate::soak::watch::Who;
use std::time::Duration;

pub(super) fn vanish(soak: &mut Soak) -> Result<(), String> {
    let queue = soak.queue.clone();
    let count = soak.size.of(200, 20);
    let connections = |soak: &Soak| http::metric(soak.broker.metrics(), "rabbitmq_connections");
    let before = connections(soak)?;
    let network = soak.world.network.as_ref().map_err(Clone::clone)?;
    let manner = Manner {
        count,
        heartbeat_s: 5,
        user: "soak",
        // In the way of the ledger's own consumer: what it keeps is the ledger's.
        consumes: Some((&queue, 200)),
        addresses: soak.broker.amqp_by_cable().into_iter().collect(),
    };
    let crowd = Crowd::gather(network.command(&program()?), &manner)?;
    soak.must(
        crowd.refused == 0,
        &format!(
            "{} of {count} were refused: {}",
            crowd.refused, crowd.reason
        ),
    );
    let lent = soak.wait_until("records to be lent to it", LENT_MAX, |soak| {
        http::metric(soak.broker.metrics(), "rabbitmq_queue_messages_unacked")
            .is_ok_and(|out| out >= 200)
    });
    lent?;
    std::thread::sleep(Duration::from_secs(1));
    let network = soak.world.network.as_ref().map_err(Clone::clone)?;
    network.cut()?;
    let kept = soak.watch.now(Who::Amqp).behind;
    soak.must(
        kept >= KEPT_MIN,
        &format!("only {kept} records are out with who vanished"),
    );
    let gone = soak.wait_until("the broker to notice", NOTICED_MAX, |soak| {
        connections(soak).is_ok_and(|now| now <= before)
    });
    network.join()?;
    let gone = gone?;
    let back = soak.wait_until("what they were lent to go to others", NOTICED_MAX, |soak| {
        soak.watch.now(Who::Amqp).behind < KEPT_MIN
    })?;
    soak.must_serve(SERVED_MAX);
    drop(crowd);
    soak.fact(format!(
        "{count} vanished, one with 200 records of the ledger's, which then missed {kept}: sent away after \
         {:.1} s, what it had was with others {back:.1?} later",
        gone.as_secs_f64()
    ));
    Ok(())
}

/// More than are on their way to the ledger when all is well.
const KEPT_MIN: u64 = 100;
const LENT_MAX: Duration = Duration::from_secs(10);
const NOTICED_MAX: Duration = Duration::from_secs(20);
const SERVED_MAX: Duration = Duration::from_secs(5);
