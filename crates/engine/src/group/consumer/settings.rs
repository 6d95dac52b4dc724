//! What an operator decides for a group (Kafka's group configs), each with its bounds.

use std::ops::RangeInclusive;

/// How a group treats its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A member that is not heard of for so long is out.
    pub session_timeout_ms: u32,
    /// How often members are asked to beat; less than the session timeout.
    pub heartbeat_interval_ms: u32,
    /// Members a group may have.
    pub members_max: usize,
}

impl Settings {
    /// Of consumer groups.
    pub const CONSUMER: Settings = Settings {
        session_timeout_ms: 45_000,
        heartbeat_interval_ms: 5_000,
        members_max: i32::MAX as usize,
    };

    /// Of share groups.
    pub const SHARE: Settings = Settings {
        session_timeout_ms: 45_000,
        heartbeat_interval_ms: 5_000,
        members_max: 200,
    };
}

/// One setting of a group, by the name that clients set it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its value unless set.
    pub default_ms: u32,
    /// What it may be.
    pub range_ms: RangeBounds,
}

/// See [`Row::range_ms`]; both ends are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeBounds {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl RangeBounds {
    /// As a range.
    pub fn range(self) -> RangeInclusive<u32> {
        self.min..=self.max
    }
}

/// Why a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingRefused {
    /// There is no such setting.
    Unknown,
    /// Not a number in its range.
    OutOfRange(Row),
    /// The session must last longer than the time between two beats.
    SessionTooShort,
}

/// All settings, in the order of their names.
pub const ROWS: [Row; 4] = [
    row(CONSUMER_HEARTBEAT, 5_000, HEARTBEAT_MS),
    row(CONSUMER_SESSION, 45_000, SESSION_MS),
    row(SHARE_HEARTBEAT, 5_000, HEARTBEAT_MS),
    row(SHARE_SESSION, 45_000, SESSION_MS),
];

const CONSUMER_HEARTBEAT: &str = "consumer.heartbeat.interval.ms";
const CONSUMER_SESSION: &str = "consumer.session.timeout.ms";
const SHARE_HEARTBEAT: &str = "share.heartbeat.interval.ms";
const SHARE_SESSION: &str = "share.session.timeout.ms";

/// Kafka's own bounds end at 15 and begin at 45 seconds: there, they are a setting of the
/// broker. These are as wide as makes sense.
const HEARTBEAT_MS: RangeBounds = RangeBounds {
    min: 100,
    max: 60_000,
};
const SESSION_MS: RangeBounds = RangeBounds {
    min: 1_000,
    max: 1_800_000,
};

const fn row(name: &'static str, default_ms: u32, range_ms: RangeBounds) -> Row {
    Row {
        name,
        default_ms,
        range_ms,
    }
}

/// The settings of a group, of whichever kind it will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// While it is a consumer group.
    pub consumer: Settings,
    /// While it is a share group.
    pub share: Settings,
}

impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            consumer: Settings::CONSUMER,
            share: Settings::SHARE,
        }
    }
}

impl GroupSettings {
    /// The value of a row of [`ROWS`].
    pub fn value_ms(&self, name: &str) -> Option<u32> {
        match name {
            CONSUMER_HEARTBEAT => Some(self.consumer.heartbeat_interval_ms),
            CONSUMER_SESSION => Some(self.consumer.session_timeout_ms),
            SHARE_HEARTBEAT => Some(self.share.heartbeat_interval_ms),
            SHARE_SESSION => Some(self.share.session_timeout_ms),
            _ => None,
        }
    }

    /// These settings with others of some names; `None` is the default again.
    pub fn with<'a>(
        mut self,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<GroupSettings, SettingRefused> {
        for (name, value) in changes {
            let row = ROWS.into_iter().find(|row| row.name == name);
            let row = row.ok_or(SettingRefused::Unknown)?;
            let value = match value {
                None => row.default_ms,
                Some(text) => {
                    let number = text.trim().parse().ok();
                    let number = number.filter(|number| row.range_ms.range().contains(number));
                    number.ok_or(SettingRefused::OutOfRange(row))?
                }
            };
            match name {
                CONSUMER_HEARTBEAT => self.consumer.heartbeat_interval_ms = value,
                CONSUMER_SESSION => self.consumer.session_timeout_ms = value,
                SHARE_HEARTBEAT => self.share.heartbeat_interval_ms = value,
                _ => self.share.session_timeout_ms = value,
            }
        }
        let lasts =
            |settings: Settings| settings.session_timeout_ms > settings.heartbeat_interval_ms;
        match lasts(self.consumer) && lasts(self.share) {
            true => Ok(self),
            false => Err(SettingRefused::SessionTooShort),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_a_new_group_has() {
        let settings = GroupSettings::default();
        for row in ROWS {
            assert_eq!(settings.value_ms(row.name), Some(row.default_ms));
        }
        assert!(ROWS.is_sorted_by_key(|row| row.name));
    }

    #[test]
    fn a_setting_out_of_bounds_is_refused() {
        let settings = GroupSettings::default();
        let set = |changes: &[(&'static str, Option<&'static str>)]| {
            settings.with(changes.iter().copied())
        };
        let changed = set(&[("share.session.timeout.ms", Some("6000"))]).expect("in range");
        assert_eq!(changed.share.session_timeout_ms, 6000);
        assert_eq!(
            changed.with([("share.session.timeout.ms", None)]),
            Ok(settings)
        );
        assert_eq!(set(&[("no.such", Some("1"))]), Err(SettingRefused::Unknown));
        for text in ["", "x", "-1", "999", "1800001"] {
            let refused = set(&[("consumer.session.timeout.ms", Some(text))]);
            assert_eq!(refused, Err(SettingRefused::OutOfRange(ROWS[1])));
        }
        let refused = set(&[("consumer.session.timeout.ms", Some("5000"))]);
        assert_eq!(refused, Err(SettingRefused::SessionTooShort));
    }
}
