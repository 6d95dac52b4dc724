//! One user: what proves it, what it is, what it may do, how much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::password::{Password, Secrets};
use super::permission::{Permissions, TopicPermissions};
use super::{ADMINISTRATOR, GUEST};
use crate::router::SpaceId;

/// See the module's comment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// What proves it.
    pub secrets: Secrets,
    /// `administrator`, `monitoring`, `policymaker`, `management`, and any other word.
    pub tags: BTreeSet<Arc<str>>,
    /// How much it may have and do.
    pub limits: UserLimits,
    /// By space.
    pub permissions: BTreeMap<SpaceId, Permissions>,
    /// By space and topic exchange.
    pub topic_permissions: BTreeMap<(SpaceId, Arc<str>), TopicPermissions>,
    /// Another one whenever what proves it changes; not recorded.
    pub(super) version: u64,
}

/// How much a user may have and how fast it may publish; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLimits {
    /// Connections at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u32>,
    /// Channels at once, on all its connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels_max: Option<u32>,
    /// Messages published in a second: whoever is faster is slowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_messages_per_s: Option<u64>,
    /// Bytes published in a second: whoever is faster is slowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish_bytes_per_s: Option<u64>,
}

impl UserLimits {
    /// All of them, by the names that RabbitMQ has for its own.
    pub fn named(&self) -> [(&'static str, Option<u64>); 4] {
        [
            ("max-connections", self.connections_max.map(u64::from)),
            ("max-channels", self.channels_max.map(u64::from)),
            ("publish-messages-per-second", self.publish_messages_per_s),
            ("publish-bytes-per-second", self.publish_bytes_per_s),
        ]
    }

    /// Sets the one of that name; whether there is one. More than can be is no limit.
    pub fn set(&mut self, name: &str, value: Option<u64>) -> bool {
        let small = value.and_then(|value| u32::try_from(value).ok());
        match name {
            "max-connections" => self.connections_max = small,
            "max-channels" => self.channels_max = small,
            "publish-messages-per-second" => self.publish_messages_per_s = value,
            "publish-bytes-per-second" => self.publish_bytes_per_s = value,
            _ => return false,
        }
        true
    }

    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == UserLimits::default()
    }
}

impl User {
    /// The one of a new data directory.
    pub(super) fn guest() -> User {
        User {
            secrets: Secrets {
                password: Some(Password::Usual),
                scram: BTreeMap::new(),
            },
            tags: BTreeSet::from([Arc::from(ADMINISTRATOR)]),
            permissions: BTreeMap::from([(SpaceId::DEFAULT, Permissions::all())]),
            ..User::default()
        }
    }

    /// Whether only Kafka's tools have said anything of it: rules decide what it may do,
    /// and where there is none, the settings.
    pub fn is_kafkas(&self) -> bool {
        self.secrets.password.is_none()
            && !self.secrets.scram.is_empty()
            && self.tags.is_empty()
            && self.permissions.is_empty()
            && self.topic_permissions.is_empty()
    }

    /// Nothing is left of it: it was Kafka's, and its last credential is gone.
    pub(super) fn is_nobody(&self) -> bool {
        let nobody = User {
            version: self.version,
            ..User::default()
        };
        *self == nobody
    }
}

/// Whether a user comes in from this machine only.
pub(super) fn is_local(user: &str) -> bool {
    user == GUEST
}
