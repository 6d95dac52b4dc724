//! The way in: what is between an accepted socket and a client whose bytes may be read.
//!
//! A proxy's header first, if one is wanted, then TLS, if it is spoken here. Both are bounded
//! in time and run in the client's own task, so nobody waits for a slow one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::identity::name_of;
use crate::proxy::{self, Header, Network};
use crate::stream::Stream;
use crate::tls::Acceptor;

/// What a client has to get through; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Door {
    /// Under TLS.
    pub tls: Option<Arc<Acceptor>>,
    /// Everybody comes through a proxy in one of these networks, which says so.
    pub proxies: Option<Arc<[Network]>>,
}

/// A client that is in.
#[derive(Debug)]
pub struct Guest {
    /// To talk to it.
    pub stream: Stream,
    /// Where it is, as far as is known; else where its proxy is, or nowhere. Of this machine
    /// only if it is.
    pub peer: SocketAddr,
    /// Where it found us.
    pub local: SocketAddr,
    /// The user its certificate is of.
    pub certified: Option<Arc<str>>,
    /// Its place among those that may be connected.
    pub place: OwnedSemaphorePermit,
}

impl Guest {
    /// Whether it is on this machine.
    pub fn is_from_loopback(&self) -> bool {
        is_here(self.peer)
    }
}

impl Door {
    /// Lets a client in.
    ///
    /// # Errors
    /// The socket's, or what was wrong with the proxy or the handshake.
    pub async fn enter(
        &self,
        mut socket: TcpStream,
        came_from: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Guest> {
        let mut peer = came_from;
        let mut local = socket.local_addr()?;
        if let Some(proxies) = &self.proxies {
            if !proxies.iter().any(|one| one.contains(came_from.ip())) {
                let cause = "it does not come through a proxy of proxy.from";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, cause));
            }
            let header = proxy::read(&mut socket).await?;
            peer = of(header, came_from);
            if let Header::Client { destination, .. } = header {
                local = destination;
            }
        }
        let stream = match &self.tls {
            None => Stream::Plain(socket),
            Some(acceptor) => acceptor.accept(socket).await?,
        };
        let certified = self.tls.as_ref().and_then(|acceptor| {
            let certificate = stream.certificates().first()?;
            let name = name_of(certificate, acceptor.naming());
            if name.is_none() {
                tracing::warn!(%peer, "its certificate has no name as tls.identity asks for");
            }
            name.map(Arc::from)
        });
        Ok(Guest {
            stream,
            peer,
            local,
            certified,
            place,
        })
    }
}

/// Where a client is of which a proxy says this. One on another machine than ours is never
/// said to be on ours, whatever the header says: it would be let in as such.
fn of(header: Header, proxy: SocketAddr) -> SocketAddr {
    match header {
        Header::Local => proxy,
        // On the proxy's own machine.
        Header::Client { source, .. } if is_here(source) => proxy,
        Header::Client { source, .. } => source,
        Header::Unknown if is_here(proxy) => NOWHERE,
        Header::Unknown => proxy,
    }
}

fn is_here(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_here_is_said_to_be() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let client = |text: &str| Header::Client {
            source: address(text),
            destination: address("192.0.2.1:5672"),
        };
        let (here, there) = (address("127.0.0.1:40000"), address("10.0.0.9:40000"));
        for (header, proxy, peer) in [
            (Header::Local, here, "127.0.0.1:40000"),
            (Header::Local, there, "10.0.0.9:40000"),
            (client("203.0.113.7:1"), here, "203.0.113.7:1"),
            (client("203.0.113.7:1"), there, "203.0.113.7:1"),
            (client("127.0.0.1:1"), here, "127.0.0.1:40000"),
            (client("127.0.0.1:1"), there, "10.0.0.9:40000"),
            (client("[::1]:1"), there, "10.0.0.9:40000"),
            (client("[::ffff:127.0.0.1]:1"), there, "10.0.0.9:40000"),
            (Header::Unknown, here, "0.0.0.0:0"),
            (Header::Unknown, there, "10.0.0.9:40000"),
        ] {
            assert_eq!(of(header, proxy), address(peer), "{header:?} of {proxy}");
        }
    }
}
