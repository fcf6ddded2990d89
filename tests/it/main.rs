//! The stories: one module a feature, each test a sentence.

mod fidelity;
