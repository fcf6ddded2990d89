//! Moves messages between a carrier and its WebSocket until one of them ends.
//!
//! Reading never waits for writing and the other way round, and nothing here waits for a stream's owner. What is queued
//! is written as a batch with one flush, so that concurrent events share system calls.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::{Sink, Stream};
use relay_protocol::limits::FRAME_MAX;
use relay_protocol::line::Violation;
use relay_protocol::reason::close;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::carrier::{Carrier, Event, Next};

/// How many messages are read before others get their turn.
const READ_TURN: usize = 64;

/// How many bytes are gathered before they are written, flush or not.
const WRITE_BUFFER: usize = 64 * 1024;

/// The longest reason in a close frame, in bytes (RFC 6455 §5.5: 125 with the code).
const REASON_MAX: usize = 123;

/// How long the close frame may take to leave and be answered.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a line ended.
#[derive(Debug)]
pub enum Ended {
    /// The other side closed it.
    Closed {
        /// Its close code, 1005 if it gave none.
        code: u16,
        /// Its words, possibly none.
        reason: String,
    },
    /// [`Carrier::close`] was called.
    Asked {
        /// The close code that was given.
        code: u16,
        /// The words that were given.
        reason: String,
    },
    /// The other side broke the protocol or was silent; it was told so.
    Violation(Violation),
    /// A text message came; the other side was told so.
    Text,
    /// The socket broke.
    Broken(Error),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "closed by the other side ({code})")
            }
            Self::Closed { code, reason } => {
                write!(f, "closed by the other side ({code}): {reason}")
            }
            Self::Asked { code, reason } => write!(f, "closed by this side ({code}): {reason}"),
            Self::Violation(violation) => violation.fmt(f),
            Self::Text => f.write_str("a text message, where only binary ones belong"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

/// The WebSocket's bounds. `read_buffer` bytes are allocated for each socket at once and for its whole life.
#[must_use]
pub fn socket_config(read_buffer: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * FRAME_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
}

/// Drives a line until it ends; `on` gets the events that concern the line itself and must not block.
pub async fn drive<S>(
    socket: WebSocketStream<S>,
    carrier: Arc<Carrier>,
    on: impl FnMut(Event),
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let timer = Box::pin(tokio::time::sleep_until(carrier.next_timeout().into()));
    let mut driver = Driver { socket, carrier: Arc::clone(&carrier), on, timer, unflushed: false };
    // Whatever happens to this task, nobody may wait for the line for ever.
    let _lost = Lost(&carrier);
    let ended = poll_fn(|cx| driver.poll(cx)).await;
    carrier.lose();
    let farewell = match &ended {
        Ended::Asked { code, reason } => Some((*code, reason.clone())),
        Ended::Violation(violation) => Some((violation.close_code(), violation.to_string())),
        Ended::Text => Some((close::UNSUPPORTED, ended.to_string())),
        Ended::Closed { .. } | Ended::Broken(_) => None,
    };
    if let Some((code, reason)) = farewell {
        let _ = tokio::time::timeout(FAREWELL, say_goodbye(driver.socket, code, reason)).await;
    }
    ended
}

struct Lost<'a>(&'a Carrier);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        self.0.lose();
    }
}

struct Driver<S, F> {
    socket: WebSocketStream<S>,
    carrier: Arc<Carrier>,
    on: F,
    timer: Pin<Box<Sleep>>,
    unflushed: bool,
}

impl<S, F> Driver<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Event),
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let turn = match self.poll_read(cx) {
            Ok(turn) => turn,
            Err(ended) => return Poll::Ready(ended),
        };
        if let Err(violation) = self.poll_timer(cx) {
            return Poll::Ready(Ended::Violation(violation));
        }
        if let Some(ended) = self.poll_write(cx) {
            return Poll::Ready(ended);
        }
        if turn == READ_TURN {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes what has come, up to one turn; says how many messages that were.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<usize, Ended> {
        let mut now = None;
        for turn in 0..READ_TURN {
            let message = match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(message)) => message.map_err(broken)?,
                Poll::Ready(None) => return Err(broken(Error::ConnectionClosed)),
                Poll::Pending => return Ok(turn),
            };
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(_) => return Err(Ended::Text),
                Message::Close(frame) => return Err(closed(frame)),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let now = *now.get_or_insert_with(Instant::now);
            if let Some(event) = self.carrier.receive(now, bytes).map_err(Ended::Violation)? {
                (self.on)(event);
            }
        }
        Ok(READ_TURN)
    }

    /// Lets the time pass. The timer is set anew only when it fires: hearing something only ever moves it away.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), Violation> {
        while self.timer.as_mut().poll(cx).is_ready() {
            self.carrier.timeout(Instant::now())?;
            self.timer.as_mut().reset(self.carrier.next_timeout().into());
        }
        Ok(())
    }

    /// Writes what is queued; `Some` when the line is to end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Option<Ended> {
        loop {
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(broken(error)),
                Poll::Pending => return None,
            }
            let message = match self.carrier.next(cx) {
                Next::Send(bytes) => Message::Binary(bytes),
                Next::Close(code, reason) => return Some(Ended::Asked { code, reason }),
                Next::Wait => break,
            };
            if let Err(error) = Pin::new(&mut self.socket).start_send(message) {
                return Some(broken(error));
            }
            self.unflushed = true;
        }
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Option<Ended> {
        if !self.unflushed {
            return None;
        }
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => return Some(broken(error)),
            Poll::Pending => {}
        }
        None
    }
}

/// Tells the other side why, and hears it out: a socket closed with unread bytes would take the close frame with it.
async fn say_goodbye<S>(mut socket: WebSocketStream<S>, code: u16, mut reason: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    reason.truncate(reason.floor_char_boundary(REASON_MAX));
    let mut frame = Some(CloseFrame { code: code.into(), reason: reason.into() });
    let sent = poll_fn(|cx| {
        if frame.is_some() {
            ready!(Pin::new(&mut socket).poll_ready(cx))?;
            Pin::new(&mut socket).start_send(Message::Close(frame.take()))?;
        }
        Pin::new(&mut socket).poll_flush(cx)
    });
    if sent.await.is_ok() {
        while let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut socket).poll_next(cx)).await {}
    }
}

fn closed(frame: Option<CloseFrame>) -> Ended {
    match frame {
        Some(frame) => Ended::Closed { code: frame.code.into(), reason: frame.reason.to_string() },
        None => Ended::Closed { code: 1005, reason: String::new() },
    }
}

fn broken(error: Error) -> Ended {
    match error {
        Error::Capacity(error) => {
            tracing::debug!(%error, "a message beyond the bound");
            Ended::Violation(relay_protocol::codec::BadFrame::TooLong(FRAME_MAX + 1).into())
        }
        error => Ended::Broken(error),
    }
}
