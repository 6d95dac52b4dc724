//! Entries, who holds how much, and questions.

use std::net::SocketAddr;
use std::time::Duration;

use bongsu_engine::session::describe::{Channel, Client};
use bongsu_record::{Arguments, Value};

use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn connect(registry: &Registry, id: u64) -> Arc<Connection> {
    let peer = Peer {
        protocol: "AMQP 0-9-1",
        peer: address(40_000 + id as u16),
        local: address(5672),
    };
    let connection = Connection::new(ConnectionId(id), Some(peer), 7);
    registry.add(connection.clone());
    connection
}

#[test]
fn names_are_as_rabbitmq_has_them() {
    let registry = Registry::default();
    let one = connect(&registry, 1);
    assert_eq!(one.name(), "127.0.0.1:40001 -> 127.0.0.1:5672");
    let found = registry.find_named("127.0.0.1:40001 -> 127.0.0.1:5672");
    assert_eq!(found.map(|found| found.id), Some(ConnectionId(1)));
    let peer = Peer {
        protocol: "Kafka",
        peer: "[::ffff:10.0.0.1]:9".parse().unwrap(),
        local: "[::1]:9092".parse().unwrap(),
    };
    let other = Connection::new(ConnectionId(2), Some(peer), 7);
    assert_eq!(other.name(), "10.0.0.1:9 -> [::1]:9092");
}

#[test]
fn what_users_and_spaces_hold_follows_their_connections() {
    let registry = Registry::default();
    let (one, two) = (connect(&registry, 1), connect(&registry, 2));
    registry.open_channel(&one, 1, &Bounds::default()).unwrap();
    registry
        .enter(&one, "u", (SpaceId(0), "/"), &Bounds::default())
        .unwrap();
    registry
        .enter(&two, "u", (SpaceId(3), "x"), &Bounds::default())
        .unwrap();
    registry.open_channel(&two, 1, &Bounds::default()).unwrap();
    registry.open_channel(&two, 1, &Bounds::default()).unwrap();
    registry.open_channel(&two, 2, &Bounds::default()).unwrap();
    let held = |connections, channels| Held {
        connections,
        channels,
    };
    assert_eq!(registry.held_by_space(SpaceId(3)), held(1, 2));
    assert_eq!(registry.held_by_user("u").connections, 2);
    // Who logs in again holds nothing twice.
    registry
        .enter(&two, "v", (SpaceId(3), "x"), &Bounds::default())
        .unwrap();
    assert_eq!(registry.held_by_user("v"), held(1, 2));
    assert_eq!(registry.held_by_user("u").connections, 1);
    registry.close_channel(&two, 2);
    registry.close_channel(&two, 9);
    assert_eq!(registry.held_by_user("v"), held(1, 1));
    registry.remove(&two);
    registry.remove(&two);
    registry.remove(&one);
    assert_eq!(registry.held_by_user("v"), Held::default());
    assert_eq!(registry.held_by_user("u"), Held::default());
    assert_eq!(registry.held_by_space(SpaceId(0)), Held::default());
    assert!(registry.held.lock().users.is_empty());
    assert!(registry.held.lock().spaces.is_empty());
    assert_eq!(registry.count(), 0);
}

#[test]
fn what_a_client_says_is_kept_up_to_a_bound() {
    let registry = Registry::default();
    let one = connect(&registry, 1);
    let text = |bytes| Value::Text("x".repeat(bytes));
    let client = |bytes| Client {
        name: "mine".to_owned(),
        mechanism: "PLAIN",
        properties: Arguments::from([("product".to_owned(), text(bytes))]),
        frame_bytes_max: 131_072,
        channel_max: 2047,
        heartbeat_s: 60,
    };
    one.set_client(client(10));
    assert_eq!(one.facts().unwrap().client, client(10));
    one.set_client(client(PROPERTIES_BYTES_MAX));
    let kept = one.facts().unwrap().client;
    assert_eq!(kept.name, "mine");
    assert!(kept.properties.is_empty());
}

fn described(connection: &Connection, unsettled: u64) {
    for question in connection.take_questions() {
        if let Question::Describe(answer) = question {
            let channel = Channel {
                unsettled,
                ..Channel::default()
            };
            let _ = answer.send(Description {
                channels: vec![channel],
                waiting_answers: 0,
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_are_asked_at_once_and_not_waited_for_longer_than_said() {
    let registry = Registry::default();
    let all: Vec<_> = (1..=3).map(|id| connect(&registry, id)).collect();
    registry.remove(&all[2]);
    let asking = registry.describe(&all, Duration::from_secs(1));
    let answering = async {
        all[1].asked().await;
        described(&all[1], 5);
    };
    let (answers, ()) = tokio::join!(asking, answering);
    let unsettled = |description: &Description| description.channels[0].unsettled;
    let answers: Vec<Option<u64>> = answers.iter().map(|d| d.as_ref().map(unsettled)).collect();
    assert_eq!(answers, [None, Some(5), None]);
}

#[test]
fn who_gave_up_asking_makes_room() {
    let registry = Registry::default();
    let one = connect(&registry, 1);
    let mut waiting = Vec::new();
    for _ in 0..QUESTIONS_MAX {
        let (answer, answered) = oneshot::channel();
        assert!(one.ask(Question::Describe(answer)));
        waiting.push(answered);
    }
    let ask = || one.ask(Question::Describe(oneshot::channel().0));
    assert!(!ask());
    waiting.pop();
    assert!(ask());
    // To send somebody away there is always room.
    assert!(registry.evict(ConnectionId(1), "enough"));
    assert!(!registry.evict(ConnectionId(2), "nobody"));
    let leaves = one.take_questions().into_iter();
    let leaves = leaves.filter(|q| matches!(q, Question::Leave(reason) if **reason == *"enough"));
    assert_eq!(leaves.count(), 1);
}

#[test]
fn all_of_a_user_or_a_space_are_sent_away() {
    let registry = Registry::default();
    for (id, user, space) in [(1, "u", 0), (2, "v", 0), (3, "u", 1)] {
        let connection = connect(&registry, id);
        registry
            .enter(&connection, user, (SpaceId(space), "x"), &Bounds::default())
            .unwrap();
    }
    assert_eq!(registry.evict_user("u", "gone"), 2);
    assert_eq!(registry.evict_space(SpaceId(0), "gone"), 2);
    let asked = |id| {
        registry
            .find(ConnectionId(id))
            .unwrap()
            .take_questions()
            .len()
    };
    assert_eq!([asked(1), asked(2), asked(3)], [2, 1, 1]);
}
