//! What the broker says of itself, to standard error: one record a line, for people or as
//! JSON. Whoever starts it keeps and rotates what is written there.
//!
//! Levels are per module and may be changed while it runs, through
//! [`bongsu_admin::own::logs::LogLevels`]. No record holds a secret: what a client says to
//! prove who it is goes nowhere but to `engine::access`.

mod levels;

mod lines;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Arc;

use bongsu_admin::own::logs::LogLevels;
use parking_lot::Mutex;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

pub use levels::{Levels, accepted};
use lines::{Json, Text};

/// The log of this process.
#[derive(Debug)]
pub struct Logs {
    levels: Mutex<Levels>,
    filter: reload::Handle<Targets, Registry>,
}

/// Begins to write; to be called once.
pub fn start(json: bool, levels: &Levels) -> Arc<Logs> {
    let (filter, handle) = reload::Layer::new(levels.targets());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry.with(layer.event_format(Json)).init();
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let layer = layer.with_ansi(colours).event_format(Text);
        registry.with(layer).init();
    }
    Arc::new(Logs {
        levels: Mutex::new(levels.clone()),
        filter: handle,
    })
}

impl LogLevels for Logs {
    fn levels(&self) -> BTreeMap<String, String> {
        self.levels.lock().to_map()
    }

    fn change(&self, change: &BTreeMap<String, Option<String>>) -> Result<(), String> {
        let mut levels = self.levels.lock();
        let changed = levels.changed(change)?;
        let reloaded = self.filter.reload(changed.targets());
        reloaded.map_err(|error| error.to_string())?;
        *levels = changed;
        Ok(())
    }
}
