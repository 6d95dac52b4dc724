//! What users and spaces may have open, and how fast they may publish.
//!
//! Connections and channels are counted by the [registry](crate::registry), which is asked
//! under its lock, so that two who come at once do not both get the last place. Whoever
//! publishes faster than it may is not refused but read later: a bucket for each user and
//! space that has such a limit ([`Throttle`]), shared by all its sessions. A session looks up
//! once a second whether there is one, so where there is none a publish costs a comparison.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bongsu_engine::Refused;
use bongsu_engine::refused::Limit;
use bongsu_engine::router::SpaceId;
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::handle::SessionHandle;
use crate::rate::Rate;
use crate::registry::Held;

/// What somebody may have open; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Connections of the space.
    pub space_connections: Option<u32>,
    /// Connections of the user.
    pub user_connections: Option<u32>,
    /// Channels of the user, on all its connections.
    pub user_channels: Option<u32>,
}

/// How fast somebody may publish; `None`: as fast as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Speed {
    pub messages_per_s: Option<u64>,
    pub bytes_per_s: Option<u64>,
}

impl Bounds {
    /// Whether one more connection has a place; the space is asked first, as in RabbitMQ.
    pub fn admit_connection(
        &self,
        (user, of_user): (&str, Held),
        (space, of_space): (&str, Held),
    ) -> Result<(), Refused> {
        let refused = |limit, count| Refused::LimitReached {
            limit,
            count,
            user: user.to_owned(),
            space: space.to_owned(),
        };
        if let Some(most) = self.space_connections
            && of_space.connections >= most
        {
            return Err(refused(Limit::SpaceConnections, most));
        }
        if let Some(most) = self.user_connections
            && of_user.connections >= most
        {
            return Err(refused(Limit::UserConnections, most));
        }
        Ok(())
    }

    /// Whether one more channel has a place.
    pub fn admit_channel(&self, user: &str, of_user: Held) -> Result<(), Refused> {
        match self.user_channels {
            Some(most) if of_user.channels >= most => Err(Refused::LimitReached {
                limit: Limit::UserChannels,
                count: most,
                user: user.to_owned(),
                space: String::new(),
            }),
            _ => Ok(()),
        }
    }
}

/// Whose a [`Throttle`] is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    User(Arc<str>),
    Space(SpaceId),
}

/// One bucket for messages, one for bytes.
#[derive(Debug, Default)]
struct Throttle(Mutex<(Option<Rate>, Option<Rate>)>);

impl Throttle {
    fn set(&self, speed: Speed, now_ms: u64) {
        let (messages, bytes) = &mut *self.0.lock();
        set(messages, speed.messages_per_s, now_ms);
        set(bytes, speed.bytes_per_s, now_ms);
    }

    /// How long to wait, in milliseconds.
    fn take(&self, messages: u64, bytes: u64, now_ms: u64) -> u64 {
        let (of_messages, of_bytes) = &mut *self.0.lock();
        let wait = |rate: &mut Option<Rate>, count| {
            rate.as_mut().map_or(0, |rate| rate.take(count, now_ms))
        };
        wait(of_messages, messages).max(wait(of_bytes, bytes))
    }
}

fn set(rate: &mut Option<Rate>, per_s: Option<u64>, now_ms: u64) {
    // None at all would never be over: the least is one a second.
    let per_s = per_s.map(|per_s| per_s.max(1) as f64);
    match (rate.as_mut(), per_s) {
        (Some(rate), Some(per_s)) => rate.set(per_s, now_ms),
        (_, per_s) => *rate = per_s.map(|per_s| Rate::new(per_s, BURST_S, now_ms)),
    }
}

/// The buckets of those who have one. Those that no session holds any more are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Throttles(Mutex<HashMap<Whose, Arc<Throttle>>>);

impl Throttles {
    fn of(&self, whose: Whose, speed: Speed, now_ms: u64) -> Option<Arc<Throttle>> {
        if speed == Speed::default() {
            return None;
        }
        let mut known = self.0.lock();
        if known.len() >= FORGET_FROM && !known.contains_key(&whose) {
            known.retain(|_, throttle| Arc::strong_count(throttle) > 1);
        }
        let throttle = known.entry(whose).or_default();
        throttle.set(speed, now_ms);
        Some(throttle.clone())
    }
}

/// Those that a session is subject to, as last looked up.
#[derive(Debug, Default)]
pub(crate) struct Throttled {
    by: Vec<Arc<Throttle>>,
    looked_up_ms: Option<u64>,
}

impl Broker {
    fn bounds_of(&self, user: &str, space: SpaceId) -> (Bounds, Speed, Speed) {
        let catalog = self.catalog();
        let of_space = catalog.space_definition(space).map(|space| space.limits);
        drop(catalog);
        let of_space = of_space.unwrap_or_default();
        let of_user = self.user_limits(user);
        let bounds = Bounds {
            space_connections: of_space.connections_max,
            user_connections: of_user.connections_max,
            user_channels: of_user.channels_max,
        };
        let of_space = Speed {
            messages_per_s: of_space.publish_messages_per_s,
            bytes_per_s: of_space.publish_bytes_per_s,
        };
        let of_user = Speed {
            messages_per_s: of_user.publish_messages_per_s,
            bytes_per_s: of_user.publish_bytes_per_s,
        };
        (bounds, of_user, of_space)
    }
}

impl SessionHandle {
    /// What its user and space may have open.
    pub(crate) fn bounds(&self, space: SpaceId) -> Bounds {
        self.broker.bounds_of(&self.user_name(), space).0
    }

    /// So much was published: slows the client if that is more than its user or space may.
    pub(crate) fn throttle(&mut self, messages: u64, bytes: u64, now_ms: u64) {
        let looked_up_ms = self.throttled.looked_up_ms;
        if looked_up_ms.is_none_or(|at_ms| now_ms.abs_diff(at_ms) >= LOOK_UP_MS) {
            self.look_up_throttles(now_ms);
        }
        if self.throttled.by.is_empty() {
            return;
        }
        let waits = self.throttled.by.iter();
        let wait_ms = waits
            .map(|throttle| throttle.take(messages, bytes, now_ms))
            .max();
        self.quiet(Duration::from_millis(wait_ms.unwrap_or(0)));
    }

    fn look_up_throttles(&mut self, now_ms: u64) {
        let Some(space) = self.space else {
            return;
        };
        let user = self.user_name();
        let (_, of_user, of_space) = self.broker.bounds_of(&user, space);
        let throttles = self.broker.throttles();
        let by_user = throttles.of(Whose::User(user), of_user, now_ms);
        let by_space = throttles.of(Whose::Space(space), of_space, now_ms);
        self.throttled.by = by_user.into_iter().chain(by_space).collect();
        self.throttled.looked_up_ms = Some(now_ms);
    }
}

/// What was not published for so long may be published at once.
const BURST_S: f64 = 1.0;
/// How soon a change of limits is seen by sessions that are there.
const LOOK_UP_MS: u64 = 1_000;
const FORGET_FROM: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn held(connections: u32, channels: u32) -> Held {
        Held {
            connections,
            channels,
        }
    }

    #[test]
    fn the_last_place_is_the_limit() {
        let bounds = Bounds {
            space_connections: Some(2),
            user_connections: Some(1),
            user_channels: Some(3),
        };
        let which = |of_user, of_space| {
            let refused = bounds.admit_connection(("u", of_user), ("x", of_space));
            match refused {
                Ok(()) => None,
                Err(Refused::LimitReached { limit, count, .. }) => Some((limit, count)),
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(which(held(0, 9), held(1, 9)), None);
        assert_eq!(
            which(held(1, 0), held(1, 0)),
            Some((Limit::UserConnections, 1))
        );
        assert_eq!(
            which(held(1, 0), held(2, 0)),
            Some((Limit::SpaceConnections, 2))
        );
        assert!(bounds.admit_channel("u", held(5, 2)).is_ok());
        assert!(bounds.admit_channel("u", held(0, 3)).is_err());
        assert!(
            Bounds::default()
                .admit_channel("u", held(0, u32::MAX))
                .is_ok()
        );
    }

    #[test]
    fn sessions_of_one_user_share_its_speed() {
        let throttles = Throttles::default();
        let speed = Speed {
            messages_per_s: Some(100),
            bytes_per_s: Some(1000),
        };
        let user = || Whose::User(Arc::from("u"));
        let one = throttles.of(user(), speed, 0).unwrap();
        let other = throttles.of(user(), speed, 0).unwrap();
        assert_eq!(one.take(100, 10, 0), 0);
        assert_eq!(other.take(50, 10, 0), 500);
        assert_eq!(one.take(0, 1980, 0), 1000);
        assert!(
            throttles
                .of(Whose::Space(SpaceId(0)), Speed::default(), 0)
                .is_none()
        );
        // A limit that goes takes its debt along.
        let bytes = Speed {
            messages_per_s: None,
            ..speed
        };
        throttles.of(user(), bytes, 0);
        assert_eq!(one.take(1_000_000, 0, 1000), 0);
    }
}
