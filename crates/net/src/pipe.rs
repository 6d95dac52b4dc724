//! A socket in memory: two ends, bytes both ways, as many as there is room for.
//!
//! For those who drive a real connection without a network: what one end writes the other
//! reads, in order; an end that is dropped has hung up. It never fails by itself: whoever wants
//! a network that delays, splits or cuts puts something between two pipes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// One end. The other end reads what this one writes.
#[derive(Debug)]
pub struct End {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
}

/// Bytes on their way from one end to the other.
#[derive(Debug)]
struct Way {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    /// One of its ends is gone: nothing more is written to it.
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A pipe that holds at most so many bytes each way, at least one.
pub fn pipe(bytes_max: usize) -> (End, End) {
    let way = || {
        Arc::new(Mutex::new(Way {
            bytes: VecDeque::new(),
            bytes_max: bytes_max.max(1),
            ended: false,
            reader: None,
            writer: None,
        }))
    };
    let (there, back) = (way(), way());
    let near = End {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    let far = End {
        incoming: there,
        outgoing: back,
    };
    (near, far)
}

impl End {
    /// Reads what is there; 0: nothing more comes.
    ///
    /// # Errors
    /// `WouldBlock`.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut way = self.incoming.lock();
        if way.bytes.is_empty() && !way.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = way.bytes.len().min(into.len());
        for (byte, to) in way.bytes.drain(..count).zip(into) {
            *to = byte;
        }
        if let Some(writer) = way.writer.take() {
            writer.wake();
        }
        Ok(count)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `WouldBlock`; `BrokenPipe` if the other end is gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut way = self.outgoing.lock();
        if way.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(way.bytes_max - way.bytes.len());
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        way.bytes.extend(&bytes[..count]);
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        Ok(count)
    }

    /// How many bytes can be read, without reading them; `None`: nothing more comes.
    pub fn waiting(&self) -> Option<usize> {
        let way = self.incoming.lock();
        match (way.bytes.len(), way.ended) {
            (0, true) => None,
            (count, _) => Some(count),
        }
    }

    /// Whether the other end has hung up.
    pub fn is_ended(&self) -> bool {
        self.incoming.lock().ended
    }

    /// Ready when [`End::try_read`] has something to say. One task waits at a time.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut way = self.incoming.lock();
        if !way.bytes.is_empty() || way.ended {
            return Poll::Ready(());
        }
        way.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when [`End::try_write`] has something to say. One task waits at a time.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut way = self.outgoing.lock();
        if way.bytes.len() < way.bytes_max || way.ended {
            return Poll::Ready(());
        }
        way.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// See [`End::poll_readable`].
    pub async fn readable(&self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    /// See [`End::poll_writable`].
    pub async fn writable(&self) {
        poll_fn(|context| self.poll_writable(context)).await;
    }
}

impl End {
    /// As if it were dropped; what was written is still read.
    pub fn hang_up(&self) {
        for way in [&self.incoming, &self.outgoing] {
            let mut way = way.lock();
            way.ended = true;
            for waker in [way.reader.take(), way.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.hang_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_no_more_than_there_is_room_for() {
        let (near, far) = pipe(4);
        assert_eq!(near.try_write(b"abcdef").unwrap(), 4);
        let full = near.try_write(b"ef").unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let mut read = [0; 3];
        assert_eq!(far.try_read(&mut read).unwrap(), 3);
        assert_eq!(&read, b"abc");
        assert_eq!(near.try_write(b"ef").unwrap(), 2);
        assert_eq!(far.waiting(), Some(3));
        assert_eq!(far.try_write(b"z").unwrap(), 1);
        assert_eq!(near.try_read(&mut read).unwrap(), 1);
    }

    #[test]
    fn who_hung_up_is_read_to_the_end() {
        let (near, far) = pipe(10);
        near.try_write(b"bye").unwrap();
        assert!(!far.is_ended());
        drop(near);
        assert!(far.is_ended());
        let mut read = [0; 10];
        assert_eq!(far.try_read(&mut read).unwrap(), 3);
        assert_eq!(far.try_read(&mut read).unwrap(), 0);
        assert_eq!(far.waiting(), None);
        let broken = far.try_write(b"?").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let (near, far) = pipe(1);
        let reading = async {
            let mut bytes = Vec::new();
            loop {
                far.readable().await;
                match far.try_read(&mut [0]).unwrap() {
                    0 => return bytes.len(),
                    _ => bytes.push(0),
                }
            }
        };
        let writing = async move {
            for _ in 0..100 {
                near.writable().await;
                near.try_write(b"x").unwrap();
            }
        };
        assert_eq!(tokio::join!(reading, writing).0, 100);
    }
}
