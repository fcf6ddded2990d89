//! What a line tells whoever drives it.

use bytes::Bytes;

use crate::frame::{GoAway, Reset};
use crate::hello::{Hello, Welcome};
use crate::id::StreamId;
use crate::reason::Refusal;
use crate::webhook::{Answer, Fields, Request};

/// Something the other side did.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    /// An agent introduced itself; answer with [`Line::welcome`](super::Line::welcome) or close the line.
    Hello(Hello),
    /// The relay accepted; the line is live.
    Welcome(Welcome),
    /// The relay opened a stream.
    Opened {
        /// The stream.
        stream: StreamId,
        /// The request.
        request: Request,
        /// Its first body bytes.
        body: Bytes,
        /// Whether they are all of it.
        end: bool,
    },
    /// The agent did not start; the stream is over and nothing was dispatched.
    Refused {
        /// The stream.
        stream: StreamId,
        /// Why.
        reason: Refusal,
        /// Why, in words.
        detail: String,
    },
    /// The head of the target's answer.
    Answered {
        /// The stream.
        stream: StreamId,
        /// The head.
        answer: Answer,
        /// The first body bytes.
        body: Bytes,
        /// Whether they are all of it; then the stream is over.
        end: bool,
    },
    /// Body bytes. Call [`Line::consume`](super::Line::consume) when they have left this process's memory.
    Data {
        /// The stream.
        stream: StreamId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The other side's direction is complete.
    Ended {
        /// The stream.
        stream: StreamId,
        /// Trailer fields, usually none.
        trailers: Fields,
    },
    /// The stream broke; it is over.
    Reset(Reset),
    /// The other side takes no new streams.
    GoingAway(GoAway),
    /// The agent shows a fresh token.
    Renewed(String),
}

/// What became of bytes given to [`Line::send`](super::Line::send).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of them are on their way.
    All,
    /// The rest must wait until [`Line::writable`](super::Line::writable) names the stream.
    Blocked,
    /// The stream is over; nobody wants them.
    Gone,
}
