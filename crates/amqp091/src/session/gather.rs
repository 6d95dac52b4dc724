//! Runs of publishes and of acknowledgements become one call each.
//!
//! While frames allow it, publishes to one place grow a batch and acknowledgements on one
//! link a list of ranges. Whatever else a client sends ends both runs, so that its requests
//! take effect in their order.

use std::ops::Range;

use bongsu_engine::session::{Call, Effects, LinkId, Now, Outcome, Publish};
use bongsu_record::Offset;

use super::answer::Pending;
use super::open::Open;
use crate::codec::frame::{self, Frame};

/// Acknowledgements gathered for one link.
#[derive(Debug)]
pub(super) struct Settling {
    link: LinkId,
    outcome: Outcome,
    ranges: Vec<Range<Offset>>,
}

impl Open {
    /// Whether the frame ends the runs gathered: all but publishes and acknowledgements do.
    pub(super) fn must_flush_before(&self, frame: &Frame<'_>) -> bool {
        if self.dirty.is_none() && self.settling.is_none() {
            return false;
        }
        match frame.kind {
            frame::METHOD => {
                !matches!(frame.payload.get(..4), Some([0, 60, 0, 40 | 80 | 90 | 120]))
            }
            frame::HEADER | frame::BODY | frame::HEARTBEAT => false,
            _ => true,
        }
    }

    /// Turns what was gathered into calls.
    pub(super) fn flush(&mut self, now: Now) {
        if let Some(number) = self.dirty.take()
            && let Some(channel) = self.channels.get_mut(&number)
        {
            let publishing = &mut channel.publishing;
            if let Some(batch) = publishing.builder.finish(now.unix_ms) {
                let publish = Publish {
                    exchange: publishing.exchange.clone(),
                    routing_key: publishing.routing_key.clone(),
                    batch: batch.clone(),
                };
                let pending = Pending::Publish {
                    channel: number,
                    mandatory: publishing.mandatory,
                    batch,
                };
                self.todo.push_back((Call::Publish(publish), pending));
            }
        }
        self.flush_settling();
    }

    pub(super) fn flush_settling(&mut self) {
        if let Some(settling) = self.settling.take() {
            let link = settling.link;
            let ranges = settling.ranges.iter();
            let count: u64 = ranges.map(|range| range.end.0 - range.start.0).sum();
            if let Some(link) = self.links.get_mut(&link) {
                link.leased = link.leased.saturating_sub(count);
            }
            let call = Call::Settle {
                link: settling.link,
                ranges: settling.ranges,
                outcome: settling.outcome,
            };
            self.todo.push_back((call, Pending::Nothing));
            self.end_if_idle(link);
        }
    }

    /// Closes a cancelled link with its last lease, so that one who consumes and cancels
    /// all day leaves nothing behind.
    pub(super) fn end_if_idle(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        if !link.cancelled || link.leased > 0 {
            return;
        }
        if let Some(channel) = self.channels.get_mut(&link.channel) {
            channel.cancelled.retain(|other| *other != id);
        }
        self.links.remove(&id);
        let call = Call::CloseLink {
            link: id,
            release: true,
        };
        self.todo.push_back((call, Pending::Nothing));
    }

    /// Gathers an acknowledgement.
    pub(super) fn settle(&mut self, link: LinkId, offset: Offset, outcome: Outcome) {
        match &mut self.settling {
            Some(settling) if settling.link == link && settling.outcome == outcome => {
                super::channel::add(&mut settling.ranges, offset);
            }
            _ => {
                self.flush_settling();
                self.settling = Some(Settling {
                    link,
                    outcome,
                    ranges: vec![offset..offset.plus(1)],
                });
            }
        }
    }

    /// Makes the next call, if none is outstanding.
    pub(super) fn pump(&mut self, effects: &mut Effects) {
        if self.pending.is_none()
            && let Some((call, pending)) = self.todo.pop_front()
        {
            effects.call = Some(call);
            self.pending = Some(pending);
        }
    }
}
