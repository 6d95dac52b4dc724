//! An idempotent producer of Kafka's: what it was not told of it sends again, and it is there
//! once.

use super::Actor;
use crate::amqp::Gone;
use crate::host::Protocol;
use crate::kafka::{Kafka, Producer};
use crate::ledger::{Queue, body};

/// A batch that is to be there.
struct Batch {
    partition: i32,
    sequence: i32,
    ids: Vec<u64>,
    values: Vec<Vec<u8>>,
}

/// What it is across connections.
#[derive(Default)]
struct State {
    producer: Option<Producer>,
    sequences: [i32; 2],
    seq: u32,
    unanswered: Option<Batch>,
}

/// Produces until it is done.
pub async fn run(actor: &mut Actor) {
    let mut state = State::default();
    while let Some((who, end)) = actor.connect(Protocol::Kafka).await {
        let mut client = Kafka::new(end);
        let _gone = produce(actor, &who, &mut client, &mut state).await;
        actor.pause(100).await;
    }
}

async fn produce(
    actor: &mut Actor,
    who: &crate::ledger::Who,
    client: &mut Kafka,
    state: &mut State,
) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    while actor.goes_on() {
        let producer = match state.producer {
            Some(producer) => producer,
            None => match client.producer(None).await? {
                Ok(producer) => *state.producer.insert(producer),
                Err(_) => {
                    actor.pause(200).await;
                    continue;
                }
            },
        };
        if state.unanswered.is_none() {
            actor.acted();
            let partition = actor.random.below(2) as i32;
            let count = 1 + actor.random.below(6) as i32;
            let ids: Vec<u64> = (0..count)
                .map(|_| {
                    state.seq += 1;
                    ledger.send(who, state.seq, 0, &[Queue::Topic])
                })
                .collect();
            let values = ids
                .iter()
                .map(|id| body(*id, actor.random.below(400) as usize));
            state.unanswered = Some(Batch {
                partition,
                sequence: state.sequences[partition as usize],
                values: values.collect(),
                ids,
            });
            state.sequences[partition as usize] += count;
        }
        let Some(batch) = &state.unanswered else {
            continue;
        };
        let answer = client
            .produce(
                (producer, None),
                batch.partition,
                batch.sequence,
                &batch.values,
            )
            .await?;
        match answer {
            Ok(base) => {
                for (id, offset) in batch.ids.iter().zip(base..) {
                    ledger.confirmed(*id);
                    ledger.topic(|topic| topic.confirmed(batch.partition, Some(offset), *id));
                }
                state.unanswered = None;
            }
            // Not now: no room, or what it belongs to is not there yet.
            Err(code) if RETRIABLE.contains(&code) => {}
            Err(code) => {
                ledger.violated(format!(
                    "batch {} of producer {producer:?} for partition {} was refused with {code}",
                    batch.sequence, batch.partition
                ));
                return Err(Gone);
            }
        }
        actor.pause(120).await;
    }
    Ok(())
}

/// Errors that Kafka's producers try again after: KAFKA_STORAGE_ERROR, NOT_LEADER_OR_FOLLOWER,
/// REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, THROTTLING_QUOTA_EXCEEDED.
pub const RETRIABLE: [i16; 5] = [56, 6, 7, 19, 89];
