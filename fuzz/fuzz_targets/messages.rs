//! Batches of either kind as messages, and tables: read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/record/tests/harness/mod.rs"]
mod harness;

fuzz_target!(|bytes: &[u8]| harness::check_messages(bytes));
