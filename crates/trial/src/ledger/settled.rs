//! Settles that are proven, transactions, and the last look.

use super::{Fate, Inner, Ledger, Queue, Whole};

impl Ledger {
    /// What was settled is durable: something behind it was confirmed.
    pub fn settled(&self, queue: Queue, ids: &[u64]) {
        let mut inner = self.inner.lock();
        inner.say(|| format!("{}: {ids:?} are durably settled", queue.name()));
        for id in ids {
            inner.happened(12, *id);
            inner.tally.settled += 1;
            inner.copies.entry((queue, *id)).or_default().settled = true;
        }
    }

    /// A transaction is about to be committed: these are published by it, those are settled.
    pub fn committing(&self, parts: &[(Queue, u64)], settles: &[(Queue, u64)]) -> usize {
        let mut inner = self.inner.lock();
        let number = inner.wholes.len();
        for settle in settles {
            let copy = inner.copies.entry(*settle).or_default();
            copy.maybe = Some(number);
        }
        let (parts, settles) = (parts.to_vec(), settles.to_vec());
        inner.wholes.push(Whole { parts, settles });
        number
    }

    /// It was.
    pub fn committed(&self, transaction: usize) {
        let mut inner = self.inner.lock();
        inner.happened(13, transaction as u64);
        inner.tally.committed += 1;
        let (parts, settles) = {
            let whole = &inner.wholes[transaction];
            (whole.parts.clone(), whole.settles.clone())
        };
        for (_, id) in parts {
            let record = inner.records.get_mut(&id).expect("it was sent");
            record.fate = Fate::Confirmed;
        }
        for settle in settles {
            let copy = inner.copies.entry(settle).or_default();
            copy.holder = None;
            copy.acked = true;
            copy.settled = true;
        }
    }

    /// Somebody has waited for this queue's records for long, and nothing failed: each that was
    /// confirmed was delivered to somebody by now.
    pub fn all_delivered(&self, queue: Queue) {
        if queue == Queue::Brief {
            // Its records go where maybe nobody waits for them.
            return;
        }
        let mut inner = self.inner.lock();
        let kept = inner.records.iter().find(|(id, record)| {
            record.fate == Fate::Confirmed
                && record.queues.contains(&queue)
                && !inner.copies.contains_key(&(queue, **id))
        });
        if let Some((id, _)) = kept {
            let kept = format!("record {id} was confirmed, and {} keeps it", queue.name());
            inner.violated(kept);
        }
    }

    /// In the end, a record was still there.
    pub fn found(&self, queue: Queue, id: u64) {
        let mut inner = self.inner.lock();
        inner.happened(14, id);
        inner.tally.found += 1;
        inner.copies.entry((queue, id)).or_default().found = true;
    }

    /// All that is left was found: whether everything is where it must be.
    pub fn conclude(&self) {
        let mut inner = self.inner.lock();
        let concluded = inner.conclude();
        if let Err(violation) = concluded {
            inner.violated(violation);
        }
    }
}

impl Inner {
    fn conclude(&self) -> Result<(), String> {
        for (id, record) in &self.records {
            if record.fate != Fate::Confirmed {
                continue;
            }
            for queue in &record.queues {
                if *queue != Queue::Topic && !self.arrived(*queue, *id) {
                    return Err(format!(
                        "record {id} was confirmed, and {} lost it",
                        queue.name()
                    ));
                }
            }
        }
        for ((queue, id), copy) in &self.copies {
            if copy.found
                && let Some(grave) = queue.grave()
            {
                let dead = self.copies.get(&(grave, *id));
                if dead.is_some_and(|dead| dead.found || dead.settled) {
                    return Err(format!("record {id} died, and is still in its queue"));
                }
            }
        }
        for whole in &self.wholes {
            self.check_whole(whole)?;
        }
        Ok(())
    }

    /// Whether a copy is there, or was done with.
    fn arrived(&self, queue: Queue, id: u64) -> bool {
        let Some(copy) = self.copies.get(&(queue, id)) else {
            return self.has_died(queue, id);
        };
        let taken = copy
            .maybe
            .is_some_and(|number| self.happened_whole(&self.wholes[number]));
        copy.found || copy.acked || taken || self.has_died(queue, id)
    }

    fn has_died(&self, queue: Queue, id: u64) -> bool {
        let dead = queue
            .grave()
            .and_then(|grave| self.copies.get(&(grave, id)));
        dead.is_some_and(|dead| dead.found || dead.acked)
    }

    fn happened_whole(&self, whole: &Whole) -> bool {
        whole.parts.iter().any(|part| {
            let copy = self.copies.get(part);
            copy.is_some_and(|copy| copy.found || copy.deliveries > 0)
        })
    }

    fn check_whole(&self, whole: &Whole) -> Result<(), String> {
        let copy = |part: &(Queue, u64)| self.copies.get(part);
        let found = whole
            .parts
            .iter()
            .find(|part| copy(part).is_some_and(|copy| copy.found));
        let Some((there, id)) = found else {
            return Ok(());
        };
        for part in &whole.parts {
            if copy(part).is_none_or(|copy| !copy.found && copy.deliveries == 0) {
                return Err(format!(
                    "record {id} is in {}, and record {}, published with it, never was in {}",
                    there.name(),
                    part.1,
                    part.0.name()
                ));
            }
        }
        for settle in &whole.settles {
            if copy(settle).is_some_and(|copy| copy.found) {
                return Err(format!(
                    "record {id} is in {}, and record {}, settled with it, is still in {}",
                    there.name(),
                    settle.1,
                    settle.0.name()
                ));
            }
        }
        Ok(())
    }
}
