//! A client of Kafka that says anything, and a whole broker.

#![no_main]

use bongsu_trial::host::Protocol;
use bongsu_trial::hostile::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check(Protocol::Kafka, bytes));
