use super::*;

#[test]
fn stat_with_a_nasty_name_is_read() {
    let line = "42 (a) b (c)) S 7 42 42 0 -1 4194304 100 0 0 0 350 25 0 0 20 0 1 0 100 1 1";
    let stat = Stat::parse(line).unwrap();
    assert_eq!((stat.parent, stat.ticks), (7, 375));
}

#[test]
fn own_tree_counts_memory() {
    assert!(Tree::own().resident_bytes() > 100_000);
    assert!(Tree::own().peak_bytes() >= Tree::own().resident_bytes() / 2);
}
