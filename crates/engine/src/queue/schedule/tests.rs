use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const START_MS: u64 = 1_700_000_000_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
const YEAR: u64 = 365 * DAY;

fn advanced(schedule: &mut Schedule, now_ms: u64) -> Vec<Range<u64>> {
    let mut due = Vec::new();
    schedule.advance(now_ms, &mut due);
    schedule.check();
    due
}

/// Tells what is wanted from the records' times.
fn tell(schedule: &mut Schedule, times: &BTreeMap<u64, u64>, length_max: u64) -> u64 {
    let mut told = 0;
    while let Some(range) = schedule.wanted(length_max) {
        assert!(!range.is_empty() && range.end - range.start <= length_max);
        for (offset, at_ms) in times.range(range) {
            schedule.told(*at_ms, *offset..*offset + 1);
            told += 1;
        }
    }
    told
}

#[test]
fn due_comes_in_order_of_time_then_offset_with_neighbours_merged() {
    let mut schedule = Schedule::new(START_MS);
    schedule.insert(START_MS + 20, 0..2, Recall::FromRecord);
    schedule.insert(START_MS + 10, 7..8, Recall::FromRecord);
    schedule.insert(START_MS + 10, 5..6, Recall::Keep);
    schedule.insert(START_MS + 10, 4..5, Recall::FromRecord);
    schedule.insert(START_MS + 20, 2..3, Recall::Keep);
    assert_eq!(schedule.len(), 6);
    assert_eq!(schedule.next_ms(), Some(START_MS + 10));
    assert_eq!(advanced(&mut schedule, START_MS + 9), []);
    assert_eq!(
        advanced(&mut schedule, START_MS + 20),
        [4..6, 7..8, 0..3],
        "the two times are not merged"
    );
    assert!(schedule.is_empty());
    assert_eq!(schedule.next_ms(), None);
}

#[test]
fn what_was_removed_is_never_due() {
    let mut schedule = Schedule::new(START_MS);
    schedule.insert(START_MS + 10, 0..10, Recall::Keep);
    schedule.insert(START_MS + DAY, 10..20, Recall::FromRecord);
    schedule.remove(3..5);
    schedule.remove(8..12);
    schedule.check();
    assert_eq!(schedule.len(), 14);
    assert!(!schedule.contains(3) && !schedule.contains(11) && schedule.contains(12));
    assert_eq!(advanced(&mut schedule, START_MS + 10), [0..3, 5..8]);
    schedule.remove(0..100);
    assert!(schedule.is_empty());
}

/// The schedule is woken by nothing but its own deadline: what is far comes near, is
/// asked for well before, at most once a level, and is due to the millisecond.
#[test]
fn far_times_are_recalled_ahead_and_met_exactly() {
    for ahead_ms in [
        65 * SECOND,
        70 * SECOND,
        64 * MINUTE,
        2 * DAY,
        200 * DAY,
        10 * YEAR,
        100 * YEAR,
        5_000 * YEAR,
    ] {
        let at_ms = START_MS + ahead_ms + 123;
        let mut schedule = Schedule::new(START_MS);
        schedule.insert(at_ms, 7..9, Recall::FromRecord);
        let mut told = 0;
        loop {
            let next_ms = schedule.next_ms().expect("it is not empty");
            assert!(next_ms <= at_ms, "too late for what is {ahead_ms} ms ahead");
            let due = advanced(&mut schedule, next_ms);
            if !due.is_empty() {
                assert_eq!((due.first(), due.len()), (Some(&(7..9)), 1));
                assert_eq!(next_ms, at_ms);
                break;
            }
            assert_eq!(schedule.wanted(100), Some(7..9));
            assert!(next_ms + 2_000 <= at_ms, "no time to read it again");
            schedule.told(at_ms, 0..100);
            told += 1;
            assert_eq!(schedule.wanted(100), None);
        }
        // The top level's slots are 34 years wide, and what is beyond waits in them.
        assert!((1..=6).contains(&told), "told {told} times for {ahead_ms}");
    }
}

#[test]
fn a_retry_is_never_asked_for() {
    let mut schedule = Schedule::new(START_MS);
    schedule.insert(START_MS + YEAR, 0..1, Recall::Keep);
    schedule.insert(START_MS + YEAR, 2..3, Recall::Keep);
    assert_eq!(schedule.next_ms(), Some(START_MS + YEAR));
    assert_eq!(advanced(&mut schedule, START_MS + YEAR), [0..1, 2..3]);
}

#[test]
fn the_slot_that_begins_first_is_asked_for_first() {
    let mut schedule = Schedule::new(START_MS);
    schedule.insert(START_MS + YEAR, 0..3, Recall::FromRecord);
    let later = schedule.next_ms().expect("a slot");
    schedule.insert(START_MS + 200 * SECOND, 1_000..1_001, Recall::FromRecord);
    // Both slots become wanted at once.
    schedule.advance(START_MS + 195 * SECOND, &mut Vec::new());
    schedule.insert(later + 30 * SECOND, 2_000..2_001, Recall::FromRecord);
    schedule.advance(later, &mut Vec::new());
    schedule.advance(later + 28 * SECOND, &mut Vec::new());
    let first = schedule.wanted(10).expect("wanted");
    assert_eq!(first, 1_000..1_001, "its slot has begun");
    schedule.told(later + 29 * SECOND, first);
    assert!(schedule.wanted(10).is_some());
}

#[test]
fn what_is_not_told_stays_wanted() {
    let mut schedule = Schedule::new(START_MS);
    for offset in [3, 5, 6, 40, 1 << 40] {
        schedule.insert(START_MS + DAY, offset..offset + 1, Recall::FromRecord);
    }
    schedule.advance(START_MS + DAY, &mut Vec::new());
    assert_eq!(schedule.wanted(1), Some(3..4));
    assert_eq!(schedule.wanted(3), Some(3..6));
    assert_eq!(schedule.wanted(38), Some(3..41));
    schedule.told(START_MS + DAY, 4..6);
    schedule.told(START_MS + DAY, 5..6);
    assert_eq!(schedule.wanted(38), Some(3..41));
    assert_eq!(schedule.len(), 5);
    schedule.remove(3..4);
    assert_eq!(schedule.wanted(38), Some(6..41));
    schedule.remove(6..41);
    assert_eq!(schedule.wanted(1), Some(1 << 40..(1 << 40) + 1));
    // It is late, and due at once.
    let due = advanced(&mut schedule, START_MS + DAY);
    assert_eq!(due.first(), Some(&(5..6)));
    assert_eq!(due.len(), 1);
}

#[test]
fn a_million_records_take_a_few_megabytes() {
    let spans = [MINUTE, 10 * MINUTE, DAY, 30 * DAY, 10 * YEAR];
    for span_ms in spans {
        let mut schedule = Schedule::new(START_MS);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for offset in 0..1_000_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at_ms = START_MS + random % span_ms;
            schedule.insert(at_ms, offset..offset + 1, Recall::FromRecord);
        }
        assert_eq!(schedule.len(), 1_000_000);
        // What is due within two seconds has to be exact: a thirtieth of a minute's.
        let bytes = schedule.memory_bytes();
        assert!(bytes < 6 << 20, "{bytes} bytes for a span of {span_ms} ms");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, Range<u64>, bool),
    Remove(Range<u64>),
    Forward(u64),
    Backward(u64),
    ToNext,
    Tell(u64),
}

fn ahead() -> impl Strategy<Value = u64> {
    (0u32..40, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
}

fn offsets() -> impl Strategy<Value = Range<u64>> {
    (0u64..200, 0u64..20).prop_map(|(start, length)| start..start + length)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (ahead(), offsets(), any::<bool>()).prop_map(|(at, offsets, keep)| Step::Insert(at, offsets, keep)),
        1 => offsets().prop_map(Step::Remove),
        2 => ahead().prop_map(Step::Forward),
        1 => ahead().prop_map(Step::Backward),
        4 => Just(Step::ToNext),
        2 => (1u64..50).prop_map(Step::Tell),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_map(steps in prop::collection::vec(step(), 1..80)) {
        let mut now_ms = START_MS;
        let mut schedule = Schedule::new(now_ms);
        // The model: each offset's time.
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for step in steps {
            let mut due = Vec::new();
            match step {
                Step::Insert(ahead_ms, offsets, keep) => {
                    let at_ms = now_ms.saturating_add(ahead_ms).saturating_sub(100);
                    let recall = if keep { Recall::Keep } else { Recall::FromRecord };
                    schedule.remove(offsets.clone());
                    schedule.insert(at_ms, offsets.clone(), recall);
                    times.extend(offsets.map(|offset| (offset, at_ms)));
                }
                Step::Remove(offsets) => {
                    schedule.remove(offsets.clone());
                    times.retain(|offset, _| !offsets.contains(offset));
                }
                Step::Forward(by_ms) => now_ms += by_ms,
                Step::Backward(by_ms) => now_ms = now_ms.saturating_sub(by_ms),
                Step::ToNext => now_ms = schedule.next_ms().unwrap_or(now_ms).max(now_ms),
                Step::Tell(length_max) => _ = tell(&mut schedule, &times, length_max),
            }
            schedule.advance(now_ms, &mut due);
            // What was forgotten may become due only when told.
            if let Some(next_ms) = schedule.next_ms() {
                prop_assert!(next_ms > now_ms);
            }
            tell(&mut schedule, &times, 7);
            schedule.advance(now_ms, &mut due);
            schedule.check();
            prop_assert_eq!(schedule.wanted(1), None, "what is told is never wanted at once");
            let mut found: Vec<u64> = due.into_iter().flatten().collect();
            found.sort();
            let expected: Vec<u64> = times.iter().filter(|(_, at)| **at <= now_ms).map(|(offset, _)| *offset).collect();
            prop_assert_eq!(found, expected);
            times.retain(|_, at_ms| *at_ms > now_ms);
            prop_assert_eq!(schedule.len(), times.len() as u64);
            for offset in 0..220 {
                prop_assert_eq!(schedule.contains(offset), times.contains_key(&offset));
            }
            let earliest = times.values().min();
            prop_assert_eq!(earliest.is_some(), schedule.next_ms().is_some());
            if let (Some(earliest), Some(next_ms)) = (earliest, schedule.next_ms()) {
                prop_assert!(next_ms <= *earliest);
            }
        }
    }

    /// Of exact entries alone, in any order: they come out sorted.
    #[test]
    fn due_is_sorted(entries in prop::collection::btree_map(0u64..60, 0u64..20, 0..60)) {
        let mut schedule = Schedule::new(START_MS);
        for (offset, at) in &entries {
            schedule.insert(START_MS + at, *offset..*offset + 1, Recall::FromRecord);
        }
        let mut expected: Vec<(u64, u64)> = entries.iter().map(|(offset, at)| (*at, *offset)).collect();
        expected.sort();
        let due = advanced(&mut schedule, START_MS + 20);
        let found: Vec<u64> = due.iter().cloned().flatten().collect();
        prop_assert_eq!(found, expected.iter().map(|(_, offset)| *offset).collect::<Vec<_>>());
        // Neighbours of one time are one range.
        let breaks = expected.windows(2).filter(|pair| pair[0].0 != pair[1].0 || pair[0].1 + 1 != pair[1].1).count();
        prop_assert_eq!(due.len(), if expected.is_empty() { 0 } else { breaks + 1 });
    }
}
