//! See `relay_fuzz::wire::fields`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::wire::fields(data));
