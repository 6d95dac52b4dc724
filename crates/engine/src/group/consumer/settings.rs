//! What an operator decides for a group's members: `consumer.…` and `share.…` of the table
//! in [`crate::share::config`].

use crate::catalog::Configs;

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

    /// These settings with what is set for a group; `kind` begins the names. Each name is
    /// checked where it is set; that a session lasts longer than the time between two beats
    /// can only be seen here, and is made so.
    pub fn with(self, configs: &Configs, kind: &str) -> Settings {
        let read = |name: &str, usual: u32| {
            let set = configs.get(&format!("{kind}.{name}"));
            set.and_then(|text| text.parse().ok()).unwrap_or(usual)
        };
        let heartbeat_interval_ms = read("heartbeat.interval.ms", self.heartbeat_interval_ms);
        let session_timeout_ms = read("session.timeout.ms", self.session_timeout_ms);
        Settings {
            session_timeout_ms: session_timeout_ms.max(heartbeat_interval_ms.saturating_add(1)),
            heartbeat_interval_ms,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::config;

    #[test]
    fn what_is_not_set_is_as_the_table_says() {
        for (kind, usual) in [("consumer", Settings::CONSUMER), ("share", Settings::SHARE)] {
            let row = |name: &str| {
                let row = config::find(&format!("{kind}.{name}")).expect("a row");
                row.usual.parse::<u32>().expect("a number")
            };
            assert_eq!(row("session.timeout.ms"), usual.session_timeout_ms);
            assert_eq!(row("heartbeat.interval.ms"), usual.heartbeat_interval_ms);
        }
    }

    #[test]
    fn a_session_outlasts_a_beat() {
        let mut configs = Configs::new();
        configs.insert("consumer.heartbeat.interval.ms".into(), "9000".into());
        configs.insert("consumer.session.timeout.ms".into(), "6000".into());
        let settings = Settings::CONSUMER.with(&configs, "consumer");
        assert_eq!(settings.heartbeat_interval_ms, 9000);
        assert_eq!(settings.session_timeout_ms, 9001);
        assert_eq!(Settings::SHARE.with(&configs, "share"), Settings::SHARE);
    }
}
