//! Transactions over the wire: each request in every version, as `kafka-protocol` writes it,
//! what the broker is asked for it, and what a client of that version is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, ApiKey, ApiVersionsRequest, ApiVersionsResponse, EndTxnRequest,
    EndTxnResponse, GroupId, InitProducerIdRequest, InitProducerIdResponse,
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, RequestHeader, ResponseHeader,
    TopicName, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use bongsu_engine::group::GroupError;
use bongsu_engine::group::offsets::Topic;
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_engine::transaction::call::{AddedTo, Listed, Member};
use bongsu_engine::transaction::{Answer, Producer, Request, TransactionRefused};
use bongsu_kafka::{Session, Settings};

struct Client {
    session: Session,
    now: Now,
}

impl Client {
    fn new() -> Client {
        let now = Now {
            instant: Instant::now(),
            unix_ms: 1_000_000,
        };
        let settings = Arc::new(Settings {
            space: "/".to_owned(),
            node_id: 7,
            advertised_host: "here".to_owned(),
            advertised_port: 9092,
            request_bytes_max: 1 << 20,
            decompressed_bytes_max: 1 << 20,
            idle: Duration::from_secs(600),
            configs: Arc::new([]),
        });
        Client {
            session: Session::new(settings, 1, now.instant),
            now,
        }
    }

    /// Sends a request; the broker answers what `answer` makes of what it is asked. `None`:
    /// it is not to be asked.
    fn ask<Q: Encodable, R: Decodable>(
        &mut self,
        (key, version): (ApiKey, i16),
        request: &Q,
        answer: Option<&dyn Fn(Request) -> Answer>,
    ) -> R {
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(5);
        let mut body = BytesMut::new();
        let header_version = key.request_header_version(version);
        header.encode(&mut body, header_version).expect("a header");
        request.encode(&mut body, version).expect("a request");
        let mut frame = (body.len() as i32).to_be_bytes().to_vec();
        frame.extend_from_slice(&body);
        let mut effects = Effects::default();
        let used = self
            .session
            .handle(Input::Bytes(&frame), self.now, &mut effects);
        assert_eq!(used, frame.len());
        let mut asked = false;
        while let Some(call) = effects.call.take() {
            let reply = match call {
                Call::LoginAnonymous | Call::EnterSpace { .. } => Reply::Done,
                Call::Transaction(request) => {
                    asked = true;
                    let answer = answer.expect("the broker is not asked");
                    Reply::Transaction(Box::new(answer(*request)))
                }
                other => panic!("{other:?}"),
            };
            self.session
                .handle(Input::Reply(reply), self.now, &mut effects);
        }
        assert_eq!(asked, answer.is_some());
        assert!(effects.close.is_none(), "{:?}", effects.close);
        let mut bytes = Bytes::from(effects.out);
        assert_eq!(bytes.get_i32() as usize, bytes.len());
        let header_version = key.response_header_version(version);
        let header = ResponseHeader::decode(&mut bytes, header_version).expect("a header");
        assert_eq!(header.correlation_id, 5);
        let response = R::decode(&mut bytes, version).expect("a response");
        assert!(bytes.is_empty(), "nothing behind it");
        response
    }
}

const PRODUCER: Producer = Producer { id: 9, epoch: 3 };

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn id() -> TransactionalId {
    TransactionalId(text("id"))
}

fn of() -> Member {
    Member {
        transactional_id: Arc::from("id"),
        producer: PRODUCER,
    }
}

/// The code for a fenced producer changed its meaning once.
fn fenced(version: i16, from: i16) -> i16 {
    if version < from { 47 } else { 90 }
}

#[test]
fn producers_are_initialized() {
    for version in 0..=5 {
        let api = (ApiKey::InitProducerId, version);
        let mut client = Client::new();
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id()))
            .with_transaction_timeout_ms(100);
        let done = |asked: Request| {
            let expected = Request::Init {
                transactional_id: Some(Arc::from("id")),
                timeout_ms: 100,
                expected: None,
            };
            assert_eq!(asked, expected);
            Answer::Initialized(Ok(PRODUCER))
        };
        let response: InitProducerIdResponse = client.ask(api, &request, Some(&done));
        let found = (response.producer_id.0, response.producer_epoch);
        assert_eq!((response.error_code, found), (0, (9, 3)));
        let refuse = |_| Answer::Initialized(Err(TransactionRefused::Fenced));
        let response: InitProducerIdResponse = client.ask(api, &request, Some(&refuse));
        assert_eq!(response.error_code, fenced(version, 4));
        assert_eq!(response.producer_id.0, -1);
        if version >= 3 {
            let again = request.clone().with_producer_id(ProducerId(9));
            let response: InitProducerIdResponse = client.ask(api, &again, None);
            assert_eq!(response.error_code, 42, "an epoch is missing");
            let again = again.with_producer_epoch(3);
            let done = |asked: Request| {
                let expected = Some(PRODUCER);
                assert!(matches!(asked, Request::Init { expected: e, .. } if e == expected));
                Answer::Initialized(Err(TransactionRefused::Timeout))
            };
            let response: InitProducerIdResponse = client.ask(api, &again, Some(&done));
            assert_eq!(response.error_code, 50);
        }
    }
}

#[test]
fn partitions_are_added() {
    for version in 0..=5 {
        let api = (ApiKey::AddPartitionsToTxn, version);
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text("t")))
            .with_partitions(vec![0, 1]);
        let mut request = AddPartitionsToTxnRequest::default();
        if version < 4 {
            request = request
                .with_v3_and_below_transactional_id(id())
                .with_v3_and_below_producer_id(ProducerId(9))
                .with_v3_and_below_producer_epoch(3)
                .with_v3_and_below_topics(vec![topic]);
        } else {
            let transaction = AddPartitionsToTxnTransaction::default()
                .with_transactional_id(id())
                .with_producer_id(ProducerId(9))
                .with_producer_epoch(3)
                .with_verify_only(true)
                .with_topics(vec![topic]);
            request = request.with_transactions(vec![transaction]);
        }
        let done = |asked: Request| {
            let Request::AddPartitions(all) = asked else {
                panic!("{asked:?}");
            };
            assert_eq!((all.len(), all[0].of == of()), (1, true));
            assert_eq!(all[0].only_verifies, version >= 4);
            assert_eq!(all[0].topics, [(Arc::from("t"), vec![0, 1])]);
            let results = vec![
                (0, Err(TransactionRefused::Fenced)),
                (1, Err(TransactionRefused::NotInTransaction)),
            ];
            Answer::Added(vec![AddedTo {
                transactional_id: Arc::from("id"),
                topics: vec![(Arc::from("t"), results)],
            }])
        };
        let response: AddPartitionsToTxnResponse = Client::new().ask(api, &request, Some(&done));
        let topics = match version {
            0..4 => &response.results_by_topic_v3_and_below,
            _ => &response.results_by_transaction[0].topic_results,
        };
        let results = &topics[0].results_by_partition;
        let codes: Vec<i16> = results.iter().map(|r| r.partition_error_code).collect();
        let abortable = if version < 5 { 48 } else { 120 };
        assert_eq!(codes, [fenced(version, 2), abortable]);
    }
}

#[test]
fn transactions_end() {
    for version in 0..=5 {
        let api = (ApiKey::EndTxn, version);
        let mut client = Client::new();
        let request = EndTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(ProducerId(9))
            .with_producer_epoch(3)
            .with_committed(true);
        let done = |asked: Request| {
            let expected = Request::End {
                of: of(),
                committed: true,
                bumps_epoch: version >= 5,
            };
            assert_eq!(asked, expected);
            Answer::Ended(Ok(PRODUCER))
        };
        let response: EndTxnResponse = client.ask(api, &request, Some(&done));
        assert_eq!(response.error_code, 0);
        if version >= 5 {
            let found = (response.producer_id.0, response.producer_epoch);
            assert_eq!(found, (9, 3));
        }
        for (refused, code) in [
            (TransactionRefused::Fenced, fenced(version, 2)),
            (TransactionRefused::State, 48),
            (TransactionRefused::UnknownProducer, 49),
            (TransactionRefused::Storage, 15),
        ] {
            let refuse = |_| Answer::Ended(Err(refused));
            let response: EndTxnResponse = client.ask(api, &request, Some(&refuse));
            assert_eq!(response.error_code, code, "{refused:?}");
        }
    }
}

#[test]
fn offsets_are_added_and_committed() {
    for version in 0..=4 {
        let api = (ApiKey::AddOffsetsToTxn, version);
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(ProducerId(9))
            .with_producer_epoch(3)
            .with_group_id(GroupId(text("g")));
        let done = |asked: Request| {
            let group = Arc::from("g");
            assert_eq!(asked, Request::AddOffsets { of: of(), group });
            Answer::AddedOffsets(Err(TransactionRefused::Fenced))
        };
        let response: AddOffsetsToTxnResponse = Client::new().ask(api, &request, Some(&done));
        assert_eq!(response.error_code, fenced(version, 2));
    }
    for version in 0..=5 {
        let api = (ApiKey::TxnOffsetCommit, version);
        let mut client = Client::new();
        let partitions = [0, 1].map(|partition| {
            TxnOffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(12)
                .with_committed_metadata(Some(text("beside")))
        });
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(TopicName(text("t")))
            .with_partitions(partitions.to_vec());
        let mut request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(GroupId(text("g")))
            .with_producer_id(ProducerId(9))
            .with_producer_epoch(3)
            .with_topics(vec![topic]);
        if version >= 3 {
            request = request
                .with_member_id(text("m"))
                .with_generation_id(4)
                .with_group_instance_id(Some(text("i")));
        }
        let done = |asked: Request| {
            let Request::CommitOffsets {
                group,
                commit,
                adds_group,
                ..
            } = asked
            else {
                panic!("{asked:?}");
            };
            assert_eq!((&*group, adds_group), ("g", version >= 5));
            let (member, generation) = if version >= 3 { ("m", 4) } else { ("", -1) };
            assert_eq!((&*commit.member, commit.generation), (member, generation));
            let said = &commit.topics[0].partitions[0];
            assert_eq!((said.offset, &*said.metadata), (12, "beside"));
            let topic = Topic {
                name: Arc::from("t"),
                ..Topic::default()
            };
            let stale = Err(GroupError::StaleMemberEpoch);
            Answer::CommittedOffsets(Ok(vec![(topic, vec![(0, Ok(())), (1, stale)])]))
        };
        let response: TxnOffsetCommitResponse = client.ask(api, &request, Some(&done));
        assert_eq!(codes(&response), [0, 22]);
        for (refused, code) in [
            (TransactionRefused::Fenced, 47),
            (
                TransactionRefused::NotInTransaction,
                if version < 4 { 48 } else { 120 },
            ),
        ] {
            let refuse = |_| Answer::CommittedOffsets(Err(refused));
            let response: TxnOffsetCommitResponse = client.ask(api, &request, Some(&refuse));
            assert_eq!(codes(&response), [code, code]);
        }
        let nameless = request.with_group_id(GroupId(text("")));
        let response: TxnOffsetCommitResponse = client.ask(api, &nameless, None);
        assert_eq!(codes(&response), [24, 24]);
    }
}

fn codes(response: &TxnOffsetCommitResponse) -> Vec<i16> {
    let partitions = response.topics[0].partitions.iter();
    partitions.map(|partition| partition.error_code).collect()
}

#[test]
fn transactions_are_listed() {
    for version in 0..=2 {
        let api = (ApiKey::ListTransactions, version);
        let mut request = ListTransactionsRequest::default()
            .with_state_filters(vec![text("Ongoing"), text("Odd")])
            .with_producer_id_filters(vec![ProducerId(9)]);
        if version >= 1 {
            request = request.with_duration_filter(5);
        }
        if version >= 2 {
            request = request.with_transactional_id_pattern(Some(text("i.")));
        }
        let done = |asked: Request| {
            let Request::List(filter) = asked else {
                panic!("{asked:?}");
            };
            assert_eq!(filter.producer_ids, [9]);
            assert_eq!(filter.open_for_ms, if version >= 1 { 5 } else { -1 });
            let pattern = (version >= 2).then(|| "i.".to_owned());
            assert_eq!(filter.id_pattern, pattern);
            Answer::Listed(Ok(Listed {
                unknown_states: filter.unknown_states(),
                transactions: vec![(Arc::from("id"), 9, "Ongoing")],
            }))
        };
        let response: ListTransactionsResponse = Client::new().ask(api, &request, Some(&done));
        assert_eq!(response.unknown_state_filters, [text("Odd")]);
        assert_eq!(response.transaction_states[0].transactional_id, id());
    }
}

#[test]
fn clients_are_told_that_ends_make_epochs() {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("c"))
        .with_client_software_version(text("1"));
    let api = (ApiKey::ApiVersions, 4);
    let response: ApiVersionsResponse = Client::new().ask(api, &request, None);
    let features = response.finalized_features.iter();
    let level = |name: &str| {
        let mut found = features.clone().filter(|of| &*of.name == name);
        found.next().map(|of| of.max_version_level)
    };
    assert_eq!(level("transaction.version"), Some(2));
}
