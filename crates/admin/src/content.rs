//! The body of a response: all of it at once, or as it comes.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// See the module's comment.
#[derive(Debug)]
pub enum Content {
    /// All of it.
    Whole(Full<Bytes>),
    /// Chunks; an error ends the connection, so that a part is not taken for the whole.
    Streamed(mpsc::Receiver<io::Result<Bytes>>),
}

impl Content {
    /// Whether it is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }
}

impl Default for Content {
    fn default() -> Content {
        Content::Whole(Full::default())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Content {
        Content::Whole(Full::new(bytes))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Content::Whole(whole) => {
                let frame = ready!(Pin::new(whole).poll_frame(context));
                let frame = frame.map(|frame| frame.map_err(|never: Infallible| match never {}));
                Poll::Ready(frame)
            }
            Content::Streamed(chunks) => {
                let chunk = ready!(chunks.poll_recv(context));
                Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Content::Whole(whole) => whole.size_hint(),
            Content::Streamed(_) => SizeHint::default(),
        }
    }
}
