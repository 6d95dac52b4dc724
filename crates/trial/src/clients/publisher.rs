//! Publishes bursts and waits for their confirms, never more than a few hundred at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use bongsu_amqp091::codec::method::Method;
use tokio::time::Instant;

use super::Actor;
use crate::amqp::{Amqp, Gone, Told};
use crate::ledger::{Queue, Who, body};
use crate::plan::Place;

/// Publishes until it is done.
pub async fn run(actor: &mut Actor, to: Place) {
    while let Some((who, mut client)) = actor.open().await {
        let _gone = publish(actor, to, &who, &mut client).await;
        actor.pause(50).await;
    }
}

async fn publish(actor: &mut Actor, to: Place, who: &Who, client: &mut Amqp) -> Result<(), Gone> {
    client
        .ask(&Method::ConfirmSelect { bits: 0 }, "confirm.select-ok")
        .await?;
    let mut unconfirmed: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut tag, mut seq) = (0, 0);
    let mut next = Instant::now();
    // Of sixty. Some publish many large messages, which fill what waits for a client.
    let large = *actor.random.pick(&[1, 1, 1, 15]);
    while actor.goes_on() || !unconfirmed.is_empty() {
        // What is not confirmed once the time is over is not waited for for ever.
        if Instant::now() > actor.until + Duration::from_secs(2) {
            return Ok(());
        }
        if actor.goes_on() && Instant::now() >= next && unconfirmed.len() < WINDOW {
            actor.acted();
            for _ in 0..burst(actor) {
                (tag, seq) = (tag + 1, seq + 1);
                let key = actor.random.below(3) as u8;
                let (exchange, routing_key, queues) = destination(to, key);
                let id = actor.world.ledger.send(who, seq, key, queues);
                unconfirmed.insert(tag, id);
                client.publish(exchange, &routing_key, &body(id, bytes(actor, large)));
            }
            next = Instant::now() + Duration::from_micros(actor.random.below(150_000));
        }
        let wake = match actor.goes_on() && unconfirmed.len() < WINDOW {
            true => next,
            false => Instant::now() + Duration::from_millis(100),
        };
        let told = client.next(wake).await?;
        let Some(Told::Acked {
            tag,
            multiple,
            nack,
        }) = told
        else {
            continue;
        };
        let done: Vec<u64> = match multiple {
            true => unconfirmed.range(..=tag).map(|(tag, _)| *tag).collect(),
            false => vec![tag],
        };
        for tag in done {
            let ledger = &actor.world.ledger;
            match (unconfirmed.remove(&tag), nack) {
                (Some(id), false) => ledger.confirmed(id),
                (Some(id), true) if to == Place::Bounded => ledger.refused(id),
                // It may have been taken by the disk, and not by us.
                (Some(_), true) => {}
                (None, _) => {
                    ledger.violated(format!("publish {tag} was answered twice or never sent"));
                }
            }
        }
    }
    Ok(())
}

fn burst(actor: &mut Actor) -> u64 {
    match actor.random.below(30) {
        0 => 50 + actor.random.below(300),
        1..10 => 1,
        _ => 1 + actor.random.below(8),
    }
}

fn bytes(actor: &mut Actor, large: u64) -> usize {
    let bytes = match actor.random.below(60) {
        roll if roll < large => 20_000 + actor.random.below(160_000),
        1..6 => actor.random.below(5_000),
        _ => actor.random.below(120),
    };
    bytes as usize
}

/// Exchange, routing key, and the queues that leads to.
fn destination(to: Place, key: u8) -> (&'static str, String, &'static [Queue]) {
    let direct = |queue: &'static [Queue]| ("", queue[0].name().to_owned(), queue);
    match to {
        Place::Plain => direct(&[Queue::Plain]),
        Place::Work | Place::Dead => direct(&[Queue::Work]),
        Place::Brief | Place::Expired => direct(&[Queue::Brief]),
        Place::Bounded => direct(&[Queue::Bounded]),
        Place::Topic => direct(&[Queue::Topic]),
        Place::Fan | Place::OtherFan => ("fan", String::new(), &[Queue::FanA, Queue::FanB]),
        Place::Grouped => ("by-key", format!("k{key}"), &[Queue::Grouped]),
    }
}

const WINDOW: usize = 400;
