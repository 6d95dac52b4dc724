//! After connection.close from us: nothing is heard but the answer, and not for ever.

use std::time::{Duration, Instant};

use bongsu_engine::session::{Call, Effects, LinkId, Now};

use crate::codec::frame;
use crate::codec::method::Method;
use crate::errors::Exception;

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Closing {
    until: Instant,
    /// Links that are still to be closed.
    links: Vec<LinkId>,
    hears: Hears,
}

#[derive(Debug, PartialEq, Eq)]
enum Hears {
    /// The answer may still come.
    Frames,
    /// The client's bytes are no frames; only the deadline ends this.
    Nothing,
    /// The answer came.
    Answered,
}

impl Closing {
    /// Says goodbye with an exception.
    pub fn new(
        exception: &Exception,
        links: Vec<LinkId>,
        now: Now,
        effects: &mut Effects,
    ) -> Closing {
        let (class, method) = exception.about;
        Method::ConnectionClose {
            code: exception.code,
            text: &exception.text,
            class,
            method,
        }
        .write(0, &mut effects.out);
        Closing {
            until: now.instant + CLOSE_TIMEOUT,
            links,
            hears: Hears::Frames,
        }
    }

    /// When the client has had its time.
    pub fn until(&self) -> Instant {
        self.until
    }

    pub fn is_over(&self) -> bool {
        self.hears == Hears::Answered
    }

    /// Closes the next link.
    pub fn release(&mut self, effects: &mut Effects) {
        let release = true;
        effects.call = self
            .links
            .pop()
            .map(|link| Call::CloseLink { link, release });
    }

    pub fn bytes(&mut self, bytes: &[u8], frame_bytes_max: u32) -> usize {
        let mut used = 0;
        while self.hears == Hears::Frames {
            match frame::scan(&bytes[used..], frame_bytes_max as usize) {
                Ok(Some((frame, length))) => {
                    used += length;
                    // Both may have closed at once: then theirs is as good as an answer.
                    if frame.kind == frame::METHOD
                        && frame.channel == 0
                        && let Ok(Method::ConnectionCloseOk {} | Method::ConnectionClose { .. }) =
                            Method::decode(frame.payload)
                    {
                        self.hears = Hears::Answered;
                    }
                }
                Ok(None) => return used,
                Err(_) => self.hears = Hears::Nothing,
            }
        }
        bytes.len()
    }
}

/// How long a client has to answer connection.close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
