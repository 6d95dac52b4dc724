use proptest::prelude::*;

use super::*;

fn limits(keep_ms: u64, count_max: u64) -> Limits {
    Limits {
        keep_ms: Some(keep_ms),
        count_max: Some(count_max),
    }
}

fn id(number: u64) -> Identity {
    Identity::of(&number.to_be_bytes())
}

#[test]
fn seen_within_its_time_is_known() {
    let mut dedup = Dedup::new(limits(100, 10));
    assert!(dedup.insert(id(1), 1_000, None));
    assert!(!dedup.insert(id(1), 1_050, None), "and stays as it was");
    assert!(dedup.contains(id(1), 1_099));
    assert!(!dedup.contains(id(1), 1_100), "before it is expired, too");
    assert_eq!(dedup.next_ms(), Some(1_100));
    assert!(dedup.insert(id(1), 1_100, None));
    assert_eq!(dedup.next_ms(), Some(1_200));
    dedup.forget(id(1));
    assert!(dedup.is_empty() && dedup.next_ms().is_none());
}

#[test]
fn an_identity_may_have_a_time_of_its_own() {
    let mut dedup = Dedup::new(limits(100, 10));
    dedup.insert(id(1), 0, Some(5));
    dedup.insert(id(2), 0, Some(500));
    dedup.insert(id(3), 0, None);
    dedup.insert(id(4), 0, Some(0));
    dedup.expire(5);
    assert_eq!((dedup.len(), dedup.next_ms()), (2, Some(100)));
    dedup.expire(100);
    assert!(dedup.contains(id(2), 100));
}

#[test]
fn the_oldest_is_forgotten_for_the_newest() {
    let mut dedup = Dedup::new(Limits {
        keep_ms: None,
        count_max: Some(2),
    });
    for number in 1..=3 {
        dedup.insert(id(number), 0, None);
    }
    assert!(!dedup.contains(id(1), 0) && dedup.contains(id(2), u64::MAX - 1));
    assert_eq!(dedup.next_ms(), None);
    dedup.reconfigure(limits(100, 1));
    assert!(!dedup.contains(id(2), 0) && dedup.contains(id(3), 0));
    dedup.reconfigure(Limits::default());
    for number in 10..20 {
        dedup.insert(id(number), 0, None);
    }
    assert_eq!(dedup.len(), 11);
    dedup.check();
}

/// Identities are on disk: the same id is the same identity in every version.
#[test]
fn the_state_has_golden_bytes() {
    let mut dedup = Dedup::new(limits(1_000, 10));
    dedup.insert(Identity::of(b"order-17"), 1_700_000_000_000, None);
    dedup.insert(Identity::of(b""), 1_700_000_000_000, Some(u64::MAX));
    let mut bytes = Vec::new();
    dedup.encode(&mut bytes);
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex.concat(),
        concat!(
            "01",
            "00000002",
            "2054b7d0c3a31d384f98a9f542c3f630",
            "0000018bcfe56be8",
            "5dd01239fb70acb11e923a1c77ad31c5",
            "ffffffffffffffff",
        )
    );
    let again = Dedup::decode(&bytes, limits(1_000, 10)).expect("own bytes");
    again.check();
    assert!(again.contains(Identity::of(b"order-17"), 1_700_000_000_999));
    assert!(!again.contains(Identity::of(b"order-17"), 1_700_000_001_000));
}

#[test]
fn malformed_bytes_are_refused() {
    let mut dedup = Dedup::new(Limits::default());
    dedup.insert(id(1), 0, None);
    dedup.insert(id(2), 0, None);
    let mut bytes = Vec::new();
    dedup.encode(&mut bytes);
    let refused = |bytes: &[u8]| Dedup::decode(bytes, Limits::default()).err();
    for length in 0..bytes.len() {
        let found = DedupMalformed::Length { found: length };
        assert_eq!(refused(&bytes[..length]), Some(found));
    }
    let mut lying = bytes.clone();
    lying[1..5].fill(255);
    assert_eq!(
        refused(&lying),
        Some(DedupMalformed::Length { found: bytes.len() })
    );
    let mut newer = bytes.clone();
    newer[0] = 2;
    assert_eq!(refused(&newer), Some(DedupMalformed::Format(2)));
    bytes.copy_within(5..29, 29);
    assert_eq!(refused(&bytes), Some(DedupMalformed::Twice(id(1))));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, Option<u64>),
    Forget(u64),
    Expire,
    Pass(i64),
    Reconfigure(Option<u64>, Option<u64>),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let keep = || prop::option::of(0u64..50);
    let count = prop::option::of(0u64..12);
    prop_oneof![
        6 => (0u64..20, keep()).prop_map(|(id, keep_ms)| Step::Insert(id, keep_ms)),
        1 => (0u64..20).prop_map(Step::Forget),
        1 => Just(Step::Expire),
        2 => (-20i64..40).prop_map(Step::Pass),
        1 => (keep(), count).prop_map(|(keep, count)| Step::Reconfigure(keep, count)),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_list(steps in prop::collection::vec(step(), 1..120)) {
        let mut limits = limits(20, 5);
        let mut dedup = Dedup::new(limits);
        // Identity and when it is forgotten, the oldest first.
        let mut model: Vec<(u64, Option<u64>)> = Vec::new();
        let mut now_ms = 1_000u64;
        for step in steps {
            let known = |now_ms: u64| move |(_, until): &(u64, Option<u64>)| until.is_none_or(|until| until > now_ms);
            match step {
                Step::Insert(number, keep_ms) => {
                    model.retain(known(now_ms));
                    let is_new = model.iter().all(|(other, _)| *other != number);
                    prop_assert_eq!(dedup.insert(id(number), now_ms, keep_ms), is_new);
                    if is_new {
                        model.push((number, keep_ms.or(limits.keep_ms).map(|keep_ms| now_ms + keep_ms)));
                        model.retain(known(now_ms));
                    }
                }
                Step::Forget(number) => {
                    dedup.forget(id(number));
                    model.retain(|(other, _)| *other != number);
                }
                Step::Expire => {
                    dedup.expire(now_ms);
                    model.retain(known(now_ms));
                    prop_assert!(dedup.next_ms().is_none_or(|next_ms| next_ms > now_ms));
                }
                Step::Pass(by_ms) => now_ms = now_ms.saturating_add_signed(by_ms),
                Step::Reconfigure(keep_ms, count_max) => {
                    limits = Limits { keep_ms, count_max };
                    dedup.reconfigure(limits);
                }
                Step::Restart => {
                    let mut bytes = Vec::new();
                    dedup.encode(&mut bytes);
                    dedup = Dedup::decode(&bytes, limits).expect("own bytes");
                }
            }
            while limits.count_max.is_some_and(|max| model.len() as u64 > max) {
                model.remove(0);
            }
            dedup.check();
            prop_assert_eq!(dedup.len(), model.len() as u64);
            prop_assert_eq!(dedup.next_ms(), model.iter().filter_map(|(_, until)| *until).min());
            for number in 0..20 {
                let expected = model.iter().filter(|entry| known(now_ms)(entry)).any(|(other, _)| *other == number);
                prop_assert_eq!(dedup.contains(id(number), now_ms), expected);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_they_are(mut bytes in prop::collection::vec(any::<u8>(), 0..80), count in 0u8..4) {
        if bytes.len() > 5 {
            bytes[..5].copy_from_slice(&[1, 0, 0, 0, count]);
            bytes.truncate(5 + 24 * usize::from(count));
        }
        if let Ok(dedup) = Dedup::decode(&bytes, Limits::default()) {
            dedup.check();
            let mut again = Vec::new();
            dedup.encode(&mut again);
            prop_assert_eq!(again, bytes);
        }
    }
}
