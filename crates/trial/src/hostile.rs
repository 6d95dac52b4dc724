//! Any bytes at all, to a whole broker: shared by tests and fuzz targets.

use std::sync::Arc;
use std::time::Duration;

use bongsu_net::pipe::{End, pipe};
use tokio::time::{Instant, sleep, timeout};

pub mod stored;

use crate::amqp::Amqp;
use crate::host::{Host, Protocol};
use crate::ledger::Ledger;

/// What any input whatever must pass: no panic, memory within its limits, and whoever comes
/// next is served.
///
/// # Panics
/// If it does not.
pub fn check(protocol: Protocol, bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without sockets");
    runtime.block_on(async {
        let ledger = Arc::new(Ledger::new(false));
        let host = Host::new(7, ledger.clone());
        let supervisor = tokio::spawn(host.clone().supervise());
        while !host.is_up() {
            sleep(Duration::from_millis(1)).await;
        }
        let (client, broker) = pipe(64 << 10);
        host.accept(protocol, broker);
        // Virtual: nobody waits for it.
        let _told_all = timeout(Duration::from_secs(20), say(&client, bytes)).await;
        drop(client);
        sleep(Duration::from_millis(100)).await;
        let (client, broker) = pipe(64 << 10);
        host.accept(Protocol::Amqp, broker);
        let served = Amqp::open(client).await.is_ok();
        let violation = ledger.violation();
        assert!(
            violation.is_none() && served,
            "{violation:?}, served: {served}"
        );
        supervisor.abort();
        host.kill().await;
    });
}

/// Writes everything, reads and forgets what comes, and listens for a while.
async fn say(end: &End, bytes: &[u8]) {
    let mut rest = bytes;
    let mut heard = Instant::now();
    let mut answer = vec![0; 16 << 10];
    while heard.elapsed() < Duration::from_millis(300) {
        match end.try_read(&mut answer) {
            Ok(0) => return,
            Ok(_) => heard = Instant::now(),
            Err(_) => {}
        }
        match end.try_write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        if rest.is_empty() {
            let _ = timeout(Duration::from_millis(50), end.readable()).await;
        } else {
            tokio::select! {
                biased;
                () = end.readable() => {}
                () = end.writable() => {}
            }
        }
    }
}
