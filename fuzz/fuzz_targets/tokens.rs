//! Tokens, what an issuer signs, and an issuer's keys.

#![no_main]

use bongsu_trial::hostile::tokens;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    tokens::check(bytes);
});
