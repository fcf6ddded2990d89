//! The body of a request to a target: all there, or still coming over the line.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use relay_protocol::webhook::Fields;

use crate::wire::{Chunk, Stream};

/// A part of a body, in either direction.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// The body is whole; what follows it.
    End(Fields),
}

/// How a request's body is told from what follows it (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length in bytes.
    Length(u64),
    /// By the chunked coding.
    Chunked,
}

/// A request's body.
#[derive(Debug)]
pub enum RequestBody {
    /// All of it.
    Whole(Bytes),
    /// All of it, and the trailers.
    Gathered(Bytes, Fields),
    /// The beginning, and where the rest comes from.
    Streamed {
        /// What has come already.
        first: Bytes,
        /// The rest.
        rest: Arc<Stream>,
        /// How many bytes there are in all, if the caller told the length.
        length: Option<u64>,
    },
}

impl RequestBody {
    pub(super) fn framing(&self) -> Framing {
        match self {
            Self::Whole(bytes) => Framing::Length(bytes.len() as u64),
            Self::Gathered(bytes, trailers) if trailers.is_empty() => {
                Framing::Length(bytes.len() as u64)
            }
            Self::Streamed { length: Some(length), .. } => Framing::Length(*length),
            // Trailers need the chunked coding (RFC 9112 §7.1.2), so no length is told.
            Self::Gathered(..) | Self::Streamed { length: None, .. } => Framing::Chunked,
        }
    }

    /// The next piece; none after the end.
    ///
    /// # Errors
    /// When the rest will not come: then the target must see that the body is not whole.
    pub(super) fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<io::Result<Piece>> {
        let (Self::Whole(first) | Self::Gathered(first, _) | Self::Streamed { first, .. }) = self;
        if !first.is_empty() {
            return Poll::Ready(Ok(Piece::Data(std::mem::take(first))));
        }
        let chunk = match self {
            Self::Whole(_) => Chunk::End(Fields::default()),
            Self::Gathered(_, trailers) => Chunk::End(std::mem::take(trailers)),
            Self::Streamed { rest, .. } => ready!(rest.poll_chunk(cx)),
        };
        Poll::Ready(match chunk {
            Chunk::Data(bytes) => Ok(Piece::Data(bytes)),
            Chunk::End(trailers) => Ok(Piece::End(trailers)),
            Chunk::Broken(reset) => Err(io::Error::other(reset.reason.as_str())),
            Chunk::Lost => Err(io::Error::other("the line to the relay is lost")),
        })
    }
}
