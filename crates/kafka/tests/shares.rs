//! Share groups over the wire: both versions, as a client writes and reads them.

mod harness;

use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use kafka_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch as Acknowledged,
};
use kafka_protocol::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
};
use kafka_protocol::messages::{
    ApiKey, DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, GroupId,
    RequestHeader, ResponseHeader, ShareAcknowledgeRequest, ShareAcknowledgeResponse,
    ShareFetchRequest, ShareFetchResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use bongsu_engine::catalog::TopicId;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_engine::share::call::{
    Describe, Described, DescribedPart, Fate, Fetch, Fetched, PartKey, Settle,
};
use bongsu_engine::share::{Answer, Refused, Request};
use bongsu_kafka::Session;
use bongsu_record::native::{Builder, Origin};
use bongsu_record::{Lsn, Offset};

const TOPIC: u128 = 0x0123_4567_89ab_4def_8123_4567_89ab_cdef;

/// A session, and what it asked.
struct World {
    session: Session,
    now: Now,
    asked: Vec<Request>,
    waited: Vec<Lsn>,
}

impl World {
    fn new() -> World {
        let instant = Instant::now();
        World {
            session: Session::new(harness::settings(), 7, instant),
            now: Now {
                instant,
                unix_ms: 0,
            },
            asked: Vec::new(),
            waited: Vec::new(),
        }
    }

    /// Sends a body; the broker answers with this, which is durable with `wait`. Returns the
    /// body of the response.
    fn ask(&mut self, key: ApiKey, version: i16, body: &[u8], answer: &Answer) -> Bytes {
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(9);
        let mut frame = BytesMut::new();
        header.encode(&mut frame, 2).expect("a header");
        frame.extend_from_slice(body);
        let mut bytes = (frame.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(&frame);
        let mut effects = Effects::default();
        let mut used = self
            .session
            .handle(Input::Bytes(&bytes), self.now, &mut effects);
        let mut out = Vec::new();
        loop {
            let mut from = 0;
            for attached in effects.attached.drain(..) {
                out.extend_from_slice(&effects.out[from..attached.at]);
                out.extend_from_slice(&attached.bytes);
                from = attached.at;
            }
            out.extend_from_slice(&effects.out[from..]);
            effects.out.clear();
            assert!(effects.close.is_none(), "{:?}", effects.close);
            let Some(call) = effects.call.take() else {
                break;
            };
            let reply = match call {
                Call::Share(request) => {
                    self.asked.push(*request);
                    Reply::Share {
                        wait: Some(Lsn(5)),
                        answer: Box::new(answer.clone()),
                    }
                }
                Call::AwaitDurable(lsn) => {
                    self.waited.push(lsn);
                    Reply::Done
                }
                _ => Reply::Done,
            };
            self.session
                .handle(Input::Reply(reply), self.now, &mut effects);
        }
        while used < bytes.len() {
            used += self
                .session
                .handle(Input::Bytes(&bytes[used..]), self.now, &mut effects);
        }
        let mut out = Bytes::from(out);
        assert_eq!(out.get_i32() as usize, out.len());
        let header = ResponseHeader::decode(&mut out, 1).expect("a header");
        assert_eq!(header.correlation_id, 9);
        out
    }

    fn fetched(&mut self) -> Fetch {
        match self.asked.pop() {
            Some(Request::Fetch(fetch)) => fetch,
            other => panic!("{other:?}"),
        }
    }

    fn settled(&mut self) -> Settle {
        match self.asked.pop() {
            Some(Request::Settle(settle)) => settle,
            other => panic!("{other:?}"),
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn key(partition: i32) -> PartKey {
    PartKey {
        topic: TopicRef::Id(TopicId(TOPIC)),
        partition,
    }
}

fn encoded<R: Encodable>(request: &R, version: i16) -> Vec<u8> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("a request");
    body.to_vec()
}

fn decoded<R: Decodable>(mut body: Bytes, version: i16) -> R {
    let response = R::decode(&mut body, version).expect("a response");
    assert!(body.is_empty(), "nothing behind it");
    response
}

/// Behind group, member and what numbers follow them: where the second version has more.
fn with(mut body: Vec<u8>, numbers: usize, more: &[u8]) -> Vec<u8> {
    let at = 2 + "g".len() + "member".len() + 4 * numbers;
    body.splice(at..at, more.iter().copied());
    body
}

fn request() -> ShareFetchRequest {
    let batches = vec![
        AcknowledgementBatch::default()
            .with_first_offset(5)
            .with_last_offset(8)
            .with_acknowledge_types(vec![1, 1, 2, 3]),
        AcknowledgementBatch::default()
            .with_first_offset(9)
            .with_last_offset(20)
            .with_acknowledge_types(vec![0]),
    ];
    let partitions = vec![
        FetchPartition::default()
            .with_partition_index(0)
            .with_acknowledgement_batches(batches),
        FetchPartition::default().with_partition_index(1),
    ];
    ShareFetchRequest::default()
        .with_group_id(Some(GroupId(text("g"))))
        .with_member_id(Some(text("member")))
        .with_share_session_epoch(3)
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1000)
        .with_max_records(77)
        .with_batch_size(10)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic_id(uuid(TOPIC))
                .with_partitions(partitions),
        ])
        .with_forgotten_topics_data(vec![
            ForgottenTopic::default()
                .with_topic_id(uuid(TOPIC))
                .with_partitions(vec![4]),
        ])
}

fn uuid(id: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(id)
}

fn answer() -> Answer {
    let mut builder = Builder::new();
    for _ in 0..3 {
        builder.begin(Origin::Amqp091, 0, b"", b"k", &[0, 0], 1);
        builder.body(b"x");
        builder.end();
    }
    let batch = builder.finish(7).expect("a batch");
    Answer::Fetched {
        lock_ms: 30_000,
        parts: vec![
            Fetched {
                settled: Some(Err(Refused::NotHeld)),
                batches: vec![(Offset(5), batch)],
                acquired: vec![(Offset(5)..Offset(7), 1), (Offset(7)..Offset(8), 2)],
                ..Fetched::of(key(0))
            },
            Fetched {
                refused: Some(Refused::Storage),
                ..Fetched::of(key(1))
            },
        ],
    }
}

#[test]
fn a_fetch_says_what_it_wants_and_is_told_what_it_has() {
    for version in [1, 2] {
        let mut world = World::new();
        let body = encoded(&request(), 1);
        let body = match version {
            1 => body,
            _ => with(body, 6, &[1, 0]),
        };
        let out = world.ask(ApiKey::ShareFetch, version, &body, &answer());
        let asked = world.fetched();
        assert_eq!(
            (&*asked.member.group, &*asked.member.member),
            ("g", "member")
        );
        assert_eq!(
            (asked.epoch, asked.wait_ms, asked.bytes_max, asked.count_max),
            (3, 500, 1000, 77)
        );
        assert_eq!((asked.whole_batches, asked.renews), (version == 1, false));
        assert_eq!(asked.parts, [key(0), key(1)]);
        assert_eq!(asked.forgotten, [key(4)]);
        let [settles] = &asked.settles[..] else {
            panic!("{:?}", asked.settles);
        };
        let run = |range: std::ops::Range<u64>| Offset(range.start)..Offset(range.end);
        let fates = vec![
            (run(5..7), Fate::Accepted),
            (run(7..8), Fate::Released),
            (run(8..9), Fate::Rejected),
            (run(9..21), Fate::Gap),
        ];
        assert_eq!(settles.settles, Ok(fates));
        assert_eq!(world.waited, [Lsn(5)], "what it says is durable");
        let response: ShareFetchResponse = decoded(out, 1);
        assert_eq!(
            (response.error_code, response.acquisition_lock_timeout_ms),
            (0, 30_000)
        );
        let topic = &response.responses[0];
        assert_eq!(topic.topic_id, uuid(TOPIC));
        let [first, second] = &topic.partitions[..] else {
            panic!("{topic:?}");
        };
        assert_eq!((first.error_code, first.acknowledge_error_code), (0, 121));
        let acquired = first.acquired_records.iter();
        let acquired: Vec<_> = acquired
            .map(|a| (a.first_offset, a.last_offset, a.delivery_count))
            .collect();
        assert_eq!(acquired, [(5, 6, 1), (7, 7, 2)]);
        let records = first.records.as_ref().expect("records");
        assert_eq!(records[..8], 5_u64.to_be_bytes(), "the base offset");
        assert_eq!((second.error_code, second.acknowledge_error_code), (56, 0));
    }
}

#[test]
fn whoever_renews_acquires_nothing() {
    let mut world = World::new();
    let renewing = |request: ShareFetchRequest| with(encoded(&request, 1), 6, &[0, 1]);
    let refused: ShareFetchResponse = decoded(
        world.ask(ApiKey::ShareFetch, 2, &renewing(request()), &answer()),
        1,
    );
    assert_eq!(refused.error_code, 42);
    let mut renews = request()
        .with_max_wait_ms(0)
        .with_min_bytes(0)
        .with_max_bytes(0)
        .with_max_records(0);
    renews.topics[0].partitions[0].acknowledgement_batches[1].acknowledge_types = vec![4];
    world.ask(ApiKey::ShareFetch, 2, &renewing(renews.clone()), &answer());
    let asked = world.fetched();
    assert!(asked.renews);
    let fates = asked.settles[0].settles.as_ref().expect("sense");
    assert_eq!(fates[3].1, Fate::Renewed);
    // Not in the first version, nor without saying so.
    world.ask(ApiKey::ShareFetch, 1, &encoded(&renews, 1), &answer());
    assert_eq!(world.fetched().settles[0].settles, Err(Refused::Malformed));
}

#[test]
fn acknowledgements_that_make_no_sense_are_told_apart() {
    let acknowledge = |first: i64, last: i64, types: &[i8]| {
        let batch = Acknowledged::default()
            .with_first_offset(first)
            .with_last_offset(last)
            .with_acknowledge_types(types.to_vec());
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(vec![batch]);
        let topic = AcknowledgeTopic::default()
            .with_topic_id(uuid(TOPIC))
            .with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(GroupId(text("g"))))
            .with_member_id(Some(text("member")))
            .with_share_session_epoch(1)
            .with_topics(vec![topic])
    };
    let answer = Answer::Settled {
        lock_ms: 9,
        parts: vec![(key(0), Ok(()))],
    };
    let wrong = [
        (5, 4, &[1][..]),
        (-1, 4, &[1]),
        (0, 4, &[]),
        (0, 4, &[1, 1]),
        (0, 0, &[5]),
        (0, 0, &[-1]),
        (i64::MIN, i64::MAX, &[1]),
    ];
    for (first, last, types) in wrong {
        let mut world = World::new();
        let body = encoded(&acknowledge(first, last, types), 1);
        world.ask(ApiKey::ShareAcknowledge, 1, &body, &answer);
        let settled = world.settled();
        assert_eq!(
            settled.settles[0].settles,
            Err(Refused::Malformed),
            "{first} {last} {types:?}"
        );
    }
    for version in [1, 2] {
        let mut world = World::new();
        let body = encoded(&acknowledge(0, 4, &[1]), 1);
        let body = match version {
            1 => body,
            _ => with(body, 1, &[1]),
        };
        let mut out = world.ask(ApiKey::ShareAcknowledge, version, &body, &answer);
        let settled = world.settled();
        assert_eq!((settled.epoch, settled.renews), (1, version == 2));
        if version == 2 {
            // For how long what was renewed is locked.
            let mut first = out.to_vec();
            let lock: Vec<u8> = first.drain(7..11).collect();
            assert_eq!(lock, 9_i32.to_be_bytes());
            out = Bytes::from(first);
        }
        let response: ShareAcknowledgeResponse = decoded(out, 1);
        assert_eq!(response.error_code, 0);
        assert_eq!(response.responses[0].partitions[0].error_code, 0);
    }
    let mut world = World::new();
    let nameless = acknowledge(0, 0, &[1]).with_group_id(None);
    let out = world.ask(ApiKey::ShareAcknowledge, 1, &encoded(&nameless, 1), &answer);
    assert_eq!(decoded::<ShareAcknowledgeResponse>(out, 1).error_code, 24);
    assert!(world.asked.is_empty());
}

#[test]
fn places_are_told_with_their_lag_from_version_1_on() {
    let request = DescribeShareGroupOffsetsRequest::default().with_groups(vec![
        DescribeShareGroupOffsetsRequestGroup::default()
            .with_group_id(GroupId(text("g")))
            .with_topics(None),
    ]);
    let part = |partition, place: Option<(u64, u64)>| DescribedPart {
        partition,
        place: place.map(|(start, owed)| (Offset(start), owed)),
        refused: None,
    };
    let topic = Described {
        topic: "t".into(),
        id: TopicId(TOPIC),
        parts: vec![part(0, Some((5, 7)))],
    };
    let answer = Answer::Described(vec![("g".into(), Ok(vec![topic]))]);
    for version in [0, 1] {
        let mut world = World::new();
        let body = encoded(&request, 0);
        let out = world.ask(ApiKey::DescribeShareGroupOffsets, version, &body, &answer);
        match world.asked.pop() {
            Some(Request::Describe(groups)) => {
                let [Describe { group, topics }] = &groups[..] else {
                    panic!("{groups:?}");
                };
                assert_eq!((&**group, topics), ("g", &None));
            }
            other => panic!("{other:?}"),
        }
        let mut out = out.to_vec();
        if version == 1 {
            let lag = 7_i64.to_be_bytes();
            let at = out.windows(8).position(|bytes| bytes == lag);
            let at = at.expect("the lag");
            out.drain(at..at + 8);
        }
        let response: DescribeShareGroupOffsetsResponse = decoded(Bytes::from(out), 0);
        let found = &response.groups[0].topics[0].partitions[0];
        assert_eq!((found.partition_index, found.start_offset), (0, 5));
    }
}
