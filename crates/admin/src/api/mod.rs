//! RabbitMQ's management paths, a file a family.

use serde_json::{Value, json};

use crate::route::{Context, Route};

pub mod overview;

mod counts;

mod health;

mod connections;

pub mod policies;

mod parameters;

pub mod users;

mod definitions;

pub mod queues;

pub mod exchanges;

mod bindings;

pub mod vhosts;

pub mod messages;

/// All of them.
pub const ROUTES: &[&[Route]] = &[
    overview::ROUTES,
    health::ROUTES,
    connections::ROUTES,
    policies::ROUTES,
    parameters::ROUTES,
    users::ROUTES,
    definitions::ROUTES,
    queues::ROUTES,
    exchanges::ROUTES,
    bindings::ROUTES,
    vhosts::ROUTES,
    messages::ROUTES,
];

/// What this broker is called as a node: `bongsu@` and the machine.
pub fn node(context: &Context) -> String {
    format!("bongsu@{}", context.admin.host)
}

/// A rate per second, as it stands beside a count.
pub fn rate(per_second: f64) -> Value {
    json!({ "rate": per_second })
}
