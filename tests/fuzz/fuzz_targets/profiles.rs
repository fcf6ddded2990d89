//! See `relay_fuzz::trust::profiles`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_fuzz::trust::profiles(data));
