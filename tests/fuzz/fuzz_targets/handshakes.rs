//! See `relay_fuzz::trust::handshakes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::trust::handshakes(data));
