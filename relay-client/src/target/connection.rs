//! One HTTP/1.1 connection to a target, driven by whoever uses it: no task of its own, so nothing wakes across tasks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::BytesMut;
use relay_protocol::webhook::Answer;
use tokio_util::io::poll_read_buf;

use super::answer::{Bad, Head};
use super::body::Piece;
use super::decoder::Decoder;
use super::message::Message;
use super::outgoing::{Outgoing, Stopped};
use crate::socket::Socket;

/// How many bytes are read at once, at first. Most answers are smaller.
const READ_MIN: usize = 4 * 1024;

/// How many bytes are read at once from a target that has filled less.
const READ_MAX: usize = 64 * 1024;

/// A connection, and what is under way on it.
pub(super) struct Connection {
    socket: Socket,
    /// What has come and is not used yet.
    buffer: BytesMut,
    /// How many bytes are read at once.
    room: usize,
    /// What is still to be sent of the request.
    request: Outgoing,
    /// Why no more of it will be sent.
    stopped: Option<std::io::Error>,
    /// What is still to come of the answer.
    body: Decoder,
    /// Whether the target lets it be used again.
    keeps: bool,
    /// Since when nobody uses it.
    pub(super) idle_since: Instant,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Self {
        let (request, body) = (Outgoing::done(), Decoder::Over);
        let (buffer, room, idle_since) = (BytesMut::new(), READ_MIN, Instant::now());
        Self { socket, buffer, room, request, stopped: None, body, keeps: true, idle_since }
    }

    /// Sends a request and waits for the final answer's head.
    ///
    /// # Errors
    /// When there is none, or the request's body broke off.
    pub(super) async fn send(&mut self, message: Message) -> Result<Answer, Bad> {
        let no_body = message.asks_for_head_only;
        (self.request, self.keeps) = (Outgoing::new(message), false);
        let head = poll_fn(|cx| self.poll_head(cx, no_body)).await?;
        (self.body, self.keeps) = (head.body, head.keeps);
        Ok(head.answer)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, no_body: bool) -> Poll<Result<Head, Bad>> {
        self.send_on(cx)?;
        loop {
            if let Some(head) = Head::take(&mut self.buffer, no_body)? {
                return Poll::Ready(Ok(head));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(Err(self.stopped.take().map_or(Bad::Closed, Bad::Io)));
            }
        }
    }

    /// The next piece of the answer's body; only the request's own body goes on meanwhile.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Bad>> {
        self.send_on(cx)?;
        loop {
            if let Some(piece) = self.body.decode(&mut self.buffer)? {
                return Poll::Ready(Ok(piece));
            }
            if ready!(self.poll_read(cx))? == 0 {
                if self.body != Decoder::UntilClose {
                    return Poll::Ready(Err(Bad::Closed));
                }
                self.body = Decoder::Length(0);
            }
        }
    }

    /// Sends what can be sent. A target that takes no more may have answered: that is to be seen from what comes.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), Bad> {
        match self.request.poll(&mut self.socket, cx) {
            Poll::Ready(Err(Stopped::Body(error))) => Err(Bad::Request(error)),
            Poll::Ready(Err(Stopped::Socket(error))) => {
                self.request = Outgoing::done();
                self.stopped = Some(error);
                Ok(())
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Bad>> {
        self.buffer.reserve(self.room);
        let room = self.buffer.capacity() - self.buffer.len();
        let read = ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.buffer))?;
        if read == room {
            self.room = (2 * room).min(READ_MAX);
        }
        Poll::Ready(Ok(read))
    }

    /// Lies by from now on, with no more memory than it takes.
    pub(super) fn rest(&mut self) {
        self.idle_since = Instant::now();
        if self.room > READ_MIN {
            (self.buffer, self.room) = (BytesMut::new(), READ_MIN);
        }
    }

    /// Whether another request may be sent: both messages are complete, and nothing has come that belongs to neither.
    pub(super) fn is_usable(&self) -> bool {
        self.keeps
            && self.stopped.is_none()
            && self.request.is_done()
            && self.body == Decoder::Over
            && self.buffer.is_empty()
    }

    /// Whether the target has held it open and said nothing since the last answer.
    pub(super) async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_read(cx).is_pending())).await
    }
}
