//! What systemd is told, where it started us: that clients may come, that we stop, and, as
//! long as memory and disk are looked at, that we live.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Clients may come.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// No client is let in from here on.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Tells that we live, twice as often as it is asked for.
pub struct Watchdog {
    every: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// As often as the environment says; never where it says nothing.
    pub fn new() -> Watchdog {
        Watchdog {
            every: sd_notify::watchdog_enabled().map(|timeout| timeout / 2),
            next: Instant::now(),
        }
    }

    /// To be called often.
    pub fn tick(&mut self) {
        let Some(every) = self.every else {
            return;
        };
        let now = Instant::now();
        if now >= self.next {
            self.next = now + every;
            tell(NotifyState::Watchdog);
        }
    }
}

/// Who does not listen was not meant.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!("the supervisor cannot be told: {error}");
    }
}
