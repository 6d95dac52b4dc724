//! Kafka's protocol: requests on one connection, as calls to the broker and its replies as
//! responses. Pure: bytes in, bytes out.
//!
//! The messages are `kafka-protocol`'s, which generates them from Apache Kafka's own
//! definitions; batches pass through as bytes. Reading order: [`frame`] (bytes as
//! requests), [`honest`] (as long as they say), [`api`] (which requests there are: the
//! table), [`session`] (what each does), [`errors`] (refusals as Kafka's codes).

pub mod api;

pub mod errors;

pub mod frame;

pub mod honest;

pub mod session;

pub use session::configs::BrokerConfig;
pub use session::sasl::Logins;
pub use session::{Session, Settings};
