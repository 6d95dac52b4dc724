//! Clients as the HTTP server takes them: those who came in through a
//! [`Door`], each with its place among all that may be connected.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use bongsu_broker::Stopping;
use bongsu_net::door::{Door, Guest};
use bongsu_net::stream::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// See the module's comment.
pub struct Guests {
    local: SocketAddr,
    arrived: mpsc::Receiver<Guest>,
}

impl Guests {
    /// Accepts until the broker stops.
    ///
    /// # Errors
    /// The socket's.
    pub fn receive(
        listener: TcpListener,
        stopping: Stopping,
        places: Arc<Semaphore>,
        door: Door,
    ) -> io::Result<Guests> {
        let local = listener.local_addr()?;
        let (sender, arrived) = mpsc::channel(ARRIVED_MAX);
        let each = move |guest| {
            let sender = sender.clone();
            async move {
                // The server is gone: so is the guest.
                let _ = sender.send(guest).await;
            }
        };
        tokio::spawn(bongsu_net::listener::receive(
            listener, stopping, places, door, each,
        ));
        Ok(Guests { local, arrived })
    }
}

impl Listener for Guests {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.arrived.recv().await {
            Some(guest) => {
                let connection = Connection {
                    stream: guest.stream,
                    _place: guest.place,
                };
                (connection, guest.peer)
            }
            // The broker stops, and the server is told so otherwise.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// Where a client is.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Guests>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Guests>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

/// A client's connection; dropping it makes its place free.
pub struct Connection {
    stream: Stream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Those who are in and not yet taken; who comes then waits in its task.
const ARRIVED_MAX: usize = 64;
