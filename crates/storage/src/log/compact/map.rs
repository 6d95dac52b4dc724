//! The latest offset of each key, in a table of bounded size.
//!
//! A key is known by 128 bits of its hash, seeded anew for each map, so that nobody can choose
//! keys that fall together: two of a billion keys do so once in 10^20 maps.

use std::hash::{BuildHasher, RandomState};

use bongsu_record::Offset;

pub(super) struct KeyMap {
    /// Open addressing; as many as a power of two.
    slots: Vec<Slot>,
    count: usize,
    slots_max: usize,
    seeds: (RandomState, RandomState),
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: (u64, u64),
    /// One more than the offset; 0: nothing is here.
    after: u64,
}

impl KeyMap {
    pub fn new(bytes_max: usize) -> KeyMap {
        let slots_max = bytes_max / size_of::<Slot>();
        KeyMap {
            slots: vec![Slot::default(); SLOTS_MIN],
            count: 0,
            slots_max: ((slots_max + 1).next_power_of_two() / 2).max(SLOTS_MIN),
            seeds: Default::default(),
        }
    }

    /// Whether another key would make it larger than it was to be. It takes it all the same.
    pub fn is_full(&self) -> bool {
        self.count >= room(self.slots_max)
    }

    /// Remembers the offset, unless it knows a later one.
    pub fn put(&mut self, key: &[u8], offset: Offset) {
        let hash = self.hash(key);
        let mut at = self.place(hash);
        if self.slots[at].after == 0 {
            if self.count >= room(self.slots.len()) {
                self.grow();
                at = self.place(hash);
            }
            self.count += 1;
        }
        let slot = &mut self.slots[at];
        slot.hash = hash;
        slot.after = slot.after.max(offset.0 + 1);
    }

    fn grow(&mut self) {
        let larger = vec![Slot::default(); self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.after > 0 {
                let at = self.place(slot.hash);
                self.slots[at] = slot;
            }
        }
    }

    /// The latest offset of the key.
    pub fn latest(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.place(self.hash(key))];
        slot.after.checked_sub(1).map(Offset)
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    /// Where the hash is, or would be.
    fn place(&self, hash: (u64, u64)) -> usize {
        let last = self.slots.len() - 1;
        let mut at = hash.0 as usize & last;
        while self.slots[at].after > 0 && self.slots[at].hash != hash {
            at = (at + 1) & last;
        }
        at
    }
}

/// Keys of so many slots.
fn room(slots: usize) -> usize {
    slots / 4 * 3
}

const SLOTS_MIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_offset_of_each_key_is_known_and_the_bound_is_kept() {
        let mut map = KeyMap::new(64 << 10);
        let key = |number: u64| number.to_be_bytes();
        let mut count = 0;
        while !map.is_full() {
            map.put(&key(count), Offset(count));
            map.put(&key(count / 2), Offset(2 * count));
            count += 1;
        }
        assert!(size_of_val(&map.slots[..]) <= 64 << 10);
        assert!((1000..3000).contains(&count), "{count}");
        for number in 0..count {
            let twice = (2 * number + 1).min(count - 1);
            let again = (twice / 2 == number).then_some(2 * twice);
            let latest = again.unwrap_or(number).max(number);
            assert_eq!(map.latest(&key(number)), Some(Offset(latest)));
        }
        assert_eq!(map.latest(&key(count)), None);
        // An earlier one changes nothing, and no bound is a wall.
        map.put(&key(1), Offset(0));
        assert_eq!(map.latest(&key(1)), Some(Offset(6)));
        for number in count..4 * count {
            map.put(&key(number), Offset(number));
        }
        assert_eq!(map.latest(&key(4 * count - 1)), Some(Offset(4 * count - 1)));
    }
}
