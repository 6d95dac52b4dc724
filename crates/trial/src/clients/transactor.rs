//! AMQP's transactions: publishes to two queues and settles what it took from one of them, all
//! at once or not at all.

use bongsu_amqp091::codec::method::Method;

use super::Actor;
use crate::amqp::{Amqp, Gone};
use crate::ledger::{Queue, Released, Who, body};

/// Transactions until it is done.
pub async fn run(actor: &mut Actor) {
    while let Some((who, mut client)) = actor.open().await {
        let _gone = transact(actor, &who, &mut client).await;
        actor.pause(50).await;
    }
}

async fn transact(actor: &mut Actor, who: &Who, client: &mut Amqp) -> Result<(), Gone> {
    let ledger = actor.world.ledger.clone();
    client.ask(&Method::TxSelect {}, "tx.select-ok").await?;
    let mut seq = 0;
    while actor.goes_on() {
        actor.acted();
        let mut settles = Vec::new();
        let from = *actor.random.pick(&[Queue::TxA, Queue::TxB]);
        for _ in 0..actor.random.below(3) {
            let Some(message) = client.get(from.name()).await? else {
                break;
            };
            let delivered = ledger.delivered(who, from, &message.body, message.redelivered);
            settles.push((from, delivered.ok_or(Gone)?));
            let ack = Method::BasicAck {
                delivery_tag: message.tag,
                bits: 0,
            };
            client.write(1, &ack);
        }
        let mut parts = Vec::new();
        for _ in 0..1 + actor.random.below(3) {
            for queue in [Queue::TxA, Queue::TxB] {
                seq += 1;
                let id = ledger.send(who, seq, 0, &[queue]);
                let bytes = actor.random.below(300) as usize;
                client.publish("", queue.name(), &body(id, bytes));
                parts.push((queue, id));
            }
        }
        actor.pause(60).await;
        if actor.random.chance(1, 6) {
            client.ask(&Method::TxRollback {}, "tx.rollback-ok").await?;
            parts.iter().for_each(|(_, id)| ledger.refused(*id));
            // What was taken is still taken: leaving gives it back.
            settles
                .iter()
                .for_each(|(queue, id)| ledger.released(*queue, *id, Released::Back));
            let close = Method::ConnectionClose {
                code: 200,
                text: "",
                class: 0,
                method: 0,
            };
            client.ask(&close, "connection.close-ok").await?;
            return Ok(());
        }
        let transaction = ledger.committing(&parts, &settles);
        client.ask(&Method::TxCommit {}, "tx.commit-ok").await?;
        ledger.committed(transaction);
        actor.pause(100).await;
    }
    Ok(())
}
