//! Topics over the wire: requests of every version, written and read by `kafka-protocol` as a
//! client would, against a session whose broker is the engine's catalog and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::alter_configs_request::{
    AlterConfigsResource as ReplaceResource, AlterableConfig as ReplaceConfig,
};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, ApiKey, BrokerId, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest,
    DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ListConfigResourcesRequest,
    ListConfigResourcesResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, RequestHeader, ResponseHeader,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use bongsu_engine::catalog::{Catalog, LogDurability, SpaceId, Topic};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_engine::share;
use bongsu_engine::topic::call::{Bounds, Change, Refused, TopicRef};
use bongsu_engine::topic::config::describe;
use bongsu_engine::topic::request::{EpochEnd, Info, Sizes, Topics};
use bongsu_engine::topic::{Answer, Request};
use bongsu_kafka::{BrokerConfig, Session, Settings};
use bongsu_record::Offset;

const SPACE: SpaceId = SpaceId::DEFAULT;
const BOUNDS: Bounds = Bounds {
    usual: 2,
    per_topic_max: 100,
    in_all_max: 1000,
};

/// A client, and a catalog that answers it; every partition begins at 3 and ends at 10.
struct World {
    session: Session,
    catalog: Catalog,
    correlation: i32,
}

impl World {
    fn new() -> World {
        let set = BrokerConfig {
            name: "num.partitions".to_owned(),
            value: "2".to_owned(),
            is_set: true,
            meaning: "how many".to_owned(),
        };
        let settings = Arc::new(Settings {
            space: "/".to_owned(),
            node_id: 7,
            advertised_host: "here".to_owned(),
            advertised_port: 9092,
            request_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            idle: Duration::from_secs(600),
            configs: Arc::new([set]),
        });
        let mut catalog = Catalog::new(bongsu_engine::catalog::Settings {
            durability: LogDurability::Fsync,
            hash_seed: 1,
        });
        catalog.found(5 << 80, &mut Vec::new());
        World {
            session: Session::new(settings, 1, Instant::now()),
            catalog,
            correlation: 0,
        }
    }

    /// One request and its answer.
    fn ask<R: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, request: &R) -> A {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(text("client")));
        let mut frame = BytesMut::new();
        let header_version = key.request_header_version(version);
        header.encode(&mut frame, header_version).expect("a header");
        request.encode(&mut frame, version).expect("a request");
        let mut bytes = (frame.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&frame);
        let mut answer = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let used = self.handle(Input::Bytes(rest), &mut answer);
            rest = &rest[used..];
        }
        let length = i32::from_be_bytes(answer[..4].try_into().expect("a length"));
        assert_eq!(length as usize, answer.len() - 4, "one answer");
        let mut body = Bytes::from(answer).slice(4..);
        let header = ResponseHeader::decode(&mut body, key.response_header_version(version));
        assert_eq!(header.expect("a header").correlation_id, self.correlation);
        let answer = A::decode(&mut body, version).expect("an answer");
        assert!(!body.has_remaining(), "{key:?} {version}");
        answer
    }

    fn handle(&mut self, input: Input<'_>, answer: &mut Vec<u8>) -> usize {
        let now = Now {
            instant: Instant::now(),
            unix_ms: 0,
        };
        let mut effects = Effects::default();
        let used = self.session.handle(input, now, &mut effects);
        while let Some(call) = effects.call.take() {
            let reply = match call {
                Call::LoginAnonymous | Call::EnterSpace { .. } => Reply::Done,
                Call::Topic(request) => Reply::Topic(Box::new(self.answer(*request))),
                // Of no group anything was set.
                Call::Share(_) => Reply::Share {
                    wait: None,
                    answer: Box::new(share::Answer::Configs(Vec::new())),
                },
                other => panic!("{other:?}"),
            };
            self.session.handle(Input::Reply(reply), now, &mut effects);
        }
        assert_eq!(effects.close, None);
        answer.extend_from_slice(&effects.out);
        used
    }

    fn topic(&self, topic: &TopicRef) -> Result<Topic, Refused> {
        match topic {
            TopicRef::Name(name) => {
                let unknown = || Refused::Unknown {
                    name: name.to_string(),
                };
                self.catalog.topic(SPACE, name).ok_or_else(unknown)
            }
            TopicRef::Id(id) => {
                let unknown = Refused::UnknownId { id: *id };
                self.catalog.topic_by_id(SPACE, *id).ok_or(unknown)
            }
        }
    }

    fn partition(&self, topic: &TopicRef, index: i32) -> Result<(), Refused> {
        let topic = self.topic(topic)?;
        let is_there = usize::try_from(index).is_ok_and(|index| index < topic.partitions.len());
        is_there.then_some(()).ok_or(Refused::Partition)
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Change {
                changes,
                only_check,
            } => {
                let change = |change: Change| {
                    let configs = match &change {
                        Change::Create { configs, .. } => Some(configs.clone()),
                        _ => None,
                    };
                    let effects = &mut Vec::new();
                    let changed = self
                        .catalog
                        .handle_topic(SPACE, change, BOUNDS, only_check, effects);
                    changed.map(|mut changed| {
                        let configs = configs.map(|set| describe::describe_new(&set, 1 << 26));
                        changed.configs = configs.unwrap_or_default();
                        changed
                    })
                };
                Answer::Changed(changes.into_iter().map(change).collect())
            }
            Request::Topics { which, create } => {
                for name in which.iter().flatten() {
                    if let (TopicRef::Name(name), true) = (name, create) {
                        let create = Change::Create {
                            name: name.to_string(),
                            partitions: None,
                            configs: Default::default(),
                        };
                        let effects = &mut Vec::new();
                        let _ = self
                            .catalog
                            .handle_topic(SPACE, create, BOUNDS, false, effects);
                    }
                }
                let info = |topic: &Topic| Info {
                    id: topic.id,
                    name: topic.name.clone(),
                    partitions: topic.partitions.len() as u32,
                };
                let topics = match which {
                    None => self.catalog.topics(SPACE).map(|it| Ok(info(&it))).collect(),
                    Some(which) => {
                        let found = which.iter().map(|it| self.topic(it));
                        found
                            .map(|found| found.as_ref().map(info).map_err(Clone::clone))
                            .collect()
                    }
                };
                let cluster = self.catalog.cluster();
                Answer::Topics(Topics { cluster, topics })
            }
            Request::Configs { topics } => {
                let describe = |(name, names): &(String, Option<Vec<String>>)| {
                    let topic = self.topic(&TopicRef::Name(name.as_str().into()))?;
                    Ok(describe::describe(&topic, names.as_deref(), 1 << 26))
                };
                Answer::Configs(topics.iter().map(describe).collect())
            }
            Request::Trim { parts } => {
                let trim = |(topic, index, offset): &(TopicRef, i32, Option<i64>)| {
                    self.partition(topic, *index)?;
                    match offset.unwrap_or(10) {
                        offset @ 0..=10 => Ok(Offset(offset.max(3) as u64)),
                        offset => Err(Refused::Offset { offset }),
                    }
                };
                Answer::Trimmed(parts.iter().map(trim).collect())
            }
            Request::Epochs { parts } => {
                let end = |(topic, index, epoch): &(TopicRef, i32, i32)| {
                    self.partition(topic, *index)?;
                    let is_known = *epoch == 0;
                    Ok(EpochEnd {
                        epoch: is_known.then_some(0),
                        end: is_known.then_some(Offset(10)),
                    })
                };
                Answer::Epochs(parts.iter().map(end).collect())
            }
            Request::Sizes { .. } => {
                let topics = self.catalog.topics(SPACE);
                Answer::Sizes(Sizes {
                    dir: "/data".to_owned(),
                    free_bytes: Some(99),
                    partitions: topics.map(|topic| (topic.name, 0, 5)).collect(),
                })
            }
        }
    }

    /// Makes a topic, and says with what code.
    fn create(&mut self, name: &str, partitions: i32) -> i16 {
        let topic = creatable(name).with_num_partitions(partitions);
        self.create_all(7, vec![topic])[0].0
    }

    fn create_all(&mut self, version: i16, topics: Vec<CreatableTopic>) -> Vec<(i16, String)> {
        let request = CreateTopicsRequest::default().with_topics(topics);
        let answer: CreateTopicsResponse = self.ask(ApiKey::CreateTopics, version, &request);
        let coded = answer.topics.into_iter();
        let coded = coded.map(|one| (one.error_code, one.error_message.unwrap_or_default()));
        coded.map(|(code, said)| (code, said.to_string())).collect()
    }

    fn metadata(&mut self, version: i16, names: Option<&[&str]>, create: bool) -> MetadataResponse {
        let topics = names.map(|names| {
            let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(named(name)));
            names.iter().map(topic).collect()
        });
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(create || version < 4);
        self.ask(ApiKey::Metadata, version, &request)
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn named(name: &str) -> TopicName {
    TopicName(text(name))
}

fn creatable(name: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(named(name))
        .with_num_partitions(1)
        .with_replication_factor(-1)
}

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;

#[test]
fn metadata_of_every_version_says_what_there_is() {
    let mut world = World::new();
    assert_eq!(world.create("a", 3), NONE);
    assert_eq!(world.create("b", 1), NONE);
    for version in 0..=13 {
        // In version 0 an empty list is all; since then null is.
        let all = world.metadata(version, (version == 0).then_some(&[]), false);
        let names: Vec<_> = all
            .topics
            .iter()
            .map(|it| it.name.clone().unwrap().to_string())
            .collect();
        assert_eq!(names, ["a", "b"], "{version}");
        let broker = &all.brokers[0];
        assert_eq!(
            (broker.node_id.0, &*broker.host, broker.port),
            (7, "here", 9092)
        );
        let partition = &all.topics[0].partitions[2];
        assert_eq!((partition.partition_index, partition.leader_id.0), (2, 7));
        assert_eq!(partition.isr_nodes, [BrokerId(7)]);
        assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
        assert_eq!(all.topics[0].topic_id.is_nil(), version < 10);
        if version >= 2 {
            assert_eq!(all.cluster_id.as_ref().map(|id| id.len()), Some(22));
        }
        if version >= 1 {
            assert_eq!(all.controller_id.0, 7);
            assert!(world.metadata(version, Some(&[]), false).topics.is_empty());
        }
        if version >= 4 {
            let some = world.metadata(version, Some(&["b", "none"]), false);
            let codes: Vec<_> = some.topics.iter().map(|topic| topic.error_code).collect();
            assert_eq!(codes, [NONE, UNKNOWN_TOPIC_OR_PARTITION]);
        }
    }
    let made = world.metadata(13, Some(&["c"]), true);
    assert_eq!(made.topics[0].partitions.len(), 2);
    let id = made.topics[0].topic_id;
    let by_id = |id| {
        MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(id)
    };
    let other = uuid::Uuid::from_u128(9);
    for version in 12..=13 {
        let topics = Some(vec![by_id(id), by_id(other)]);
        let request = MetadataRequest::default().with_topics(topics);
        let answer: MetadataResponse = world.ask(ApiKey::Metadata, version, &request);
        assert_eq!(answer.topics[0].name, Some(named("c")));
        assert_eq!(answer.topics[1].error_code, UNKNOWN_TOPIC_ID);
        assert_eq!(
            (answer.topics[1].name.as_ref(), answer.topics[1].topic_id),
            (None, other)
        );
    }
}

#[test]
fn topics_of_every_version_are_made_grown_and_deleted() {
    let mut world = World::new();
    for version in 2..=7 {
        let name = format!("t{version}");
        let config = CreatableTopicConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("1000")));
        let topic = creatable(&name)
            .with_configs(vec![config])
            .with_num_partitions(-1);
        let check = CreateTopicsRequest::default()
            .with_topics(vec![topic.clone()])
            .with_validate_only(true);
        let checked: CreateTopicsResponse = world.ask(ApiKey::CreateTopics, version, &check);
        assert_eq!(checked.topics[0].error_code, NONE);
        let make = check.with_validate_only(false);
        let made: CreateTopicsResponse = world.ask(ApiKey::CreateTopics, version, &make);
        let made = &made.topics[0];
        assert_eq!(
            (made.error_code, made.topic_id.is_nil()),
            (NONE, version < 7)
        );
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (2, 1));
            let configs = made.configs.as_ref().unwrap();
            let set = configs
                .iter()
                .find(|one| &*one.name == "retention.ms")
                .unwrap();
            assert_eq!((set.value.as_deref(), set.config_source), (Some("1000"), 1));
        }
        let again = world.create_all(version, vec![topic]);
        assert_eq!(again, [(36, format!("Topic '{name}' already exists."))]);
    }
    for version in 0..=3 {
        let grow = |count| {
            let topic = CreatePartitionsTopic::default()
                .with_name(named("t7"))
                .with_count(count)
                .with_assignments(None);
            CreatePartitionsRequest::default().with_topics(vec![topic])
        };
        let mut answer = |request: &CreatePartitionsRequest| {
            let answer: CreatePartitionsResponse =
                world.ask(ApiKey::CreatePartitions, version, request);
            answer.results[0].error_code
        };
        let count = 3 + i32::from(version);
        assert_eq!(answer(&grow(count).with_validate_only(true)), NONE);
        assert_eq!(answer(&grow(count)), NONE);
        assert_eq!(answer(&grow(count)), 37);
        assert_eq!(answer(&grow(0)), 37);
    }
    for version in 1..=6 {
        let name = format!("t{}", version + 1);
        let request = match version {
            6 => DeleteTopicsRequest::default().with_topics(vec![
                DeleteTopicState::default().with_name(Some(named(&name))),
                DeleteTopicState::default().with_name(Some(named("none"))),
            ]),
            _ => DeleteTopicsRequest::default().with_topic_names(vec![named(&name), named("none")]),
        };
        let answer: DeleteTopicsResponse = world.ask(ApiKey::DeleteTopics, version, &request);
        let codes: Vec<_> = answer.responses.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [NONE, UNKNOWN_TOPIC_OR_PARTITION]);
        assert_eq!(answer.responses[0].name, Some(named(&name)));
    }
    assert_eq!(world.metadata(9, None, false).topics.len(), 0);
}

#[test]
fn topics_are_deleted_by_number_too() {
    let mut world = World::new();
    world.create("a", 1);
    let id = world.metadata(12, None, false).topics[0].topic_id;
    let by_id = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(id);
    let neither = DeleteTopicState::default().with_name(None);
    let both = by_id.clone().with_name(Some(named("a")));
    let topics = vec![both, neither, by_id.clone()];
    let request = DeleteTopicsRequest::default().with_topics(topics);
    let answer: DeleteTopicsResponse = world.ask(ApiKey::DeleteTopics, 6, &request);
    let codes: Vec<_> = answer.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [INVALID_REQUEST, INVALID_REQUEST, NONE]);
    assert_eq!(answer.responses[2].name, Some(named("a")));
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id.clone()]);
    let answer: DeleteTopicsResponse = world.ask(ApiKey::DeleteTopics, 6, &request);
    assert_eq!(answer.responses[0].error_code, UNKNOWN_TOPIC_ID);
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id.clone(), by_id]);
    let answer: DeleteTopicsResponse = world.ask(ApiKey::DeleteTopics, 6, &request);
    assert_eq!(
        (answer.responses.len(), answer.responses[0].error_code),
        (1, INVALID_REQUEST)
    );
}

#[test]
fn topics_that_cannot_be_are_refused_as_kafka_does() {
    let mut world = World::new();
    world.create("a.b", 1);
    let assigned = |pairs: &[(i32, &[i32])]| {
        let one = |(index, brokers): &(i32, &[i32])| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*index)
                .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
        };
        creatable("m")
            .with_num_partitions(-1)
            .with_assignments(pairs.iter().map(one).collect())
    };
    let config = |name: &str, value: Option<&str>| {
        let config = CreatableTopicConfig::default()
            .with_name(text(name))
            .with_value(value.map(text));
        creatable("c").with_configs(vec![config])
    };
    for (topic, code) in [
        (creatable("a b"), 17),
        (creatable("a_b"), 17),
        (creatable("__consumer_offsets"), INVALID_REQUEST),
        (creatable("x").with_num_partitions(0), 37),
        (creatable("x").with_num_partitions(-2), 37),
        (creatable("x").with_num_partitions(101), 44),
        (creatable("x").with_replication_factor(3), 38),
        (creatable("x").with_replication_factor(0), 38),
        (assigned(&[(0, &[7]), (1, &[8])]), 39),
        (assigned(&[(0, &[7, 7])]), 39),
        (assigned(&[(0, &[])]), 39),
        (assigned(&[(0, &[7]), (0, &[7])]), 39),
        (assigned(&[(0, &[7]), (2, &[7])]), 39),
        (
            assigned(&[(0, &[7])]).with_num_partitions(1),
            INVALID_REQUEST,
        ),
        (
            assigned(&[(0, &[7])]).with_replication_factor(1),
            INVALID_REQUEST,
        ),
        (config("retention.ms", Some("soon")), INVALID_CONFIG),
        (config("retention.ms", None), INVALID_CONFIG),
        (config("preallocate", Some("true")), INVALID_CONFIG),
        (config("retention.years", Some("1")), INVALID_CONFIG),
    ] {
        let refused = world.create_all(7, vec![topic.clone()]);
        assert_eq!(refused[0].0, code, "{topic:?} {refused:?}");
    }
    assert_eq!(
        world.create_all(7, vec![assigned(&[(1, &[7]), (0, &[7])])])[0].0,
        NONE
    );
    // A name given twice is declined once, and the rest happens.
    let twice = vec![creatable("d"), creatable("e"), creatable("d")];
    let codes: Vec<_> = world
        .create_all(7, twice)
        .into_iter()
        .map(|(code, _)| code)
        .collect();
    assert_eq!(codes, [INVALID_REQUEST, NONE]);
}

fn resource(of: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(of)
        .with_resource_name(text(name))
        .with_configuration_keys(None)
}

#[test]
fn configurations_are_described_and_altered() {
    let mut world = World::new();
    world.create("a", 1);
    let set = |operation: i8, name: &str, value: Option<&str>| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(operation)
            .with_value(value.map(text))
    };
    let of = |of: i8, name: &str, configs| {
        AlterConfigsResource::default()
            .with_resource_type(of)
            .with_resource_name(text(name))
            .with_configs(configs)
    };
    for version in 0..=1 {
        let mut alter = |resources| {
            let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
            let answer: IncrementalAlterConfigsResponse =
                world.ask(ApiKey::IncrementalAlterConfigs, version, &request);
            answer
                .responses
                .iter()
                .map(|one| one.error_code)
                .collect::<Vec<_>>()
        };
        let done = alter(vec![
            of(
                2,
                "a",
                vec![
                    set(0, "retention.ms", Some("5")),
                    set(2, "cleanup.policy", Some("compact")),
                ],
            ),
            of(4, "7", vec![set(0, "num.partitions", Some("5"))]),
            of(8, "7", vec![set(0, "root", Some("DEBUG"))]),
            of(2, "none", vec![set(1, "retention.ms", None)]),
        ]);
        assert_eq!(
            done,
            [
                NONE,
                INVALID_REQUEST,
                INVALID_REQUEST,
                UNKNOWN_TOPIC_OR_PARTITION
            ]
        );
        for (config, code) in [
            (set(2, "retention.ms", Some("5")), INVALID_CONFIG),
            (set(0, "retention.ms", None), INVALID_REQUEST),
            (set(9, "retention.ms", Some("5")), INVALID_REQUEST),
            (set(0, "retention.ms", Some("x")), INVALID_CONFIG),
        ] {
            assert_eq!(alter(vec![of(2, "a", vec![config])]), [code]);
        }
        let twice = || of(2, "a", Vec::new());
        assert_eq!(
            alter(vec![twice(), twice()]),
            [INVALID_REQUEST, INVALID_REQUEST]
        );
    }
    for version in 1..=4 {
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![
                resource(2, "a"),
                resource(4, "7"),
                resource(4, "8"),
                resource(2, "b"),
            ])
            .with_include_synonyms(true)
            .with_include_documentation(version >= 3);
        let answer: DescribeConfigsResponse = world.ask(ApiKey::DescribeConfigs, version, &request);
        let codes: Vec<_> = answer.results.iter().map(|one| one.error_code).collect();
        assert_eq!(
            codes,
            [NONE, NONE, INVALID_REQUEST, UNKNOWN_TOPIC_OR_PARTITION]
        );
        let find = |result: usize, name: &str| {
            let configs = &answer.results[result].configs;
            configs
                .iter()
                .find(|one| &*one.name == name)
                .cloned()
                .unwrap()
        };
        let retention = find(0, "retention.ms");
        assert_eq!(
            (retention.value.as_deref(), retention.config_source),
            (Some("5"), 1)
        );
        assert_eq!(retention.synonyms.len(), 2);
        assert_eq!(&*retention.synonyms[1].name, "log.retention.ms");
        assert!(!retention.read_only);
        let policy = find(0, "cleanup.policy");
        assert_eq!(policy.value.as_deref(), Some("delete,compact"));
        let usual = find(0, "max.message.bytes");
        assert_eq!(
            (usual.value.as_deref(), usual.config_source),
            (Some("1048588"), 5)
        );
        if version >= 3 {
            assert_eq!((policy.config_type, usual.config_type), (7, 3));
            assert!(usual.documentation.is_some());
        }
        let partitions = find(1, "num.partitions");
        assert_eq!(
            (partitions.value.as_deref(), partitions.config_source),
            (Some("2"), 4)
        );
        assert!(partitions.read_only);
    }
    for version in 0..=2 {
        let config = ReplaceConfig::default()
            .with_name(text("segment.ms"))
            .with_value(Some(text("77")));
        let resource = ReplaceResource::default()
            .with_resource_type(2)
            .with_resource_name(text("a"))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let answer: AlterConfigsResponse = world.ask(ApiKey::AlterConfigs, version, &request);
        assert_eq!(answer.responses[0].error_code, NONE);
    }
    let one = resource(2, "a")
        .with_configuration_keys(Some(vec![text("segment.ms"), text("retention.ms")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![one]);
    let answer: DescribeConfigsResponse = world.ask(ApiKey::DescribeConfigs, 4, &request);
    let values = answer.results[0].configs.iter();
    let values: Vec<_> = values
        .map(|one| one.value.clone().unwrap().to_string())
        .collect();
    assert_eq!(
        values,
        ["604800000", "77"],
        "what was not named has its default again"
    );
    let all = ListConfigResourcesRequest::default();
    let answer: ListConfigResourcesResponse = world.ask(ApiKey::ListConfigResources, 1, &all);
    let found = answer.config_resources.iter();
    let found: Vec<_> = found
        .map(|one| (one.resource_type, one.resource_name.to_string()))
        .collect();
    assert_eq!(found, [(2, "a".to_owned()), (4, "7".to_owned())]);
    let answer: ListConfigResourcesResponse = world.ask(ApiKey::ListConfigResources, 0, &all);
    assert!(answer.config_resources.is_empty());
    let unknown = ListConfigResourcesRequest::default().with_resource_types(vec![99]);
    let answer: ListConfigResourcesResponse = world.ask(ApiKey::ListConfigResources, 1, &unknown);
    assert_eq!(answer.error_code, 35);
}

#[test]
fn one_broker_is_the_whole_cluster() {
    let mut world = World::new();
    world.create("a", 3);
    world.create("b", 1);
    for version in 0..=2 {
        let request = DescribeClusterRequest::default();
        let answer: DescribeClusterResponse = world.ask(ApiKey::DescribeCluster, version, &request);
        assert_eq!((answer.controller_id.0, answer.brokers.len()), (7, 1));
        assert_eq!(answer.cluster_id.len(), 22);
        if version >= 1 {
            let request = request.with_endpoint_type(2);
            let answer: DescribeClusterResponse =
                world.ask(ApiKey::DescribeCluster, version, &request);
            assert_eq!((answer.error_code, answer.endpoint_type), (114, 2));
        }
    }
    for version in 0..=2 {
        let topics = |name: &str| {
            TopicPartitions::default()
                .with_topic(named(name))
                .with_partitions(vec![2, 3])
        };
        let asked = Some(vec![topics("a"), topics("none")]);
        let request = ElectLeadersRequest::default().with_topic_partitions(asked);
        let answer: ElectLeadersResponse = world.ask(ApiKey::ElectLeaders, version, &request);
        let codes = answer
            .replica_election_results
            .iter()
            .flat_map(|one| &one.partition_result);
        let codes: Vec<_> = codes.map(|one| one.error_code).collect();
        let unknown = UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(codes, [84, unknown, unknown, unknown]);
        let all = ElectLeadersRequest::default().with_topic_partitions(None);
        let answer: ElectLeadersResponse = world.ask(ApiKey::ElectLeaders, version, &all);
        assert!(answer.replica_election_results.is_empty());
    }
    for version in 0..=1 {
        let to = |index, replicas: Option<&[i32]>| {
            let replicas = replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
            ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(replicas)
        };
        let parts = vec![
            to(0, Some(&[7])),
            to(1, Some(&[8])),
            to(2, None),
            to(3, Some(&[7])),
        ];
        let topic = ReassignableTopic::default()
            .with_name(named("a"))
            .with_partitions(parts);
        let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
        let answer: AlterPartitionReassignmentsResponse =
            world.ask(ApiKey::AlterPartitionReassignments, version, &request);
        let codes = answer.responses[0].partitions.iter();
        let codes: Vec<_> = codes.map(|one| one.error_code).collect();
        assert_eq!(codes, [NONE, 39, 85, UNKNOWN_TOPIC_OR_PARTITION]);
    }
    let request = ListPartitionReassignmentsRequest::default();
    let answer: ListPartitionReassignmentsResponse =
        world.ask(ApiKey::ListPartitionReassignments, 0, &request);
    assert_eq!((answer.error_code, answer.topics.len()), (NONE, 0));
    for version in 1..=4 {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let answer: DescribeLogDirsResponse = world.ask(ApiKey::DescribeLogDirs, version, &request);
        let dir = &answer.results[0];
        assert_eq!((&*dir.log_dir, dir.topics.len()), ("/data", 2));
        assert_eq!(dir.topics[0].partitions[0].partition_size, 5);
        assert_eq!(dir.usable_bytes, if version >= 4 { 99 } else { -1 });
    }
}

#[test]
fn records_are_deleted_and_epochs_end() {
    let mut world = World::new();
    world.create("a", 2);
    for version in 0..=2 {
        let part = |index, offset| {
            DeleteRecordsPartition::default()
                .with_partition_index(index)
                .with_offset(offset)
        };
        let parts = vec![part(0, 5), part(1, -1), part(0, 11), part(2, 0)];
        let topic = DeleteRecordsTopic::default()
            .with_name(named("a"))
            .with_partitions(parts);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
        let answer: DeleteRecordsResponse = world.ask(ApiKey::DeleteRecords, version, &request);
        let found = answer.topics[0].partitions.iter();
        let found: Vec<_> = found
            .map(|one| (one.error_code, one.low_watermark))
            .collect();
        assert_eq!(
            found,
            [
                (NONE, 5),
                (NONE, 10),
                (1, -1),
                (UNKNOWN_TOPIC_OR_PARTITION, -1)
            ]
        );
    }
    for version in 2..=4 {
        let part = |index, current, epoch| {
            OffsetForLeaderPartition::default()
                .with_partition(index)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch)
        };
        let parts = vec![
            part(0, -1, 0),
            part(0, 0, 0),
            part(0, 1, 0),
            part(0, -1, 4),
            part(9, 0, 0),
        ];
        let topic = OffsetForLeaderTopic::default()
            .with_topic(named("a"))
            .with_partitions(parts);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let answer: OffsetForLeaderEpochResponse =
            world.ask(ApiKey::OffsetForLeaderEpoch, version, &request);
        let found = answer.topics[0].partitions.iter();
        let found: Vec<_> = found
            .map(|one| (one.error_code, one.leader_epoch, one.end_offset))
            .collect();
        let unknown = (UNKNOWN_TOPIC_OR_PARTITION, -1, -1);
        assert_eq!(
            found,
            [
                (NONE, 0, 10),
                (NONE, 0, 10),
                (75, -1, -1),
                (NONE, -1, -1),
                unknown
            ]
        );
    }
}

#[test]
fn partitions_are_told_page_by_page() {
    let mut world = World::new();
    for (name, partitions) in [("c", 2), ("a", 3), ("b", 1)] {
        world.create(name, partitions);
    }
    let mut cursor = None;
    let mut found = Vec::new();
    loop {
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(
                ["c", "a", "b"]
                    .map(|name| TopicRequest::default().with_name(named(name)))
                    .into(),
            )
            .with_response_partition_limit(2)
            .with_cursor(cursor);
        let answer: DescribeTopicPartitionsResponse =
            world.ask(ApiKey::DescribeTopicPartitions, 0, &request);
        for topic in &answer.topics {
            let name = topic.name.clone().unwrap().to_string();
            for partition in &topic.partitions {
                found.push(format!("{name}{}", partition.partition_index));
            }
        }
        let Some(next) = answer.next_cursor else {
            break;
        };
        let next = Cursor::default()
            .with_topic_name(next.topic_name)
            .with_partition_index(next.partition_index);
        cursor = Some(next);
    }
    assert_eq!(found, ["a0", "a1", "a2", "b0", "c0", "c1"]);
    let none = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![TopicRequest::default().with_name(named("none"))])
        .with_response_partition_limit(0);
    let answer: DescribeTopicPartitionsResponse =
        world.ask(ApiKey::DescribeTopicPartitions, 0, &none);
    assert_eq!(answer.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
}
