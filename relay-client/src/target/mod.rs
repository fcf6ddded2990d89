//! A local target: where an attempt goes. Knows HTTP and sockets; nothing of lines, relays or streams, but that a body may
//! come from one.
//!
//! Out: [`path`] and what the wire brought become a `message`, which `outgoing` writes with its [`body`]. Back: `answer` reads
//! a head, `decoder` what follows it. Both go over a `connection` to the `address`, and the `pool` keeps it for the next.

pub mod body;
pub mod http;
pub mod path;

mod address;
mod answer;
mod connection;
mod decoder;
mod message;
mod outgoing;
mod pool;

pub use address::BadTarget;
pub use answer::Bad;
pub use http::{HttpTarget, Options};

/// Why an attempt has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was dispatched.
    #[error("{1}")]
    Refused(relay_protocol::reason::Refusal, String),
    /// The target has seen the request, or part of it.
    #[error("{1}")]
    Broken(relay_protocol::reason::Broken, String),
}
