//! See `relay_fuzz::wire::line_of_relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::wire::line_of_relay(data));
