//! Batches from any bytes: validated, unfolded and read, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/record/tests/harness/mod.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::check(bytes));
