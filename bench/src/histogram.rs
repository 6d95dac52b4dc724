//! A log-linear histogram of nanoseconds: 128 steps per power of two, so a value read from it
//! is at most one in 128 above the true one. Recording is a shift and an increment.

/// Counts of durations by size.
#[derive(Clone)]
pub struct Histogram {
    counts: Box<[u64]>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            counts: vec![0; slot(u64::MAX) + 1].into_boxed_slice(),
            total: 0,
        }
    }

    /// Counts one value.
    #[inline]
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[slot(nanoseconds)] += 1;
        self.total += 1;
    }

    /// Adds everything `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The smallest bound that `share` (0 to 1) of the values do not exceed, in milliseconds;
    /// nothing if nothing was counted.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let wanted = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.counts
            .iter()
            .position(|count| {
                seen += count;
                seen >= wanted
            })
            .map(|slot| slot_last(slot) as f64 / 1e6)
    }
}

/// Values below `STEPS` have a slot each; above, a value is its exponent and its first bits.
#[inline]
fn slot(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let shift = value.ilog2() - STEPS.ilog2();
    (shift as u64 * STEPS + (value >> shift)) as usize
}

/// The largest value that falls into `slot`.
fn slot_last(slot: usize) -> u64 {
    let slot = slot as u64;
    if slot < 2 * STEPS {
        return slot;
    }
    let shift = slot / STEPS - 1;
    let first_bits = slot - shift * STEPS;
    (first_bits << shift) + ((1 << shift) - 1)
}

const STEPS: u64 = 128;

#[cfg(test)]
mod tests;
