//! What a queue that judges its records is told of them: numbers only, never their bytes.

/// What matters of one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// When it came into this queue's log, Unix milliseconds.
    pub at_ms: u64,
    /// Milliseconds it may live, by its publisher's wish.
    pub ttl_ms: Option<u64>,
    /// Unix milliseconds before which it must not be lent; 0 = at once.
    pub deliver_at_ms: u64,
    /// As its publisher set it.
    pub priority: u8,
    /// Hash of its group's key, where the queue has groups.
    pub key: Option<u64>,
    /// Bytes of its body, where the queue counts them.
    pub bytes: u32,
}

/// So many consecutive records with the same facts: `start..end` and what holds for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactRun {
    /// Which offsets.
    pub records: std::ops::Range<u64>,
    /// What holds for each of them.
    pub fact: Fact,
}

/// Appends a record's facts, merged with the run before where they are equal.
pub fn push_fact(runs: &mut Vec<FactRun>, offset: u64, fact: Fact) {
    match runs.last_mut() {
        Some(last) if last.records.end == offset && last.fact == fact => last.records.end += 1,
        _ => runs.push(FactRun {
            records: offset..offset + 1,
            fact,
        }),
    }
}

impl Fact {
    /// Whether a queue without rules of its own treats the record as any other.
    pub fn is_plain(&self) -> bool {
        self.ttl_ms.is_none() && self.deliver_at_ms == 0
    }

    /// When it expires in a queue with that time to live: the lower of the two counts, from
    /// when it could first be delivered.
    pub fn expires_ms(&self, queue_ttl_ms: Option<u64>) -> Option<u64> {
        let ttl_ms = match (self.ttl_ms, queue_ttl_ms) {
            (Some(own), Some(queue)) => own.min(queue),
            (own, queue) => own.or(queue)?,
        };
        Some(self.at_ms.max(self.deliver_at_ms).saturating_add(ttl_ms))
    }
}
