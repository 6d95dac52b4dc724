//! A broker on a simulated disk, and one client of it.

use std::sync::Arc;
use std::time::Instant;

use bongsu_broker::{Broker, Executed, Limits, SessionHandle};
use bongsu_engine::session::{Call, Now, Reply};
use bongsu_record::Lsn;
use bongsu_sim::SimDisk;
use bongsu_storage::{Durability, Options};

/// Opens what is on the disk; the time stands still.
pub fn open(disk: &SimDisk, now_ms: u64) -> (Broker, SessionHandle) {
    let options = Options {
        lane_file_bytes: 64 << 10,
        checkpoint_bytes: 8 << 10,
        segment_bytes_max: 16 << 10,
        reserve_bytes: 64 << 10,
        ..Options::new("/data")
    };
    let disk = Arc::new(disk.clone());
    let limits = Limits::default();
    let (broker, _) = Broker::open(disk, options, Durability::Fsync, limits).expect("it opens");
    broker.set_time(now_ms);
    broker.set_seed(1);
    let mut session = broker.session(true);
    let (user, password) = ("guest".to_owned(), "guest".to_owned());
    call(&mut session, Call::Login { user, password }, now_ms);
    let space = "/".to_owned();
    call(&mut session, Call::OpenSpace { space }, now_ms);
    (broker, session)
}

/// What is answered, and what must be durable first.
pub fn call(session: &mut SessionHandle, call: Call, now_ms: u64) -> (Reply, Lsn) {
    let now = Now {
        instant: Instant::now(),
        unix_ms: now_ms as i64,
    };
    match session.execute(call, now) {
        Executed::Now(reply) => (reply, Lsn(0)),
        Executed::Durable(lsn, reply) => (reply, lsn),
        other => panic!("no call waits: {other:?}"),
    }
}
