//! The disk: full, slow.

use super::super::broker::DISK_FREE_BYTES_MIN;
use super::super::http;
use super::super::wire::{self, Arguments};
use super::super::world::World;
use super::{Soak, mib};
use crate::soak::watch::{What, Who};
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// First below what publishers leave, then to the last byte.
pub(super) fn full(soak: &mut Soak) -> Result<(), String> {
    drop(soak.queue_of(SHELF, &[], ON_SHELF, &[7; 1000])?);
    // Who has published is not read while publishers wait, as with RabbitMQ: this one only consumes.
    let mut one = soak.client()?;
    soak.world.fill_up_to(DISK_FREE_BYTES_MIN / 2)?;
    let told = soak.wait_until("publishers to be told", TOLD_MAX, |soak| {
        soak.watch.now(Who::Amqp).blocked == 2
    })?;
    soak.fact(format!(
        "{} left: publishers told to wait after {told:.1?} (limits.disk_free_bytes_min is {})",
        mib(DISK_FREE_BYTES_MIN / 2),
        mib(DISK_FREE_BYTES_MIN)
    ));
    let alarms = http::metric(
        soak.broker.metrics(),
        "rabbitmq_alarms_free_disk_space_watermark",
    )?;
    soak.must(alarms == 1, "no alarm of the disk is told");
    soak.wait_until("consumers to get what is there", DRAINED_MAX, |soak| {
        soak.watch.now(Who::Amqp).behind == 0
    })?;
    // What was on its way arrives, and is told.
    sleep(Duration::from_secs(1));
    let before = Who::BOTH.map(|who| soak.watch.now(who).confirmed);
    sleep(HELD_FOR);
    let after = Who::BOTH.map(|who| soak.watch.now(who).confirmed);
    let held = before[0] == after[0] && after[1] - before[1] < ON_ITS_WAY_MAX;
    soak.must(held, "publishers that were told to wait were served");
    soak.fact(format!(
        "in {HELD_FOR:?} confirmed: AMQP {}, Kafka {}",
        after[0] - before[0],
        after[1] - before[1]
    ));

    soak.world.fill()?;
    let begun = Instant::now();
    consume(&mut one, ON_SHELF / 2)
        .map_err(|error| format!("a consumer on a full disk: {error}"))?;
    soak.fact(format!(
        "nothing left ({} bytes): a consumer got {} records in {:.1?}",
        soak.world.free_bytes()?,
        ON_SHELF / 2,
        begun.elapsed()
    ));
    sleep(HELD_FOR);
    soak.broker.is_alive()?;
    // Still there for whoever asks.
    http::metric(soak.broker.metrics(), "rabbitmq_connections")?;

    soak.watch.mark();
    soak.world.make_room();
    let back = soak.wait_until("publishers to go on", SERVED_AGAIN_MAX, |soak| {
        soak.all_moved() && soak.watch.now(Who::Amqp).blocked == 0
    })?;
    soak.fact(format!("room again: all served after {back:.1?}"));
    consume(&mut one, ON_SHELF / 2)
        .map_err(|error| format!("a consumer after a full disk: {error}"))?;
    let depth = soak
        .client()?
        .depth(SHELF)
        .map_err(|error| error.to_string())?;
    soak.must(
        depth == 0,
        &format!("{depth} of {ON_SHELF} records are left, all were acked"),
    );
    soak.client()?
        .delete(SHELF)
        .map_err(|error| error.to_string())
}

/// Gets and acks so many.
fn consume(one: &mut wire::Connection, count: usize) -> std::io::Result<()> {
    let arguments = || Arguments::default().short(0).short_text(SHELF).octet(0);
    for _ in 0..count {
        let (method, tag) = {
            one.socket.write_all(&arguments().frame(wire::GET))?;
            one.wait(&[wire::GET_OK, (60, 72)])?
        };
        if method != wire::GET_OK {
            return Err(std::io::Error::other("the queue is empty too soon"));
        }
        let tag = u64::from_be_bytes(tag[..8].try_into().expect("a tag has eight bytes"));
        one.socket
            .write_all(&Arguments::default().longlong(tag).octet(0).frame(wire::ACK))?;
    }
    Ok(())
}

pub(super) fn slow(soak: &mut Soak) -> Result<(), String> {
    soak.watch.mark();
    let until = Instant::now()
        + soak
            .size
            .of(Duration::from_secs(20), Duration::from_secs(6));
    let before = Who::BOTH.map(|who| soak.watch.now(who).confirmed);
    let begun = Instant::now();
    stutter(&soak.world, || Instant::now() < until)?;
    let seconds = begun.elapsed().as_secs_f64();
    let after = Who::BOTH.map(|who| soak.watch.now(who).confirmed);
    soak.must_serve(SERVED_MAX);
    soak.fact(format!(
        "still for 400 of 500 ms: {:.0} confirms/s by AMQP, {:.0} by Kafka",
        (after[0] - before[0]) as f64 / seconds,
        (after[1] - before[1]) as f64 / seconds
    ));
    soak.watch.mark();
    let stands = soak.size.of(Duration::from_secs(8), Duration::from_secs(3));
    let frozen = soak.world.freeze()?;
    sleep(stands);
    let worst = soak.worst(What::Confirms);
    soak.watch.mark();
    drop(frozen);
    let back = soak.wait_until(
        "clients after the disk came back",
        SERVED_AGAIN_MAX,
        Soak::all_moved,
    )?;
    soak.must(
        worst > stands / 2,
        "there were confirms from a disk that stood still",
    );
    soak.fact(format!(
        "still for {stands:?}: served {back:.2?} later, longest without a confirm {worst:.1?}"
    ));
    Ok(())
}

/// Stands still most of the time.
pub(super) fn stutter(world: &World, goes_on: impl Fn() -> bool) -> Result<(), String> {
    while goes_on() {
        let frozen = world.freeze()?;
        sleep(Duration::from_millis(400));
        drop(frozen);
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

const SHELF: &str = "soak-shelf";
const ON_SHELF: usize = 2000;
/// What Kafka's producer had sent when it was to wait: it is not told, only not answered.
const ON_ITS_WAY_MAX: u64 = 200;
const TOLD_MAX: Duration = Duration::from_secs(10);
const DRAINED_MAX: Duration = Duration::from_secs(20);
const HELD_FOR: Duration = Duration::from_secs(5);
const SERVED_AGAIN_MAX: Duration = Duration::from_secs(20);
const SERVED_MAX: Duration = Duration::from_secs(5);
