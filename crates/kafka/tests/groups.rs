//! Groups over the wire: requests of every version, written and read by `kafka-protocol` as a
//! client would, against sessions whose broker is the engine's machine and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, RequestHeader, ResponseHeader,
    SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use bongsu_engine::catalog::TopicId;
use bongsu_engine::group::consumer::NoTopics;
use bongsu_engine::group::offsets::Topic;
use bongsu_engine::group::{self, Answer, Effect, Group, Request, Ticket};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_kafka::{Session, Settings};

/// Clients, and the groups that they ask.
struct World {
    now_ms: u64,
    start: Instant,
    groups: BTreeMap<String, Group>,
    clients: Vec<Client>,
    /// Who waits for which ticket.
    waiting: BTreeMap<Ticket, usize>,
    tickets: u64,
}

struct Client {
    session: Session,
    answers: Vec<u8>,
    correlation: i32,
}

impl World {
    fn new(client_count: usize) -> World {
        let start = Instant::now();
        let settings = Arc::new(Settings {
            space: "/".to_owned(),
            node_id: 7,
            advertised_host: "here".to_owned(),
            advertised_port: 9092,
            request_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            idle: Duration::from_secs(600),
            configs: Arc::default(),
        });
        let clients = (0..client_count).map(|_| Client {
            session: Session::new(settings.clone(), 1, start),
            answers: Vec::new(),
            correlation: 0,
        });
        World {
            now_ms: 1_000_000,
            start,
            groups: BTreeMap::new(),
            clients: clients.collect(),
            waiting: BTreeMap::new(),
            tickets: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            instant: self.start,
            unix_ms: self.now_ms as i64,
        }
    }

    fn send<R: Encodable>(&mut self, client: usize, key: ApiKey, version: i16, request: &R) {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).expect("a request");
        self.send_bytes(client, key, version, &body);
    }

    fn send_bytes(&mut self, client: usize, key: ApiKey, version: i16, request: &[u8]) {
        let of = &mut self.clients[client];
        of.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(of.correlation)
            .with_client_id(Some(text("client")));
        let mut body = BytesMut::new();
        let header_version = key.request_header_version(version);
        header.encode(&mut body, header_version).expect("a header");
        body.extend_from_slice(request);
        let mut frame = (body.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let used = self.handle(client, Input::Bytes(rest));
            assert!(used > 0, "it takes all");
            rest = &rest[used..];
        }
    }

    fn receive<R: Decodable>(&mut self, client: usize, key: ApiKey, version: i16) -> Option<R> {
        let of = &mut self.clients[client];
        if of.answers.is_empty() {
            return None;
        }
        let mut bytes = Bytes::from(std::mem::take(&mut of.answers));
        let length = bytes.get_i32() as usize;
        assert_eq!(bytes.len(), length, "one answer");
        let header_version = key.response_header_version(version);
        let header = ResponseHeader::decode(&mut bytes, header_version).expect("a header");
        assert_eq!(header.correlation_id, of.correlation);
        let response = R::decode(&mut bytes, version).expect("a response");
        assert!(bytes.is_empty(), "nothing behind it");
        Some(response)
    }

    fn ask<Q: Encodable, R: Decodable>(
        &mut self,
        client: usize,
        (key, version): (ApiKey, i16),
        request: &Q,
    ) -> R {
        self.send(client, key, version, request);
        self.receive(client, key, version)
            .expect("it does not wait")
    }

    fn handle(&mut self, client: usize, input: Input<'_>) -> usize {
        let now = self.now();
        let mut effects = Effects::default();
        let used = self.clients[client]
            .session
            .handle(input, now, &mut effects);
        self.clients[client].answers.append(&mut effects.out);
        assert!(effects.close.is_none(), "{:?}", effects.close);
        if let Some(call) = effects.call.take()
            && let Some(reply) = self.execute(client, call)
        {
            self.handle(client, Input::Reply(reply));
        }
        used
    }

    fn execute(&mut self, client: usize, call: Call) -> Option<Reply> {
        let call = match call {
            Call::LoginAnonymous | Call::EnterSpace { .. } => return Some(Reply::Done),
            Call::Group(call) => *call,
            other => panic!("{other:?}"),
        };
        let answer = match call {
            group::Call::To {
                group,
                client: who,
                request,
            } => self.group(client, &group, &who, request)?,
            group::Call::Each {
                client: who,
                requests,
            } => {
                let answers = requests.into_iter().map(|(group, request)| {
                    let answer = self.group(client, &group, &who, request);
                    (group, answer.expect("none of them waits"))
                });
                Answer::Each(answers.collect())
            }
            group::Call::List => {
                let groups = self.groups.values();
                Answer::Listed(groups.filter_map(Group::listed).collect())
            }
        };
        Some(Reply::Group(Box::new(answer)))
    }

    fn group(
        &mut self,
        client: usize,
        name: &str,
        who: &group::Client,
        mut request: Request,
    ) -> Option<Answer> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        resolve(&mut request);
        let settings = Arc::new(group::Settings::default());
        let group = self.groups.entry(name.to_owned());
        let group = group.or_insert_with(|| Group::new(name, settings));
        let mut effects = Vec::new();
        let who = &group::Client {
            host: "10.0.0.1".to_owned(),
            ..who.clone()
        };
        let input = group::Input::Request {
            ticket,
            client: who,
            token: u128::from(self.tickets),
            request: Box::new(request),
            topics: &NoTopics,
        };
        group.handle(input, self.now_ms, &mut effects);
        self.waiting.insert(ticket, client);
        self.answer(effects, Some(ticket))
    }

    /// Tells all but one, whose answer is returned.
    fn answer(&mut self, effects: Vec<Effect>, own: Option<Ticket>) -> Option<Answer> {
        let mut found = None;
        for effect in effects {
            let Effect::Answer { ticket, answer } = effect else {
                continue;
            };
            let client = self.waiting.remove(&ticket).expect("somebody waits");
            if own == Some(ticket) {
                found = Some(answer);
            } else {
                self.handle(client, Input::Reply(Reply::Group(Box::new(answer))));
            }
        }
        found
    }

    /// Time passes.
    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let mut all = Vec::new();
        for group in self.groups.values_mut() {
            while group.deadline_ms().is_some_and(|at| at <= self.now_ms) {
                group.handle(group::Input::Timeout, self.now_ms, &mut all);
            }
        }
        self.answer(all, None);
    }

    /// Joins in as many steps as the version needs; the answer comes when all have.
    fn join(&mut self, client: usize, version: i16, request: &JoinGroupRequest) {
        self.send(client, ApiKey::JoinGroup, version, request);
        let key = ApiKey::JoinGroup;
        let answer: Option<JoinGroupResponse> = self.receive(client, key, version);
        let Some(answer) = answer else {
            return;
        };
        assert_eq!(answer.error_code, 79, "come again");
        assert!(version >= 4);
        assert_eq!(answer.generation_id, -1);
        let again = request.clone().with_member_id(answer.member_id);
        self.send(client, key, version, &again);
    }
}

/// Topics have three partitions, but `nothing` is none.
fn resolve(request: &mut Request) {
    let resolve = |topic: &mut Topic| {
        if topic.name.is_empty() {
            topic.name = Arc::from("numbered");
            topic.partition_count = 3;
        } else if &*topic.name != "nothing" {
            topic.id = TopicId(1);
            topic.partition_count = 3;
        }
    };
    match request {
        Request::Commit(commit) => commit
            .topics
            .iter_mut()
            .for_each(|of| resolve(&mut of.topic)),
        Request::FetchOffsets(fetch) => {
            let topics = fetch.topics.iter_mut().flatten();
            topics.for_each(|of| resolve(&mut of.topic));
        }
        Request::DeleteOffsets(delete) => {
            delete
                .topics
                .iter_mut()
                .for_each(|of| resolve(&mut of.topic));
        }
        _ => {}
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group_id(name: &str) -> GroupId {
    GroupId(text(name))
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// What a consumer says: version 1, one topic `t`, no user data, nothing owned.
fn subscription() -> Bytes {
    Bytes::from_static(&[
        0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
    ])
}

fn join_request(version: i16) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(subscription());
    let request = JoinGroupRequest::default()
        .with_group_id(group_id("g"))
        .with_session_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    match version {
        0 => request,
        _ => request.with_rebalance_timeout_ms(20_000),
    }
}

fn sync_request(version: i16, joined: &JoinGroupResponse) -> SyncGroupRequest {
    let shares = joined.members.iter().map(|member| {
        SyncGroupRequestAssignment::default()
            .with_member_id(member.member_id.clone())
            .with_assignment(Bytes::copy_from_slice(member.member_id.as_bytes()))
    });
    let request = SyncGroupRequest::default()
        .with_group_id(group_id("g"))
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(shares.collect());
    match version {
        5.. => request
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range"))),
        _ => request,
    }
}

fn commit_request(member: &StrBytes, generation: i32, offset: i64) -> OffsetCommitRequest {
    let topics = ["t", "nothing"].map(|name| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(1)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(text("here")));
        OffsetCommitRequestTopic::default()
            .with_name(topic_name(name))
            .with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(group_id("g"))
        .with_member_id(member.clone())
        .with_generation_id_or_member_epoch(generation)
        .with_topics(topics.to_vec())
}

/// Offset and metadata of partition 1 of `t`, and code of partition 0.
fn fetched(world: &mut World, version: i16, all: bool) -> Vec<(i32, i64, String)> {
    let mut request = OffsetFetchRequest::default();
    if version >= 8 {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0, 1]);
        let of = OffsetFetchRequestGroup::default().with_group_id(group_id("g"));
        let of = of.with_topics((!all).then(|| vec![topic]));
        request = request.with_groups(vec![of]);
    } else {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(topic_name("t"))
            .with_partition_indexes(vec![0, 1]);
        request = request
            .with_group_id(group_id("g"))
            .with_topics((!all).then(|| vec![topic]));
    }
    let answer: OffsetFetchResponse = world.ask(0, (ApiKey::OffsetFetch, version), &request);
    let metadata = |text: &Option<StrBytes>| text.as_deref().unwrap_or("null").to_owned();
    if version >= 8 {
        assert_eq!(answer.groups.len(), 1);
        assert_eq!(answer.groups[0].error_code, 0);
        let partitions = answer.groups[0].topics.iter().flat_map(|of| &of.partitions);
        let partitions = partitions.map(|of| {
            assert_eq!(of.error_code, 0);
            (
                of.partition_index,
                of.committed_offset,
                metadata(&of.metadata),
            )
        });
        partitions.collect()
    } else {
        assert_eq!(answer.error_code, 0);
        let partitions = answer.topics.iter().flat_map(|of| &of.partitions);
        let partitions = partitions.map(|of| {
            assert_eq!(of.error_code, 0);
            (
                of.partition_index,
                of.committed_offset,
                metadata(&of.metadata),
            )
        });
        partitions.collect()
    }
}

/// The life of a group of two, with the requests of one time.
#[test]
fn a_group_lives_in_every_version() {
    for version in 0..=9_i16 {
        let mut world = World::new(2);
        let join = version;
        let sync = version.min(5);
        world.join(0, join, &join_request(join));
        world.join(1, join, &join_request(join));
        world.pass(3_000);
        world.pass(3_000);
        let joined: Vec<JoinGroupResponse> = (0..2)
            .map(|client| {
                let joined = world.receive(client, ApiKey::JoinGroup, join);
                joined.expect("all have joined")
            })
            .collect();
        assert_eq!(joined[0].error_code, 0, "{version}");
        assert_eq!(joined[0].generation_id, 1);
        assert_eq!(joined[0].leader, joined[0].member_id);
        assert_eq!(joined[0].members.len(), 2);
        assert_eq!(joined[0].members[0].metadata, subscription());
        assert!(joined[1].members.is_empty());
        assert_eq!(joined[1].leader, joined[0].member_id);
        assert_eq!(joined[0].protocol_name, Some(text("range")));
        world.send(1, ApiKey::SyncGroup, sync, &sync_request(sync, &joined[1]));
        world.send(0, ApiKey::SyncGroup, sync, &sync_request(sync, &joined[0]));
        for (client, joined) in joined.iter().enumerate() {
            let synced = world.receive(client, ApiKey::SyncGroup, sync);
            let synced: SyncGroupResponse = synced.expect("shares are out");
            assert_eq!(synced.error_code, 0);
            assert_eq!(synced.assignment, joined.member_id.as_bytes());
        }
        let beat = version.min(4);
        let heartbeat = |generation: i32| {
            HeartbeatRequest::default()
                .with_group_id(group_id("g"))
                .with_member_id(joined[0].member_id.clone())
                .with_generation_id(generation)
        };
        for (generation, code) in [(1, 0), (2, 22)] {
            let beaten: HeartbeatResponse =
                world.ask(0, (ApiKey::Heartbeat, beat), &heartbeat(generation));
            assert_eq!(beaten.error_code, code);
        }
        let commit = version.clamp(2, 9);
        let request = commit_request(&joined[0].member_id, 1, 42);
        let done: OffsetCommitResponse = world.ask(0, (ApiKey::OffsetCommit, commit), &request);
        let codes = done.topics.iter().map(|of| of.partitions[0].error_code);
        assert_eq!(codes.collect::<Vec<_>>(), [0, 3]);
        let fetch = version.max(1);
        let here = (1, 42, "here".to_owned());
        assert_eq!(
            fetched(&mut world, fetch, false),
            [(0, -1, String::new()), here.clone()]
        );
        if fetch >= 2 {
            assert_eq!(fetched(&mut world, fetch, true), [here]);
        }
        let leave = version.min(5);
        let mut request = LeaveGroupRequest::default().with_group_id(group_id("g"));
        if leave >= 3 {
            let members = [joined[1].member_id.clone(), text("nobody")];
            let members = members.map(|id| MemberIdentity::default().with_member_id(id));
            request = request.with_members(members.to_vec());
        } else {
            request = request.with_member_id(joined[1].member_id.clone());
        }
        let left: LeaveGroupResponse = world.ask(1, (ApiKey::LeaveGroup, leave), &request);
        assert_eq!(left.error_code, 0);
        let codes = left.members.iter().map(|of| of.error_code);
        let expected: &[i16] = if leave >= 3 { &[0, 25] } else { &[] };
        assert_eq!(codes.collect::<Vec<_>>(), expected);
        let beaten: HeartbeatResponse = world.ask(0, (ApiKey::Heartbeat, beat), &heartbeat(1));
        assert_eq!(beaten.error_code, 27);
        if leave < 3 {
            let left: LeaveGroupResponse = world.ask(1, (ApiKey::LeaveGroup, leave), &request);
            assert_eq!(left.error_code, 25);
        }
    }
}

/// A topic's number, and the name that stands for it in what is rewritten below.
const NUMBER: &str = "000102030405060708090a0b0c0d0e0f";

/// The bytes of version 10, which `kafka-protocol` does not write: of version 9, with a number
/// in the place of the name.
fn by_number<R: Encodable>(request: &R) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, 9).expect("a request");
    let mut name = vec![33];
    name.extend_from_slice(NUMBER.as_bytes());
    let at = bytes.windows(33).position(|window| window == name);
    let at = at.expect("the name");
    let number = u128::from_str_radix(NUMBER, 16).expect("hex");
    [&bytes[..at], &number.to_be_bytes(), &bytes[at + 33..]].concat()
}

#[test]
fn topics_are_known_by_number_too() {
    let mut world = World::new(1);
    let number = u128::from_str_radix(NUMBER, 16).expect("hex");
    let mut request = commit_request(&StrBytes::default(), -1, 42);
    request.topics.truncate(1);
    request.topics[0].name = topic_name(NUMBER);
    world.send_bytes(0, ApiKey::OffsetCommit, 10, &by_number(&request));
    let done = world.receive(0, ApiKey::OffsetCommit, 10);
    let done: OffsetCommitResponse = done.expect("it does not wait");
    assert_eq!(done.topics[0].topic_id.as_u128(), number);
    assert_eq!(done.topics[0].partitions[0].error_code, 0);
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name(NUMBER))
        .with_partition_indexes(vec![0, 1]);
    let of = OffsetFetchRequestGroup::default()
        .with_group_id(group_id("g"))
        .with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![of]);
    world.send_bytes(0, ApiKey::OffsetFetch, 10, &by_number(&request));
    let found = world.receive(0, ApiKey::OffsetFetch, 10);
    let found: OffsetFetchResponse = found.expect("it does not wait");
    let topic = &found.groups[0].topics[0];
    assert_eq!(topic.topic_id.as_u128(), number);
    let offsets = topic.partitions.iter().map(|of| of.committed_offset);
    assert_eq!(offsets.collect::<Vec<_>>(), [-1, 42]);
}

#[test]
fn refusals_have_their_codes() {
    for version in 0..=9_i16 {
        let mut world = World::new(1);
        let mut ask = |request: JoinGroupRequest| -> JoinGroupResponse {
            world.ask(0, (ApiKey::JoinGroup, version), &request)
        };
        let usual = || join_request(version);
        let code = ask(usual().with_group_id(group_id(""))).error_code;
        assert_eq!(code, 24);
        let code = ask(usual().with_session_timeout_ms(5_999)).error_code;
        assert_eq!(code, 26);
        let refused = ask(usual().with_member_id(text("nobody")));
        assert_eq!((refused.error_code, &*refused.member_id), (25, "nobody"));
        let code = ask(usual().with_protocols(Vec::new())).error_code;
        assert_eq!(code, 23);
        let none = if version >= 7 { None } else { Some(text("")) };
        assert_eq!(refused.protocol_name, none);
    }
    let mut world = World::new(1);
    let sync = SyncGroupRequest::default().with_group_id(group_id("g"));
    let codes = [(4, 25), (5, 23)];
    for (version, code) in codes {
        let synced: SyncGroupResponse = world.ask(0, (ApiKey::SyncGroup, version), &sync);
        assert_eq!(synced.error_code, code);
    }
    for (version, code) in [(8, 22), (9, 69)] {
        let request = commit_request(&text("nobody"), 1, 1);
        let done: OffsetCommitResponse = world.ask(0, (ApiKey::OffsetCommit, version), &request);
        assert_eq!(done.topics[0].partitions[0].error_code, code);
    }
    let leave = LeaveGroupRequest::default()
        .with_group_id(group_id("g"))
        .with_members(vec![MemberIdentity::default().with_member_id(text("a"))]);
    let left: LeaveGroupResponse = world.ask(0, (ApiKey::LeaveGroup, 5), &leave);
    assert_eq!((left.error_code, left.members[0].error_code), (0, 25));
}

#[test]
fn groups_are_listed_described_and_deleted_in_every_version() {
    let mut world = World::new(2);
    let commit = commit_request(&StrBytes::default(), -1, 5).with_group_id(group_id("simple"));
    let done: OffsetCommitResponse = world.ask(0, (ApiKey::OffsetCommit, 5), &commit);
    assert_eq!(done.topics[0].partitions[0].error_code, 0);
    world.join(1, 5, &join_request(5));
    world.pass(3_000);
    let joined = world.receive(1, ApiKey::JoinGroup, 5);
    let joined: JoinGroupResponse = joined.expect("it is alone");
    let synced: SyncGroupResponse = world.ask(1, (ApiKey::SyncGroup, 3), &sync_request(3, &joined));
    assert_eq!(synced.error_code, 0);
    for version in 0..=5_i16 {
        let mut list = |request: ListGroupsRequest| -> Vec<String> {
            let listed: ListGroupsResponse = world.ask(0, (ApiKey::ListGroups, version), &request);
            assert_eq!(listed.error_code, 0);
            let shown = listed.groups.iter().map(|of| {
                let parts = [
                    &**of.group_id,
                    &*of.protocol_type,
                    &*of.group_state,
                    &*of.group_type,
                ];
                parts.join("/")
            });
            shown.collect()
        };
        let expected = match version {
            0..=3 => ["g/consumer//", "simple///"],
            4 => ["g/consumer/Stable/", "simple//Empty/"],
            _ => ["g/consumer/Stable/classic", "simple//Empty/classic"],
        };
        assert_eq!(list(ListGroupsRequest::default()), expected);
        if version >= 4 {
            let stable = ListGroupsRequest::default().with_states_filter(vec![text("stable")]);
            assert_eq!(list(stable), expected[..1]);
        }
        if version >= 5 {
            let shares = ListGroupsRequest::default().with_types_filter(vec![text("share")]);
            assert_eq!(list(shares), Vec::<String>::new());
        }
    }
    for version in 0..=6_i16 {
        let request = DescribeGroupsRequest::default()
            .with_groups(["g", "simple", "nobody"].map(group_id).to_vec())
            .with_include_authorized_operations(version >= 3);
        let described: DescribeGroupsResponse =
            world.ask(0, (ApiKey::DescribeGroups, version), &request);
        let [g, simple, nobody] = &described.groups[..] else {
            panic!("three groups");
        };
        let state = |of: &kafka_protocol::messages::describe_groups_response::DescribedGroup| {
            format!(
                "{} {} {}",
                of.error_code, &*of.group_state, &*of.protocol_data
            )
        };
        assert_eq!(state(g), "0 Stable range");
        assert_eq!(state(simple), "0 Empty ");
        let found = if version >= 6 { "69 Dead " } else { "0 Dead " };
        assert_eq!(state(nobody), found);
        assert_eq!(g.members.len(), 1);
        assert_eq!(&*g.members[0].client_id, "client");
        assert_eq!(&*g.members[0].client_host, "/10.0.0.1");
        assert_eq!(g.members[0].member_assignment, joined.member_id.as_bytes());
    }
    let forget = |partition: i32, topic: &str| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(topic_name(topic))
            .with_partitions(vec![partition]);
        OffsetDeleteRequest::default().with_topics(vec![topic])
    };
    for (group, topic, code) in [("g", "t", 86), ("simple", "t", 0), ("simple", "nothing", 3)] {
        let request = forget(1, topic).with_group_id(group_id(group));
        let gone: OffsetDeleteResponse = world.ask(0, (ApiKey::OffsetDelete, 0), &request);
        assert_eq!(
            (gone.error_code, gone.topics[0].partitions[0].error_code),
            (0, code)
        );
    }
    let request = forget(1, "t").with_group_id(group_id("nobody"));
    let gone: OffsetDeleteResponse = world.ask(0, (ApiKey::OffsetDelete, 0), &request);
    assert_eq!(gone.error_code, 69);
    for version in 0..=2_i16 {
        let names = ["simple", "g", "nobody"].map(group_id);
        let request = DeleteGroupsRequest::default().with_groups_names(names.to_vec());
        let deleted: DeleteGroupsResponse = world.ask(0, (ApiKey::DeleteGroups, version), &request);
        let codes = deleted.results.iter().map(|of| of.error_code);
        let first = if version == 0 { 0 } else { 69 };
        assert_eq!(codes.collect::<Vec<_>>(), [first, 68, 69]);
    }
}

#[test]
fn everything_is_coordinated_here() {
    let mut world = World::new(1);
    for version in 0..=6_i16 {
        let mut find = |key: &str, kind: i8| {
            let request = FindCoordinatorRequest::default();
            let request = match version {
                0 => request.with_key(text(key)),
                1..=3 => request.with_key(text(key)).with_key_type(kind),
                _ => request
                    .with_coordinator_keys(vec![text(key)])
                    .with_key_type(kind),
            };
            let found: FindCoordinatorResponse =
                world.ask(0, (ApiKey::FindCoordinator, version), &request);
            match found.coordinators.first() {
                Some(one) => (
                    one.error_code,
                    one.node_id.0,
                    one.host.to_string(),
                    one.port,
                ),
                None => (
                    found.error_code,
                    found.node_id.0,
                    found.host.to_string(),
                    found.port,
                ),
            }
        };
        let here = (0, 7, "here".to_owned(), 9092);
        let nowhere = (42, -1, String::new(), -1);
        assert_eq!(find("g", 0), here);
        if version >= 1 {
            assert_eq!(find("tx", 1), here);
            assert_eq!(find("x", 3), nowhere);
        }
        if version >= 6 {
            assert_eq!(find("g:AAAAAAAAAAAAAAAAAAAAAQ:0", 2), here);
            assert_eq!(find("g", 2), nowhere);
        }
    }
}
