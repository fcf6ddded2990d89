//! Why a line must be closed, with the WebSocket close code that says so.

use crate::codec::BadFrame;
use crate::hello::{BadHello, BadWelcome};
use crate::id::StreamId;
use crate::reason::close;

/// The other side broke the protocol, or is dead. The message is fit for a log and for the close frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Bytes that are no frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// A HELLO that cannot be served.
    #[error(transparent)]
    Hello(#[from] BadHello),
    /// A WELCOME that cannot be lived with.
    #[error(transparent)]
    Welcome(#[from] BadWelcome),
    /// The first frame did not come in time.
    #[error("no first frame in time")]
    HelloTimeout,
    /// A frame that has no place at this stage of the line.
    #[error("{0} has no place at this stage of the line")]
    WrongStage(&'static str),
    /// A frame for a stream that was never opened.
    #[error("stream {0} was never opened")]
    UnknownStream(StreamId),
    /// A stream id that does not grow.
    #[error("stream {0} does not come after the last one")]
    StreamNotNew(StreamId),
    /// A frame that has no place at this stage of its stream.
    #[error("stream {0} is not at a stage for this frame")]
    OutOfTurn(StreamId),
    /// More bytes than were granted.
    #[error("stream {0} sent more than it was granted")]
    CreditOverrun(StreamId),
    /// More credit than anybody may grant.
    #[error("stream {0} was granted more than the limit")]
    CreditOverflow(StreamId),
    /// More streams than were allowed.
    #[error("more than {0} streams at a time")]
    TooManyStreams(u32),
    /// Frames that ask for answers without end, and the answers are not read.
    #[error("frames that ask for answers, faster than the answers are read")]
    Flood,
    /// Nothing was heard for too long.
    #[error("nothing was heard for too long")]
    Dead,
}

impl Violation {
    /// The close code of the WebSocket.
    #[must_use]
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::Frame(BadFrame::TooLong(_)) => close::TOO_BIG,
            Self::Hello(BadHello::NoVersion) | Self::Welcome(BadWelcome::Version) => {
                close::NO_VERSION
            }
            Self::HelloTimeout => close::HELLO_TIMEOUT,
            Self::Dead => close::DEAD,
            _ => close::PROTOCOL,
        }
    }
}
