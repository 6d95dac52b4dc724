//! Publisher confirms: which tags of a channel wait for which position.

use std::collections::VecDeque;

use bongsu_engine::session::Effects;
use bongsu_record::Lsn;

use super::open::Open;
use crate::codec::method::{Method, bit};

/// Publisher confirms of one channel.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Tag of the last message published.
    last_tag: u64,
    /// Tag of the last message confirmed.
    confirmed: u64,
    /// Last tag of each batch that waits, with the position it waits for; both grow.
    waiting: VecDeque<(u64, Lsn)>,
}

impl Confirms {
    /// So many more were published and wait for `lsn`. `multiple` confirms everything
    /// before a tag, so what waits for less than its predecessors waits with them.
    fn published(&mut self, count: u64, lsn: Lsn) {
        self.last_tag += count;
        match self.waiting.back_mut() {
            Some((tag, waits)) if *waits >= lsn => *tag = self.last_tag,
            _ => self.waiting.push_back((self.last_tag, lsn)),
        }
    }

    /// Confirms what `durable` covers: one frame.
    fn confirm(&mut self, channel: u16, durable: Lsn, out: &mut Vec<u8>) {
        let mut last = None;
        while let Some((tag, lsn)) = self.waiting.front()
            && *lsn <= durable
        {
            last = Some(*tag);
            self.waiting.pop_front();
        }
        if let Some(delivery_tag) = last {
            let bits = match delivery_tag - self.confirmed {
                1 => 0,
                _ => bit::MULTIPLE,
            };
            self.confirmed = delivery_tag;
            Method::BasicAck { delivery_tag, bits }.write(channel, out);
        }
    }

    /// Refuses so many at once. Those before may still wait, so each has its own frame.
    fn refuse(&mut self, channel: u16, count: u64, out: &mut Vec<u8>) {
        for _ in 0..count {
            self.last_tag += 1;
            let delivery_tag = self.last_tag;
            let bits = 0;
            Method::BasicNack { delivery_tag, bits }.write(channel, out);
        }
    }
}

impl Open {
    /// A batch was taken: its messages are confirmed, now or once they are durable.
    pub(super) fn published(
        &mut self,
        number: u16,
        count: u64,
        wait: Option<Lsn>,
        effects: &mut Effects,
    ) {
        let Some(confirms) = self.confirms(number) else {
            return;
        };
        confirms.published(count, wait.unwrap_or(Lsn(0)));
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
            let Some(confirms) = self.confirms(*number) else {
                return false;
            };
            confirms.confirm(*number, durable, &mut effects.out);
            !confirms.waiting.is_empty()
        });
        self.unconfirmed = numbers;
    }

    /// Storage refused a batch: `false` if the channel does not confirm and so cannot tell.
    pub(super) fn refuse_published(
        &mut self,
        number: u16,
        count: u64,
        effects: &mut Effects,
    ) -> bool {
        match self.confirms(number) {
            Some(confirms) => {
                confirms.refuse(number, count, &mut effects.out);
                true
            }
            None => false,
        }
    }

    fn confirms(&mut self, number: u16) -> Option<&mut Confirms> {
        self.channels
            .get_mut(&number)?
            .open_mut()?
            .confirms
            .as_mut()
    }
}
