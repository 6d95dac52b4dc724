//! Sockets and buffers, written once: drives any protocol's session.
//!
//! It must never know a protocol. Reading order: [`listener`] (accepts, bounds the number
//! of connections), [`connection`] (one client: bytes in, calls to the broker, bytes out).

pub mod connection;

pub mod listener;
