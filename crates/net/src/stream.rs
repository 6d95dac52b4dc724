//! A client's socket, plain or under TLS, read and written without waiting.
//!
//! Both have the same few calls, so whoever drives a session does not know which it has; the
//! plain ones go straight to the socket. Under TLS nothing more is sealed before the socket
//! took what was sealed before: rustls seals at most 64 KiB at once.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::CertificateDer;
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::pipe::End;

thread_local! {
    static RAW: RefCell<Box<[u8]>> = RefCell::new(vec![0; RAW_BYTES].into_boxed_slice());
}

/// See the module's comment.
#[derive(Debug)]
pub enum Stream {
    /// As the socket is.
    Plain(TcpStream),
    /// Under TLS, the handshake being over.
    Tls(Box<Tls>),
    /// None at all: see [`crate::pipe`].
    Memory(End),
}

/// A socket and what seals and opens what goes through it.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    session: ServerConnection,
    /// Bytes that were opened and not yet read.
    opened_bytes: usize,
    /// The client said that nothing more comes, or hung up.
    ended: bool,
    /// To be told when what was opened before it has been read.
    failed: Option<io::Error>,
}

/// What a look at a client that is owed an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has sent more.
    More,
    /// It is gone.
    Gone,
    /// Nothing that concerns a session.
    Nothing,
}

impl Stream {
    /// Returns when [`Stream::try_read`] may have something.
    ///
    /// # Errors
    /// The socket's.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.readable().await,
            Stream::Tls(tls) if tls.has_something() => Ok(()),
            Stream::Tls(tls) => tls.socket.readable().await,
            Stream::Memory(end) => {
                end.readable().await;
                Ok(())
            }
        }
    }

    /// Returns when more may be written.
    ///
    /// # Errors
    /// The socket's.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.writable().await,
            Stream::Tls(tls) => tls.socket.writable().await,
            Stream::Memory(end) => {
                end.writable().await;
                Ok(())
            }
        }
    }

    /// Reads what is there; 0: nothing more comes.
    ///
    /// # Errors
    /// `WouldBlock`, and the socket's; `InvalidData` if it is not TLS.
    pub fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_read(into),
            Stream::Tls(tls) => tls.try_read(into),
            Stream::Memory(end) => end.try_read(into),
        }
    }

    /// Writes some of the bytes.
    ///
    /// # Errors
    /// `WouldBlock`, and the socket's.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_write(bytes),
            Stream::Tls(tls) => tls.try_write(&[IoSlice::new(bytes)]),
            Stream::Memory(end) => end.try_write(bytes),
        }
    }

    /// Writes some of the bytes of the first slices.
    ///
    /// # Errors
    /// `WouldBlock`, and the socket's.
    pub fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.try_write_vectored(slices),
            Stream::Tls(tls) => tls.try_write(slices),
            Stream::Memory(end) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                first.map_or(Ok(0), |slice| end.try_write(slice))
            }
        }
    }

    /// Whether bytes that were taken wait for the socket.
    pub fn has_unsent(&self) -> bool {
        match self {
            Stream::Plain(_) | Stream::Memory(_) => false,
            Stream::Tls(tls) => tls.session.wants_write(),
        }
    }

    /// Hands the socket what it takes of those.
    ///
    /// # Errors
    /// The socket's, but not `WouldBlock`.
    pub fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(_) | Stream::Memory(_) => Ok(()),
            Stream::Tls(tls) => tls.flush_some(),
        }
    }

    /// Returns when the client has sent more, or gone, or may have: [`Stream::look`] says.
    /// Nothing is read.
    ///
    /// # Errors
    /// The socket's.
    pub async fn stirred(&self) -> io::Result<Option<Seen>> {
        match self {
            Stream::Plain(socket) => Ok(Some(match socket.peek(&mut [0]).await? {
                0 => Seen::Gone,
                _ => Seen::More,
            })),
            Stream::Tls(_) => self.readable().await.map(|()| None),
            Stream::Memory(end) => {
                end.readable().await;
                Ok(Some(match end.waiting() {
                    None => Seen::Gone,
                    Some(_) => Seen::More,
                }))
            }
        }
    }

    /// What [`Stream::stirred`] could not say without opening what came.
    ///
    /// # Errors
    /// As [`Stream::try_read`], but not `WouldBlock`.
    pub fn look(&mut self) -> io::Result<Seen> {
        match self {
            Stream::Plain(_) | Stream::Memory(_) => Ok(Seen::Nothing),
            Stream::Tls(tls) => tls.look(),
        }
    }

    /// Says that nothing more comes, as far as the socket takes it at once.
    pub fn take_leave(&mut self) {
        if let Stream::Tls(tls) = self {
            tls.session.send_close_notify();
            // It is told or not: the connection ends.
            let _ = tls.flush_some();
        }
    }

    /// The client's certificates, its own first; they were verified.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        match self {
            Stream::Plain(_) | Stream::Memory(_) => &[],
            Stream::Tls(tls) => tls.session.peer_certificates().unwrap_or_default(),
        }
    }

    /// Whether nobody in between reads along.
    pub fn is_secure(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_read_ready(context),
            Stream::Tls(tls) => tls.socket.poll_read_ready(context),
            Stream::Memory(end) => end.poll_readable(context).map(Ok),
        }
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_write_ready(context),
            Stream::Tls(tls) => tls.socket.poll_write_ready(context),
            Stream::Memory(end) => end.poll_writable(context).map(Ok),
        }
    }
}

impl Tls {
    /// Before the handshake.
    pub(crate) fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Tls, rustls::Error> {
        Ok(Tls {
            socket,
            session: ServerConnection::new(config)?,
            opened_bytes: 0,
            ended: false,
            failed: None,
        })
    }

    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Takes in what the socket has, up to a record's worth, so that what it opens is kept.
    pub(crate) fn take_in(&mut self) -> io::Result<()> {
        self.take(TAKEN_BYTES, &mut [])?;
        Ok(())
    }

    /// Waits until everything is with the socket.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        loop {
            self.flush_some()?;
            if !self.session.wants_write() {
                return Ok(());
            }
            self.socket.writable().await?;
        }
    }

    fn has_something(&self) -> bool {
        self.opened_bytes > 0 || self.ended || self.failed.is_some()
    }

    fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.opened(into);
        // Records may be empty: what is taken of the socket is bounded too.
        let mut taken = 0;
        while filled < into.len() && taken < into.len() && !self.ended && self.failed.is_none() {
            // Never more than there is room for when it is opened.
            let most = into.len() - filled;
            match self.take(most, &mut into[filled..]) {
                Ok((raw, opened)) => {
                    taken += raw;
                    filled += opened;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.failed = Some(error),
            }
        }
        if filled > 0 || into.is_empty() {
            return Ok(filled);
        }
        match self.failed.take() {
            Some(error) => {
                self.ended = true;
                Err(error)
            }
            None if self.ended => Ok(0),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn look(&mut self) -> io::Result<Seen> {
        if !self.has_something()
            && let Err(error) = self.take_in()
            && error.kind() != io::ErrorKind::WouldBlock
        {
            return Err(error);
        }
        Ok(match (self.opened_bytes, self.ended) {
            (0, true) => Seen::Gone,
            (0, false) => Seen::Nothing,
            _ => Seen::More,
        })
    }

    /// Moves what was opened before.
    fn opened(&mut self, into: &mut [u8]) -> usize {
        use io::Read;
        let mut filled = 0;
        while self.opened_bytes > 0 && filled < into.len() {
            match self.session.reader().read(&mut into[filled..]) {
                Ok(count) if count > 0 => {
                    filled += count;
                    self.opened_bytes = self.opened_bytes.saturating_sub(count);
                }
                _ => self.opened_bytes = 0,
            }
        }
        filled
    }

    /// One read of the socket, of at most so many bytes, opened into `into` as far as that
    /// has room: how many were read, and opened.
    fn take(&mut self, most: usize, into: &mut [u8]) -> io::Result<(usize, usize)> {
        RAW.with_borrow_mut(|raw| {
            let most = most.min(raw.len());
            let count = self.socket.try_read(&mut raw[..most])?;
            self.ended |= count == 0;
            let mut left = &raw[..count];
            let mut filled = 0;
            while !left.is_empty() && !self.ended {
                // It takes nothing more after the client's last word.
                self.ended |= self.session.read_tls(&mut left)? == 0;
                match self.session.process_new_packets() {
                    Ok(state) => {
                        self.opened_bytes = state.plaintext_bytes_to_read();
                        self.ended |= state.peer_has_closed();
                    }
                    Err(error) => {
                        // The client is told why.
                        let _ = self.flush_some();
                        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                    }
                }
                filled += self.opened(&mut into[filled..]);
            }
            Ok((count, filled))
        })
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        use io::Write;
        self.flush_some()?;
        if self.session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write_vectored(slices)?;
        self.flush_some()?;
        Ok(count)
    }

    fn flush_some(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Socket(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Takes what it can at once.
struct Socket<'a>(&'a TcpStream);

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// For servers that are not ours.
impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.try_read(into.initialize_unfilled()) {
                Ok(count) => {
                    into.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A handshake in between may have something to say.
                    self.try_flush()?;
                    ready!(self.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.poll_write_ready(context))?;
                }
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.try_flush()?;
            if !self.has_unsent() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write_ready(context))?;
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Stream::Tls(tls) = &mut *self {
            // Said again it is not sent again.
            tls.session.send_close_notify();
        }
        ready!(self.as_mut().poll_flush(context))?;
        let socket = match &mut *self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
            // Dropping it hangs up.
            Stream::Memory(_) => return Poll::Ready(Ok(())),
        };
        Pin::new(socket).poll_shutdown(context)
    }
}

/// Bytes of one read of the socket under TLS.
const RAW_BYTES: usize = 64 * 1024;
/// Of one that is opened and kept: no more than what is opened is kept for.
const TAKEN_BYTES: usize = 16 * 1024;
