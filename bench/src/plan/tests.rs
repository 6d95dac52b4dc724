use super::*;

#[test]
fn messages_come_due_within_the_spread_and_are_never_asked_for_early() {
    let schedule = Schedule {
        start: 5_000_000_000,
        spread: Duration::from_secs(10),
        jitter: Duration::from_secs(1),
        count: 1000,
    };
    let dues: Vec<u64> = (0..1000).map(|number| schedule.due(number)).collect();
    assert!(
        dues.iter()
            .all(|due| (5_000_000_000..16_000_000_000).contains(due))
    );
    assert!(!dues.is_sorted());
    for (number, due) in dues.iter().enumerate() {
        let now = 4_999_999_999;
        let delay = schedule.delay_ms(number as u64, now) as u64 * 1_000_000;
        assert!((*due..*due + 1_000_000).contains(&(now + delay)));
    }
    assert_eq!(schedule.delay_ms(0, 20_000_000_000), 0);
}
