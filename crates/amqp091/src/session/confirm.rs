//! Publisher confirms: which tags of a channel wait for which position.

use std::collections::VecDeque;
use std::ops::Range;

use bongsu_engine::session::Effects;
use bongsu_record::Lsn;

use super::open::Open;
use crate::codec::method::{Method, bit};

/// Publisher confirms of one channel.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Tag of the last message published.
    last_tag: u64,
    /// Tag of the last message confirmed or refused.
    told: u64,
    /// Messages confirmed.
    confirmed: u64,
    /// Runs of tags that wait, oldest first.
    waiting: VecDeque<Run>,
}

/// Messages that are told of together. They follow the run before.
#[derive(Debug)]
struct Run {
    last_tag: u64,
    /// The position they wait for.
    lsn: Lsn,
    /// They were refused, and the client has been told: here to keep those before and
    /// after apart. One acknowledgement over all would undo the refusal for clients that
    /// wait for every tag's turn.
    is_told: bool,
}

impl Confirms {
    /// Messages that are neither confirmed nor refused.
    pub fn waiting(&self) -> u64 {
        let mut before = self.told;
        let runs = self.waiting.iter().map(|run| {
            let count = run.last_tag.saturating_sub(before);
            before = run.last_tag;
            if run.is_told { 0 } else { count }
        });
        runs.sum()
    }

    /// So many more were published and wait for `lsn`. `multiple` confirms everything
    /// before a tag, so what waits for less than its predecessors waits with them.
    fn published(&mut self, count: u64, lsn: Lsn) {
        if count == 0 {
            return;
        }
        self.last_tag += count;
        let last_tag = self.last_tag;
        match self.waiting.back_mut() {
            Some(run) if !run.is_told && run.lsn >= lsn => run.last_tag = last_tag,
            _ => self.waiting.push_back(Run {
                last_tag,
                lsn,
                is_told: false,
            }),
        }
    }

    /// Refuses so many at once: what those before wait for may never come. Where they do
    /// wait, each has its own frame.
    fn refuse(&mut self, channel: u16, count: u64, durable: Lsn, out: &mut Vec<u8>) {
        if count == 0 {
            return;
        }
        self.confirm(channel, durable, out);
        let first = self.last_tag + 1;
        self.last_tag += count;
        if self.waiting.is_empty() {
            self.told = self.last_tag;
            return nack(channel, self.last_tag, count > 1, out);
        }
        for delivery_tag in first..=self.last_tag {
            nack(channel, delivery_tag, false, out);
        }
        self.waiting.push_back(Run {
            last_tag: self.last_tag,
            lsn: Lsn(0),
            is_told: true,
        });
    }

    /// Confirms what `durable` covers: one frame, and one more after each refusal.
    fn confirm(&mut self, channel: u16, durable: Lsn, out: &mut Vec<u8>) {
        let mut last = None;
        while let Some(run) = self.waiting.pop_front_if(|run| run.lsn <= durable) {
            if run.is_told {
                self.ack(channel, last.take(), out);
                self.told = run.last_tag;
            } else {
                last = Some(run.last_tag);
            }
        }
        self.ack(channel, last, out);
    }

    fn ack(&mut self, channel: u16, last: Option<u64>, out: &mut Vec<u8>) {
        if let Some(delivery_tag) = last {
            let bits = match delivery_tag - self.told {
                1 => 0,
                _ => bit::MULTIPLE,
            };
            self.confirmed += delivery_tag - self.told;
            self.told = delivery_tag;
            Method::BasicAck { delivery_tag, bits }.write(channel, out);
        }
    }
}

/// With the bit for requeue, which means nothing here and RabbitMQ sets.
fn nack(channel: u16, delivery_tag: u64, multiple: bool, out: &mut Vec<u8>) {
    let multiple = if multiple { bit::MULTIPLE } else { 0 };
    let bits = bit::NACK_REQUEUE | multiple;
    Method::BasicNack { delivery_tag, bits }.write(channel, out);
}

impl Open {
    /// A batch was taken, but for some of it: its messages are confirmed, now or once they
    /// are durable. `false` if the channel does not confirm and so cannot tell.
    pub(super) fn published(
        &mut self,
        number: u16,
        count: u64,
        wait: Option<Lsn>,
        refused: &[Range<u32>],
        effects: &mut Effects,
    ) -> bool {
        let durable = self.durable;
        let channel = self.channel(number);
        let Some(confirms) = channel.and_then(|channel| channel.confirms.as_mut()) else {
            return false;
        };
        let lsn = wait.unwrap_or(Lsn(0));
        let confirmed = confirms.confirmed;
        let mut next = 0;
        for range in refused {
            let (start, end) = (u64::from(range.start), u64::from(range.end));
            confirms.published(start.saturating_sub(next), lsn);
            confirms.refuse(number, end.saturating_sub(start), durable, &mut effects.out);
            next = end;
        }
        confirms.published(count.saturating_sub(next), lsn);
        let confirmed = confirms.confirmed - confirmed;
        self.counted(number, confirmed, effects);
        self.tell_once_durable(number, effects);
        true
    }

    fn counted(&mut self, number: u16, confirmed: u64, effects: &mut Effects) {
        effects.tally.confirmed += confirmed;
        if let Some(channel) = self.channel(number) {
            channel.counts.confirm += confirmed;
        }
    }

    /// A channel has something to tell once a position is durable.
    pub(super) fn tell_once_durable(&mut self, number: u16, effects: &mut Effects) {
        if !self.unconfirmed.contains(&number) {
            self.unconfirmed.push(number);
        }
        self.confirm(effects);
    }

    /// Everything up to here is durable.
    pub fn durable(&mut self, durable: Lsn, effects: &mut Effects) {
        self.durable = self.durable.max(durable);
        self.confirm(effects);
    }

    fn confirm(&mut self, effects: &mut Effects) {
        let mut numbers = std::mem::take(&mut self.unconfirmed);
        let durable = self.durable;
        numbers.retain(|number| {
            let Some(channel) = self.channel(*number) else {
                return false;
            };
            let out = &mut effects.out;
            if let Some(tx) = &mut channel.tx {
                return tx.answer(*number, durable, out);
            }
            let Some(confirms) = &mut channel.confirms else {
                return false;
            };
            let confirmed = confirms.confirmed;
            confirms.confirm(*number, durable, out);
            let confirmed = confirms.confirmed - confirmed;
            let waits = !confirms.waiting.is_empty();
            self.counted(*number, confirmed, effects);
            waits
        });
        self.unconfirmed = numbers;
    }
}
