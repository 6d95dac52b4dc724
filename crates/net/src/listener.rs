//! Accepts clients and gives each a task; bounds how many there are.

use std::net::SocketAddr;
use std::sync::Arc;

use bongsu_broker::Broker;
use bongsu_engine::session::Session;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::connection::{Ended, drive};

/// `session` makes one for a client, given the address where the client came in.
///
/// Accepts on `listener` until the broker stops, then waits for the connections to end.
/// At the bound of `places` (shared by all listeners) a new client is closed at once: it
/// may try again, and nobody who is in loses anything.
pub async fn serve<S: Session + 'static>(
    listener: TcpListener,
    broker: Broker,
    places: Arc<Semaphore>,
    session: impl Fn(SocketAddr) -> S,
) {
    let mut stopping = broker.stopping();
    let mut connections = JoinSet::new();
    let address = listener.local_addr().unwrap_or(NO_ADDRESS);
    while !*stopping.borrow_and_update() {
        let accepted = tokio::select! {
            _ = stopping.changed() => continue,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: the others go on, and so does this
                // loop once some have left.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "refused: limits.connections_max are connected");
            continue;
        };
        // Small replies must not wait for the client's acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let address_of_peer = peer.ip().to_canonical();
        let handle = broker.session(address_of_peer.is_loopback());
        let handle = handle.from_host(address_of_peer);
        // Where the client found us; it is told to come back there.
        let local = stream.local_addr().unwrap_or(address);
        let session = session(local);
        connections.spawn(async move {
            tracing::debug!(%peer, "connected");
            match drive(stream, session, handle).await {
                Ended::Failed(error) => tracing::debug!(%peer, "connection failed: {error}"),
                ended => tracing::debug!(%peer, ?ended, "connection ended"),
            }
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

const NO_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
