//! Whole conversations: no panic, bounded, and the same however the bytes are cut.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/kafka/tests/harness/mod.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::check(bytes));
