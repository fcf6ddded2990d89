//! The wire between a webhook relay and its agents, version 1. Pure: no sockets, no tasks, no clock.
//!
//! An agent opens one WebSocket to the relay, with its token in the HTTP upgrade, and says HELLO; the relay says
//! WELCOME. Each attempt at an event is a stream that the relay opens with OPEN: the request's head and first body
//! bytes. The agent answers with REFUSE (nothing was dispatched) or ANSWER; DATA and END carry what did not fit, as far
//! as CREDIT allows; RESET ends a stream at once. PING asks a quiet line whether it lives, GOAWAY asks for no more
//! streams, RENEW brings a fresh token.
//!
//! - [`id`], [`webhook`], [`hello`], [`reason`]: what is said
//! - [`frame`], [`codec`]: how it is said, frame by frame
//! - [`mod@line`]: the life of one line, as a state machine
//! - [`limits`]: every bound; [`backoff`]: when to come back
//!
//! `PROTOCOL.md` beside this crate is the same for people who write an agent in another language.

pub mod backoff;
pub mod codec;
pub mod frame;
pub mod hello;
pub mod id;
pub mod limits;
pub mod line;
pub mod reason;
pub mod webhook;

pub use line::Line;

/// The protocol versions this code speaks, the best one last.
pub const VERSIONS: [u16; 1] = [1];

/// Where agents connect, below the relay's URL.
pub const CONNECT_PATH: &str = "/agent/v1/connect";

/// In the upgrade request: which of its lines the agent opens, from 0, as HELLO will say. A hint: a relay with several
/// threads spreads the lines of an agent over them.
pub const LINE_HEADER: &str = "webhook-relay-line";
