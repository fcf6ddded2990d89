//! See `relay_fuzz::to_relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::to_relay(data));
