//! What people do to a queue by hand: records leave it for elsewhere, leases are taken from
//! those who sit on them.

use std::collections::BTreeMap;
use std::ops::Range;

use bongsu_record::Offset;

use super::cursor::Pieces;
use super::{Effect, LinkKey, Queue};

impl Queue {
    /// What is ready of these is settled. Others are left alone.
    pub(super) fn discard(&mut self, ranges: &[Range<Offset>], effects: &mut Vec<Effect>) {
        let end = self.cursor.end_number();
        for range in ranges {
            let range = range.start.0..range.end.0.min(end);
            if range.is_empty() {
                continue;
            }
            self.cursor.reach(range.end);
            let mut ready = Vec::new();
            self.cursor.take_ready(range, |piece, _| ready.push(piece));
            // Those that came due late are apart from the others.
            ready.sort_unstable_by_key(|piece| piece.start);
            let mut pieces = Pieces::default();
            for piece in ready {
                if let Some(judge) = &mut self.judge {
                    judge.order.withdraw(piece.clone());
                    judge.leave(&piece);
                }
                pieces.push(piece);
            }
            pieces.finish(|piece| self.settled(piece, effects));
        }
    }

    /// Leases come back without being counted as failed: those of `holder`, or of anybody.
    /// Returns how many each held; they get their credit back by
    /// [`Queue::forgive`], after the records were offered to others.
    pub(super) fn revoke(
        &mut self,
        holder: Option<LinkKey>,
        ranges: &[Range<Offset>],
        now_ms: u64,
        effects: &mut Vec<Effect>,
    ) -> BTreeMap<LinkKey, u64> {
        let mut pieces = Vec::new();
        for range in ranges {
            let range = range.start.0..range.end.0;
            self.cursor
                .revoke(range, holder, |piece, lease| pieces.push((piece, lease)));
        }
        let mut held: BTreeMap<LinkKey, u64> = BTreeMap::new();
        for (piece, lease) in pieces {
            *held.entry(lease.holder()).or_default() += piece.end - piece.start;
            self.given_back(piece, lease, now_ms, effects);
        }
        held
    }

    /// Whoever was relieved of leases may be lent others.
    pub(super) fn forgive(&mut self, held: BTreeMap<LinkKey, u64>) {
        for (key, count) in held {
            self.links.give_back(key, count);
        }
    }
}
