//! Any bytes at all, to a whole broker: shared by tests and fuzz targets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bongsu_admin::server::serve_one;
use bongsu_admin::{Admin, Settings as AdminSettings};
use bongsu_net::door::Guest;
use bongsu_net::pipe::{End, pipe};
use bongsu_net::stream::Stream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

pub mod stored;
pub mod tokens;

use crate::amqp::Amqp;
use crate::host::{Host, Protocol, runtime};
use crate::ledger::Ledger;

/// What any input whatever must pass: no panic, memory within its limits, and whoever comes
/// next is served.
///
/// # Panics
/// If it does not.
pub fn check(protocol: Protocol, bytes: &[u8]) {
    let runtime = runtime();
    runtime.block_on(async {
        let ledger = Arc::new(Ledger::new(false));
        let host = Host::new(7, ledger.clone());
        let supervisor = host.supervised().await;
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

/// The same of HTTP; what was answered.
///
/// # Panics
/// If it does not.
pub fn check_http(bytes: &[u8]) -> Vec<u8> {
    let runtime = runtime();
    runtime.block_on(async {
        let ledger = Arc::new(Ledger::new(false));
        let host = Host::new(7, ledger.clone());
        let supervisor = host.supervised().await;
        let admin = Admin::new(host.broker().expect("it is up"), AdminSettings::default());
        let places = Arc::new(Semaphore::new(1));
        let (client, end) = pipe(64 << 10);
        let here = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let guest = Guest {
            stream: Stream::Memory(end),
            peer: here,
            local: here,
            certified: None,
            place: places.try_acquire_owned().expect("there is one"),
        };
        let served = tokio::spawn(serve_one(guest, admin));
        let said = timeout(Duration::from_secs(20), say(&client, bytes)).await;
        drop(client);
        // Whatever it works at is given up after a minute.
        let ended = timeout(Duration::from_secs(100), served).await;
        let ended = ended.expect("it ends once its client is gone");
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!(ledger.violation(), None);
        supervisor.abort();
        host.kill().await;
        said.unwrap_or_default()
    })
}

/// Writes everything, reads what comes, and listens for a while. The beginning of what came.
async fn say(end: &End, bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut said = Vec::new();
    let mut heard = Instant::now();
    let mut answer = vec![0; 16 << 10];
    while heard.elapsed() < Duration::from_millis(300) {
        match end.try_read(&mut answer) {
            Ok(0) => return said,
            Ok(count) => {
                heard = Instant::now();
                if said.len() < KEPT_BYTES {
                    said.extend_from_slice(&answer[..count]);
                }
            }
            Err(_) => {}
        }
        match end.try_write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return said,
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
    said
}

/// Of an answer.
const KEPT_BYTES: usize = 16 << 10;
