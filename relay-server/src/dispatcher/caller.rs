//! What a caller gets: the target's answer while it comes, or the relay's own word that the event was taken.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use relay_client::wire::{Chunk, Stream};
use relay_protocol::id::EventId;
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::{Answer, Fields};

use super::record::Record;
use super::{Answered, Arrived};

/// What a provider is told.
#[derive(Debug)]
pub enum Reply {
    /// The target's own answer.
    Answer(Box<Caller>),
    /// The event is durable, and the relay delivers it.
    Taken(Taken),
    /// The answer that the first event with this key got.
    Repeated {
        /// The first event.
        first: EventId,
        /// Its answer's head.
        answer: Answer,
        /// Its answer's body, whole.
        body: Bytes,
    },
}

/// The relay's own 2xx.
#[derive(Debug)]
pub struct Taken {
    /// The event that was taken; for a repeat, the first one.
    pub id: EventId,
    /// A 2xx.
    pub status: u16,
    /// The body; without one, the event's id as JSON.
    pub body: Option<Arc<str>>,
    /// The body's media type, if it is not plain text.
    pub kind: Option<Arc<str>>,
}

impl Reply {
    pub(super) fn taken(arrived: &Arrived) -> Self {
        Self::taken_as(arrived, arrived.head.id)
    }

    pub(super) fn taken_as(arrived: &Arrived, id: EventId) -> Self {
        let settings = &arrived.endpoint.settings;
        let (status, body) = (settings.ack_status, settings.ack_body.clone());
        Self::Taken(Taken { id, status, body, kind: settings.ack_type.clone() })
    }
}

/// An answer on its way to the caller. Dropped before its end, it is cancelled at the target.
#[derive(Debug)]
pub struct Caller {
    /// The head.
    pub answer: Answer,
    /// The first body bytes; all of them if nothing more is to come.
    pub first: Bytes,
    stream: Option<Arc<Stream>>,
    record: Option<Record>,
}

/// The next piece of an answer.
#[derive(Debug)]
pub enum AnswerPiece {
    /// Some bytes.
    Data(Bytes),
    /// That was all of it.
    End(Fields),
    /// It will never be whole.
    Broken(String),
}

impl Caller {
    /// An answer that the caller is to get, and the record that takes it down.
    pub(super) fn new(answered: Answered, mut record: Option<Record>) -> Self {
        let Answered { answer, body, end, stream } = answered;
        if let Some(record) = &mut record {
            record.answered(&answer);
            record.answer_body(&body);
        }
        if !end {
            if let Some(record) = &mut record {
                record.note();
            }
            return Self { answer, first: body, stream: Some(stream), record };
        }
        if let Some(record) = record {
            record.passed_on();
        }
        Self { answer, first: body, stream: None, record: None }
    }

    /// Whether `first` is all there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stream.is_none()
    }

    /// The next piece after `first`.
    pub fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<AnswerPiece> {
        let Some(stream) = &self.stream else {
            return Poll::Ready(AnswerPiece::End(Fields::default()));
        };
        let piece = match ready!(stream.poll_chunk(cx)) {
            Chunk::Data(bytes) => {
                if let Some(record) = &mut self.record {
                    record.answer_body(&bytes);
                }
                return Poll::Ready(AnswerPiece::Data(bytes));
            }
            Chunk::End(trailers) => AnswerPiece::End(trailers),
            Chunk::Broken(reset) => AnswerPiece::Broken(reset.detail),
            Chunk::Lost => AnswerPiece::Broken("the line to the agent broke".into()),
        };
        self.stream = None;
        if let Some(record) = self.record.take() {
            record.passed_on();
        }
        Poll::Ready(piece)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.reset(Broken::Cancelled, Dispatched::Yes, "the caller has gone");
        }
    }
}
