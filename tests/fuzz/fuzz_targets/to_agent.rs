//! See `relay_fuzz::wire::to_agent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::wire::to_agent(data));
