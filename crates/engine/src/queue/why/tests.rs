//! Causes as histories: what happened to a queue, and what is told of it.

use std::sync::Arc;

use bongsu_record::{Arguments, Offset, Value};

use super::*;
use crate::queue::links::{Gate, Open};
use crate::queue::{Effect, Fact, FactRun, Input, Link, Properties, Standing};
use crate::session::Outcome;

struct World {
    queue: Queue,
    now_ms: u64,
    effects: Vec<Effect>,
}

/// Admits nothing.
struct Closed;

impl Gate for Closed {
    fn admit(&self, _: LinkKey, _: u64) -> u64 {
        0
    }
}

impl World {
    fn of(arguments: &[(&str, Value)]) -> World {
        let owned = arguments.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
        let arguments: Arguments = owned.collect();
        World {
            queue: Queue::new(Arc::new(Properties::of(&arguments)), 0),
            now_ms: 10_000,
            effects: Vec::new(),
        }
    }

    fn does(&mut self, input: Input<'_>) {
        let gate: &dyn Gate = &Open;
        self.queue
            .handle(input, self.now_ms, gate, &mut self.effects);
        self.queue.check();
    }

    fn append(&mut self, fact: Fact) {
        let end = self.queue.cursor().end().0;
        let facts = [FactRun {
            records: end..end + 1,
            fact,
        }];
        self.does(Input::Append {
            count: 1,
            facts: &facts,
        });
    }

    fn consume(&mut self, key: u64, credit: u32) {
        let link = Link {
            credit,
            priority: 0,
            exclusive: false,
            timeout_ms: None,
        };
        let key = LinkKey(key);
        self.does(Input::Attach { key, link });
    }

    fn settle(&mut self, key: u64, offset: u64, outcome: Outcome) {
        let range = Offset(offset)..Offset(offset + 1);
        self.does(Input::Settle {
            key: LinkKey(key),
            ranges: std::slice::from_ref(&range),
            outcome,
        });
    }

    fn why(&self) -> Why {
        self.queue.why(&|_| None)
    }

    fn code(&self) -> &'static str {
        self.why().code.name()
    }
}

fn plain() -> Fact {
    Fact {
        at_ms: 10_000,
        ..Fact::default()
    }
}

fn keyed(key: u64) -> Fact {
    Fact {
        key: Some(key),
        ..plain()
    }
}

#[test]
fn an_empty_queue_owes_nothing_and_one_without_consumers_says_so() {
    let mut world = World::of(&[]);
    assert_eq!(world.code(), "empty");
    world.append(plain());
    world.append(plain());
    let why = world.why();
    assert_eq!(why.code, Code::NoConsumers);
    assert_eq!(why.depth.ready, 2);
    assert_eq!(why.first_owed, Some(Offset(0)));
}

#[test]
fn consumers_at_their_prefetch_are_counted_with_the_oldest_lease() {
    let mut world = World::of(&[]);
    (0..10).for_each(|_| world.append(plain()));
    world.consume(1, 2);
    world.now_ms = 70_000;
    world.consume(2, 3);
    world.settle(1, 0, Outcome::Accept);
    let why = world.why();
    assert_eq!(why.code, Code::AtPrefetch);
    assert_eq!((why.consumers, why.at_prefetch), (2, 2));
    assert_eq!(why.prefetch, Some((2, 3)));
    let oldest = why.oldest_lease.expect("leases");
    assert_eq!((oldest.start, oldest.holder), (Offset(1), LinkKey(1)));
    assert_eq!((oldest.since_ms, oldest.deadline_ms), (10_000, None));
    assert_eq!(why.depth.leased, 5);
    // One more consumer takes all there is.
    world.consume(3, 0);
    let why = world.why();
    assert_eq!((why.code, why.depth.leased), (Code::AllLeased, 9));
}

#[test]
fn gates_tell_pools_from_slow_consumers() {
    let mut world = World::of(&[]);
    world.consume(1, 0);
    world.consume(2, 5);
    world.queue.handle(
        Input::Append {
            count: 3,
            facts: &[],
        },
        world.now_ms,
        &Closed,
        &mut world.effects,
    );
    let shut = |of: [Shut; 2]| move |key: LinkKey| Some(of[key.0 as usize - 1]);
    let why = world.queue.why(&shut([Shut::Outbox, Shut::Pool(7)]));
    assert_eq!(why.code, Code::SlowConsumers);
    assert_eq!((why.slow, why.at_prefetch), (1, 1));
    assert_eq!(why.prefetch, Some((7, 7)));
    let why = world.queue.why(&shut([Shut::Pool(6), Shut::Pool(7)]));
    assert_eq!(why.code, Code::AtPrefetch);
    assert_eq!(why.prefetch, Some((6, 7)));
    // The gate opens.
    world.does(Input::Resume { key: LinkKey(1) });
    assert_eq!(world.code(), "all_leased");
}

#[test]
fn what_waits_says_until_when() {
    let mut world = World::of(&[]);
    let later = |at_ms| Fact {
        deliver_at_ms: at_ms,
        ..plain()
    };
    world.append(later(40_000));
    world.append(later(30_000));
    world.consume(1, 10);
    let why = world.why();
    assert_eq!(why.code, Code::WaitingForTime);
    assert_eq!(why.next_ms, Some(30_000));
    assert_eq!(why.depth.waiting, 2);
    world.now_ms = 30_000;
    world.does(Input::Timeout);
    assert_eq!(
        world.why().depth,
        Depth {
            leased: 1,
            waiting: 1,
            ..Depth::default()
        }
    );
    let spans = world.queue.schedule().expect("delays").spans(10);
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].start_ms, spans[0].count), (40_000, 1));
    // A month ahead only the span of its slot is known.
    world.append(later(2_600_000_000));
    let schedule = world.queue.schedule().expect("delays");
    let span = schedule.spans(10)[1];
    assert!(span.start_ms <= 2_600_000_000 && 2_600_000_000 < span.end_ms);
    assert_eq!(span.count, 1);
    assert_eq!(schedule.next_due_ms(), Some(40_000));
    let first: Vec<u64> = schedule.first_due(5).iter().map(|(_, at)| *at).collect();
    assert_eq!(first, [0, 2]);
}

#[test]
fn the_rest_of_many_times_is_one_span() {
    let mut world = World::of(&[]);
    for at_ms in 0..5 {
        world.append(Fact {
            deliver_at_ms: 20_000 + at_ms,
            ..plain()
        });
    }
    let spans = world.queue.schedule().expect("delays").spans(2);
    let told: Vec<_> = spans
        .iter()
        .map(|s| (s.start_ms, s.end_ms, s.count))
        .collect();
    let expected = [
        (20_000, 20_001, 1),
        (20_001, 20_002, 1),
        (20_002, 20_005, 3),
    ];
    assert_eq!(told, expected);
}

#[test]
fn keys_are_locked_by_whom() {
    let strategy = ("x-group-key", Value::Text("routing-key".to_owned()));
    let mut world = World::of(&[strategy]);
    assert!(world.queue.properties().grouping.is_some());
    world.append(keyed(1));
    world.append(keyed(2));
    world.append(keyed(1));
    world.append(keyed(2));
    world.consume(1, 2);
    world.consume(2, 5);
    let why = world.why();
    assert_eq!(why.code, Code::GroupLocked);
    let locks = [Locks {
        holder: Some(LinkKey(1)),
        keys: 2,
    }];
    assert_eq!(why.locks, locks);
    assert_eq!((why.consumers, why.at_prefetch), (2, 1));
    world.settle(1, 0, Outcome::Accept);
    // A free key goes to whoever has credit.
    assert_eq!(world.code(), "all_leased");
}

#[test]
fn a_single_active_consumer_that_is_full_holds_up_the_others() {
    let mut world = World::of(&[("x-single-active-consumer", Value::Bool(true))]);
    world.does(Input::Configure {
        properties: world.queue.properties().clone(),
    });
    world.consume(1, 1);
    world.consume(2, 100);
    world.append(plain());
    world.append(plain());
    let why = world.why();
    assert_eq!(why.code, Code::SingleActiveIdle);
    assert_eq!(why.single_active, Some(LinkKey(1)));
    assert_eq!((why.consumers, why.at_prefetch), (2, 1));
}

#[test]
fn dead_records_that_nobody_takes_are_all_there_is() {
    let dead = ("x-dead-letter-exchange", Value::Text("nowhere".to_owned()));
    let mut world = World::of(&[dead]);
    world.consume(1, 1);
    world.append(plain());
    world.settle(1, 0, Outcome::Reject);
    let why = world.why();
    assert_eq!(why.code, Code::DeadLetterStuck);
    assert_eq!(why.depth.dying, 1);
}

#[test]
fn leases_tell_how_long_they_are_held_and_until_when() {
    let mut world = World::of(&[("x-consumer-timeout", Value::Int(60_000))]);
    (0..4).for_each(|_| world.append(plain()));
    world.consume(1, 2);
    world.now_ms = 15_500;
    world.settle(1, 0, Outcome::Release);
    let cursor = world.queue.cursor();
    let held: Vec<Held> = cursor.held_from(Offset(0)).collect();
    let told: Vec<_> = held
        .iter()
        .map(|held| (held.start.0, held.end.0, held.since_ms, held.tries.acquired))
        .collect();
    // What came back is lent again, from then on.
    assert_eq!(told, [(0, 1, 15_000, 2), (1, 2, 10_000, 1)]);
    assert_eq!(held[0].deadline_ms, Some(76_000));
    assert_eq!(held[1].deadline_ms, Some(70_000));
    assert_eq!(cursor.held_from(Offset(1)).count(), 1);
    let range = Offset(1)..Offset(2);
    world.does(Input::Extend {
        key: LinkKey(1),
        ranges: std::slice::from_ref(&range),
        lock_ms: 600_000,
    });
    let held = world
        .queue
        .cursor()
        .held_from(Offset(1))
        .next()
        .expect("held");
    assert_eq!((held.since_ms, held.deadline_ms), (10_000, Some(616_000)));
}

#[test]
fn each_record_stands_in_one_state() {
    let dead = ("x-dead-letter-exchange", Value::Text("nowhere".to_owned()));
    let mut world = World::of(&[dead]);
    (0..5).for_each(|_| world.append(plain()));
    world.consume(1, 4);
    world.settle(1, 0, Outcome::Accept);
    world.settle(1, 2, Outcome::Reject);
    world.does(Input::Detach {
        key: LinkKey(1),
        outcome: None,
    });
    world.settle(1, 3, Outcome::Release);
    world.append(Fact {
        deliver_at_ms: 50_000,
        ..plain()
    });
    let cursor = world.queue.cursor();
    let standing: Vec<Standing> = (0..6).map(|at| cursor.standing(Offset(at)).0).collect();
    use Standing::{Dying, Leased, Ready, Settled, Waiting};
    assert_eq!(standing, [Settled, Leased, Dying, Ready, Leased, Waiting]);
    for (at, standing) in standing.iter().enumerate() {
        for other in [Settled, Ready, Leased, Waiting, Dying] {
            let runs = cursor.runs_of(other, Offset(0), 100);
            let has = runs.iter().any(|run| run.contains(&Offset(at as u64)));
            assert_eq!(has, other == *standing, "{at} {other:?}");
        }
    }
    assert_eq!(cursor.runs_of(Leased, Offset(2), 1), [Offset(4)..Offset(5)]);
}
