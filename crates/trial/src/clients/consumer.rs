//! Consumes, holds what it got for a while, and lets go of it in every way there is. Now and
//! then it publishes behind its settles: once that is confirmed, they are durable.

use std::collections::BTreeMap;
use std::time::Duration;

use bongsu_amqp091::codec::method::{Method, bit};
use tokio::time::Instant;

use super::Actor;
use crate::amqp::{Amqp, Gone, NO_ARGUMENTS, Told};
use crate::ledger::{Ledger, Queue, Released, Who};
use crate::plan::Place;

/// Records that a confirm proves settled.
type Proof = Vec<u64>;

/// Consumes until it is done.
pub async fn run(actor: &mut Actor, from: Place) {
    let queue = queue_of(from);
    while let Some((who, mut client)) = actor.open().await {
        let _gone = consume(actor, queue, &who, &mut client).await;
        actor.pause(50).await;
    }
}

/// The queue that a place is consumed from.
pub fn queue_of(place: Place) -> Queue {
    match place {
        Place::Plain => Queue::Plain,
        Place::Fan => Queue::FanA,
        Place::OtherFan => Queue::FanB,
        Place::Work => Queue::Work,
        Place::Dead => Queue::Dead,
        Place::Brief => Queue::Brief,
        Place::Expired => Queue::Expired,
        Place::Grouped => Queue::Grouped,
        Place::Bounded => Queue::Bounded,
        Place::Topic => Queue::Topic,
    }
}

async fn consume(
    actor: &mut Actor,
    queue: Queue,
    who: &Who,
    client: &mut Amqp,
) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    let confirm = Method::ConfirmSelect { bits: 0 };
    client.ask(&confirm, "confirm.select-ok").await?;
    let qos = Method::BasicQos {
        prefetch_size: 0,
        prefetch_count: *actor.random.pick(&[1, 3, 20, 200, 0]),
        bits: 0,
    };
    client.ask(&qos, "basic.qos-ok").await?;
    client
        .ask(&consume_method(queue), "basic.consume-ok")
        .await?;
    // In the order they came.
    let mut held: BTreeMap<u64, u64> = BTreeMap::new();
    let mut settled: Vec<u64> = Vec::new();
    // Settles that are proven by the confirm of this publish, where the disk had room for them.
    let mut proofs: BTreeMap<u64, Proof> = BTreeMap::new();
    let mut room = ledger.has_room_since();
    let mut published = 0;
    let mut next = Instant::now();
    let is_slow = actor.random.chance(1, 3);
    while actor.goes_on() {
        if ledger.has_room_since() != room {
            room = ledger.has_room_since();
            settled.clear();
            proofs.values_mut().for_each(|proof| proof.clear());
        }
        if let Some(told) = client.next(next).await? {
            match told {
                Told::Delivered(message) => {
                    let delivered =
                        ledger.delivered(who, queue, &message.body, message.redelivered);
                    let Some(id) = delivered else {
                        return Err(Gone);
                    };
                    held.insert(message.tag, id);
                }
                Told::Acked {
                    tag,
                    multiple,
                    nack,
                } => {
                    let answered: Vec<u64> = match multiple {
                        true => proofs.range(..=tag).map(|(tag, _)| *tag).collect(),
                        false => vec![tag],
                    };
                    for tag in answered {
                        let ids = proofs.remove(&tag).unwrap_or_default();
                        if !nack {
                            ledger.settled(queue, &ids);
                        }
                    }
                }
                Told::Other(_) => {}
            }
            continue;
        }
        actor.acted();
        if is_slow && actor.random.chance(1, 3) {
            actor.pause(400).await;
        }
        next = Instant::now() + Duration::from_micros(actor.random.below(200_000));
        match actor.random.below(20) {
            0 => return Ok(()),
            1..3 if !settled.is_empty() && room.is_some() => {
                published += 1;
                client.publish("", Queue::Fence.name(), b"");
                proofs.insert(published, std::mem::take(&mut settled));
            }
            3..6 => {
                let tags = some_of(actor, &held);
                for tag in tags {
                    let id = held.remove(&tag).expect("it is held");
                    let dies = queue.grave().is_some() && actor.random.chance(1, 2);
                    let (bits, how) = match dies {
                        true => (0, Released::Rejected),
                        false => (bit::NACK_REQUEUE, Released::Back),
                    };
                    ledger.released(queue, id, how);
                    client.write(
                        1,
                        &Method::BasicNack {
                            delivery_tag: tag,
                            bits,
                        },
                    );
                }
            }
            6..8 => {
                // All up to one of them.
                if let Some(tag) = some_of(actor, &held).last().copied() {
                    let later = held.split_off(&(tag + 1));
                    for id in std::mem::replace(&mut held, later).into_values() {
                        ledger.released(queue, id, Released::Settled);
                        settled.push(id);
                    }
                    let ack = Method::BasicAck {
                        delivery_tag: tag,
                        bits: bit::MULTIPLE,
                    };
                    client.write(1, &ack);
                }
            }
            8 => {}
            _ => {
                for tag in some_of(actor, &held) {
                    let id = held.remove(&tag).expect("it is held");
                    ledger.released(queue, id, Released::Settled);
                    settled.push(id);
                    let ack = Method::BasicAck {
                        delivery_tag: tag,
                        bits: 0,
                    };
                    client.write(1, &ack);
                }
            }
        }
    }
    if actor.is_calm && Instant::now() >= actor.until {
        return linger(actor, queue, (who, client), held).await;
    }
    Ok(())
}

/// Nothing fails, and nobody publishes any more: takes all that comes, and finds that nothing
/// is kept from it.
async fn linger(
    actor: &mut Actor,
    queue: Queue,
    (who, client): (&Who, &mut Amqp),
    held: BTreeMap<u64, u64>,
) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    for (tag, id) in held {
        settle(client, queue, (tag, id), &ledger);
    }
    let mut until = actor.until + Duration::from_secs(8);
    while Instant::now() < until {
        if let Some(Told::Delivered(message)) = client.next(until).await? {
            // A long way, one record at a time: nothing is kept as long as something comes.
            until = until.max(Instant::now() + Duration::from_secs(2));
            let delivered = ledger.delivered(who, queue, &message.body, message.redelivered);
            settle(
                client,
                queue,
                (message.tag, delivered.ok_or(Gone)?),
                &ledger,
            );
        }
    }
    ledger.all_delivered(queue);
    Ok(())
}

fn settle(client: &mut Amqp, queue: Queue, (tag, id): (u64, u64), ledger: &Ledger) {
    ledger.released(queue, id, Released::Settled);
    let ack = Method::BasicAck {
        delivery_tag: tag,
        bits: 0,
    };
    client.write(1, &ack);
}

/// A consumer that acknowledges.
pub fn consume_method(queue: Queue) -> Method<'static> {
    Method::BasicConsume {
        ticket: 0,
        queue: queue.name(),
        consumer_tag: "",
        bits: 0,
        arguments: NO_ARGUMENTS,
    }
}

/// Mostly the oldest.
fn some_of(actor: &mut Actor, held: &BTreeMap<u64, u64>) -> Vec<u64> {
    let count = 1 + actor.random.below(8) as usize;
    let skip = match actor.random.chance(1, 4) && held.len() > 1 {
        true => actor.random.below(held.len() as u64) as usize,
        false => 0,
    };
    held.keys().skip(skip).take(count).copied().collect()
}
