//! What a session's user was found to be allowed, until anything about users or rules
//! changes: a publisher does the same again and again.

use std::collections::HashMap;

use bongsu_engine::refused::{Kind, Permission};

/// At most so many names are remembered.
const NAMES_MAX: usize = 256;

/// See the module's comment.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    epoch: u64,
    /// By name: a bit for each thing that may be done to what is called so.
    allowed: HashMap<Box<str>, u8>,
}

/// What was asked.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// To do something to a thing.
    To(Permission, Kind),
    /// To publish to a queue by the default exchange.
    Publish,
}

impl Asked {
    fn bit(self) -> u8 {
        let Asked::To(permission, kind) = self else {
            return 1 << 6;
        };
        let permission = match permission {
            Permission::Configure => 0,
            Permission::Write => 1,
            Permission::Read => 2,
        };
        1 << match kind {
            Kind::Exchange => permission + 3,
            Kind::Space | Kind::Queue | Kind::Link => permission,
        }
    }
}

impl Decisions {
    /// Whether it is known to be allowed, as of this epoch.
    pub(crate) fn know(&mut self, epoch: u64, asked: Asked, name: &str) -> bool {
        if self.epoch != epoch {
            self.forget(epoch);
        }
        let allowed = self.allowed.get(name).copied().unwrap_or(0);
        allowed & asked.bit() != 0
    }

    /// It is allowed, as of this epoch.
    pub(crate) fn learn(&mut self, epoch: u64, asked: Asked, name: &str) {
        if self.epoch != epoch || self.allowed.len() >= NAMES_MAX {
            self.forget(epoch);
        }
        match self.allowed.get_mut(name) {
            Some(allowed) => *allowed |= asked.bit(),
            None => {
                self.allowed.insert(name.into(), asked.bit());
            }
        }
    }

    /// Another user, or another space.
    pub(crate) fn forget(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.allowed.clear();
    }
}
