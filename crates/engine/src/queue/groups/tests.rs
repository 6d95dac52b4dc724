use proptest::prelude::*;

use super::*;

const A: LinkKey = LinkKey(1);
const B: LinkKey = LinkKey(2);

fn groups(turns: Turns, records: &[(u64, Option<u64>)]) -> Groups {
    let mut groups = Groups::new(turns);
    for (offset, key) in records {
        groups.offer(*offset, *key);
    }
    groups.check();
    groups
}

fn take_all(groups: &mut Groups, holder: LinkKey) -> Vec<u64> {
    let taken = std::iter::from_fn(|| groups.take(holder)).collect();
    groups.check();
    taken
}

#[test]
fn a_key_is_one_links_until_its_last_lease_ends() {
    let records = [(0, Some(7)), (1, Some(7)), (2, Some(8)), (3, Some(7))];
    let mut groups = groups(Turns::Exclusive, &records);
    assert_eq!(groups.take(A), Some(0));
    assert_eq!(groups.take(A), Some(1));
    assert_eq!(groups.take(B), Some(2));
    assert!(!groups.could_serve(B) && groups.could_serve(A));
    groups.ended(0);
    assert_eq!(groups.take(B), None, "one lease of the key is left");
    groups.ended(1);
    assert_eq!(groups.holder(7), None);
    assert_eq!(groups.take(B), Some(3));
    assert_eq!(groups.holder(7), Some(B));
    groups.check();
}

#[test]
fn what_came_back_is_served_at_its_place_by_anybody() {
    let records = [(0, Some(7)), (1, Some(7)), (2, Some(7))];
    let mut groups = groups(Turns::Exclusive, &records);
    assert_eq!(groups.take(A), Some(0));
    assert_eq!(groups.take(A), Some(1));
    groups.returned(0);
    assert_eq!(groups.take(B), None);
    groups.returned(1);
    assert_eq!(take_all(&mut groups, B), [0, 1, 2]);
}

#[test]
fn a_parked_record_holds_its_key_back_but_no_link_to_it() {
    let records = [(0, Some(7)), (1, Some(7)), (2, Some(8)), (3, None)];
    let mut groups = groups(Turns::Exclusive, &records);
    assert_eq!(groups.take(A), Some(0));
    groups.parked(0);
    assert_eq!(groups.holder(7), None);
    assert_eq!(take_all(&mut groups, A), [2, 3]);
    assert_eq!(groups.ready_count(), 1);
    assert_eq!(groups.first(), Some(1));
    groups.unparked(0);
    assert_eq!(take_all(&mut groups, B), [0, 1]);
}

#[test]
fn an_earlier_record_passes_a_parked_one() {
    let records = [(0, Some(7)), (1, Some(7)), (2, Some(7))];
    let mut groups = groups(Turns::Exclusive, &records);
    assert_eq!(groups.take(A), Some(0));
    assert_eq!(groups.take(A), Some(1));
    groups.parked(1);
    groups.returned(0);
    assert_eq!(take_all(&mut groups, B), [0]);
    groups.withdraw(1);
    assert_eq!(take_all(&mut groups, B), [2]);
}

#[test]
fn records_without_key_order_nobody() {
    let mut groups = groups(Turns::Exclusive, &[(0, None), (1, None), (2, None)]);
    assert_eq!(groups.take(A), Some(0));
    assert_eq!(groups.take(B), Some(1));
    groups.parked(0);
    assert_eq!(groups.take(A), Some(2));
    groups.unparked(0);
    assert_eq!(groups.take(B), Some(0));
    assert_eq!(groups.key_count(), 0);
    groups.check();
}

#[test]
fn a_noisy_key_delays_another_by_one() {
    let mut records: Vec<_> = (0..100).map(|offset| (offset, Some(1))).collect();
    records.extend([(100, Some(2)), (101, None), (102, Some(2)), (103, None)]);
    let mut groups = groups(Turns::Fair, &records);
    let taken = take_all(&mut groups, A);
    assert_eq!(taken[..8], [0, 100, 101, 1, 102, 103, 2, 3]);
    assert_eq!(taken.len(), 104);
}

#[test]
fn a_key_without_records_costs_nothing() {
    for turns in [Turns::Exclusive, Turns::Fair] {
        let mut groups = groups(turns, &[(0, Some(1)), (1, Some(2)), (2, None)]);
        for offset in take_all(&mut groups, A) {
            groups.ended(offset);
        }
        groups.offer(3, Some(3));
        groups.withdraw(3);
        assert_eq!(groups.key_count(), 0);
        assert_eq!((groups.ready_count(), groups.first()), (0, None));
        groups.check();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Ready,
    Leased(LinkKey),
    Parked,
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Option<u64>),
    OfferParked(Option<u64>),
    Take(LinkKey),
    Change(Change, usize),
}

/// What happens to a known record.
#[derive(Clone, Copy, Debug)]
enum Change {
    Withdraw,
    Ended,
    Returned,
    Parked,
    Unparked,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::weighted(0.8, 0u64..4);
    let link = (0u64..3).prop_map(LinkKey);
    let change = prop_oneof![
        1 => Just(Change::Withdraw),
        2 => Just(Change::Ended),
        2 => Just(Change::Returned),
        1 => Just(Change::Parked),
        1 => Just(Change::Unparked),
    ];
    prop_oneof![
        4 => key().prop_map(Step::Offer),
        1 => key().prop_map(Step::OfferParked),
        5 => link.prop_map(Step::Take),
        7 => (change, 0usize..1000).prop_map(|(change, index)| Step::Change(change, index)),
    ]
}

/// Every known record in order, looked through from the front.
#[derive(Default)]
struct Model {
    records: BTreeMap<u64, (Option<u64>, Is)>,
    /// Fair: when each key was served last or became ready anew.
    waits: BTreeMap<Option<u64>, u64>,
    clock: u64,
}

impl Model {
    /// What Exclusive must hand to this link.
    fn next_exclusive(&self, link: LinkKey) -> Option<u64> {
        self.records.iter().find_map(|(offset, (key, is))| {
            let same = |other: &Option<u64>| key.is_some() && other == key;
            let others = || self.records.iter().filter(|(_, (key, _))| same(key));
            let is_anothers = others().any(|(_, (_, is))| match is {
                Is::Leased(holder) => *holder != link,
                _ => false,
            });
            let waits = others().any(|(at, (_, is))| *is == Is::Parked && at < offset);
            (*is == Is::Ready && !is_anothers && !waits).then_some(*offset)
        })
    }

    /// What does not fit a record's state changes nothing.
    fn change(&mut self, offset: u64, change: Change) {
        let (_, is) = self.records.get_mut(&offset).expect("it was picked there");
        match (change, *is) {
            (Change::Withdraw, Is::Ready | Is::Parked) | (Change::Ended, Is::Leased(_)) => {
                self.records.remove(&offset);
            }
            (Change::Returned, Is::Leased(_)) | (Change::Unparked, Is::Parked) => *is = Is::Ready,
            (Change::Parked, Is::Leased(_)) => *is = Is::Parked,
            _ => (),
        }
    }

    /// What Fair must hand out.
    fn next_fair(&self) -> Option<u64> {
        let (key, _) = self.waits.iter().min_by_key(|(_, since)| **since)?;
        let mut ready = self
            .records
            .iter()
            .filter(|(_, record)| **record == (*key, Is::Ready));
        ready.next().map(|(offset, _)| *offset)
    }

    /// Keys without ready records wait for no turn; others stand at the end of the line.
    fn queue_up(&mut self) {
        let is_ready = |key: Option<u64>| {
            self.records
                .values()
                .any(|record| *record == (key, Is::Ready))
        };
        let keys: BTreeSet<Option<u64>> = self.records.values().map(|(key, _)| *key).collect();
        self.waits.retain(|key, _| is_ready(*key));
        for key in keys.into_iter().filter(|key| is_ready(*key)) {
            self.clock += 1;
            self.waits.entry(key).or_insert(self.clock);
        }
    }
}

fn agrees(turns: Turns, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut groups = Groups::new(turns);
    let mut model = Model::default();
    let mut next = 0;
    for step in steps {
        match step {
            Step::Offer(key) => {
                groups.offer(next, key);
                model.records.insert(next, (key, Is::Ready));
                next += 1;
            }
            Step::OfferParked(key) => {
                groups.offer_parked(next, key);
                model.records.insert(next, (key, Is::Parked));
                next += 1;
            }
            Step::Take(link) => {
                let expected = match turns {
                    Turns::Exclusive => model.next_exclusive(link),
                    Turns::Fair => model.next_fair(),
                };
                prop_assert_eq!(groups.could_serve(link), expected.is_some());
                prop_assert_eq!(groups.take(link), expected);
                if let Some(offset) = expected {
                    let (key, is) = model.records.get_mut(&offset).expect("it was found there");
                    *is = Is::Leased(link);
                    let key = *key;
                    model.waits.remove(&key);
                }
            }
            Step::Change(change, index) => {
                let index = index % model.records.len().max(1);
                let Some(offset) = model.records.keys().nth(index).copied() else {
                    continue;
                };
                match change {
                    Change::Withdraw => groups.withdraw(offset),
                    Change::Ended => groups.ended(offset),
                    Change::Returned => groups.returned(offset),
                    Change::Parked => groups.parked(offset),
                    Change::Unparked => groups.unparked(offset),
                }
                model.change(offset, change);
            }
        }
        model.queue_up();
        groups.check();
        let ready = model.records.iter().filter(|(_, (_, is))| *is == Is::Ready);
        let ready: Vec<_> = ready.map(|(offset, (key, _))| (*offset, *key)).collect();
        prop_assert_eq!(groups.ready().collect::<Vec<_>>(), ready);
    }
    Ok(())
}

proptest! {
    #[test]
    fn exclusive_agrees_with_looking_through_all(steps in prop::collection::vec(step(), 1..150)) {
        agrees(Turns::Exclusive, steps)?;
    }

    #[test]
    fn fair_agrees_with_looking_through_all(steps in prop::collection::vec(step(), 1..150)) {
        agrees(Turns::Fair, steps)?;
    }
}
