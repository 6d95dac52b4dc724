//! Transactions: what a channel publishes and settles is gathered until tx.commit, and is
//! then one call, which happens as a whole or not at all.
//!
//! Settled deliveries are the client's until then: tx.rollback makes them unsettled again,
//! under their tags. tx.commit-ok comes once everything is durable, and after basic.return
//! of what no queue took. Answers keep their order; what the client publishes or settles
//! while one waits belongs to its next transaction.
//!
//! Bound: [`BYTES_MAX`] and [`COUNT_MAX`] for all transactions of a connection; beyond, the
//! channel is closed, and its transaction never was.

use std::collections::VecDeque;

use bongsu_engine::Refused;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, Effects, LinkId, Outcome, Publish, Settle};
use bongsu_record::{Batch, Lsn, Offset};

use super::calls::Then;
use super::consume::Use;
use super::open::Open;
use crate::codec::method::Method;
use crate::errors::{Exception, MethodId};

/// The transaction of a channel in tx mode.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    work: Work,
    /// Answers that wait for a position, oldest first.
    answers: VecDeque<(Lsn, Answer)>,
}

/// What a transaction gathered.
#[derive(Debug, Default)]
struct Work {
    publishes: Vec<Publish>,
    /// Publishes, by index, that come back if no queue takes them.
    mandatory: Vec<usize>,
    settled: Vec<Settled>,
    size: Size,
}

/// A delivery that the client is done with, if it commits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub tag: u64,
    pub link: LinkId,
    pub offset: Offset,
    pub outcome: Outcome,
}

/// How much is gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Bodies and header blocks.
    bytes: u64,
    /// Messages published and deliveries settled.
    count: u64,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Commit,
    Rollback,
}

impl Transaction {
    /// A run of publishes.
    pub fn publish(&mut self, publish: Publish, mandatory: bool) {
        if mandatory {
            self.work.mandatory.push(self.work.publishes.len());
        }
        self.work.publishes.push(publish);
    }

    /// Messages published and deliveries settled that are not committed.
    pub fn uncommitted(&self) -> (u64, u64) {
        let settles = self.work.settled.len() as u64;
        (self.work.size.count.saturating_sub(settles), settles)
    }

    /// How much it holds.
    pub fn size(&self) -> Size {
        self.work.size
    }

    /// Answers what `durable` covers; whether something still waits.
    pub fn answer(&mut self, channel: u16, durable: Lsn, out: &mut Vec<u8>) -> bool {
        let covered = |(lsn, _): &mut (Lsn, Answer)| *lsn <= durable;
        while let Some((_, answer)) = self.answers.pop_front_if(covered) {
            match answer {
                Answer::Commit => Method::TxCommitOk {}.write(channel, out),
                Answer::Rollback => Method::TxRollbackOk {}.write(channel, out),
            }
        }
        !self.answers.is_empty()
    }
}

impl Size {
    pub fn less(self, other: Size) -> Size {
        Size {
            bytes: self.bytes.saturating_sub(other.bytes),
            count: self.count.saturating_sub(other.count),
        }
    }

    fn more(self, other: Size) -> Size {
        Size {
            bytes: self.bytes.saturating_add(other.bytes),
            count: self.count.saturating_add(other.count),
        }
    }
}

impl Open {
    pub(super) fn tx(
        &mut self,
        number: u16,
        method: Method<'_>,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let about = method.id();
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        match (method, &mut channel.tx) {
            (Method::TxSelect {}, _) if channel.confirms.is_some() => {
                let text = "cannot switch from confirm to tx mode";
                Err(Exception::new(406, about, text))
            }
            (Method::TxSelect {}, tx) => {
                tx.get_or_insert_default();
                Method::TxSelectOk {}.write(number, &mut effects.out);
                Ok(())
            }
            (_, None) => Err(Exception::new(406, about, "channel is not transactional")),
            (Method::TxCommit {}, Some(tx)) => {
                let work = std::mem::take(&mut tx.work);
                self.commit(number, work, effects);
                Ok(())
            }
            (_, Some(tx)) => {
                let work = std::mem::take(&mut tx.work);
                channel.unsettled.put_back(&work.settled);
                self.in_transactions = self.in_transactions.less(work.size);
                self.answer_once(number, None, Answer::Rollback, effects);
                Ok(())
            }
        }
    }

    fn commit(&mut self, number: u16, work: Work, effects: &mut Effects) {
        self.in_transactions = self.in_transactions.less(work.size);
        let settles = self.settles(work.settled);
        let counts = work.publishes.iter();
        let count: u64 = counts
            .map(|publish| u64::from(publish.batch.record_count()))
            .sum();
        if let Some(channel) = self.channel(number) {
            channel.counts.publish += count;
        }
        if work.publishes.is_empty() && settles.is_empty() {
            return self.answer_once(number, None, Answer::Commit, effects);
        }
        let batch = |index: usize| (index, work.publishes[index].batch.clone());
        let then = Then::Committed {
            channel: number,
            returnable: work.mandatory.into_iter().map(batch).collect(),
            links: settles.iter().map(|settle| settle.link).collect(),
        };
        let call = Call::Commit {
            publishes: work.publishes,
            settles,
        };
        self.calls.push(call, then);
    }

    /// One settle for each link and outcome.
    fn settles(&mut self, mut settled: Vec<Settled>) -> Vec<Settle> {
        settled.sort_by_key(|settled| (settled.link, settled.outcome as u8, settled.offset));
        let mut settles: Vec<Settle> = Vec::new();
        for one in settled {
            // The broker closed the link, and what was out on it is no more.
            let Some(link) = self.links.get_mut(&one.link) else {
                continue;
            };
            link.unsettled = link.unsettled.saturating_sub(1);
            let joins =
                |settle: &&mut Settle| settle.link == one.link && settle.outcome == one.outcome;
            let range = one.offset..one.offset.plus(1);
            match settles.last_mut().filter(joins) {
                Some(settle) => match settle.ranges.last_mut() {
                    Some(last) if last.end == one.offset => last.end = range.end,
                    _ => settle.ranges.push(range),
                },
                None => settles.push(Settle {
                    link: one.link,
                    ranges: vec![range],
                    outcome: one.outcome,
                }),
            }
        }
        settles
    }

    /// It has happened.
    pub(super) fn committed(
        &mut self,
        number: u16,
        wait: Option<Lsn>,
        returned: impl Iterator<Item = Batch>,
        links: Vec<LinkId>,
        effects: &mut Effects,
    ) {
        for batch in returned {
            self.give_back(number, &batch, effects);
            self.unroutable(number, u64::from(batch.record_count()), true, effects);
        }
        for id in links {
            let is_over = |link: &super::consume::Link| {
                link.unsettled == 0 && matches!(link.used, Use::Cancelled)
            };
            if self.links.get(&id).is_some_and(is_over) {
                self.links.remove(&id);
                let (link, release) = (id, true);
                let call = Call::CloseLink { link, release };
                self.calls.push(call, Then::Nothing);
            }
        }
        self.answer_once(number, wait, Answer::Commit, effects);
    }

    fn answer_once(
        &mut self,
        number: u16,
        wait: Option<Lsn>,
        answer: Answer,
        effects: &mut Effects,
    ) {
        if let Some(tx) = self.channel(number).and_then(|channel| channel.tx.as_mut()) {
            tx.answers.push_back((wait.unwrap_or(Lsn(0)), answer));
            self.tell_once_durable(number, effects);
        }
    }

    /// Settles when the channel commits.
    pub(super) fn settle_later(
        &mut self,
        number: u16,
        settled: Vec<Settled>,
        about: MethodId,
    ) -> Result<(), Exception> {
        let count = settled.len() as u64;
        if let Some(tx) = self.channel(number).and_then(|channel| channel.tx.as_mut()) {
            tx.work.settled.extend(settled);
        }
        self.gather(number, Size { bytes: 0, count }, about)
    }

    /// Makes room for a message that is to be published when its channel commits.
    pub(super) fn publish_later(&mut self, number: u16, bytes: u64) -> Result<(), Exception> {
        match self
            .channel(number)
            .is_some_and(|channel| channel.tx.is_some())
        {
            true => self.gather(number, Size { bytes, count: 1 }, PUBLISH),
            false => Ok(()),
        }
    }

    fn gather(&mut self, number: u16, more: Size, about: MethodId) -> Result<(), Exception> {
        let all = self.in_transactions.more(more);
        let bytes_max = BYTES_MAX.max(self.message_bytes_max);
        if all.bytes > bytes_max {
            let text = format_args!(
                "transactions of {} bytes are larger than max size {bytes_max}",
                all.bytes
            );
            return Err(Exception::new(406, about, text));
        }
        if all.count > COUNT_MAX {
            let text = format_args!(
                "transactions of {} messages and acknowledgements are larger than max count \
                 {COUNT_MAX}",
                all.count
            );
            return Err(Exception::new(406, about, text));
        }
        self.in_transactions = all;
        if let Some(tx) = self.channel(number).and_then(|channel| channel.tx.as_mut()) {
            tx.work.size = tx.work.size.more(more);
        }
        Ok(())
    }
}

/// The method that a refused transaction is to be blamed on: RabbitMQ looks for the
/// exchange as it takes a message.
pub(super) fn to_blame(refused: &Refused) -> MethodId {
    match refused {
        Refused::NotFound { kind, .. } | Refused::Denied { kind, .. }
            if *kind == Kind::Exchange =>
        {
            PUBLISH
        }
        Refused::Internal { .. } => PUBLISH,
        _ => COMMIT,
    }
}

/// Bytes that the transactions of a connection may gather; one message always may be.
const BYTES_MAX: u64 = 64 << 20;
/// Messages and settled deliveries that they may gather.
const COUNT_MAX: u64 = 1 << 18;
const PUBLISH: MethodId = (60, 40);
const COMMIT: MethodId = (90, 20);

#[cfg(test)]
mod tests;
