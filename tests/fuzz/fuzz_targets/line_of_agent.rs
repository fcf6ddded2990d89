//! See `relay_fuzz::wire::line_of_agent`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::wire::line_of_agent(data));
