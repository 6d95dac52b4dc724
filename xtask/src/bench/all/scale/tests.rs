use super::*;

#[test]
fn wide_spans_are_logarithmic_and_narrow_ones_begin_at_zero() {
    let wide = Scale::of([3.0, 40_000.0].into_iter()).unwrap();
    assert!(wide.is_logarithmic());
    assert_eq!(wide.ticks(), [1.0, 10.0, 100.0, 1e3, 1e4, 1e5]);
    assert!((wide.place(100.0) - 0.4).abs() < 1e-9);
    let narrow = Scale::of([50.0, 100.0].into_iter()).unwrap();
    assert!(!narrow.is_logarithmic());
    assert_eq!(narrow.ticks(), [0.0, 50.0, 100.0]);
    assert_eq!(narrow.place(0.0), 0.0);
}

#[test]
fn what_lies_outside_is_at_the_edge_and_nothing_has_no_scale() {
    let scale = Scale::logarithmic(10.0, 1000.0);
    assert_eq!((scale.place(0.0), scale.place(1e9)), (0.0, 1.0));
    assert!(Scale::of([0.0, f64::NAN].into_iter()).is_none());
}

#[test]
fn numbers_have_three_digits() {
    for (value, text) in [
        (0.0, "0"),
        (0.123_4, "0.12"),
        (0.05, "0.05"),
        (1.5, "1.5"),
        (99.44, "99.4"),
        (1234.0, "1234"),
        (12_345.0, "12.3 k"),
        (2_060_125.0, "2.06 M"),
        (1e8, "100 M"),
    ] {
        assert_eq!(short(value), text);
    }
}
