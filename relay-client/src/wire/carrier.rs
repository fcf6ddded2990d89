//! The line that a driver and the streams' owners share, behind one lock that is never held over an await.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::HashMap;
use relay_protocol::Line;
use relay_protocol::codec::TooLong;
use relay_protocol::frame::GoAway;
use relay_protocol::hello::{Hello, Welcome};
use relay_protocol::line::NotOpened;
use relay_protocol::webhook::Request;

use super::driver::Ended;
use super::inbox::Inbox;
use super::pipe::Pipe;
use super::shared::{Closing, Shared};
use super::stream::Stream;

/// Something for the owner of the line, not for one of its streams.
#[derive(Debug)]
pub enum Event {
    /// An agent introduced itself.
    Hello(Hello),
    /// The relay accepted.
    Welcome(Welcome),
    /// The relay opened a stream; `body` are its first bytes, all of them if `end`.
    Opened {
        /// To answer on.
        stream: Stream,
        /// The request.
        request: Request,
        /// Its first body bytes.
        body: Bytes,
        /// Whether they are all of it.
        end: bool,
    },
    /// The other side takes no new streams.
    GoingAway(GoAway),
    /// The agent shows a fresh token.
    Renewed(String),
}

/// How many frames may wait until whoever queues the next one writes them out itself.
///
/// Left to the driver alone, a batch is as large as the number of callers, and relay and agent work in turns: while one
/// fills its batch, the other has nothing to do.
const WRITE_AT: usize = 16;

/// How long a line that is to be closed may take to write out what it has: a peer that does not read stays no longer.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One line, the inboxes of its streams, and its WebSocket.
#[derive(Debug)]
pub struct Carrier {
    shared: Mutex<Shared>,
    /// Locked before `shared` where both are needed.
    pipe: Mutex<Option<Pipe>>,
}

impl Carrier {
    /// A carrier for this line.
    #[must_use]
    pub fn new(line: Line) -> Arc<Self> {
        let (now, lost, asleep, inboxes) = (Instant::now(), false, false, HashMap::default());
        let (closing, driver, idler, alone) = (None, None, None, 0);
        let shared = Shared { line, inboxes, now, lost, closing, driver, asleep, idler, alone };
        Arc::new(Self { shared: Mutex::new(shared), pipe: Mutex::new(None) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic of a stream's owner must not take the other streams with it; the line has no half-done states.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pipe(&self) -> MutexGuard<'_, Option<Pipe>> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn attach(&self, pipe: Pipe) {
        *self.pipe() = Some(pipe);
    }

    /// Writes what is queued at once, if it is large enough for a batch, or if there was one stream at a time for a while,
    /// so that no more is to be expected. Otherwise the driver's turn comes after everybody else's; the other side should be
    /// at work by then.
    pub(super) fn queued(&self, mut shared: MutexGuard<'_, Shared>) {
        let alone = shared.is_alone();
        if !alone {
            shared.settle();
        }
        if alone || shared.line.queued() >= WRITE_AT {
            self.write(shared);
        }
    }

    /// Does the driver's writing for it, unless it is at it. What is not written now, and what goes wrong, it meets again.
    fn write(&self, shared: MutexGuard<'_, Shared>) {
        let waker = shared.driver.clone();
        drop(shared);
        let written = waker.zip(self.pipe.try_lock().ok()).and_then(|(waker, mut pipe)| {
            let mut context = Context::from_waker(&waker);
            Some(pipe.as_mut()?.poll_write(&mut context, || self.transmit()))
        });
        if !matches!(written, Some(Poll::Ready(Ok(())))) {
            self.lock().wake_driver();
        }
    }

    /// Opens a stream (relay's side), as [`Line::open`] does.
    ///
    /// # Errors
    /// [`NotOpened`]; `body` is untouched then.
    pub fn open(
        self: &Arc<Self>,
        request: Request,
        body: &mut Bytes,
        end: bool,
    ) -> Result<Stream, NotOpened> {
        let mut shared = self.lock();
        if shared.lost || shared.closing.is_some() {
            return Err(NotOpened::Leaving);
        }
        let now = shared.now;
        let id = shared.line.open(now, request, body, end)?;
        shared.inboxes.insert(id, Inbox::default());
        self.queued(shared);
        Ok(Stream::new(Arc::clone(self), id))
    }

    /// Accepts a HELLO (relay's side).
    ///
    /// # Errors
    /// [`TooLong`], when WELCOME does not fit into a frame; close the line then.
    pub fn welcome(&self, hello: &Hello, welcome: Welcome) -> Result<(), TooLong> {
        let mut shared = self.lock();
        let now = shared.now;
        shared.line.welcome(now, hello, welcome)?;
        shared.settle();
        Ok(())
    }

    /// Shows a fresh token (agent's side).
    ///
    /// # Errors
    /// [`TooLong`], when it is longer than any token is; nothing was sent then.
    pub fn renew(&self, token: &str) -> Result<(), TooLong> {
        let mut shared = self.lock();
        shared.line.renew(token)?;
        shared.settle();
        Ok(())
    }

    /// Asks the other side for no new streams.
    pub fn go_away(&self, goaway: GoAway) {
        let mut shared = self.lock();
        shared.line.go_away(goaway);
        shared.settle();
    }

    /// Closes the WebSocket with this code, once everything is written or cannot be; streams that are left are lost.
    pub fn close(&self, code: u16, reason: &str) {
        let mut shared = self.lock();
        let at_latest = Instant::now() + LAST_WORDS;
        let closing = || Closing { code, reason: reason.to_owned(), at_latest };
        shared.closing.get_or_insert_with(closing);
        shared.wake_driver();
    }

    /// How many more streams may be opened.
    #[must_use]
    pub fn room(&self) -> usize {
        let shared = self.lock();
        if shared.lost || shared.closing.is_some() { 0 } else { shared.line.room() }
    }

    /// How many streams are under way.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.lock().line.stream_count()
    }

    /// Completes when nothing is under way, or the line is lost. One task at a time may wait for it.
    pub async fn idle(&self) {
        poll_fn(|cx| {
            let mut shared = self.lock();
            if shared.lost || shared.line.is_idle() {
                return Poll::Ready(());
            }
            shared.idler = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the socket is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// Whether the line takes new streams now or when one of those under way is over: it is live, and nobody leaves.
    #[must_use]
    pub fn is_taking(&self) -> bool {
        let shared = self.lock();
        !shared.lost
            && shared.closing.is_none()
            && shared.line.is_live()
            && !shared.line.is_leaving()
    }

    /// The last measured round trip.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.lock().line.rtt()
    }

    pub(super) fn receive(
        self: &Arc<Self>,
        now: Instant,
        message: Bytes,
    ) -> Result<Option<Event>, Ended> {
        let mut shared = self.lock();
        shared.now = now;
        let happened = shared.line.receive(now, message).map_err(Ended::Violation)?;
        let event = happened.and_then(|happened| shared.sort(self, happened));
        shared.wake_writers();
        Ok(event)
    }

    /// Lets the time pass.
    pub(super) fn timeout(&self, now: Instant) -> Result<(), Ended> {
        let mut shared = self.lock();
        shared.now = now;
        if let Some(ended) = shared.closing.as_ref().filter(|closing| now >= closing.at_latest) {
            return Err(ended.into());
        }
        shared.line.timeout(now).map_err(Ended::Violation)
    }

    pub(super) fn next_timeout(&self) -> Instant {
        self.lock().next_timeout()
    }

    /// The next message for the socket.
    pub(super) fn transmit(&self) -> Option<Bytes> {
        let mut shared = self.lock();
        let message = shared.line.transmit();
        match message {
            Some(_) => shared.wake_writers(),
            None => shared.wake_idler(),
        }
        message
    }

    /// Remembers whom to wake when there is something to send; says when time has passed anyway.
    pub(super) fn listen(&self, waker: &Waker) -> Instant {
        let mut shared = self.lock();
        shared.asleep = true;
        if shared.driver.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            shared.driver = Some(waker.clone());
        }
        shared.next_timeout()
    }

    /// How it ends when it was to be closed and everything is written.
    pub(super) fn asked_to_close(&self) -> Option<Ended> {
        self.lock().closing.as_ref().map(Ended::from)
    }

    /// The socket is gone: whoever waits on a stream learns it.
    pub(super) fn lose(&self) -> Option<Pipe> {
        let mut shared = self.lock();
        shared.lost = true;
        shared.wake_idler();
        shared.inboxes.values_mut().for_each(Inbox::wake);
        drop(shared);
        self.pipe().take()
    }
}
