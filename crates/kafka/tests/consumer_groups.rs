//! Groups that the broker shares out for, over the wire: requests of every version, written
//! and read by `kafka-protocol` as a client would, against a session whose broker is the
//! engine's machine and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId, RequestHeader,
    ResponseHeader, ShareGroupDescribeRequest, ShareGroupDescribeResponse,
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use uuid::Uuid;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::group::consumer::{TopicShape, Topics};
use bongsu_engine::group::{self, Answer, Effect, Group, Request, Ticket};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_kafka::{Session, Settings};

/// `orders` has three partitions and number 1, `other` one and number 2.
#[derive(Debug)]
struct Two;

impl Topics for Two {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        let (id, partition_count) = match name {
            "orders" => (TopicId(1), 3),
            "other" => (TopicId(2), 1),
            _ => return None,
        };
        Some(TopicShape {
            id,
            partition_count,
        })
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        match id.0 {
            1 => Some("orders".into()),
            2 => Some("other".into()),
            _ => None,
        }
    }

    fn each(&self, visit: &mut dyn FnMut(&str, TopicShape)) {
        for name in ["orders", "other"] {
            visit(name, self.by_name(name).expect("one of two"));
        }
    }
}

struct World {
    session: Session,
    groups: BTreeMap<String, Group>,
    answers: Vec<u8>,
    correlation: i32,
    start: Instant,
}

impl World {
    fn new() -> World {
        let start = Instant::now();
        let settings = Settings {
            space: "/".to_owned(),
            node_id: 7,
            advertised_host: "here".to_owned(),
            advertised_port: 9092,
            request_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            idle: Duration::from_secs(600),
            configs: Arc::new([]),
        };
        World {
            session: Session::new(Arc::new(settings), 1, start),
            groups: BTreeMap::new(),
            answers: Vec::new(),
            correlation: 0,
            start,
        }
    }

    fn ask<Q: Encodable, R: Decodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> R {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("client")));
        let mut body = BytesMut::new();
        let header_version = key.request_header_version(version);
        header.encode(&mut body, header_version).expect("a header");
        request.encode(&mut body, version).expect("a request");
        let mut frame = (body.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let used = self.handle(Input::Bytes(rest));
            assert!(used > 0, "it takes all");
            rest = &rest[used..];
        }
        let mut bytes = Bytes::from(std::mem::take(&mut self.answers));
        let length = bytes.get_i32() as usize;
        assert_eq!(bytes.len(), length, "one answer");
        let header_version = key.response_header_version(version);
        let header = ResponseHeader::decode(&mut bytes, header_version).expect("a header");
        assert_eq!(header.correlation_id, self.correlation);
        let response = R::decode(&mut bytes, version).expect("a response");
        assert!(bytes.is_empty(), "nothing behind it");
        response
    }

    fn handle(&mut self, input: Input<'_>) -> usize {
        let now = Now {
            instant: self.start,
            unix_ms: 1_000_000,
        };
        let mut effects = Effects::default();
        let used = self.session.handle(input, now, &mut effects);
        self.answers.append(&mut effects.out);
        assert!(effects.close.is_none(), "{:?}", effects.close);
        if let Some(call) = effects.call.take() {
            let reply = self.execute(call);
            self.handle(Input::Reply(reply));
        }
        used
    }

    fn execute(&mut self, call: Call) -> Reply {
        let call = match call {
            Call::LoginAnonymous | Call::EnterSpace { .. } => return Reply::Done,
            Call::Group(call) => *call,
            other => panic!("{other:?}"),
        };
        let answer = match call {
            group::Call::To {
                group,
                client,
                request,
            } => self.group(&group, &client, request),
            group::Call::Each { client, requests } => {
                let answers = requests.into_iter();
                let answers = answers.map(|(group, request)| {
                    let answer = self.group(&group, &client, request);
                    (group, answer)
                });
                Answer::Each(answers.collect())
            }
            group::Call::List => panic!("nobody lists"),
        };
        Reply::Group(Box::new(answer))
    }

    fn group(&mut self, name: &str, client: &group::Client, request: Request) -> Answer {
        let settings = Arc::new(group::Settings::default());
        let group = self.groups.entry(name.to_owned());
        let group = group.or_insert_with(|| Group::new(name, settings));
        let mut effects = Vec::new();
        let input = group::Input::Request {
            ticket: Ticket(1),
            client,
            token: u128::MAX,
            request: Box::new(request),
            topics: &Two,
        };
        group.handle(input, 1_000_000, &mut effects);
        match effects.pop() {
            Some(Effect::Answer { answer, .. }) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn beat(
        &mut self,
        version: i16,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> ConsumerGroupHeartbeatResponse {
        self.ask(ApiKey::ConsumerGroupHeartbeat, version, request)
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

fn joining(member: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text(member))
        .with_rebalance_timeout_ms(1000)
        .with_subscribed_topic_names(Some(topics.iter().map(|name| topic(name)).collect()))
        .with_topic_partitions(Some(Vec::new()))
}

fn beating(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
}

/// Topic and partitions, as told.
fn told(response: &ConsumerGroupHeartbeatResponse) -> Vec<(u128, Vec<i32>)> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let assignment = response.assignment.as_ref().expect("an assignment");
    let topics = assignment.topic_partitions.iter();
    topics
        .map(|of| (of.topic_id.as_u128(), of.partitions.clone()))
        .collect()
}

#[test]
fn the_first_version_is_given_an_id() {
    let mut world = World::new();
    let joined = world.beat(0, &joining("", &["orders"]));
    assert_eq!(told(&joined), [(1, vec![0, 1, 2])]);
    assert_eq!(joined.member_epoch, 1);
    assert_eq!(joined.heartbeat_interval_ms, 5000);
    let id = joined.member_id.expect("an id");
    assert_eq!(&*id, "_____________________w");
    let again = world.beat(0, &beating(&id, 1));
    assert_eq!((again.error_code, again.assignment), (0, None));
    // The next version's members make up their own.
    assert_eq!(world.beat(1, &joining("", &["orders"])).error_code, 42);
}

#[test]
fn partitions_change_hands_when_they_are_given_up() {
    let mut world = World::new();
    world.beat(1, &joining("a", &["orders"]));
    let joined = world.beat(1, &joining("b", &["orders"]));
    assert_eq!(told(&joined), []);
    assert_eq!(joined.member_epoch, 2);
    let told_a = world.beat(1, &beating("a", 1));
    assert_eq!(
        (told(&told_a), told_a.member_epoch),
        (vec![(1, vec![0, 1])], 1)
    );
    let given_up = TopicPartitions::default()
        .with_topic_id(Uuid::from_u128(1))
        .with_partitions(vec![0, 1]);
    let given_up = beating("a", 1).with_topic_partitions(Some(vec![given_up]));
    assert_eq!(world.beat(1, &given_up).member_epoch, 2);
    let told_b = world.beat(1, &beating("b", 2));
    assert_eq!(told(&told_b), [(1, vec![2])]);
}

#[test]
fn patterns_are_resolved_by_the_broker() {
    let mut world = World::new();
    let none = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(text("a"))
        .with_rebalance_timeout_ms(1000)
        .with_topic_partitions(Some(Vec::new()));
    let like = |pattern: &str| {
        none.clone()
            .with_subscribed_topic_regex(Some(text(pattern)))
    };
    assert_eq!(
        told(&world.beat(1, &like("o.*"))),
        [(1, vec![0, 1, 2]), (2, vec![0])]
    );
    let refused = world.beat(1, &like("o(").with_member_id(text("b")));
    assert_eq!(refused.error_code, 128);
    assert!(refused.error_message.expect("why").contains("`o(`"));
    assert_eq!(world.beat(1, &none).error_code, 42);
}

#[test]
fn refusals_have_their_codes() {
    let mut world = World::new();
    let mut code = |request: &ConsumerGroupHeartbeatRequest| {
        let response = world.beat(1, request);
        assert_eq!(response.error_code == 0, response.error_message.is_none());
        response.error_code
    };
    let named = |member: &str, instance: &str| {
        let request = joining(member, &["orders"]);
        request.with_instance_id(Some(text(instance)))
    };
    assert_eq!(code(&beating("a", 3)), 69); // GROUP_ID_NOT_FOUND
    assert_eq!(code(&named("a", "one")), 0);
    assert_eq!(code(&beating("x", 3)), 25); // UNKNOWN_MEMBER_ID
    assert_eq!(code(&beating("a", 3)), 110); // FENCED_MEMBER_EPOCH
    assert_eq!(code(&named("b", "one")), 111); // UNRELEASED_INSTANCE_ID
    let other = beating("b", 1).with_instance_id(Some(text("one")));
    assert_eq!(code(&other), 82); // FENCED_INSTANCE_ID
    let assignor = joining("b", &["orders"]).with_server_assignor(Some(text("none")));
    assert_eq!(code(&assignor), 112); // UNSUPPORTED_ASSIGNOR
    assert_eq!(code(&joining("b", &[]).with_group_id(group(""))), 42); // INVALID_REQUEST
    assert_eq!(code(&beating("b", -3)), 42);
    let left = world.beat(1, &beating("a", -2).with_instance_id(Some(text("one"))));
    assert_eq!((left.error_code, left.member_epoch), (0, -2));
    let back = world.beat(1, &named("b", "one"));
    assert_eq!(told(&back), [(1, vec![0, 1, 2])]);
    let left = world.beat(1, &beating("b", -1).with_instance_id(Some(text("one"))));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
}

#[test]
fn groups_are_described_in_each_version() {
    let mut world = World::new();
    let request = joining("a", &["orders", "none"])
        .with_instance_id(Some(text("one")))
        .with_rack_id(Some(text("r")));
    world.beat(1, &request);
    for version in 0..=1 {
        let request = ConsumerGroupDescribeRequest::default()
            .with_group_ids(vec![group("g"), group("no")])
            .with_include_authorized_operations(version == 1);
        let response: ConsumerGroupDescribeResponse =
            world.ask(ApiKey::ConsumerGroupDescribe, version, &request);
        let [described, missing] = &response.groups[..] else {
            panic!("two groups: {response:?}");
        };
        assert_eq!((missing.error_code, &**missing.group_id), (69, "no"));
        assert_eq!((described.error_code, &**described.group_id), (0, "g"));
        assert_eq!(&*described.group_state, "Stable");
        assert_eq!(&*described.assignor_name, "uniform");
        assert_eq!((described.group_epoch, described.assignment_epoch), (1, 1));
        assert_eq!(described.authorized_operations == i32::MIN, version == 0);
        let member = &described.members[0];
        assert_eq!((&*member.member_id, &*member.client_id), ("a", "client"));
        assert_eq!(member.instance_id.as_deref(), Some("one"));
        assert_eq!(member.rack_id.as_deref(), Some("r"));
        assert_eq!(
            member.subscribed_topic_names,
            [topic("none"), topic("orders")]
        );
        assert_eq!(member.member_type, if version == 0 { -1 } else { 1 });
        for assignment in [&member.assignment, &member.target_assignment] {
            let of = &assignment.topic_partitions[0];
            assert_eq!((of.topic_id.as_u128(), &**of.topic_name), (1, "orders"));
            assert_eq!(of.partitions, [0, 1, 2]);
        }
    }
}

#[test]
fn share_groups_beat_and_are_described() {
    let mut world = World::new();
    let beat = |member: &str, epoch: i32| {
        ShareGroupHeartbeatRequest::default()
            .with_group_id(group("s"))
            .with_member_id(text(member))
            .with_member_epoch(epoch)
    };
    let key = ApiKey::ShareGroupHeartbeat;
    let join = |member| beat(member, 0).with_subscribed_topic_names(Some(vec![topic("other")]));
    for member in ["a", "b"] {
        let joined: ShareGroupHeartbeatResponse = world.ask(key, 1, &join(member));
        assert_eq!(joined.error_code, 0);
        let assignment = joined.assignment.expect("an assignment");
        // Both read the only partition.
        assert_eq!(assignment.topic_partitions[0].partitions, [0]);
        assert_eq!(assignment.topic_partitions[0].topic_id.as_u128(), 2);
    }
    let refused: ShareGroupHeartbeatResponse = world.ask(key, 1, &beat("c", 4));
    assert_eq!(refused.error_code, 25);
    // Another kind of group.
    let request = joining("a", &["orders"]).with_group_id(group("s"));
    assert_eq!(world.beat(1, &request).error_code, 69);

    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![group("s")]);
    let response: ShareGroupDescribeResponse = world.ask(ApiKey::ShareGroupDescribe, 1, &request);
    let described = &response.groups[0];
    assert_eq!(described.error_code, 0);
    assert_eq!(&*described.assignor_name, "simple");
    assert_eq!(described.members.len(), 2);
    let of = &described.members[0].assignment.topic_partitions[0];
    assert_eq!((&**of.topic_name, &of.partitions[..]), ("other", &[0][..]));
    let left: ShareGroupHeartbeatResponse = world.ask(key, 1, &beat("a", -1));
    assert_eq!((left.error_code, left.member_epoch), (0, -1));
}
