//! Any order of requests, against what a transaction promises.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::router::{QueueId, SpaceId};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody takes it over; or client `who`, going on.
    Init {
        who: usize,
        goes_on: bool,
    },
    Join {
        who: usize,
        partition: u64,
    },
    End {
        who: usize,
        committed: bool,
        bump: bool,
        lost: bool,
    },
    Wait {
        ms: u64,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..3_usize;
    let step = prop_oneof![
        2 => (who.clone(), any::<bool>()).prop_map(|(who, goes_on)| Step::Init { who, goes_on }),
        6 => (who.clone(), 0..4_u64).prop_map(|(who, partition)| Step::Join { who, partition }),
        4 => (who, any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(who, committed, bump, lost)| Step::End { who, committed, bump, lost }),
        1 => (0..700_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..150)
}

/// What the last transaction of a log of partitions came to, as marks tell it.
#[derive(Default)]
struct Partition {
    /// Highest epoch of each producer that wrote or left a mark.
    epochs: BTreeMap<i64, i16>,
    open: BTreeSet<i64>,
}

proptest! {
    #[test]
    fn what_was_promised_is_kept(steps in steps(), epoch in prop_oneof![Just(0_i16), Just(32_760)]) {
        let mut transaction = Transaction::new(1);
        let mut numbers = 2..;
        let mut fresh = || numbers.next();
        let mut now_ms = 0;
        let mut recorded = Vec::new();
        let mut clients: [Option<Producer>; 3] = [None; 3];
        let mut partitions: BTreeMap<u64, Partition> = BTreeMap::new();
        let mut given: BTreeSet<Producer> = BTreeSet::new();
        for (nth, step) in steps.into_iter().enumerate() {
            let mut effects = Vec::new();
            let (who, input) = match step {
                Step::Init { who, goes_on } => {
                    let expected = clients[who].filter(|_| goes_on);
                    (who, Input::Init { timeout_ms: 500, expected })
                }
                Step::Join { who, partition } => {
                    let Some(producer) = clients[who] else { continue };
                    let to = [QueueId(partition)];
                    let input = Input::Join { producer, partitions: &to, group: None };
                    transaction.handle(input, &mut fresh, now_ms, &mut effects);
                    let current = producer == transaction.producer();
                    let joined = effects.last() == Some(&Effect::Answer(Ok(producer)));
                    // A fenced producer can do nothing; the current one always can.
                    prop_assert_eq!(joined, current);
                    if joined {
                        let partition = partitions.entry(partition).or_default();
                        let known = partition.epochs.entry(producer.id).or_insert(0);
                        prop_assert!(*known <= producer.epoch, "fenced by a mark");
                        *known = producer.epoch;
                        partition.open.insert(producer.id);
                        record(&transaction, &effects, &mut recorded);
                    } else {
                        prop_assert_eq!(effects.len(), 1);
                    }
                    continue;
                }
                Step::End { who, committed, bump, .. } => {
                    let Some(producer) = clients[who] else { continue };
                    (who, Input::End { producer, committed, bumps_epoch: bump })
                }
                Step::Wait { ms } => {
                    now_ms += ms;
                    (0, Input::Timeout)
                }
                Step::Restart => {
                    if let Ok(Change::Is { transaction: found, .. }) =
                        Change::decode(&mut recorded.as_slice())
                    {
                        prop_assert_eq!(&found, &transaction);
                        transaction = found;
                    }
                    continue;
                }
            };
            let before = transaction.clone();
            transaction.handle(input, &mut fresh, now_ms, &mut effects);
            if nth == 0 && epoch > 0 && transaction.producer().epoch == 0 {
                transaction.producer.epoch = epoch;
                encode_is(SpaceId(0), "t", &transaction, &mut Vec::new());
                for effect in &mut effects {
                    if let Effect::Answer(Ok(producer)) = effect {
                        producer.epoch = epoch;
                    }
                }
            }
            record(&transaction, &effects, &mut recorded);
            for effect in &effects {
                match effect {
                    Effect::End(ending) => {
                        // What ends is what was open, and it ends once.
                        let State::Ongoing(open) = before.state() else {
                            panic!("nothing was open");
                        };
                        let all: Vec<QueueId> = open.partitions.iter().copied().collect();
                        prop_assert_eq!(&ending.partitions, &all);
                        prop_assert_eq!(ending.producer.id, before.producer().id);
                        prop_assert!(ending.producer.epoch >= before.producer().epoch);
                        for at in &ending.partitions {
                            let partition = partitions.get_mut(&at.0).unwrap();
                            prop_assert!(partition.open.remove(&ending.producer.id));
                            partition.epochs.insert(ending.producer.id, ending.producer.epoch);
                        }
                        let asked = matches!(step, Step::End { committed: true, .. });
                        prop_assert!(!ending.committed || asked, "committed unasked");
                    }
                    Effect::Answer(Ok(producer)) => {
                        prop_assert_eq!(*producer, transaction.producer());
                        prop_assert!((0..machine::EPOCH_LAST).contains(&producer.epoch));
                        match step {
                            Step::Init { goes_on: false, .. } => {
                                prop_assert!(given.insert(*producer), "given twice");
                            }
                            Step::Init { .. } => { given.insert(*producer); }
                            Step::End { committed, lost, .. } => {
                                let state = transaction.state().name();
                                let wanted = if committed { "CompleteCommit" } else { "CompleteAbort" };
                                prop_assert_eq!(state, wanted);
                                given.insert(*producer);
                                if lost {
                                    // The same again is answered the same, or refused.
                                    continue;
                                }
                            }
                            _ => {}
                        }
                        clients[who] = Some(*producer);
                    }
                    Effect::Answer(Err(_)) => prop_assert_eq!(&before, &transaction),
                    Effect::Record => {}
                }
            }
            let open = matches!(transaction.state(), State::Ongoing(_));
            prop_assert_eq!(open, transaction.deadline_ms().is_some());
            let hanging = partitions.values().any(|p| !p.open.is_empty());
            prop_assert_eq!(hanging, open, "a partition is open and nobody ends it");
        }
    }
}

fn record(transaction: &Transaction, effects: &[Effect], recorded: &mut Vec<u8>) {
    if effects.contains(&Effect::Record) {
        recorded.clear();
        encode_is(SpaceId(0), "t", transaction, recorded);
    }
}

#[test]
fn changes_go_through_their_bytes() {
    let mut transaction = Transaction::new(3);
    let mut effects = Vec::new();
    let init = Input::Init {
        timeout_ms: 5,
        expected: None,
    };
    transaction.handle(init, &mut || None, 6, &mut effects);
    let join = Input::Join {
        producer: transaction.producer(),
        partitions: &[QueueId(1), QueueId(2)],
        group: Some(&"g".into()),
    };
    transaction.handle(join, &mut || None, 6, &mut effects);
    let id: std::sync::Arc<str> = "ß".into();
    let changes = [
        Change::Is {
            space: SpaceId(1),
            transactional_id: id.clone(),
            transaction,
        },
        Change::Gone {
            space: SpaceId(1),
            transactional_id: id,
        },
        Change::Ids { end: 9 },
    ];
    let mut bytes = Vec::new();
    changes.iter().for_each(|change| change.encode(&mut bytes));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
    let mut rest = bytes.as_slice();
    for change in &changes {
        assert_eq!(Change::decode(&mut rest).as_ref(), Ok(change));
    }
    assert!(rest.is_empty());
    let first = bytes.len() - 9 - 9;
    for cut in 0..first {
        assert!(Change::decode(&mut &bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn without_another_number_nothing_changes() {
    let mut transaction = Transaction::new(3);
    transaction.producer.epoch = machine::EPOCH_LAST - 1;
    let before = transaction.clone();
    let mut effects = Vec::new();
    let init = Input::Init {
        timeout_ms: 5,
        expected: None,
    };
    transaction.handle(init, &mut || None, 6, &mut effects);
    let refused = Effect::Answer(Err(TransactionRefused::Storage));
    assert_eq!((&effects[..], &transaction), (&[refused][..], &before));
}

#[test]
fn a_number_is_given_once() {
    let mut ids = ProducerIds::default();
    assert_eq!(ids.take(), None);
    let end = ids.wanted().unwrap();
    ids.reserve(end);
    assert_eq!((ids.take(), ids.wanted()), (Some(0), None));
    let mut after_a_crash = ProducerIds::from(ids.end());
    assert_eq!(after_a_crash.take(), None);
    after_a_crash.reserve(after_a_crash.wanted().unwrap());
    assert_eq!(after_a_crash.take(), Some(IDS_RESERVED));
}

const GOLDEN: &str = "01000000010002c39f00000000000000030000ffffffffffffffffffff000000050000000000000006000100000000000000060000000200000000000000010000000000000002000000010001670\
2000000010002c39f030000000000000009";
