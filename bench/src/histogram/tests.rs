use super::*;

#[test]
fn every_value_lies_within_one_step_of_its_slot() {
    let mut value = 1_u64;
    while value < u64::MAX / 3 {
        for probe in [value - 1, value, value + 1] {
            let last = slot_last(slot(probe));
            assert!(
                last >= probe && last - probe <= probe / STEPS,
                "{probe} became {last}"
            );
        }
        value = value * 3 / 2 + 1;
    }
    assert_eq!(slot_last(slot(u64::MAX)), u64::MAX);
}

#[test]
fn quantiles_of_a_known_row() {
    let mut histogram = Histogram::new();
    for microseconds in 1..=1000 {
        histogram.record(microseconds * 1000);
    }
    for (share, expected) in [(0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
        let found = histogram.quantile_ms(share).unwrap();
        assert!(
            (found - expected).abs() <= expected / 100.0,
            "{share}: {found}"
        );
    }
    assert_eq!(Histogram::new().quantile_ms(0.5), None);
}
