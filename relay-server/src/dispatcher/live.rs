//! A live event: the caller waits for the target's own answer.

use std::sync::Arc;

use bytes::Bytes;
use relay_client::wire::{Chunk, Stream};
use relay_protocol::id::Name;
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::{Answer, Fields};
use tokio::time::Instant;

use super::attempt::Order;
use super::{Dispatcher, NoAnswer, Payload, Recording};
use crate::endpoint::Endpoint;
use crate::event::Head;

/// A caller who waits.
#[derive(Debug)]
pub struct LiveCall<'a> {
    /// The event, but for its body.
    pub head: &'a Head,
    /// Its endpoint.
    pub endpoint: &'a Endpoint,
    /// Its body.
    pub payload: &'a Payload,
    /// What is kept of it.
    pub recording: Option<Recording>,
    /// When the request had come.
    pub since: Instant,
}

impl Dispatcher {
    /// Brings a live event to its target and waits for the head of the answer.
    ///
    /// Dropping the future, because the caller has gone, cancels the request to the target.
    ///
    /// # Errors
    /// [`NoAnswer`]: none could be had in time.
    pub async fn live(&self, call: LiveCall<'_>) -> Result<Caller, NoAnswer> {
        let settings = &call.endpoint.settings;
        let group = Name::main();
        let order = Order {
            head: call.head,
            group: &group,
            payload: call.payload,
            number: 1,
            deadline: call.since + settings.reply_timeout,
            hold_until: call.since + settings.hold,
        };
        let mut recording = call.recording;
        match self.attempt(&order).await {
            Ok(answered) => {
                if let Some(recording) = &mut recording {
                    recording.answered(&answered.answer);
                    recording.answer_body(&answered.body);
                }
                let stream = if answered.end {
                    if let Some(recording) = recording.take() {
                        recording.passed_on();
                    }
                    None
                } else {
                    Some(answered.stream)
                };
                Ok(Caller { answer: answered.answer, first: answered.body, stream, recording })
            }
            Err(no_answer) => {
                if let Some(recording) = recording {
                    recording.failed(&no_answer);
                }
                Err(no_answer)
            }
        }
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
    recording: Option<Recording>,
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
    /// Whether `first` is all there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.stream.is_none()
    }

    /// The next piece after `first`.
    pub fn poll_piece(&mut self, cx: &std::task::Context<'_>) -> std::task::Poll<AnswerPiece> {
        let Some(stream) = &self.stream else {
            return std::task::Poll::Ready(AnswerPiece::End(Fields::default()));
        };
        let piece = match std::task::ready!(stream.poll_chunk(cx)) {
            Chunk::Data(bytes) => {
                if let Some(recording) = &mut self.recording {
                    recording.answer_body(&bytes);
                }
                return std::task::Poll::Ready(AnswerPiece::Data(bytes));
            }
            Chunk::End(trailers) => AnswerPiece::End(trailers),
            Chunk::Broken(reset) => AnswerPiece::Broken(reset.detail),
            Chunk::Lost => AnswerPiece::Broken("the line to the agent broke".into()),
        };
        self.stream = None;
        if let Some(recording) = self.recording.take() {
            recording.passed_on();
        }
        std::task::Poll::Ready(piece)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.reset(Broken::Cancelled, Dispatched::Yes, "the caller has gone");
        }
    }
}
