//! See `relay_fuzz::trust::verifier`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::trust::verifier(data));
