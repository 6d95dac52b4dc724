//! What people and tools that run a broker use: RabbitMQ's management API, Bongsu's own,
//! metrics and the console, on one port.
//!
//! Every path is one [`Route`](route::Route) of one table: from it derive who may ask, what
//! is refused, and the OpenAPI document. A handler is given a [`Context`](route::Context)
//! and knows nothing of sockets. It asks the broker through an
//! [`Operator`](bongsu_broker::operator::Operator), so a tool may do exactly what its user
//! may over any protocol.
//!
//! Reading order: [`server`] (a request from socket to handler), [`route`] (the table),
//! [`paths`] (finding a route), [`origin`] and [`login`] (who asks), [`spaces`] (what they
//! see), [`failure`]; what handlers share: [`fields`] (bodies), [`value`] (arguments),
//! [`list`] (pages), [`session`] (calls); then the families of paths in [`api`] (RabbitMQ's)
//! and [`own`]; [`console`] is files.

pub mod server;

pub mod route;

pub mod paths;

mod percent;

pub mod origin;

pub mod login;

pub mod spaces;

pub mod content;

pub mod failure;

pub mod fields;

pub mod value;

pub mod list;

mod time;

pub mod session;

pub mod definitions;

pub mod api;

pub mod own;

pub mod console;
pub mod metrics;

pub use server::{Admin, Settings, serve};
