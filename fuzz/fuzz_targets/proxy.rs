//! The header by which a proxy says who the client is.

#![no_main]

use bongsu_net::proxy::{HEADER_BYTES_MAX, Wants, parse, wants};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
    if bytes.len() >= 12
        && let Ok(Wants::More(more)) = wants(bytes)
    {
        assert!(bytes.len() + more <= HEADER_BYTES_MAX);
    }
});
