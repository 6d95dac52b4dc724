//! AMQP 0-9-1, as RabbitMQ speaks it: codec and session. Pure.
//!
//! Must never know: another protocol, a socket, the time but as given.

pub mod codec;

pub mod errors;

pub mod session;

pub use session::{Session, Settings};
