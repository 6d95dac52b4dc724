//! The broker's own process: killed, stopped.

use super::super::broker::Surroundings;
use super::Soak;
use crate::soak::watch::Who;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(super) fn kill(soak: &mut Soak) -> Result<(), String> {
    let mut slowest = Duration::ZERO;
    let times = soak.size.of(8, 2);
    for _ in 0..times {
        // Sometimes as soon as it listens.
        sleep(Duration::from_millis(soak.random.within(0, 3000)));
        soak.broker.kill()?;
        let begun = Instant::now();
        soak.broker.launch(&Surroundings::default())?;
        slowest = slowest.max(begun.elapsed());
    }
    soak.must(
        slowest <= START_MAX,
        &format!("a start after SIGKILL took {slowest:.1?}"),
    );
    soak.fact(format!(
        "{times} kills; the slowest start until it listens {slowest:.2?}"
    ));
    Ok(())
}

pub(super) fn freeze(soak: &mut Soak) -> Result<(), String> {
    let again = |soak: &Soak| Who::BOTH.map(|who| soak.watch.now(who).again);
    for seconds in soak.size.of(&[4, 25][..], &[3][..]) {
        let asleep = Duration::from_secs(*seconds);
        let before = again(soak);
        soak.watch.mark();
        soak.broker.signal("STOP");
        sleep(asleep);
        soak.watch.mark();
        soak.broker.signal("CONT");
        let back = soak.wait_until("clients after SIGCONT", SERVED_AGAIN_MAX, Soak::all_moved)?;
        let after = again(soak);
        soak.fact(format!(
            "stopped for {seconds} s: all served {back:.2?} later; delivered again: AMQP {}, Kafka {}",
            after[0] - before[0],
            after[1] - before[1]
        ));
    }
    Ok(())
}

const START_MAX: Duration = Duration::from_secs(10);
const SERVED_AGAIN_MAX: Duration = Duration::from_secs(20);
