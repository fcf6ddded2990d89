//! The WebSocket of a line: whole messages in, batches of messages out.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use relay_protocol::codec::BadFrame;
use relay_protocol::limits::FRAME_MAX;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::bulk::Bulk;
use super::driver::Ended;
use crate::socket::Socket;

/// What the WebSocket library allocates for each socket at once, in bytes. Small: the socket itself is read in bulk.
const READ_BUFFER: usize = 1024;

/// How many bytes are gathered before they are written, flush or not.
const WRITE_BUFFER: usize = 64 * 1024;

/// The longest reason in a close frame, in bytes (RFC 6455 §5.5: 125 with the code).
const REASON_MAX: usize = 123;

/// One WebSocket with the bounds of the wire.
#[derive(Debug)]
pub struct Pipe {
    socket: WebSocketStream<Bulk>,
    unflushed: bool,
}

impl Pipe {
    /// A WebSocket over a socket whose upgrade is done; `ahead` was read from it already.
    pub async fn new(socket: Socket, ahead: &[u8], role: Role) -> Self {
        let bulk = Bulk::new(socket, ahead);
        let socket = WebSocketStream::from_raw_socket(bulk, role, Some(config())).await;
        Self { socket, unflushed: false }
    }

    /// The next message.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Ended>> {
        loop {
            let Some(message) = ready!(Pin::new(&mut self.socket).poll_next(cx)) else {
                return Poll::Ready(Err(broken(Error::ConnectionClosed)));
            };
            match message.map_err(broken) {
                Ok(Message::Binary(bytes)) => return Poll::Ready(Ok(bytes)),
                Ok(Message::Text(_)) => return Poll::Ready(Err(Ended::Text)),
                Ok(Message::Close(frame)) => return Poll::Ready(Err(closed(frame))),
                // The library answers a ping by itself; those of the line are frames of its own.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(ended) => return Poll::Ready(Err(ended)),
            }
        }
    }

    /// Writes what `next` gives until it gives nothing more, and flushes once. Ready when all of it has left.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        mut next: impl FnMut() -> Option<Bytes>,
    ) -> Poll<Result<(), Ended>> {
        loop {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(broken)?;
            let Some(bytes) = next() else { break };
            Pin::new(&mut self.socket).start_send(Message::Binary(bytes)).map_err(broken)?;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(broken)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the other side why it ends, and hears it out: a socket closed with unread bytes would take the close frame
    /// with it.
    pub(super) async fn say_goodbye(mut self, code: u16, mut reason: String) {
        reason.truncate(reason.floor_char_boundary(REASON_MAX));
        let mut frame = Some(CloseFrame { code: code.into(), reason: reason.into() });
        let sent = poll_fn(|cx| {
            if frame.is_some() {
                ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
                Pin::new(&mut self.socket).start_send(Message::Close(frame.take()))?;
            }
            Pin::new(&mut self.socket).poll_flush(cx)
        });
        if sent.await.is_err() {
            return;
        }
        while let Some(heard) = poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx)).await {
            if heard.is_err() {
                return self.socket.get_mut().read_to_nowhere().await;
            }
        }
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * FRAME_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX))
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
            Ended::Violation(BadFrame::TooLong(FRAME_MAX + 1).into())
        }
        Error::Utf8(_) => Ended::Text,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Broken(error),
        Error::Protocol(error) => Ended::NoWebSocket(error),
        error => Ended::Broken(error),
    }
}
