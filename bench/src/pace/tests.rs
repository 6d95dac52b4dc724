use super::*;

#[test]
fn a_message_is_due_exactly_when_its_time_has_come() {
    for rate in [1, 3, 5_000, 7_777] {
        let pace = Pace { start: 1_000, rate };
        for number in [0, 1, 2, 10_001] {
            let at = pace.due_at(number);
            assert_eq!(pace.due(at), number + 1);
            assert!(number == 0 || pace.due(at - 1) == number);
        }
    }
}
