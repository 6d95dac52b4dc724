use std::sync::mpsc::sync_channel;

use bongsu_record::{LogId, Offset};

use super::memory::{Memory, RECORDS_MAX, Remembered};
use super::*;

fn remembered(number: u64) -> Remembered {
    Remembered {
        trace: [1; 16],
        state: None,
        published: number.to_be_bytes(),
        lent_ns: None,
        delivered: Vec::new(),
    }
}

#[test]
fn the_oldest_are_forgotten_first() {
    let mut memory = Memory::default();
    let most = RECORDS_MAX as u64;
    for number in 0..most {
        assert_eq!(memory.put(LogId(1), Offset(number), remembered(number)), 0);
    }
    assert!(memory.take(LogId(1), Offset(0)), "settled");
    assert!(!memory.take(LogId(1), Offset(0)), "once");
    assert_eq!(memory.put(LogId(2), Offset(0), remembered(0)), 0, "room");
    assert_eq!(memory.put(LogId(2), Offset(1), remembered(1)), 1, "none");
    assert_eq!(memory.count(), RECORDS_MAX);
    let left: Vec<u64> = memory
        .of(LogId(1), &(Offset(0)..Offset(4)))
        .map(|(offset, _)| offset.0)
        .collect();
    assert_eq!(left, [2, 3]);
    // What comes and goes leaves nothing behind.
    for number in 0..4 * most {
        memory.put(LogId(3), Offset(number), remembered(number));
        assert!(memory.take(LogId(3), Offset(number)));
    }
    assert_eq!(memory.count(), RECORDS_MAX - 1, "one made room");
}

#[test]
fn a_settle_follows_the_delivery_to_whoever_settles() {
    let mut record = remembered(0);
    assert_eq!(record.delivery(7), None);
    for reader in 1..=9 {
        record.delivered_to(reader, [reader as u8; 8], reader);
    }
    record.delivered_to(7, [77; 8], 10);
    assert_eq!(record.delivered.len(), 4);
    assert_eq!(record.delivery(7), Some(([77; 8], 10)));
    assert_eq!(record.delivery(8), Some(([8; 8], 8)));
    let last = record.delivery(1);
    assert_eq!(
        last,
        Some(([77; 8], 10)),
        "too long ago: the last to anybody"
    );
}

#[test]
fn spans_beyond_the_bound_are_dropped_and_counted() {
    let (sink, _spans) = sync_channel(2);
    let traces = Traces::new(0.0, sink);
    for _ in 0..5 {
        let context = context::Context {
            trace: traces.trace_id(),
            parent: None,
            state: None,
        };
        let span = traces.begin(context, span::Kind::Internal);
        traces.send(span);
    }
    let counts = traces.counts();
    assert_eq!((counts.made, counts.dropped), (5, 3));
}

#[test]
fn all_none_or_some_begin_a_trace() {
    let begun = |ratio: f64| {
        let (sink, _spans) = sync_channel(1);
        let traces = Traces::new(ratio, sink);
        (0..1000).filter(|_| traces.begins()).count()
    };
    assert_eq!(begun(0.0), 0);
    assert_eq!(begun(1.0), 1000);
    // Beyond ten standard deviations.
    assert!((300..=700).contains(&begun(0.5)));
}
