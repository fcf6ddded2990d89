//! The stories: one module a feature, each test a sentence.

mod agents;
mod cli;
mod config;
mod drain;
mod endpoints;
mod errors;
mod events;
mod fidelity;
mod hostile;
mod limits;
mod queue;
mod recovery;
mod reliability;
mod replay;
mod store;
mod streaming;
mod tidy;
mod tls;
mod tokens;
mod upkeep;
mod verify;
mod way_out;
mod wire_abuse;
mod wire_idle;
mod wire_streams;
mod wire_token;
