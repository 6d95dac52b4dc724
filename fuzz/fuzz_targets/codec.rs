//! Frames, methods and content headers from any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/amqp091/tests/harness/codec.rs"]
mod codec;

fuzz_target!(|bytes: &[u8]| codec::decode(bytes));
