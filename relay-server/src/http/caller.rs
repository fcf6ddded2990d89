//! A provider's socket, as the HTTP library sees it: with a word of its own on when the provider has gone.
//!
//! The end of a TCP stream means two things that look alike: the caller has hung up, or has only finished sending (RFC
//! 9112 §9.6) and waits. So an end that comes while the target is being asked counts as a hang-up after a grace only. And
//! a caller that takes nothing of its answer for long is cut off, or it would hold its part of an agent's line for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a caller that ended its sending side while its answer is being fetched is believed to wait for it.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// How long a caller may take nothing of its answer.
const STALLED: Duration = Duration::from_secs(60);

const IDLE: u8 = 0;
const ASKING: u8 = 1;
const ANSWERING: u8 = 2;

/// How far the request on a connection has come; shared by its socket and its handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// The target is being asked, until the guard is dropped or the answer is under way.
    pub(super) fn asking(&self) -> Asking {
        self.enter(ASKING)
    }

    /// The answer is under way, until the guard is dropped.
    pub(super) fn answering(&self) -> Asking {
        self.enter(ANSWERING)
    }

    fn enter(&self, phase: u8) -> Asking {
        self.0.store(phase, Ordering::Relaxed);
        Asking(self.clone(), phase)
    }
}

/// Something is under way on the connection.
#[derive(Debug)]
pub struct Asking(Phase, u8);

impl Drop for Asking {
    fn drop(&mut self) {
        let (relaxed, phase) = (Ordering::Relaxed, &self.0.0);
        // A later phase has begun already when this does not match.
        let _ = phase.compare_exchange(self.1, IDLE, relaxed, relaxed);
    }
}

/// The end of the caller's sending side.
#[derive(Debug)]
enum End {
    /// It has not come.
    Open,
    /// It came while the target was being asked.
    Asked(Pin<Box<Sleep>>),
    /// It is known to the HTTP library.
    Told,
}

/// A provider's socket.
#[derive(Debug)]
pub struct CallerSocket {
    socket: TcpStream,
    phase: Phase,
    end: End,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl CallerSocket {
    pub(super) fn new(socket: TcpStream) -> (Self, Phase) {
        let phase = Phase::default();
        (Self { socket, phase: phase.clone(), end: End::Open, stalled: None }, phase)
    }

    /// The socket itself, for what is no HTTP any more.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.socket
    }

    /// The caller's sending side has ended: when is the HTTP library to know?
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.0.load(Ordering::Relaxed);
        let told = match &mut self.end {
            // An end in the midst of an answer is a hang-up; one before the next request is just that.
            End::Open if phase != ASKING => true,
            End::Open => {
                self.end = End::Asked(Box::pin(sleep(HALF_CLOSED)));
                return self.poll_end(cx);
            }
            // The answer began in time: it goes out whole, and a caller that is gone will refuse it.
            End::Asked(_) if phase == ANSWERING => return Poll::Pending,
            End::Asked(grace) => phase == IDLE || grace.as_mut().poll(cx).is_ready(),
            End::Told => true,
        };
        if told {
            self.end = End::Told;
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Watches a write: one that waits too long ends the connection.
    fn watch<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for CallerSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !matches!(this.end, End::Open) {
            return this.poll_end(cx);
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.socket).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => this.poll_end(cx),
            read => read,
        }
    }
}

impl AsyncWrite for CallerSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.watch(cx, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let write = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.watch(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
