//! Accepts clients and gives each a task; bounds how many there are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_broker::registry::Peer;
use bongsu_broker::{Broker, Stopping};
use bongsu_engine::session::Session;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::connection::{Ended, drive};
use crate::door::{Door, Guest};

/// `session` makes one of `protocol` for a client, given how it came in.
///
/// Accepts on `listener` until the broker stops, then waits for the connections to end.
/// At the bound of `places` (shared by all listeners) a new client is closed at once: it
/// may try again, and nobody who is in loses anything.
pub async fn serve<S: Session + 'static>(
    listener: TcpListener,
    (broker, protocol): (Broker, &'static str),
    places: Arc<Semaphore>,
    door: Door,
    session: impl Fn(&Guest) -> S + Send + Sync + 'static,
) {
    let session = Arc::new(session);
    let stopping = broker.stopping();
    receive(listener, stopping, places, door, move |guest| {
        let session = session(&guest);
        let handle = broker.session(guest.is_from_loopback());
        let handle = handle.from_host(guest.peer.ip().to_canonical());
        let handle = handle.with_certificate(guest.certified.clone());
        let handle = handle.of_client(Peer {
            protocol,
            peer: guest.peer,
            local: guest.local,
        });
        async move {
            let peer = guest.peer;
            let connection = handle.connection().clone();
            match drive(guest.stream, session, handle).await {
                // Not what it should be: somebody set something up wrong.
                Ended::Failed(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%peer, "closed: {error}");
                }
                Ended::Failed(error) => {
                    let (user, space) = (connection.user(), connection.space_name());
                    tracing::debug!(%peer, protocol, %user, %space, "connection failed: {error}");
                }
                ended => {
                    let (user, space) = (connection.user(), connection.space_name());
                    tracing::debug!(%peer, protocol, %user, %space, ?ended, "connection ended");
                }
            }
            drop(guest.place);
        }
    })
    .await;
}

/// As [`serve`], for whoever does something else with a client than a session would.
pub async fn receive<F>(
    listener: TcpListener,
    mut stopping: Stopping,
    places: Arc<Semaphore>,
    door: Door,
    each: impl Fn(Guest) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let mut connections = JoinSet::new();
    let mut refused = Refused::default();
    while !*stopping.borrow_and_update() {
        let accepted = tokio::select! {
            _ = stopping.changed() => continue,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
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
            refused.count(peer);
            continue;
        };
        // Small replies must not wait for the client's acknowledgement of earlier ones.
        let _ = socket.set_nodelay(true);
        let (door, each) = (door.clone(), each.clone());
        let mut stopping = stopping.clone();
        connections.spawn(async move {
            let entered = tokio::select! {
                entered = door.enter(socket, peer, place) => entered,
                // Who is not in yet has no leave to take.
                _ = stopping.wait_for(|stops| *stops) => return,
            };
            match entered {
                Ok(guest) => {
                    tracing::debug!(peer = %guest.peer, "connected");
                    each(guest).await;
                }
                Err(error) => turned_away(peer, &error),
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Those who found no place. Ten thousand a second are as many lines in nobody's log: one line a
/// second tells how many, and who was the last.
#[derive(Default)]
struct Refused {
    count: u64,
    told: Option<Instant>,
}

impl Refused {
    fn count(&mut self, peer: SocketAddr) {
        self.count += 1;
        if self.told.is_some_and(|told| told.elapsed() < REFUSED_PAUSE) {
            return;
        }
        let count = self.count;
        tracing::warn!(%peer, count, "refused: as many are connected as may be (limits.connections_max, open files)");
        *self = Self {
            count: 0,
            told: Some(Instant::now()),
        };
    }
}

/// Whoever only looked whether the port is open is not worth a line.
fn turned_away(peer: SocketAddr, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            tracing::debug!(%peer, "left before it was in: {error}");
        }
        io::ErrorKind::TimedOut => {
            tracing::warn!(%peer, "turned away: its handshake took too long")
        }
        _ => tracing::warn!(%peer, "turned away: {error}"),
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
