//! Sequences by example, and all of it against a model that forgets nothing.

use std::collections::BTreeMap;

use bongsu_record::Offset;
use proptest::prelude::*;

use super::*;

fn batch(producer_id: i64, epoch: i16, base_sequence: i32, count: u32) -> Sequence {
    Sequence {
        producer_id,
        epoch,
        base_sequence,
        count,
        transactional: false,
    }
}

fn transactional(producer_id: i64, epoch: i16, base_sequence: i32, count: u32) -> Sequence {
    Sequence {
        transactional: true,
        ..batch(producer_id, epoch, base_sequence, count)
    }
}

#[test]
fn a_batch_sent_twice_is_taken_once() {
    let mut producers = Producers::default();
    let first = batch(7, 0, 0, 3);
    assert_eq!(producers.check(&first, 0), Ok(Verdict::Append));
    producers.appended(&first, Offset(10), 55, 0);
    let duplicate = Verdict::Duplicate {
        base: Offset(10),
        timestamp_ms: 55,
    };
    assert_eq!(producers.check(&first, 0), Ok(duplicate));
    let gap = ProducerRefused::OutOfOrder {
        expected: 3,
        found: 4,
    };
    assert_eq!(producers.check(&batch(7, 0, 4, 1), 0), Err(gap));
    // Another length from the same place is no duplicate.
    let overlap = ProducerRefused::OutOfOrder {
        expected: 3,
        found: 0,
    };
    assert_eq!(producers.check(&batch(7, 0, 0, 2), 0), Err(overlap));
    assert_eq!(producers.check(&batch(7, 0, 3, 1), 0), Ok(Verdict::Append));
}

#[test]
fn a_new_epoch_begins_at_zero_and_ends_the_old() {
    let mut producers = Producers::default();
    producers.appended(&batch(7, 1, 0, 3), Offset(0), 0, 0);
    let late = ProducerRefused::OutOfOrder {
        expected: 0,
        found: 3,
    };
    assert_eq!(producers.check(&batch(7, 2, 3, 1), 0), Err(late));
    producers.appended(&batch(7, 2, 0, 1), Offset(3), 0, 0);
    let old = ProducerRefused::OldEpoch {
        current: 2,
        found: 1,
    };
    assert_eq!(producers.check(&batch(7, 1, 3, 1), 0), Err(old));
    // Not even what it wrote before is still its own.
    assert_eq!(producers.check(&batch(7, 1, 0, 3), 0), Err(old));
}

#[test]
fn sequences_wrap() {
    let mut producers = Producers::default();
    let last = batch(1, 0, i32::MAX - 1, 3);
    assert_eq!(last.last_sequence(), 0);
    producers.appended(&last, Offset(0), 0, 0);
    assert_eq!(producers.check(&batch(1, 0, 1, 1), 0), Ok(Verdict::Append));
    let mut producers = Producers::default();
    producers.appended(&batch(1, 0, i32::MAX, 1), Offset(0), 0, 0);
    assert_eq!(producers.check(&batch(1, 0, 0, 1), 0), Ok(Verdict::Append));
}

#[test]
fn a_producer_not_known_begins_anywhere() {
    let mut producers = Producers::default();
    assert_eq!(producers.check(&batch(1, 3, 9, 1), 0), Ok(Verdict::Append));
    producers.appended(&batch(1, 3, 9, 1), Offset(0), 0, 0);
    let forgotten = batch(1, 2, 4, 1);
    assert!(producers.check(&forgotten, EXPIRATION_MS - 1).is_err());
    assert_eq!(
        producers.check(&forgotten, EXPIRATION_MS),
        Ok(Verdict::Append)
    );
    producers.expire(EXPIRATION_MS);
    assert!(producers.is_empty());
}

#[test]
fn an_ended_transaction_is_the_bound_until_its_mark_is_durable() {
    let mut producers = Producers::default();
    producers.appended(&transactional(1, 0, 0, 2), Offset(0), 0, 0);
    producers.appended(&transactional(2, 0, 0, 2), Offset(2), 0, 0);
    let first = producers.marked(1, 0, true, Offset(4), 0).expect("open");
    producers.ended(first, Offset(4), Offset(4));
    // Two is open; the records of one are durable, and its mark is not.
    assert_eq!(producers.first_undecided(Offset(4)), Some(Offset(0)));
    assert_eq!(producers.first_undecided(Offset(5)), Some(Offset(2)));
    let first = producers.marked(2, 0, false, Offset(5), 0).expect("open");
    producers.ended(first, Offset(5), Offset(5));
    assert_eq!(producers.first_undecided(Offset(5)), Some(Offset(2)));
    assert_eq!(producers.first_undecided(Offset(6)), None);
    assert_eq!(producers.ended.len(), 1, "what is durable is forgotten");
    assert_eq!(producers.marked(2, 0, true, Offset(6), 0), None, "ended");
}

#[test]
fn an_open_transaction_is_the_bound_until_its_mark() {
    let mut producers = Producers::default();
    producers.appended(&transactional(1, 0, 0, 2), Offset(0), 0, 0);
    producers.appended(&transactional(2, 0, 0, 2), Offset(2), 0, 0);
    assert_eq!(producers.first_open(), Some(Offset(0)));
    let outside = producers.check(&batch(1, 0, 2, 1), 0);
    assert_eq!(outside, Err(ProducerRefused::NotTransactional));
    producers.marked(1, 0, true, Offset(4), 0);
    assert_eq!(producers.first_open(), Some(Offset(2)));
    producers.marked(2, 1, false, Offset(5), 0);
    assert_eq!(producers.first_open(), None);
    let aborted = Aborted {
        producer_id: 2,
        first: Offset(2),
        last: Offset(5),
    };
    assert_eq!(producers.aborted(Offset(0)..Offset(6)), [aborted]);
    assert_eq!(producers.aborted(Offset(5)..Offset(6)), [aborted]);
    assert!(producers.aborted(Offset(0)..Offset(2)).is_empty());
    assert!(producers.aborted(Offset(6)..Offset(9)).is_empty());
    assert!(producers.is_aborted(2, Offset(3)));
    assert!(!producers.is_aborted(1, Offset(3)));
    // The mark's epoch fences: the old one is refused, the new one begins at 0.
    assert!(producers.check(&transactional(2, 0, 2, 1), 0).is_err());
    assert!(producers.check(&transactional(2, 1, 2, 1), 0).is_err());
    let next = producers.check(&transactional(2, 1, 0, 1), 0);
    assert_eq!(next, Ok(Verdict::Append));
    // A mark of the same epoch does not: the sequence goes on.
    let next = producers.check(&transactional(1, 0, 2, 1), 0);
    assert_eq!(next, Ok(Verdict::Append));
    producers.trimmed(Offset(6));
    assert!(!producers.has_aborted());
    producers.check_sound();
}

#[test]
fn a_batch_of_which_some_was_left_out_counts_as_a_whole() {
    let mut producers = Producers::default();
    producers.screened(&batch(1, 0, 0, 3), Offset(1), 0);
    producers.screened(&batch(1, 0, 3, 2), Offset(1), 0);
    assert_eq!(producers.check(&batch(1, 0, 5, 1), 0), Ok(Verdict::Append));
    producers.appended(&batch(1, 0, 5, 1), Offset(1), 0, 0);
    assert_eq!(producers.check(&batch(1, 0, 6, 1), 0), Ok(Verdict::Append));
    producers.check_sound();
}

#[test]
fn memory_is_bounded() {
    let mut producers = Producers::default();
    producers.appended(&transactional(0, 0, 0, 1), Offset(0), 0, 0);
    for id in 1..PRODUCERS_MAX as u64 + 10 {
        let at = i64::try_from(id).unwrap();
        producers.appended(&batch(at, 0, 0, 1), Offset(id), 0, id);
    }
    producers.check_sound();
    let now_ms = PRODUCERS_MAX as u64 + 10;
    let left: Vec<i64> = producers.active(now_ms).map(|a| a.producer_id).collect();
    assert!(left.len() < PRODUCERS_MAX);
    assert_eq!(left[0], 0, "an open transaction is kept");
    assert_eq!(*left.last().unwrap(), PRODUCERS_MAX as i64 + 9);
    assert!(!left.contains(&1));
}

#[test]
fn bytes_that_lie_are_refused() {
    let mut producers = Producers::default();
    producers.appended(&transactional(1, 0, 0, 2), Offset(0), 0, 0);
    producers.marked(1, 0, false, Offset(2), 0);
    let mut bytes = Vec::new();
    producers.encode(&mut bytes);
    assert_eq!(Producers::decode(&bytes), Ok(producers));
    for cut in 0..bytes.len() {
        assert!(Producers::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    bytes[0] = 9;
    let other = Producers::decode(&bytes);
    assert_eq!(other, Err(ProducersMalformed::Format(9)));
}

/// One thing that happens to a log.
#[derive(Clone, Copy, Debug)]
enum Step {
    Batch {
        id: i64,
        epoch: i16,
        /// Off from what is expected; mostly 0.
        off: i32,
        count: u32,
        transactional: bool,
    },
    Again {
        id: i64,
        back: usize,
    },
    Mark {
        id: i64,
        bump: i16,
        committed: bool,
    },
    Reload,
    Trim {
        share: u64,
    },
}

/// All that was ever appended, looked through from the start each time.
#[derive(Default)]
struct Model {
    end: u64,
    start: u64,
    events: Vec<Event>,
}

enum Event {
    Batch(Sequence, u64),
    /// Producer, epoch, committed, offset.
    Mark(i64, i16, bool, u64),
}

impl Model {
    fn epoch(&self, id: i64) -> Option<i16> {
        let epochs = self.events.iter().filter_map(|event| match event {
            Event::Batch(b, _) if b.producer_id == id => Some(b.epoch),
            Event::Mark(p, epoch, _, _) if *p == id => Some(*epoch),
            _ => None,
        });
        epochs.max()
    }

    fn batches(&self, id: i64, epoch: i16) -> Vec<(Sequence, u64)> {
        let batches = self.events.iter().filter_map(|event| match event {
            Event::Batch(b, at) if b.producer_id == id && b.epoch == epoch => Some((*b, *at)),
            _ => None,
        });
        batches.collect()
    }

    fn expected(&self, id: i64, epoch: i16) -> i32 {
        let last = self.batches(id, epoch).pop();
        last.map_or(0, |(b, _)| {
            let next = i64::from(b.base_sequence) + i64::from(b.count);
            i32::try_from(next % (1 << 31)).unwrap()
        })
    }

    /// First offset of what is open, by producer; and what was aborted.
    fn transactions(&self) -> (BTreeMap<i64, u64>, Vec<Aborted>) {
        let mut open = BTreeMap::new();
        let mut aborted = Vec::new();
        for event in &self.events {
            match event {
                Event::Batch(b, at) if b.transactional => {
                    open.entry(b.producer_id).or_insert(*at);
                }
                Event::Batch(..) => {}
                Event::Mark(id, _, committed, at) => {
                    if let Some(first) = open.remove(id)
                        && !committed
                    {
                        aborted.push(Aborted {
                            producer_id: *id,
                            first: Offset(first),
                            last: Offset(*at),
                        });
                    }
                }
            }
        }
        (open, aborted)
    }

    fn check(&self, batch: &Sequence) -> Result<Verdict, ProducerRefused> {
        let Some(current) = self.epoch(batch.producer_id) else {
            return Ok(Verdict::Append);
        };
        let before = self.batches(batch.producer_id, current);
        let recent = before.iter().rev().take(RECENT_MAX);
        for (old, at) in recent {
            let same = old.base_sequence == batch.base_sequence && old.count == batch.count;
            if same && batch.epoch == current {
                return Ok(Verdict::Duplicate {
                    base: Offset(*at),
                    timestamp_ms: 0,
                });
            }
        }
        if batch.epoch < current {
            return Err(ProducerRefused::OldEpoch {
                current,
                found: batch.epoch,
            });
        }
        let expected = self.expected(batch.producer_id, batch.epoch);
        if batch.base_sequence != expected {
            return Err(ProducerRefused::OutOfOrder {
                expected,
                found: batch.base_sequence,
            });
        }
        let open = self.transactions().0.contains_key(&batch.producer_id);
        if open && !batch.transactional {
            return Err(ProducerRefused::NotTransactional);
        }
        Ok(Verdict::Append)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let off = prop_oneof![8 => Just(0), 1 => -3..4, 1 => Just(i32::MAX - 2)];
    let step = prop_oneof![
        8 => (0..4_i64, 0..2_i16, off, 1..5_u32, any::<bool>()).prop_map(
            |(id, epoch, off, count, transactional)| Step::Batch {
                id, epoch: i16::from(epoch == 1), off, count, transactional
            }
        ),
        3 => (0..4_i64, 0..8_usize).prop_map(|(id, back)| Step::Again { id, back }),
        4 => (0..4_i64, 0..2_i16, any::<bool>())
            .prop_map(|(id, bump, committed)| Step::Mark { id, bump, committed }),
        1 => Just(Step::Reload),
        1 => (0..=8_u64).prop_map(|share| Step::Trim { share }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #[test]
    fn what_is_remembered_is_what_happened(steps in steps()) {
        let mut producers = Producers::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Batch { id, epoch, off, count, transactional } => {
                    let known = model.epoch(id).unwrap_or(0);
                    let epoch = known + epoch;
                    let expected = model.expected(id, epoch);
                    let base_sequence = (expected.wrapping_add(off)).max(0);
                    offer(&mut producers, &mut model, &Sequence {
                        producer_id: id, epoch, base_sequence, count, transactional
                    });
                }
                Step::Again { id, back } => {
                    let Some(epoch) = model.epoch(id) else { continue };
                    let sent = model.batches(id, epoch);
                    if let Some((batch, _)) = sent.iter().rev().nth(back) {
                        offer(&mut producers, &mut model, batch);
                    }
                }
                Step::Mark { id, bump, committed } => {
                    let epoch = model.epoch(id).unwrap_or(0) + bump;
                    producers.marked(id, epoch, committed, Offset(model.end), 0);
                    model.events.push(Event::Mark(id, epoch, committed, model.end));
                    model.end += 1;
                }
                Step::Reload => {
                    let mut bytes = Vec::new();
                    producers.encode(&mut bytes);
                    producers = Producers::decode(&bytes).unwrap();
                    // What a replay says again changes nothing.
                    let before = producers.clone();
                    for event in &model.events {
                        match event {
                            Event::Batch(b, at) => producers.appended(b, Offset(*at), 0, 0),
                            Event::Mark(id, epoch, committed, at) => {
                                producers.marked(*id, *epoch, *committed, Offset(*at), 0);
                            }
                        }
                    }
                    prop_assert_eq!(&producers, &before);
                }
                Step::Trim { share } => {
                    model.start = model.start.max(model.end * share / 8);
                    producers.trimmed(Offset(model.start));
                }
            }
            producers.check_sound();
            let (open, aborted) = model.transactions();
            prop_assert_eq!(producers.first_open().map(|o| o.0), open.values().min().copied());
            for from in model.start..model.end {
                for until in [from + 1, from + 3, model.end.max(from)] {
                    let overlap = aborted.iter().copied().filter(|a| {
                        a.last.0 >= from && a.first.0 < until && from < until
                    });
                    let found = producers.aborted(Offset(from)..Offset(until));
                    prop_assert_eq!(found, overlap.collect::<Vec<_>>());
                }
                for id in 0..4 {
                    let is = aborted.iter().any(|a| {
                        a.producer_id == id && (a.first.0..=a.last.0).contains(&from)
                    });
                    prop_assert_eq!(producers.is_aborted(id, Offset(from)), is);
                }
            }
        }
    }
}

fn offer(producers: &mut Producers, model: &mut Model, batch: &Sequence) {
    let verdict = producers.check(batch, 0);
    assert_eq!(verdict, model.check(batch), "{batch:?}");
    if verdict == Ok(Verdict::Append) {
        producers.appended(batch, Offset(model.end), 0, 0);
        model.events.push(Event::Batch(*batch, model.end));
        model.end += u64::from(batch.count);
    }
}
