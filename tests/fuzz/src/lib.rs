//! The fuzz targets: each takes any bytes and panics if the code under it does what it must not.
//!
//! Pure functions, so that ordinary tests can run them over the checked-in corpora; knows no fuzzer.

pub mod corpora;
pub mod trust;
pub mod wire;
