//! A bounded number of trials, those that once failed among them.
//!
//! `cargo xtask sim` runs as many as asked for, and makes smaller what fails.

use bongsu_trial::plan::Plan;
use bongsu_trial::run::run;
use bongsu_trial::shrink::shrink;

#[test]
fn nothing_that_was_confirmed_is_lost() {
    let mut sent = 0;
    let mut ends = 0;
    for seed in 1_000_000..1_000_080 {
        let outcome = run(&Plan::of_seed(seed));
        assert_eq!(
            outcome.violation, None,
            "cargo xtask sim --seed {seed} makes it smaller"
        );
        sent += outcome.tally.sent;
        ends += outcome.tally.ends;
    }
    assert!(sent > 10_000 && ends > 5, "{sent} sent, {ends} ends");
}

#[test]
fn trials_that_failed_once() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/histories");
    let files = std::fs::read_dir(folder).expect("the folder of histories");
    let mut count = 0;
    for file in files {
        let path = file.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a plan");
        let plan: Plan = serde_json::from_str(&text).expect("a plan");
        assert_eq!(run(&plan).violation, None, "{}", path.display());
        count += 1;
    }
    assert!(count > 0);
}

/// Nothing follows from a clock, a thread or an order by hash.
#[test]
fn the_same_plan_has_the_same_course() {
    for seed in 0..12 {
        let plan = Plan::of_seed(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
}

#[test]
fn plans_are_kept_as_they_are() {
    let plan = Plan::of_seed(7);
    let text = serde_json::to_string(&plan).expect("plain data");
    let read: Plan = serde_json::from_str(&text).expect("its own text");
    assert_eq!(read, plan);
}

/// A plan that does not fail is as small as it gets.
#[test]
fn what_does_not_fail_is_not_made_smaller() {
    let mut plan = Plan::of_seed(3);
    plan.faults.clear();
    plan.clients.truncate(1);
    let (smallest, tries) = shrink(&plan, 4);
    assert_eq!((smallest, tries), (plan, 4));
}
