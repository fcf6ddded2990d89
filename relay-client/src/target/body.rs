//! The body of a request to a target: all there, or still coming over the line.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::fields::to_headers;
use crate::wire::{Chunk, Stream};
use relay_protocol::webhook::Fields;

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
        /// How many bytes are missing, if the caller told the length.
        left: Option<u64>,
    },
    /// Nothing any more.
    Done,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match &mut *self {
            Self::Done => return Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Done;
                return Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))));
            }
            Self::Gathered(bytes, _) if !bytes.is_empty() => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
            }
            Self::Gathered(_, trailers) => Chunk::End(std::mem::take(trailers)),
            Self::Streamed { first, left, .. } if !first.is_empty() => {
                let bytes = std::mem::take(first);
                count(left, &bytes);
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Self::Streamed { rest, .. } => ready!(rest.poll_chunk(cx)),
        };
        Poll::Ready(self.take(chunk))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Done => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Gathered(bytes, trailers) => bytes.is_empty() && trailers.is_empty(),
            Self::Streamed { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Done => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Gathered(bytes, trailers) if trailers.is_empty() => {
                SizeHint::with_exact(bytes.len() as u64)
            }
            // Trailers need the chunked coding (RFC 9112 §7.1.2), so no length is told.
            Self::Gathered(..) => SizeHint::default(),
            Self::Streamed { left: Some(left), .. } => SizeHint::with_exact(*left),
            Self::Streamed { left: None, .. } => SizeHint::default(),
        }
    }
}

impl RequestBody {
    fn take(&mut self, chunk: Chunk) -> Option<io::Result<Frame<Bytes>>> {
        match chunk {
            Chunk::Data(bytes) => {
                if let Self::Streamed { left, .. } = self {
                    count(left, &bytes);
                }
                Some(Ok(Frame::data(bytes)))
            }
            Chunk::End(trailers) => {
                *self = Self::Done;
                let trailers = to_headers(&trailers).ok().filter(|trailers| !trailers.is_empty());
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            // An error makes the HTTP library cut the connection, so that the target sees the body is not whole.
            Chunk::Broken(reset) => Some(Err(io::Error::other(reset.reason.as_str()))),
            Chunk::Lost => Some(Err(io::Error::other("the line to the relay is lost"))),
        }
    }
}

fn count(left: &mut Option<u64>, bytes: &Bytes) {
    if let Some(left) = left {
        *left = left.saturating_sub(bytes.len() as u64);
    }
}
