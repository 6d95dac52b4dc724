//! Client quotas kept: who has produced or fetched more than a quota allows is told how long
//! to wait, and is not read for so long.
//!
//! Where no quota is set this costs one look at a flag. Buckets are bounded: those that owe
//! nothing go first, and beyond that clients of a user count together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bongsu_engine::access::quota::{QuotaKey, Shared};
use parking_lot::Mutex;

use crate::handle::SessionHandle;
use crate::rate::Rate;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    any: AtomicBool,
    rates: Mutex<HashMap<Shared, Rate>>,
}

impl Buckets {
    /// Quotas have changed: whether there are any now.
    pub(crate) fn changed(&self, any: bool) {
        self.any.store(any, Ordering::Release);
        if !any {
            self.rates.lock().clear();
        }
    }

    /// What `take` makes of the bucket, filled by `per_s` a second.
    fn with(
        &self,
        mut shared: Shared,
        per_s: u64,
        now_ms: u64,
        take: impl FnOnce(&mut Rate) -> u64,
    ) -> u64 {
        let mut rates = self.rates.lock();
        if rates.len() >= BUCKETS_MAX && !rates.contains_key(&shared) {
            rates.retain(|_, rate| !rate.is_full(now_ms));
            if rates.len() >= BUCKETS_MAX {
                shared.client = None;
            }
        }
        let per_s = per_s as f64;
        let rate = rates
            .entry(shared)
            .or_insert_with(|| Rate::new(per_s, BURST_S, now_ms));
        rate.set(per_s, now_ms);
        take(rate)
    }
}

impl SessionHandle {
    /// So many bytes were taken: how many milliseconds the client has to wait.
    pub(crate) fn quota_taken(&self, key: QuotaKey, client: &Arc<str>, bytes: u64) -> u32 {
        self.quota(key, client, |rate, now_ms| rate.take(bytes, now_ms))
    }

    /// How many milliseconds the client has to wait for what was taken before.
    pub(crate) fn quota_owed(&self, key: QuotaKey, client: &Arc<str>) -> u32 {
        self.quota(key, client, Rate::owed)
    }

    /// Most bytes that one answer may have: what may be taken at once.
    pub(crate) fn quota_bytes_max(&self, key: QuotaKey, client: &Arc<str>) -> u64 {
        let quota = self.quota_of(key, client);
        quota.map_or(u64::MAX, |(_, per_s)| per_s.saturating_mul(BURST_S as u64))
    }

    fn quota_of(&self, key: QuotaKey, client: &Arc<str>) -> Option<(Shared, u64)> {
        let access = self.broker.access();
        if !access.quotas().any.load(Ordering::Acquire) {
            return None;
        }
        access.quota(&self.user().ok()?.name, client, key)
    }

    fn quota(
        &self,
        key: QuotaKey,
        client: &Arc<str>,
        take: impl FnOnce(&mut Rate, u64) -> u64,
    ) -> u32 {
        let Some((shared, per_s)) = self.quota_of(key, client) else {
            return 0;
        };
        let now_ms = self.broker.now_ms();
        let buckets = self.broker.access().quotas();
        let delay_ms = buckets.with(shared, per_s, now_ms, |rate| take(rate, now_ms));
        u32::try_from(delay_ms).unwrap_or(u32::MAX)
    }

    /// The client is not read for so long, from now on.
    pub fn quiet(&mut self, delay: Duration) {
        if !delay.is_zero() {
            let until = Instant::now() + delay;
            self.quiet_until = self.quiet_until.max(Some(until));
        }
    }

    /// Until when the client is not read, if that is to come.
    pub fn quiet_until(&self) -> Option<Instant> {
        self.quiet_until.filter(|until| *until > Instant::now())
    }
}

/// What was not taken for so long may be taken at once: Kafka's ten windows of a second.
const BURST_S: f64 = 10.0;
const BUCKETS_MAX: usize = 100_000;
