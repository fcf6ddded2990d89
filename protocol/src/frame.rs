//! The frames, as two closed enums, one per direction, with what both directions share beside them.

use bytes::Bytes;

use crate::hello::{Hello, Welcome};
use crate::id::StreamId;
use crate::reason::{Broken, Dispatched, Leaving, Refusal};
use crate::webhook::{Answer, Fields, Request};

/// What the relay sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ToAgent {
    /// Accepts a HELLO; the line is live.
    Welcome(Welcome),
    /// Starts a stream: one attempt at one event.
    Open(Open),
    /// What goes both ways.
    Both(Both),
}

/// What an agent sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ToRelay {
    /// The first frame of a line.
    Hello(Hello),
    /// Did not start an attempt; the stream is over.
    Refuse(Refuse),
    /// The head of the target's answer.
    Answer(Answered),
    /// A fresh token, before the old one expires.
    Renew(String),
    /// What goes both ways.
    Both(Both),
}

/// What goes both ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Both {
    /// Body bytes of a stream, 1 to [`DATA_MAX`](crate::limits::DATA_MAX), counted against credit.
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The end of a direction of a stream.
    End {
        /// The stream.
        stream: StreamId,
        /// Trailer fields (RFC 9110 §6.5), usually none.
        trailers: Fields,
    },
    /// Grants bytes to the other side; stream 0 is the line's own budget.
    Credit {
        /// The stream, or 0.
        stream: StreamId,
        /// How many more bytes may be sent.
        bytes: u32,
    },
    /// Ends both directions of a stream at once.
    Reset(Reset),
    /// Asks for a PONG.
    Ping(u64),
    /// Answers a PING with its number.
    Pong(u64),
    /// No new streams from here on.
    GoAway(GoAway),
}

/// OPEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The stream, greater than every one before.
    pub stream: StreamId,
    /// The request.
    pub request: Request,
    /// The first body bytes.
    pub body: Bytes,
    /// Whether `body` is all of it, without trailers.
    pub end: bool,
}

/// ANSWER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The stream.
    pub stream: StreamId,
    /// The head.
    pub answer: Answer,
    /// The first body bytes.
    pub body: Bytes,
    /// Whether `body` is all of it, without trailers.
    pub end: bool,
}

/// REFUSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refuse {
    /// The stream.
    pub stream: StreamId,
    /// Why.
    pub reason: Refusal,
    /// Why, in words for a log.
    pub detail: String,
}

/// RESET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// The stream.
    pub stream: StreamId,
    /// Why.
    pub reason: Broken,
    /// Whether the target may have seen the request.
    pub dispatched: Dispatched,
    /// Why, in words for a log.
    pub detail: String,
}

/// GOAWAY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoAway {
    /// Why.
    pub reason: Leaving,
    /// When the line will be closed, in milliseconds from now.
    pub deadline_ms: u32,
    /// How long to wait before coming back, in milliseconds.
    pub reconnect_after_ms: u32,
    /// Why, in words for a log.
    pub detail: String,
}

/// One row of the frame table: number, name, and who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The first byte of the frame. With the high bit set, a receiver that does not know it skips the frame.
    pub code: u8,
    /// The name in documents.
    pub name: &'static str,
    /// `relay`, `agent` or `both`.
    pub sender: &'static str,
}

/// The frame table; `PROTOCOL.md` holds the same rows, and a test compares them.
pub const KINDS: [Kind; 13] = [
    Kind { code: code::HELLO, name: "HELLO", sender: "agent" },
    Kind { code: code::WELCOME, name: "WELCOME", sender: "relay" },
    Kind { code: code::OPEN, name: "OPEN", sender: "relay" },
    Kind { code: code::REFUSE, name: "REFUSE", sender: "agent" },
    Kind { code: code::ANSWER, name: "ANSWER", sender: "agent" },
    Kind { code: code::DATA, name: "DATA", sender: "both" },
    Kind { code: code::END, name: "END", sender: "both" },
    Kind { code: code::CREDIT, name: "CREDIT", sender: "both" },
    Kind { code: code::RESET, name: "RESET", sender: "both" },
    Kind { code: code::PING, name: "PING", sender: "both" },
    Kind { code: code::PONG, name: "PONG", sender: "both" },
    Kind { code: code::GOAWAY, name: "GOAWAY", sender: "both" },
    Kind { code: code::RENEW, name: "RENEW", sender: "agent" },
];

pub(crate) mod code {
    pub(crate) const HELLO: u8 = 0x01;
    pub(crate) const WELCOME: u8 = 0x02;
    pub(crate) const OPEN: u8 = 0x03;
    pub(crate) const REFUSE: u8 = 0x04;
    pub(crate) const ANSWER: u8 = 0x05;
    pub(crate) const DATA: u8 = 0x06;
    pub(crate) const END: u8 = 0x07;
    pub(crate) const CREDIT: u8 = 0x08;
    pub(crate) const RESET: u8 = 0x09;
    pub(crate) const PING: u8 = 0x0a;
    pub(crate) const PONG: u8 = 0x0b;
    pub(crate) const GOAWAY: u8 = 0x0c;
    pub(crate) const RENEW: u8 = 0x0d;
}
