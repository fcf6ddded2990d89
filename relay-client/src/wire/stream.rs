//! One stream in the hands of its owner. Dropping it before its end resets it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use relay_protocol::codec::TooLong;
use relay_protocol::frame::Reset;
use relay_protocol::id::StreamId;
use relay_protocol::line::Sent;
use relay_protocol::reason::{Broken, Dispatched, Refusal};
use relay_protocol::webhook::{Answer, Fields};

use super::carrier::Carrier;

/// What an opened stream hears first.
#[derive(Debug, Clone)]
pub enum Heard {
    /// The target answers; `body` are the first bytes, all of them if `end`.
    Answered {
        /// The head.
        answer: Answer,
        /// The first body bytes.
        body: Bytes,
        /// Whether they are all of it.
        end: bool,
    },
    /// The agent did not start; nothing was dispatched.
    Refused {
        /// Why.
        reason: Refusal,
        /// Why, in words.
        detail: String,
    },
    /// The stream broke.
    Reset(Reset),
    /// The line broke; whether the target has seen the request cannot be known.
    Lost,
}

/// The next piece of a body.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Some bytes.
    Data(Bytes),
    /// That was all of it.
    End(Fields),
    /// The stream broke.
    Broken(Reset),
    /// The line broke.
    Lost,
}

/// Nobody wants what is sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream is over")]
pub struct Gone;

/// One stream of one line.
#[derive(Debug)]
pub struct Stream {
    carrier: Arc<Carrier>,
    id: StreamId,
}

impl Stream {
    pub(super) fn new(carrier: Arc<Carrier>, id: StreamId) -> Self {
        Self { carrier, id }
    }

    /// Waits for the answer's head (relay's side); hear it once.
    pub async fn heard(&self) -> Heard {
        poll_fn(|cx| self.poll_heard(cx)).await
    }

    fn poll_heard(&self, cx: &Context<'_>) -> Poll<Heard> {
        let shared = &mut *self.carrier.lock();
        let Some(inbox) = shared.inboxes.get_mut(&self.id) else { return Poll::Ready(Heard::Lost) };
        if let Some(heard) = inbox.take_heard() {
            if let Heard::Answered { body, .. } = &heard {
                shared.line.consume(shared.now, self.id, body.len());
                shared.settle();
            }
            return Poll::Ready(heard);
        }
        if shared.lost {
            return Poll::Ready(Heard::Lost);
        }
        inbox.wait_to_read(cx.waker());
        Poll::Pending
    }

    /// Waits for the next piece of the other side's body.
    pub async fn chunk(&self) -> Chunk {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`chunk`](Self::chunk) for hand-written futures.
    pub fn poll_chunk(&self, cx: &Context<'_>) -> Poll<Chunk> {
        let shared = &mut *self.carrier.lock();
        let Some(inbox) = shared.inboxes.get_mut(&self.id) else { return Poll::Ready(Chunk::Lost) };
        if let Some(chunk) = inbox.take_chunk() {
            if let Chunk::Data(bytes) = &chunk {
                shared.line.consume(shared.now, self.id, bytes.len());
                shared.settle();
            }
            return Poll::Ready(chunk);
        }
        if shared.lost {
            return Poll::Ready(Chunk::Lost);
        }
        inbox.wait_to_read(cx.waker());
        Poll::Pending
    }

    /// Sends body bytes, waiting for credit.
    ///
    /// # Errors
    /// [`Gone`], when the stream or the line is over.
    pub async fn send(&self, mut bytes: Bytes) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_send(cx, &mut bytes)).await
    }

    fn poll_send(&self, cx: &Context<'_>, bytes: &mut Bytes) -> Poll<Result<(), Gone>> {
        let shared = &mut *self.carrier.lock();
        if shared.lost {
            return Poll::Ready(Err(Gone));
        }
        let sent = shared.line.send(self.id, bytes);
        shared.settle();
        match sent {
            Sent::All => Poll::Ready(Ok(())),
            Sent::Gone => Poll::Ready(Err(Gone)),
            Sent::Blocked => {
                let Some(inbox) = shared.inboxes.get_mut(&self.id) else {
                    return Poll::Ready(Err(Gone));
                };
                inbox.wait_to_write(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Ends this side's direction.
    pub fn end(&self, trailers: Fields) {
        let mut shared = self.carrier.lock();
        shared.line.end(self.id, trailers);
        shared.settle();
    }

    /// Refuses the stream (agent's side): nothing was dispatched.
    pub fn refuse(&self, reason: Refusal, detail: &str) {
        let mut shared = self.carrier.lock();
        shared.line.refuse(self.id, reason, detail);
        shared.settle();
    }

    /// Sends the answer's head (agent's side) with as much of `body` as fits, which is gone from it then; `true` when
    /// that was all.
    ///
    /// # Errors
    /// [`TooLong`], when the head does not fit into a frame; nothing was sent then.
    pub fn answer(&self, answer: Answer, body: &mut Bytes, end: bool) -> Result<bool, TooLong> {
        let mut shared = self.carrier.lock();
        let whole = shared.line.answer(self.id, answer, body, end)?;
        self.carrier.queued(shared);
        Ok(whole)
    }

    /// Ends both directions at once.
    pub fn reset(&self, reason: Broken, dispatched: Dispatched, detail: &str) {
        let mut shared = self.carrier.lock();
        shared.line.reset(self.id, reason, dispatched, detail);
        shared.settle();
    }

    /// Completes when the other side has reset the stream; never when it ends in order or the line is lost.
    pub async fn cancelled(&self) {
        self.ended(false).await;
    }

    /// Completes when the other side has reset the stream or the line is lost; never when it ends in order.
    pub async fn over(&self) {
        self.ended(true).await;
    }

    async fn ended(&self, by_loss: bool) {
        poll_fn(|cx| {
            let shared = &mut *self.carrier.lock();
            let Some(inbox) = shared.inboxes.get_mut(&self.id) else { return Poll::Pending };
            if inbox.is_broken() || (by_loss && shared.lost) {
                return Poll::Ready(());
            }
            inbox.wait_for_break(cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let shared = &mut *self.carrier.lock();
        if let Some(inbox) = shared.inboxes.remove(&self.id) {
            shared.line.consume(shared.now, self.id, inbox.unfetched());
        }
        let panicked = std::thread::panicking();
        let reason = if panicked { Broken::Internal } else { Broken::Cancelled };
        shared.line.reset(self.id, reason, Dispatched::Maybe, "");
        shared.settle();
    }
}
