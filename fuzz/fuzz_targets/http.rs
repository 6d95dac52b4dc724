//! Any bytes, to the admin port of a whole broker.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| drop(bongsu_trial::hostile::check_http(bytes)));
