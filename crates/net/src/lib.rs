//! Sockets and buffers, written once: drives any protocol's session.
//!
//! It must never know a protocol. Reading order: [`listener`] (accepts, bounds the number
//! of connections), [`door`] (a proxy's header, TLS: [`proxy`], [`tls`], [`identity`]; [`jwks`] reads the keys of tokens),
//! [`stream`] (a client's socket, plain or not, or a [`pipe`] in memory), [`connection`] (one client: bytes in, calls
//! to the broker, bytes out).

pub mod listener;

pub mod door;

pub mod proxy;

pub mod tls;

pub mod identity;

pub mod jwks;

pub mod stream;

pub mod pipe;

pub mod connection;
