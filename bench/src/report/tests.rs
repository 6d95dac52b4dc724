use super::*;

#[test]
fn digits_come_in_groups_of_three() {
    let shown = [
        (0.5, 2),
        (123.0, 0),
        (1234.0, 0),
        (1_234_567.89, 1),
        (-1234.0, 0),
        (-123.0, 0),
    ]
    .map(|(value, decimals)| grouped(value, decimals));
    assert_eq!(
        shown,
        ["0.50", "123", "1,234", "1,234,567.9", "-1,234", "-123"]
    );
}
