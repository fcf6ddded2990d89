//! Moves messages between a carrier and its WebSocket until one of them ends.
//!
//! Reading never waits for writing and the other way round, and nothing here waits for a stream's owner.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use relay_protocol::line::Violation;
use relay_protocol::reason::close;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

use super::carrier::{Carrier, Event};
use super::pipe::Pipe;

/// How many messages are read before others get their turn.
const READ_TURN: usize = 64;

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
    /// What came is no WebSocket frame; the other side was told so.
    NoWebSocket(ProtocolError),
    /// The socket broke.
    Broken(Error),
}

impl Ended {
    /// Whether the other side did what the protocol does not allow.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        match self {
            Self::Violation(violation) => !matches!(violation, Violation::Dead),
            Self::Text | Self::NoWebSocket(_) => true,
            Self::Closed { .. } | Self::Asked { .. } | Self::Broken(_) => false,
        }
    }
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
            Self::NoWebSocket(error) => write!(f, "not a WebSocket frame: {error}"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

/// Drives a line until it ends; `on` gets the events that concern the line itself and must not block.
pub async fn drive(pipe: Pipe, carrier: Arc<Carrier>, on: impl FnMut(Event)) -> Ended {
    let timer = Box::pin(tokio::time::sleep_until(carrier.next_timeout().into()));
    carrier.attach(pipe);
    let mut driver = Driver { carrier: Arc::clone(&carrier), on, timer };
    // Whatever happens to this task, nobody may wait for the line for ever.
    let _lost = Lost(&carrier);
    let ended = poll_fn(|cx| driver.poll(cx)).await;
    let pipe = carrier.lose();
    let farewell = match &ended {
        Ended::Asked { code, reason } => Some((*code, reason.clone())),
        Ended::Violation(violation) => Some((violation.close_code(), violation.to_string())),
        Ended::Text => Some((close::UNSUPPORTED, ended.to_string())),
        Ended::NoWebSocket(_) => Some((close::PROTOCOL, ended.to_string())),
        Ended::Closed { .. } | Ended::Broken(_) => None,
    };
    if let (Some(pipe), Some((code, reason))) = (pipe, farewell) {
        let _ = tokio::time::timeout(FAREWELL, pipe.say_goodbye(code, reason)).await;
    }
    ended
}

struct Lost<'a>(&'a Carrier);

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        drop(self.0.lose());
    }
}

struct Driver<F> {
    carrier: Arc<Carrier>,
    on: F,
    timer: Pin<Box<Sleep>>,
}

impl<F: FnMut(Event)> Driver<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let carrier = Arc::clone(&self.carrier);
        let mut pipe = carrier.pipe();
        let Some(pipe) = pipe.as_mut() else {
            return Poll::Ready(Ended::Broken(Error::AlreadyClosed));
        };
        let turn = match self.read(cx, pipe) {
            Ok(turn) => turn,
            Err(ended) => return Poll::Ready(ended),
        };
        // From here on whoever queues something wakes this task.
        let next = carrier.listen(cx.waker());
        if let Err(ended) = self.check_time(cx, next) {
            return Poll::Ready(ended);
        }
        match pipe.poll_write(cx, || carrier.transmit()) {
            Poll::Ready(Err(ended)) => return Poll::Ready(ended),
            Poll::Ready(Ok(())) => {
                if let Some(ended) = carrier.asked_to_close() {
                    return Poll::Ready(ended);
                }
            }
            Poll::Pending => {}
        }
        if turn == READ_TURN {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes what has come, up to one turn; says how many messages that were.
    fn read(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Result<usize, Ended> {
        let mut now = None;
        for turn in 0..READ_TURN {
            let Poll::Ready(message) = pipe.poll_read(cx) else { return Ok(turn) };
            let now = *now.get_or_insert_with(Instant::now);
            if let Some(event) = self.carrier.receive(now, message?)? {
                (self.on)(event);
            }
        }
        Ok(READ_TURN)
    }

    /// Lets the time pass. The timer is set anew when it fires or something is due earlier: what is heard mostly moves
    /// it away, and that costs nothing.
    fn check_time(&mut self, cx: &mut Context<'_>, next: Instant) -> Result<(), Ended> {
        if self.timer.deadline() > next.into() {
            self.timer.as_mut().reset(next.into());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            self.carrier.timeout(Instant::now())?;
            self.timer.as_mut().reset(self.carrier.next_timeout().into());
        }
        Ok(())
    }
}
