//! The topic's part of the ledger: offsets are dense, each has one record for ever, what was
//! confirmed is at its offset, nothing is there twice, and a transaction is all or nothing.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of the topic's partitions.
#[derive(Default)]
pub struct Topic {
    partitions: BTreeMap<i32, Partition>,
    transactions: Vec<Transaction>,
    /// Where a group is, as it was told last, and what it may be instead.
    groups: BTreeMap<(String, i32), Committed>,
    read: u64,
}

#[derive(Default)]
struct Partition {
    records: BTreeMap<i64, u64>,
    offsets: BTreeMap<u64, i64>,
    /// The last that was read of each producer.
    order: BTreeMap<u64, (i64, u32)>,
    /// What producers were told.
    confirmed: BTreeMap<u64, Option<i64>>,
    /// Seen by a reader of what is committed.
    visible: BTreeSet<u64>,
}

struct Transaction {
    parts: Vec<(i32, u64)>,
    outcome: Option<bool>,
}

#[derive(Default)]
struct Committed {
    told: i64,
    maybe: BTreeSet<i64>,
}

impl Topic {
    /// Records read so far.
    pub fn read_count(&self) -> u64 {
        self.read
    }

    /// A producer was told that a record is at an offset, or that it is somewhere.
    ///
    /// # Errors
    /// What is wrong with that.
    pub fn confirmed(
        &mut self,
        partition: i32,
        offset: Option<i64>,
        id: u64,
    ) -> Result<(), String> {
        let known = self.partitions.entry(partition).or_default();
        known.confirmed.insert(id, offset);
        match (offset, known.offsets.get(&id)) {
            (Some(offset), Some(seen)) if *seen != offset => Err(format!(
                "record {id} was confirmed at offset {offset} of partition {partition}, and is at {seen}"
            )),
            _ => Ok(()),
        }
    }

    /// A record was read.
    ///
    /// # Errors
    /// What is wrong with that.
    pub fn read(&mut self, partition: i32, offset: i64, id: u64) -> Result<(), String> {
        self.read += 1;
        let known = self.partitions.entry(partition).or_default();
        if let Some(before) = known.records.insert(offset, id)
            && before != id
        {
            return Err(format!(
                "offset {offset} of partition {partition} had record {before}, and has record {id}"
            ));
        }
        if let Some(before) = known.offsets.insert(id, offset)
            && before != offset
        {
            return Err(format!(
                "record {id} is at offset {before} of partition {partition}, and at {offset}"
            ));
        }
        match known.confirmed.get(&id) {
            Some(Some(told)) if *told != offset => Err(format!(
                "record {id} was confirmed at offset {told} of partition {partition}, and is at {offset}"
            )),
            _ => Ok(()),
        }
    }

    /// What one producer sent is in its order.
    ///
    /// # Errors
    /// If it is not.
    pub fn in_order(
        &mut self,
        partition: i32,
        offset: i64,
        (producer, seq): (u64, u32),
    ) -> Result<(), String> {
        let known = self.partitions.entry(partition).or_default();
        let (at, last) = known.order.entry(producer).or_insert((-1, 0));
        if offset > *at {
            if seq <= *last {
                return Err(format!(
                    "number {seq} of producer {producer} is at offset {offset} of partition {partition}, \
                     behind number {last} at {at}"
                ));
            }
            (*at, *last) = (offset, seq);
        }
        Ok(())
    }

    /// A transaction begins to end; its number.
    pub fn ending(&mut self, parts: Vec<(i32, u64)>) -> usize {
        self.transactions.push(Transaction {
            parts,
            outcome: None,
        });
        self.transactions.len() - 1
    }

    /// How it ended, as its producer was told.
    pub fn ended(&mut self, transaction: usize, committed: bool) {
        self.transactions[transaction].outcome = Some(committed);
    }

    /// A reader of what is committed saw this.
    pub fn visible(&mut self, partition: i32, id: u64) {
        let known = self.partitions.entry(partition).or_default();
        known.visible.insert(id);
    }

    /// So far everything was read, in the end, without a gap.
    ///
    /// # Errors
    /// If it had a record behind that before.
    pub fn whole(&mut self, partition: i32, end: i64) -> Result<(), String> {
        let known = self.partitions.entry(partition).or_default();
        match known.records.range(end..).next() {
            None => Ok(()),
            Some((offset, id)) => Err(format!(
                "record {id} was read at offset {offset} of partition {partition}, which ends at {end}"
            )),
        }
    }

    /// A group's commit is on its way.
    pub fn committing(&mut self, group: &str, partition: i32, offset: i64) {
        let known = self
            .groups
            .entry((group.to_owned(), partition))
            .or_default();
        known.maybe.insert(offset);
    }

    /// It was confirmed: one connection does this, so what it said before does not count.
    pub fn committed(&mut self, group: &str, partition: i32, offset: i64) {
        let known = self
            .groups
            .entry((group.to_owned(), partition))
            .or_default();
        known.told = known.told.max(offset);
        known.maybe.retain(|maybe| *maybe >= offset);
    }

    /// A group was told where it is.
    ///
    /// # Errors
    /// If it was somewhere else.
    pub fn stands(&mut self, group: &str, partition: i32, offset: i64) -> Result<(), String> {
        let known = self
            .groups
            .entry((group.to_owned(), partition))
            .or_default();
        let offset = offset.max(0);
        if offset != known.told && !known.maybe.contains(&offset) {
            return Err(format!(
                "group {group} committed {} of partition {partition}, maybe {:?}, and is at {offset}",
                known.told, known.maybe
            ));
        }
        Ok(())
    }

    /// Everything was read: whether it is as it must be. `confirmed` were, through whatever
    /// protocol.
    ///
    /// # Errors
    /// What is not.
    pub fn conclude(&self, confirmed: &[u64]) -> Result<(), String> {
        for (number, partition) in &self.partitions {
            for (id, offset) in &partition.confirmed {
                if !partition.offsets.contains_key(id) {
                    return Err(format!(
                        "record {id} was confirmed at {offset:?} of partition {number}, and is not there"
                    ));
                }
            }
        }
        for id in confirmed {
            let mut partitions = self.partitions.values();
            if !partitions.any(|partition| partition.offsets.contains_key(id)) {
                return Err(format!("record {id} was confirmed, and topic lost it"));
            }
        }
        for transaction in &self.transactions {
            let visible = transaction.parts.iter().filter(|(number, id)| {
                let partition = self.partitions.get(number);
                partition.is_some_and(|partition| partition.visible.contains(id))
            });
            let (visible, all) = (visible.count(), transaction.parts.len());
            let is_right = match transaction.outcome {
                Some(true) => visible == all,
                Some(false) => visible == 0,
                None => visible == 0 || visible == all,
            };
            if !is_right {
                return Err(format!(
                    "of a transaction's records {:?}, whose end was {:?}, {visible} of {all} are visible",
                    transaction.parts, transaction.outcome
                ));
            }
        }
        Ok(())
    }
}
