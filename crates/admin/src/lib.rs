//! What people and tools that run a broker use: RabbitMQ's management API, Bongsu's own,
//! metrics and the console, on one port.
//!
//! Every path is one [`Route`](route::Route) of one table: from it derive who may ask, what
//! is refused, and the OpenAPI document. A handler is given a [`Context`](route::Context)
//! and knows nothing of sockets. It asks the broker through an
//! [`Operator`](bongsu_broker::operator::Operator), so a tool may do exactly what its user
//! may over any protocol.
//!
//! Reading order: [`server`] ([`guests`]), [`route`] (the table and how a request goes through it),
//! [`login`] (who asks), [`failure`], then the families of paths in [`api`] (RabbitMQ's) and
//! [`own`].

pub mod server;

pub mod guests;

pub mod route;

pub mod login;

pub mod failure;

pub mod api;

pub mod own;

pub use server::{Admin, Settings, serve};
