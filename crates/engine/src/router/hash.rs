//! Exchanges that choose one of their bindings: by a hash, or by chance.
//!
//! `x-consistent-hash` is rendezvous hashing: each target scores each key, and the highest
//! score has it. So a key moves only to a target that came or from one that went, and each
//! target has as many keys as its weight says. It costs a step a target, where RabbitMQ's
//! jump hash costs the logarithm; but there, removing a target moves the keys of others.

use std::collections::BTreeMap;

use bongsu_record::Arguments;

use crate::router::exchange::HashOn;
use crate::router::publication::{Publication, mix};
use crate::router::targets::Target;

/// Targets with weights.
#[derive(Debug)]
pub(super) struct Ring {
    on: HashOn,
    targets: BTreeMap<Target, Weighted>,
}

#[derive(Debug)]
struct Weighted {
    /// The same in every process.
    label: u64,
    /// Bindings by weight. Of several to one target only the lightest counts: RabbitMQ
    /// lets the first count, which a restart would have to remember.
    weights: BTreeMap<u64, u32>,
}

impl Ring {
    pub(super) fn new(on: HashOn) -> Ring {
        let targets = BTreeMap::new();
        Ring { on, targets }
    }

    pub(super) fn add(&mut self, key: &str, target: Target, label: u64) {
        let entry = self.targets.entry(target).or_insert_with(|| Weighted {
            label,
            weights: BTreeMap::new(),
        });
        *entry.weights.entry(weight(key)).or_default() += 1;
    }

    pub(super) fn remove(&mut self, key: &str, target: Target) {
        let weighted = self.targets.get_mut(&target).expect("it was bound");
        let weight = weight(key);
        let count = weighted.weights.get_mut(&weight).expect("it was bound");
        *count -= 1;
        if *count == 0 {
            weighted.weights.remove(&weight);
        }
        if weighted.weights.is_empty() {
            self.targets.remove(&target);
        }
    }

    /// Where this message goes, and whether more than its routing key was looked at.
    pub(super) fn choose<'a>(
        &self,
        publication: &Publication<'_>,
        headers: impl FnOnce() -> &'a Arguments,
    ) -> (Option<Target>, bool) {
        if self.targets.len() < 2 {
            return (self.targets.keys().next().copied(), false);
        }
        // A message without the header or property has the hash of nothing: all of them go
        // to one target.
        let (hash, looked) = match &self.on {
            HashOn::RoutingKey => (hash_text(publication.routing_key), false),
            HashOn::Header(name) => (headers().get(name).map_or(0, hash_value), true),
            HashOn::Property(property) => {
                let text = publication.message.property(*property);
                (text.map_or(0, |text| hash_text(&text)), true)
            }
        };
        let scored = self.targets.iter().map(|(target, weighted)| {
            let weight = weighted.weights.keys().next().expect("one at least");
            (score(hash, weighted.label, *weight), *target)
        });
        let best = scored.max_by(|(one, _), (other, _)| one.total_cmp(other));
        (best.map(|(_, target)| target), looked)
    }
}

/// Targets in their order, each once.
#[derive(Debug, Default)]
pub(super) struct Row(Vec<(Target, u32)>);

impl Row {
    pub(super) fn add(&mut self, target: Target) {
        match self.0.binary_search_by_key(&target, |(target, _)| *target) {
            Ok(index) => self.0[index].1 += 1,
            Err(index) => self.0.insert(index, (target, 1)),
        }
    }

    pub(super) fn remove(&mut self, target: Target) {
        let index = self.0.binary_search_by_key(&target, |(target, _)| *target);
        let index = index.expect("it was bound");
        self.0[index].1 -= 1;
        if self.0[index].1 == 0 {
            self.0.remove(index);
        }
    }

    /// The one that `choose` names, given how many there are.
    pub(super) fn choose(&self, choose: impl FnOnce(usize) -> usize) -> Option<Target> {
        match self.0.len() {
            0 => None,
            1 => Some(self.0[0].0),
            count => Some(self.0[choose(count)].0),
        }
    }
}

/// Of all routing keys, in their order.
pub(super) fn hash_keys(publication: &Publication<'_>) -> u64 {
    let more = publication.more_keys.iter();
    more.fold(hash_text(publication.routing_key), |hash, key| {
        mix(hash ^ hash_text(key))
    })
}

/// FNV-1a, spread: the same in every process and on every machine.
pub(super) fn hash_text(text: &str) -> u64 {
    hash_bytes(text.bytes())
}

fn hash_bytes(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}

fn hash_value(value: &bongsu_record::Value) -> u64 {
    use bongsu_record::Value;
    match value {
        Value::Text(text) => hash_text(text),
        Value::Bytes(bytes) => hash_bytes(bytes.iter().copied()),
        Value::Int(int) => mix(*int as u64 ^ 1),
        Value::Time(time) => mix(*time ^ 1),
        // Rare as keys, and their words tell them apart.
        other => hash_text(&format!("{other:?}")),
    }
}

/// How much a target wants a key: `-weight / ln(u)`, `u` evenly in (0, 1).
fn score(hash: u64, label: u64, weight: u64) -> f64 {
    let bits = mix(hash ^ mix(label)) >> 11;
    let even = (bits as f64 + 0.5) / (1u64 << 53) as f64;
    -(weight as f64) / even.ln()
}

/// The catalog has checked it; what an older broker recorded counts as 1.
fn weight(key: &str) -> u64 {
    key.parse().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests;
