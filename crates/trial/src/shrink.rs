//! Makes a plan that fails as small as it can be made.

use crate::plan::Plan;
use crate::run::run;

/// The smallest plan found that fails as well, whatever it fails with, and how many were tried:
/// at most `tries_max`.
pub fn shrink(plan: &Plan, tries_max: u32) -> (Plan, u32) {
    let mut best = plan.clone();
    let mut tries = 0;
    let mut went_on = true;
    while went_on && tries < tries_max {
        went_on = false;
        for smaller in smaller(&best) {
            if tries >= tries_max {
                break;
            }
            tries += 1;
            if run(&smaller).violation.is_some() {
                best = smaller;
                went_on = true;
                break;
            }
        }
    }
    (best, tries)
}

/// Plans with something less, the boldest first.
fn smaller(plan: &Plan) -> Vec<Plan> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Plan)| {
        let mut changed = plan.clone();
        change(&mut changed);
        if changed != *plan {
            all.push(changed);
        }
    };
    let half = plan.faults.len() / 2;
    add(&|plan| plan.faults.truncate(half));
    add(&|plan| drop(plan.faults.drain(..half)));
    for index in 0..plan.faults.len() {
        add(&|plan| {
            plan.faults.remove(index);
        });
    }
    for index in 0..plan.clients.len() {
        // Its place stays: others are known by theirs.
        add(&|plan| plan.clients[index].actions = 0);
        add(&|plan| plan.clients[index].actions /= 2);
        add(&|plan| plan.clients[index].actions = plan.clients[index].actions.saturating_sub(1));
    }
    add(&|plan| plan.length_ms /= 2);
    add(&|plan| plan.length_ms = plan.length_ms * 9 / 10);
    all
}
