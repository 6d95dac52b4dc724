//! A data directory whose checksums hold and whose content is anything: refused by name, or
//! served from.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bongsu_trial::hostile::stored::check(bytes));
