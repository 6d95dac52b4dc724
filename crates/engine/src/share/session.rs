//! Share sessions: which partitions a member acquires from, so that it need not say them
//! each time; and whether a request is the next of its session.

use super::call::{PartKey, Refused};

/// Opens a session.
pub const OPENS: i32 = 0;
/// Ends one.
pub const ENDS: i32 = -1;

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Of the next request.
    epoch: i32,
    /// In the order in which they came.
    parts: Vec<PartKey>,
    /// Where the next fetch begins: each partition is the first in its turn.
    turn: usize,
}

impl Session {
    /// Opened with these partitions.
    pub fn new(parts: Vec<PartKey>) -> Session {
        let mut session = Session {
            epoch: 1,
            parts: Vec::new(),
            turn: 0,
        };
        session.update(parts, &[]);
        session
    }

    /// Takes a request of this epoch, not one that opens.
    ///
    /// # Errors
    /// [`Refused::Epoch`]: it is not the next.
    pub fn take(&mut self, epoch: i32) -> Result<(), Refused> {
        if epoch == ENDS {
            return Ok(());
        }
        if epoch != self.epoch {
            return Err(Refused::Epoch);
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    /// Partitions come and go.
    pub fn update(&mut self, more: Vec<PartKey>, forgotten: &[PartKey]) {
        self.parts.retain(|part| !forgotten.contains(part));
        for part in more {
            if !self.parts.contains(&part) && self.parts.len() < PARTS_MAX {
                self.parts.push(part);
            }
        }
    }

    /// All partitions, another one first each time.
    pub fn turn(&mut self) -> Vec<PartKey> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        self.turn = (self.turn + 1) % self.parts.len();
        let (before, after) = self.parts.split_at(self.turn);
        after.iter().chain(before).cloned().collect()
    }
}

/// Partitions of one session.
const PARTS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::records::TopicRef;

    fn part(partition: i32) -> PartKey {
        PartKey {
            topic: TopicRef::Name("t".into()),
            partition,
        }
    }

    #[test]
    fn epochs_follow_each_other_and_pass_over_those_that_mean_something() {
        let mut session = Session::new(Vec::new());
        assert_eq!(session.take(0), Err(Refused::Epoch));
        assert_eq!(session.take(1), Ok(()));
        assert_eq!(session.take(1), Err(Refused::Epoch));
        assert_eq!(session.take(2), Ok(()));
        session.epoch = i32::MAX;
        assert_eq!(session.take(i32::MAX), Ok(()));
        assert_eq!(session.take(1), Ok(()));
        assert_eq!(session.take(ENDS), Ok(()));
    }

    #[test]
    fn every_partition_is_first_in_its_turn() {
        let mut session = Session::new(vec![part(0), part(1), part(1), part(2)]);
        let firsts = (0..3).map(|_| session.turn()[0].partition);
        assert_eq!(firsts.collect::<Vec<_>>(), [1, 2, 0]);
        session.update(vec![part(3)], &[part(1), part(0)]);
        let mut all: Vec<i32> = session.turn().iter().map(|p| p.partition).collect();
        all.sort_unstable();
        assert_eq!(all, [2, 3]);
        session.update(Vec::new(), &[part(2), part(3)]);
        assert!(session.turn().is_empty());
    }
}
