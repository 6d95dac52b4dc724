//! What was counted, under RabbitMQ's names.

use bongsu_broker::statistics::{Activity, Count};
use serde_json::{Map, Value, json};

use crate::api::rate;

/// `message_stats` of a queue, a channel, a space or the broker.
pub fn message_stats(activity: &Activity, of: Of) -> Value {
    let mut out = Map::new();
    let mut put = |name: &str, count: u64, per_second: f64| {
        out.insert(name.to_owned(), json!(count));
        out.insert(format!("{name}_details"), rate(per_second));
    };
    let names = match of {
        Of::Queue => &QUEUE[..],
        Of::Exchange => &EXCHANGE[..],
        Of::All => &ALL[..],
    };
    for (name, count) in names {
        put(name, activity.counted.of(*count), activity.rates.of(*count));
    }
    if of != Of::Exchange {
        put(
            "deliver_get",
            activity.counted.deliver_get(),
            activity.rates.deliver_get(),
        );
    }
    Value::Object(out)
}

/// What something was counted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
    /// A space, or the broker.
    All,
}

const QUEUE: [(&str, Count); 12] = [
    ("publish", Count::Publish),
    ("deliver", Count::Deliver),
    ("deliver_no_ack", Count::DeliverNoAck),
    ("get", Count::Get),
    ("get_no_ack", Count::GetNoAck),
    ("get_empty", Count::GetEmpty),
    ("ack", Count::Ack),
    ("redeliver", Count::Redeliver),
    ("rejected", Count::Rejected),
    ("expired", Count::Expired),
    ("max_length", Count::MaxLength),
    ("dead_lettered", Count::DeadLettered),
];
const EXCHANGE: [(&str, Count); 2] = [
    ("publish_in", Count::PublishIn),
    ("publish_out", Count::PublishOut),
];
const ALL: [(&str, Count); 11] = [
    ("publish", Count::Publish),
    ("confirm", Count::Confirm),
    ("return_unroutable", Count::ReturnUnroutable),
    ("drop_unroutable", Count::DropUnroutable),
    ("deliver", Count::Deliver),
    ("deliver_no_ack", Count::DeliverNoAck),
    ("get", Count::Get),
    ("get_no_ack", Count::GetNoAck),
    ("get_empty", Count::GetEmpty),
    ("ack", Count::Ack),
    ("redeliver", Count::Redeliver),
];
