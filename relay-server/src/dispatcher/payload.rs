//! The body of an attempt, wherever it is, and how it goes out after the first frame.

use std::sync::Arc;

use bytes::Bytes;
use relay_client::wire::Stream;
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::Fields;
use tokio::task::spawn_blocking;

use crate::budget::Held;
use crate::event::{Body, Event};
use crate::ingress::intake::{Intake, Piece};
use crate::store::StoreError;
use crate::store::spool::Spooled;

/// How much of a file is read at once, in bytes.
const PIECE: usize = 256 * 1024;

/// The body of an attempt.
#[derive(Debug, Clone)]
pub enum Payload {
    /// All of it is in memory.
    Whole {
        /// The bytes.
        bytes: Bytes,
        /// The trailers, usually none.
        trailers: Fields,
        /// The memory that it takes.
        held: Option<Arc<Held>>,
    },
    /// It is still coming; its length, if that was told.
    Growing(Arc<Intake>, Option<u64>),
    /// All of it is in a file.
    Stored(Arc<Spooled>, Fields),
}

impl Payload {
    /// The body of an event that is whole; `None` when it was not kept.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let (trailers, held) = (event.trailers.clone(), event.held.clone());
        match &event.body {
            Body::Memory(bytes) => Some(Self::Whole { bytes: bytes.clone(), trailers, held }),
            Body::Spooled(file) => Some(Self::Stored(Arc::clone(file), trailers)),
            Body::Absent(_) => None,
        }
    }

    /// The length of the whole body in bytes, where it is known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Whole { bytes, .. } => Some(bytes.len() as u64),
            Self::Growing(_, length) => *length,
            Self::Stored(file, _) => Some(file.len()),
        }
    }

    /// The trailers, as far as they are known now.
    pub(super) fn has_trailers(&self) -> bool {
        match self {
            Self::Whole { trailers, .. } | Self::Stored(_, trailers) => !trailers.is_empty(),
            Self::Growing(..) => false,
        }
    }

    /// Sends what the first frame did not take; `sent` bytes are gone. Ends when the stream does.
    pub(super) async fn pump(self, stream: Arc<Stream>, sent: usize) {
        match self {
            Self::Whole { bytes, trailers, .. } => {
                if sent == bytes.len() || stream.send(bytes.slice(sent..)).await.is_ok() {
                    stream.end(trailers);
                }
            }
            Self::Growing(intake, _) => pump_growing(&stream, &intake).await,
            Self::Stored(file, trailers) => pump_file(&stream, file, trailers).await,
        }
    }
}

async fn pump_growing(stream: &Stream, intake: &Intake) {
    let mut at = 0;
    loop {
        match intake.piece(at).await {
            Piece::Data(bytes) => {
                at += bytes.len() as u64;
                if stream.send(bytes).await.is_err() {
                    return;
                }
            }
            Piece::End(trailers) => return stream.end(trailers),
            Piece::Broken => {
                let words = "the request's body broke off at the caller";
                return stream.reset(Broken::RequestIncomplete, Dispatched::Maybe, words);
            }
        }
    }
}

async fn pump_file(stream: &Stream, file: Arc<Spooled>, trailers: Fields) {
    let mut at = 0;
    loop {
        match file.piece(at, PIECE).await {
            Ok(bytes) if bytes.is_empty() => return stream.end(trailers),
            Ok(bytes) => {
                at += bytes.len() as u64;
                if stream.send(bytes).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "a stored body cannot be read");
                return stream.reset(
                    Broken::Internal,
                    Dispatched::Maybe,
                    "a stored body cannot be read",
                );
            }
        }
    }
}

/// A body that survives a crash: a file is synced under its final name before a row speaks of it.
pub(super) async fn durable(body: Body) -> Result<Body, StoreError> {
    if let Body::Spooled(file) = &body {
        let synced = Arc::clone(file);
        let kept = spawn_blocking(move || synced.keep()).await;
        if let Err(error) = kept.map_err(std::io::Error::other).and_then(|kept| kept) {
            tracing::error!(%error, "a spooled body is not kept");
            return Err(StoreError::Unavailable("a large body cannot be kept".into()));
        }
    }
    Ok(body)
}
