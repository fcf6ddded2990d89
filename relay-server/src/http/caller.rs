//! A provider's socket, as the HTTP library sees it: with a word of its own on when the provider has gone.
//!
//! The end of a TCP stream means two things that look alike: the caller has hung up, or has only finished sending (RFC
//! 9112 §9.6) and waits. So an end that comes while the target is being asked counts as a hang-up after a grace only. A
//! caller that sends no request in time is cut off; so is one that takes nothing of its answer, or it would hold its part
//! of an agent's line for ever. And one that is refused while it still sends is heard out for a while: a socket closed with
//! unread bytes is reset, and the refusal is lost with it (RFC 9112 §9.6).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use relay_client::socket::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep};

/// How long a caller that ended its sending side while its answer is being fetched is believed to wait for it.
const HALF_CLOSED: Duration = Duration::from_millis(500);

/// How long a caller may take nothing of its answer.
pub(super) const STALLED: Duration = Duration::from_secs(60);

/// How long a caller that was refused in the midst of its request is heard out.
const LINGER: Duration = Duration::from_secs(30);

/// How much is thrown away at once, in bytes.
const THROWN_AWAY: usize = 16 * 1024;

const IDLE: u8 = 0;
const ASKING: u8 = 1;
const ANSWERING: u8 = 2;

/// How far the request on a connection has come; shared by its socket and its handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Phase(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    phase: AtomicU8,
    /// How many requests there were.
    requests: AtomicU32,
    /// Whether the caller may still be sending the last one.
    owed: AtomicBool,
}

impl Phase {
    /// The target is being asked, until the guard is dropped or the answer is under way.
    pub(super) fn asking(&self) -> Asking {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.enter(ASKING)
    }

    /// An answer that will come in pieces is about to begin; it is under way until the guard is dropped.
    ///
    /// Both may wait for a thread that was held up: the answer, and word from the caller's socket of an end that came long
    /// before it. The socket is heard first, or that end would count as a hang-up in the midst of the answer.
    pub(super) async fn begin_answer(&self) -> Asking {
        // A task of its own: this one may be woken by more of the answer before the socket has been heard.
        let _ = tokio::spawn(yield_now()).await;
        self.answering()
    }

    /// The answer is under way, until the guard is dropped.
    pub(super) fn answering(&self) -> Asking {
        self.enter(ANSWERING)
    }

    /// Whether the caller may still be sending its request.
    pub(super) fn owes(&self, owed: bool) {
        self.0.owed.store(owed, Ordering::Relaxed);
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.get() == IDLE
    }

    fn enter(&self, phase: u8) -> Asking {
        self.0.phase.store(phase, Ordering::Relaxed);
        Asking(self.clone(), phase)
    }

    fn get(&self) -> u8 {
        self.0.phase.load(Ordering::Relaxed)
    }

    fn requests(&self) -> u32 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

/// Something is under way on the connection.
#[derive(Debug)]
pub struct Asking(Phase, u8);

impl Drop for Asking {
    fn drop(&mut self) {
        let (relaxed, phase) = (Ordering::Relaxed, &self.0.0.phase);
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
    socket: Socket,
    phase: Phase,
    end: End,
    patience: Patience,
    stalled: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
}

/// The patience with a caller that owes a request.
///
/// One timer a connection, set anew only when it fires, instead of one a request: so a head may take up to twice the
/// limit when it follows another request.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// How many requests there were when the timer was set.
    requests: u32,
}

impl Patience {
    /// Ready when no request has come for the whole limit.
    fn poll(&mut self, cx: &mut Context<'_>, requests: u32) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        while timer.as_mut().poll(cx).is_ready() {
            if std::mem::replace(&mut self.requests, requests) == requests {
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

impl CallerSocket {
    pub(super) fn new(socket: Socket, limit: Duration, phase: Phase) -> Self {
        let patience = Patience { limit, timer: None, requests: 0 };
        let (end, stalled, linger) = (End::Open, None, None);
        Self { socket, phase, end, patience, stalled, linger }
    }

    /// The socket itself, for what is no HTTP any more.
    #[must_use]
    pub fn into_inner(self) -> Socket {
        self.socket
    }

    /// The caller's sending side has ended: when is the HTTP library to know?
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.phase.get();
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

    /// Throws away what the caller still sends, until it has read what it was told and ends the connection.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.phase.0.owed.load(Ordering::Relaxed) || !matches!(self.end, End::Open) {
            return Poll::Ready(());
        }
        let limit = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut thrown_away = [0; THROWN_AWAY];
        loop {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Watches a write: one that waits too long ends the connection.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stalled = None;
            return write;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
        match stalled.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the caller takes nothing",
            ))),
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
            Poll::Ready(Ok(())) if buf.filled().len() == before && buf.remaining() > 0 => {
                this.poll_end(cx)
            }
            Poll::Pending if this.phase.get() == IDLE => {
                let late = |()| Err(io::Error::new(io::ErrorKind::TimedOut, "no request in time"));
                this.patience.poll(cx, this.phase.requests()).map(late)
            }
            read => read,
        }
    }
}

impl AsyncWrite for CallerSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
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
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        }
        this.poll_linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpStream};

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What a caller's socket gives whose caller ends its sending side just before an answer comes, or just after.
    async fn read_at_its_end(before: bool) -> Option<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let phase = Phase::default();
        let mut socket = CallerSocket::new(Socket::Tcp(socket), STALLED, phase.clone());
        let _asking = phase.asking();
        let mut byte = [0];
        let answered = async {
            let end = || caller.shutdown(Shutdown::Write).unwrap();
            if before {
                end();
            }
            let _answering = phase.begin_answer().await;
            if !before {
                end();
                std::future::pending::<()>().await;
            }
            // By then whatever has come was heard.
            let _ = tokio::spawn(yield_now()).await;
        };
        // As on a connection: one task hears the socket, then asks whether the answer is there.
        tokio::select! {
            biased;
            read = socket.read(&mut byte) => Some(read.unwrap()),
            () = answered => None,
        }
    }

    #[tokio::test]
    async fn an_end_that_came_before_the_answer_is_no_hang_up_in_the_midst_of_it() {
        assert_eq!(read_at_its_end(true).await, None);
        assert_eq!(read_at_its_end(false).await, Some(0));
    }
}
