use super::*;

#[test]
fn a_message_behind_a_later_one_of_its_group_is_found() {
    let order = GroupOrder::new(1);
    assert!(
        [0, 1, 5]
            .into_iter()
            .all(|number| order.see(number).is_ok())
    );
    assert!(order.see(4).is_err());
    let order = GroupOrder::new(1_000_000);
    assert!([5, 4].into_iter().all(|number| order.see(number).is_ok()));
}
