//! Identities seen: what was published once is not taken again.
//!
//! The window is bounded by time and by count: an identity is forgotten when its time is
//! up, or when newer ones are as many as the count. Times are Unix milliseconds; should
//! they jump back, what is known is known longer.
//!
//! Always: the three maps hold the same identities, none twice, at most `count_max` of
//! them; [`Dedup::check`] asserts it. An identity takes about 100 bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use foldhash::fast::FixedState;
use siphasher::sip128::SipHasher24;

/// 128 bits of hash stand for the bytes of an identity: among a billion of them, the
/// chance that any two meet is one in 10^20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity([u8; 16]);

impl Identity {
    /// Of a message id. The same after a restart, and in every later version.
    pub fn of(id: &[u8]) -> Identity {
        Identity(SipHasher24::new_with_key(KEY).hash(id).as_bytes())
    }

    /// As it is recorded.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// As it was recorded.
    pub fn from_bytes(bytes: [u8; 16]) -> Identity {
        Identity(bytes)
    }
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For how long, in milliseconds; `None` = for ever.
    pub keep_ms: Option<u64>,
    /// How many identities; `None` = as many as there are.
    pub count_max: Option<u64>,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Dedup {
    limits: Limits,
    seen: HashMap<Identity, Seen, FixedState>,
    /// By sequence: the oldest first.
    order: BTreeMap<u64, Identity>,
    /// Time and sequence of those that have a time.
    expiry: BTreeSet<(u64, u64)>,
    /// Above all of `order`.
    next_sequence: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u64,
    /// `u64::MAX` = never.
    expires_ms: u64,
}

/// Why bytes are not a window's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupMalformed {
    /// They end too early, or go on behind the end.
    Length {
        /// Bytes there.
        found: usize,
    },
    /// Another format than this program writes.
    Format(u8),
    /// An identity is there twice.
    Twice(Identity),
}

impl Dedup {
    /// Nothing was seen.
    pub fn new(limits: Limits) -> Dedup {
        Dedup {
            limits,
            ..Dedup::default()
        }
    }

    /// Whether an identity was seen and is not forgotten.
    pub fn contains(&self, identity: Identity, now_ms: u64) -> bool {
        let seen = self.seen.get(&identity);
        seen.is_some_and(|seen| seen.expires_ms > now_ms)
    }

    /// Remembers an identity, for `keep_ms` if given, else for the limits' time. False if
    /// it is known already: then nothing changes, or a producer that repeats itself would
    /// be remembered for ever.
    pub fn insert(&mut self, identity: Identity, now_ms: u64, keep_ms: Option<u64>) -> bool {
        self.expire(now_ms);
        if self.seen.contains_key(&identity) {
            return false;
        }
        let keep_ms = keep_ms.or(self.limits.keep_ms);
        let expires_ms = keep_ms.map_or(NEVER, |keep_ms| now_ms.saturating_add(keep_ms));
        if expires_ms > now_ms {
            self.push(identity, expires_ms);
            self.evict();
        }
        true
    }

    /// Forgets an identity: its message was not taken after all.
    pub fn forget(&mut self, identity: Identity) {
        if let Some(seen) = self.seen.remove(&identity) {
            self.order.remove(&seen.sequence);
            self.expiry.remove(&(seen.expires_ms, seen.sequence));
        }
    }

    /// Forgets what is over.
    pub fn expire(&mut self, now_ms: u64) {
        while let Some((expires_ms, sequence)) = self.expiry.first().copied()
            && expires_ms <= now_ms
        {
            self.forget(self.order[&sequence]);
        }
    }

    /// When [`Dedup::expire`] next has something to do.
    pub fn next_ms(&self) -> Option<u64> {
        self.expiry.first().map(|(expires_ms, _)| *expires_ms)
    }

    /// How many are remembered.
    pub fn len(&self) -> u64 {
        self.order.len() as u64
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How much is remembered.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits: the count at once, the time for what is seen from here on.
    pub fn reconfigure(&mut self, limits: Limits) {
        self.limits = limits;
        self.evict();
    }

    /// Writes the durable state, all but the limits.
    ///
    /// ```text
    ///  0  u8   format, 1
    ///  1  u32  count, then for each identity, the oldest first:
    ///          16 bytes  identity: SipHash-2-4 of 128 bits, little-endian
    ///          u64       Unix ms when it is forgotten, u64::MAX = never
    /// ```
    /// Big-endian, but for the hash.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.order.len()).expect("fewer than memory has bytes");
        out.reserve(HEAD_BYTES + self.order.len() * ENTRY_BYTES);
        out.push(STATE_FORMAT);
        out.extend_from_slice(&count.to_be_bytes());
        for identity in self.order.values() {
            out.extend_from_slice(&identity.0);
            out.extend_from_slice(&self.seen[identity].expires_ms.to_be_bytes());
        }
    }

    /// Reads what [`Dedup::encode`] wrote. What the limits leave no room for is forgotten.
    ///
    /// # Errors
    /// [`DedupMalformed`].
    pub fn decode(bytes: &[u8], limits: Limits) -> Result<Dedup, DedupMalformed> {
        let length = DedupMalformed::Length { found: bytes.len() };
        let (format, rest) = bytes.split_first().ok_or(length)?;
        if *format != STATE_FORMAT {
            return Err(DedupMalformed::Format(*format));
        }
        let (count, rest) = rest.split_first_chunk().ok_or(length)?;
        let (entries, tail) = rest.as_chunks::<ENTRY_BYTES>();
        if !tail.is_empty() || entries.len() as u64 != u64::from(u32::from_be_bytes(*count)) {
            return Err(length);
        }
        let mut dedup = Dedup::new(limits);
        for entry in entries {
            let (identity, expires_ms) = entry.split_first_chunk().ok_or(length)?;
            let identity = Identity(*identity);
            if dedup.seen.contains_key(&identity) {
                return Err(DedupMalformed::Twice(identity));
            }
            let expires_ms = expires_ms.try_into().map_err(|_| length)?;
            dedup.push(identity, u64::from_be_bytes(expires_ms));
        }
        dedup.evict();
        Ok(dedup)
    }

    fn push(&mut self, identity: Identity, expires_ms: u64) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.order.insert(sequence, identity);
        if expires_ms != NEVER {
            self.expiry.insert((expires_ms, sequence));
        }
        let seen = Seen {
            sequence,
            expires_ms,
        };
        self.seen.insert(identity, seen);
    }

    fn evict(&mut self) {
        let count_max = self.limits.count_max.unwrap_or(u64::MAX);
        while self.len() > count_max
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            self.forget(*oldest);
        }
    }

    /// Panics if an invariant is broken.
    pub fn check(&self) {
        assert_eq!(self.seen.len(), self.order.len());
        let mut expiry = BTreeSet::new();
        for (sequence, identity) in &self.order {
            let seen = self.seen[identity];
            assert_eq!(seen.sequence, *sequence);
            assert!(*sequence < self.next_sequence);
            if seen.expires_ms != NEVER {
                expiry.insert((seen.expires_ms, *sequence));
            }
        }
        assert_eq!(expiry, self.expiry);
        assert!(self.limits.count_max.is_none_or(|max| self.len() <= max));
    }
}

/// Never to be changed: identities on disk were made with it.
const KEY: &[u8; 16] = b"bongsu.identity1";
const NEVER: u64 = u64::MAX;
const STATE_FORMAT: u8 = 1;
const HEAD_BYTES: usize = 5;
const ENTRY_BYTES: usize = 24;

#[cfg(test)]
mod tests;
