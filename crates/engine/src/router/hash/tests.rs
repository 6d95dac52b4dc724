//! Who gets which key.

use super::*;
use crate::router::id::{QueueId, SpaceId};
use crate::router::publication::{Attributes, Property};

struct Message(Arguments);

impl Attributes for Message {
    fn headers(&self) -> Arguments {
        self.0.clone()
    }

    fn property(&self, property: Property) -> Option<String> {
        let name = match property {
            Property::CorrelationId => "correlation",
            Property::MessageId => "message",
            Property::Timestamp => "timestamp",
        };
        self.0.get(name)?.as_text().map(str::to_owned)
    }
}

fn ring(on: HashOn, weights: &[u64]) -> Ring {
    let mut ring = Ring::new(on);
    for (index, weight) in weights.iter().enumerate() {
        add(&mut ring, index as u64, *weight);
    }
    ring
}

fn add(ring: &mut Ring, queue: u64, weight: u64) {
    ring.add(&weight.to_string(), Target::Queue(QueueId(queue)), queue);
}

fn remove(ring: &mut Ring, queue: u64, weight: u64) {
    ring.remove(&weight.to_string(), Target::Queue(QueueId(queue)));
}

fn choose(ring: &Ring, key: &str, headers: &[(&str, &str)]) -> (Option<u64>, bool) {
    let headers = headers.iter().map(|(name, value)| {
        let value = bongsu_record::Value::Text((*value).to_owned());
        ((*name).to_owned(), value)
    });
    let headers: Arguments = headers.collect();
    let message = Message(headers.clone());
    let publication = Publication {
        space: SpaceId::DEFAULT,
        exchange: "x",
        routing_key: key,
        more_keys: &[],
        message: &message,
        from_client: true,
    };
    let (target, looked) = ring.choose(&publication, || &headers);
    let queue = target.map(|target| match target {
        Target::Queue(id) => id.0,
        Target::Exchange(_) => panic!("only queues are bound"),
    });
    (queue, looked)
}

fn owners(ring: &Ring) -> Vec<u64> {
    (0..KEYS)
        .map(|key| choose(ring, &format!("order.{key}"), &[]).0.unwrap())
        .collect()
}

#[test]
fn keys_are_spread_as_the_weights_say() {
    let owners = owners(&ring(HashOn::RoutingKey, &[1, 2, 5]));
    for (queue, weight) in [(0, 1), (1, 2), (2, 5)] {
        let has = owners.iter().filter(|owner| **owner == queue).count();
        let fair = KEYS * weight / 8;
        assert!(has.abs_diff(fair) < KEYS / 50, "{queue} has {has} keys");
    }
}

#[test]
fn keys_stay_where_they_are_when_others_come_and_go() {
    let mut ring = ring(HashOn::RoutingKey, &[3, 3, 3, 3]);
    let before = owners(&ring);
    add(&mut ring, 4, 3);
    let more = owners(&ring);
    let moved = |one: &[u64], other: &[u64], to_or_from: u64| {
        for (one, other) in one.iter().zip(other) {
            assert!(one == other || *one == to_or_from || *other == to_or_from);
        }
    };
    moved(&before, &more, 4);
    remove(&mut ring, 1, 3);
    moved(&more, &owners(&ring), 1);
    add(&mut ring, 1, 3);
    assert_eq!(owners(&ring), more);
}

#[test]
fn the_lightest_of_several_bindings_counts() {
    let mut ring = ring(HashOn::RoutingKey, &[1, 1]);
    let before = owners(&ring);
    add(&mut ring, 0, 100);
    assert_eq!(owners(&ring), before);
    remove(&mut ring, 0, 1);
    assert_ne!(owners(&ring), before);
    remove(&mut ring, 0, 100);
    assert!(owners(&ring).iter().all(|owner| *owner == 1));
    remove(&mut ring, 1, 1);
    assert_eq!(choose(&ring, "k", &[]), (None, false));
}

#[test]
fn a_header_or_a_property_may_be_the_key() {
    let header = ring(HashOn::Header("who".to_owned()), &[1; 16]);
    let property = ring(HashOn::Property(Property::MessageId), &[1; 16]);
    for (ring, name) in [(header, "who"), (property, "message")] {
        let mut met = std::collections::BTreeSet::new();
        for number in 0..100 {
            let value = number.to_string();
            let there = choose(&ring, "", &[(name, &value)]);
            assert_eq!(choose(&ring, "other", &[(name, &value)]), there);
            assert!(there.1, "it was looked at");
            met.insert(there.0);
        }
        assert!(met.len() > 8);
        let without = choose(&ring, "a", &[]);
        assert_eq!(choose(&ring, "b", &[]), without);
        assert!(without.0.is_some());
    }
}

const KEYS: usize = 4000;
