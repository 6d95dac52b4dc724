//! Sums over spaces and queues.

use super::*;

fn depth(ready: u64, leased: u64) -> Depth {
    Depth {
        ready,
        leased,
        ..Depth::default()
    }
}

#[test]
fn the_broker_is_the_sum_of_its_spaces_also_of_those_gone() {
    let statistics = Statistics::default();
    let (one, other) = (statistics.space(SpaceId(0)), statistics.space(SpaceId(1)));
    one.count(0, Count::Publish, 3, 1);
    other.count(9, Count::Publish, 4, 1);
    assert_eq!(statistics.counted().of(Count::Publish), 7);
    statistics.space_deleted(SpaceId(1));
    statistics.space_deleted(SpaceId(1));
    assert_eq!(statistics.counted().of(Count::Publish), 7);
    assert_eq!(statistics.space(SpaceId(1)).counted().of(Count::Publish), 0);
}

#[test]
fn what_queues_hold_is_the_sum_of_what_changed() {
    let space = SpaceStatistics::default();
    space.moved(0, &depth(0, 0), &depth(10, 0));
    space.moved(1, &depth(0, 0), &depth(5, 1));
    // What one stripe gained another may lose.
    space.moved(2, &depth(10, 0), &depth(3, 7));
    assert_eq!(space.depth(), depth(8, 8));
    space.moved(3, &depth(3, 7), &depth(0, 0));
    space.moved(0, &depth(5, 1), &depth(0, 0));
    assert_eq!(space.depth(), depth(0, 0));
}

#[test]
fn exchanges_count_until_they_are_deleted() {
    let space = SpaceStatistics::default();
    assert!(space.exchange_counts("x").is_none());
    space.exchange("x").add(0, Count::PublishIn, 2, 1);
    let counts = space.exchange_counts("x").unwrap();
    assert_eq!(counts.counted().of(Count::PublishIn), 2);
    space.exchange_deleted("x");
    assert!(space.exchange_counts("x").is_none());
}
