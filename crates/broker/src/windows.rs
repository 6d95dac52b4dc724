//! What exchanges have seen: an identity seen before goes no further.
//!
//! A window is locked from the look at it until the records it let pass are in the WAL, in
//! one group with their identities: so a duplicate is never confirmed before its original
//! is as safe, and what could not be written is not remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bongsu_engine::queue::dedup::{Dedup, Identity, Limits};
use bongsu_engine::queue::properties::Deduplication;
use bongsu_engine::router::WindowId;
use bongsu_record::native::Record;
use parking_lot::{Mutex, MutexGuard, RwLock};

use crate::facts;

/// Kind of the WAL notes and checkpoint sections of windows.
///
/// ```text
/// note     u64 Unix ms, u32 count, each: 16 bytes identity, u64 keep ms (0: the window's)
/// section  u64 LSN up to which it knows, then the identities as `Dedup` writes them
/// ```
pub(crate) const WINDOW_NOTE: u8 = 3;

/// One window.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) seen: Mutex<Dedup>,
    /// Names the identity.
    header: String,
    /// It survives a restart.
    pub(crate) durable: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    by_id: RwLock<HashMap<WindowId, Arc<Window>>>,
}

impl Windows {
    pub(crate) fn put(&self, id: WindowId, settings: &Deduplication, seen: Dedup, durable: bool) {
        let window = Arc::new(Window {
            seen: Mutex::new(seen),
            header: facts::identity_header(settings).to_owned(),
            durable,
        });
        self.by_id.write().insert(id, window);
    }

    pub(crate) fn remove(&self, id: WindowId) {
        self.by_id.write().remove(&id);
    }

    pub(crate) fn find(&self, id: WindowId) -> Option<Arc<Window>> {
        self.by_id.read().get(&id).cloned()
    }

    /// All, ascending.
    pub(crate) fn all(&self) -> Vec<(WindowId, Arc<Window>)> {
        let by_id = self.by_id.read();
        let mut all: Vec<_> = by_id.iter().map(|(id, w)| (*id, w.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }
}

/// Windows held locked, and what they let pass.
#[derive(Default)]
pub(crate) struct Passing<'w> {
    held: BTreeMap<WindowId, (MutexGuard<'w, Dedup>, &'w Window)>,
    passed: Vec<(WindowId, Identity, u64)>,
}

impl<'w> Passing<'w> {
    /// Locks windows, which are ascending.
    pub(crate) fn lock(windows: &'w [(WindowId, Arc<Window>)]) -> Passing<'w> {
        let held = windows.iter();
        Passing {
            held: held
                .map(|(id, window)| (*id, (window.seen.lock(), &**window)))
                .collect(),
            passed: Vec::new(),
        }
    }

    /// Whether a record goes on: it has no identity, or one not seen before.
    pub(crate) fn passes(
        &mut self,
        id: WindowId,
        record: &Record<'_>,
        keep_ms: Option<u64>,
        now_ms: u64,
    ) -> bool {
        let Some((seen, window)) = self.held.get_mut(&id) else {
            return true;
        };
        let Some(identity) = facts::identity(record, &window.header) else {
            return true;
        };
        seen.expire(now_ms);
        let passes = seen.insert(identity, now_ms, keep_ms);
        if passes {
            let keep_ms = keep_ms.unwrap_or(0);
            self.passed.push((id, identity, keep_ms));
        }
        passes
    }

    /// What is to be recorded with the records that passed.
    pub(crate) fn notes(&self, now_ms: u64) -> Vec<(u8, u64, Vec<u8>)> {
        let mut by_window: BTreeMap<WindowId, Vec<(Identity, u64)>> = BTreeMap::new();
        for (id, identity, keep_ms) in &self.passed {
            if self.held.get(id).is_some_and(|(_, window)| window.durable) {
                by_window
                    .entry(*id)
                    .or_default()
                    .push((*identity, *keep_ms));
            }
        }
        let notes = by_window.into_iter().map(|(id, passed)| {
            let mut bytes = now_ms.to_be_bytes().to_vec();
            bytes.extend_from_slice(&(passed.len() as u32).to_be_bytes());
            for (identity, keep_ms) in passed {
                bytes.extend_from_slice(&identity.to_bytes());
                bytes.extend_from_slice(&keep_ms.to_be_bytes());
            }
            (WINDOW_NOTE, id.0, bytes)
        });
        notes.collect()
    }

    /// Nothing was written: none of it was seen.
    pub(crate) fn forget(mut self) {
        for (id, identity, _) in std::mem::take(&mut self.passed) {
            if let Some((seen, _)) = self.held.get_mut(&id) {
                seen.forget(identity);
            }
        }
    }
}

/// Replays a note. `None`: it is malformed.
pub(crate) fn replay(bytes: &[u8], seen: &mut Dedup) -> Option<()> {
    let (now_ms, rest) = bytes.split_first_chunk::<8>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let now_ms = u64::from_be_bytes(*now_ms);
    for _ in 0..u32::from_be_bytes(*count) {
        let (identity, after) = rest.split_first_chunk::<16>()?;
        let (keep_ms, after) = after.split_first_chunk::<8>()?;
        let keep_ms = Some(u64::from_be_bytes(*keep_ms)).filter(|ms| *ms > 0);
        seen.insert(Identity::from_bytes(*identity), now_ms, keep_ms);
        rest = after;
    }
    rest.is_empty().then_some(())
}

/// A window's bounds.
pub(crate) fn limits(settings: &Deduplication) -> Limits {
    Limits {
        keep_ms: settings.keep_ms,
        count_max: settings.count_max,
    }
}
