//! Bytes <-> frames and methods. Borrowed input, no I/O, no allocation.

pub mod wire;

pub mod frame;

pub mod method;

pub mod content;

pub mod block;
