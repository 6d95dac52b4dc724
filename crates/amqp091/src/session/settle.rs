//! Acknowledgements: gathered as ranges, one call for each link and outcome.
//!
//! What was gathered for different links or outcomes may be asked for in any order: the
//! offsets differ. So acknowledgements of consumers taking turns become one call each.
//!
//! Bound: [`RUNS_MAX`] calls; what they hold came with one handful of bytes.

use std::ops::Range;

use bongsu_engine::session::{Call, Effects, LinkId, Outcome, Settle};
use bongsu_record::Offset;

use super::calls::{Answer, Then};
use super::consume::Use;
use super::open::Open;
use super::tx::Settled;
use crate::errors::{Exception, MethodId};

/// See the module's comment.
#[derive(Debug, Default)]
pub(super) struct Settling {
    runs: Vec<Run>,
    /// The run that was added to last.
    last: usize,
}

#[derive(Debug)]
struct Run {
    link: LinkId,
    outcome: Outcome,
    ranges: Vec<Range<Offset>>,
}

impl Settling {
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// `false` if there is no room for one more link.
    fn add(&mut self, link: LinkId, outcome: Outcome, offset: Offset) -> bool {
        let is_its = |run: &Run| run.link == link && run.outcome == outcome;
        if !self.runs.get(self.last).is_some_and(is_its) {
            match self.runs.iter().position(is_its) {
                Some(index) => self.last = index,
                None if self.runs.len() == RUNS_MAX => return false,
                None => {
                    self.last = self.runs.len();
                    let ranges = Vec::new();
                    self.runs.push(Run {
                        link,
                        outcome,
                        ranges,
                    });
                }
            }
        }
        let ranges = &mut self.runs[self.last].ranges;
        match ranges.last_mut() {
            Some(last) if last.end == offset => last.end = offset.plus(1),
            _ => ranges.push(offset..offset.plus(1)),
        }
        true
    }
}

impl Open {
    pub(super) fn acknowledge(
        &mut self,
        number: u16,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
        about: MethodId,
    ) -> Result<(), Exception> {
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let before = channel.unsettled.count();
        let unsettled = &mut channel.unsettled;
        let in_tx = channel.tx.is_some();
        let known = if in_tx {
            let mut later = Vec::new();
            let mut settle = |tag, link, offset| {
                later.push(Settled {
                    tag,
                    link,
                    offset,
                    outcome,
                });
            };
            let known = match multiple {
                true => unsettled.take_to(tag, settle),
                false => unsettled
                    .take(tag)
                    .map(|(link, offset)| settle(tag, link, offset))
                    .is_some(),
            };
            self.settle_later(number, later, about)?;
            known
        } else if multiple {
            self.settle_to(number, tag, outcome)
        } else {
            let taken = unsettled.take(tag);
            if let Some((link, offset)) = taken {
                self.settle(link, offset, outcome);
            }
            taken.is_some()
        };
        if known
            && outcome == Outcome::Accept
            && let Some(channel) = self.channel(number)
        {
            channel.counts.ack += before - channel.unsettled.count();
        }
        match known {
            true => Ok(()),
            false => {
                let text = format_args!("unknown delivery tag {tag}");
                Err(Exception::new(406, about, text))
            }
        }
    }

    /// Settles all up to a tag; `false` if there is no such delivery.
    fn settle_to(&mut self, number: u16, tag: u64, outcome: Outcome) -> bool {
        let Some(channel) = self.channel(number) else {
            return true;
        };
        let mut unsettled = std::mem::take(&mut channel.unsettled);
        let known = unsettled.take_to(tag, |_, link, offset| self.settle(link, offset, outcome));
        if let Some(channel) = self.channel(number) {
            channel.unsettled = unsettled;
        }
        known
    }

    pub(super) fn recover(
        &mut self,
        number: u16,
        requeue: bool,
        about: MethodId,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        if !requeue {
            return Err(Exception::new(540, about, "requeue=false"));
        }
        // At once, as with RabbitMQ, also where a transaction is under way.
        self.settle_to(number, 0, Outcome::Release);
        self.flush_settling();
        if about == RECOVER {
            let answer = Answer::Recover;
            self.calls.finally(number, about, answer, &mut effects.out);
        }
        Ok(())
    }

    fn settle(&mut self, link: LinkId, offset: Offset, outcome: Outcome) {
        if !self.settling.add(link, outcome, offset) {
            self.flush_settling();
            self.settling.add(link, outcome, offset);
        }
    }

    /// Makes calls of what was gathered.
    pub(super) fn flush_settling(&mut self) {
        for run in self.settling.runs.drain(..) {
            // The broker closed the link, and what was out on it is no more.
            let Some(link) = self.links.get_mut(&run.link) else {
                continue;
            };
            let counts = run.ranges.iter().map(|range| range.end.0 - range.start.0);
            link.unsettled = link.unsettled.saturating_sub(counts.sum());
            let is_last = link.unsettled == 0 && matches!(link.used, Use::Cancelled);
            let call = Call::Settle(Settle {
                link: run.link,
                ranges: run.ranges,
                outcome: run.outcome,
            });
            self.calls.push(call, Then::Nothing);
            if is_last {
                self.links.remove(&run.link);
                let (link, release) = (run.link, true);
                self.calls
                    .push(Call::CloseLink { link, release }, Then::Nothing);
            }
        }
        self.settling.last = 0;
    }
}

const RUNS_MAX: usize = 16;
const RECOVER: MethodId = (60, 110);
