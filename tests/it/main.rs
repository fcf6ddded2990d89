//! The stories: one module a feature, each test a sentence.

mod errors;
mod fidelity;
mod hostile;
mod limits;
mod streaming;
mod wire_idle;
