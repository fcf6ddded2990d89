//! The line that a driver and the streams' owners share, behind one lock that is never held over an await.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::Line;
use relay_protocol::frame::GoAway;
use relay_protocol::hello::{Hello, Welcome};
use relay_protocol::id::StreamId;
use relay_protocol::line::{Happened, NotOpened, Violation};
use relay_protocol::webhook::Request;

use super::inbox::Inbox;
use super::stream::{Heard, Stream};

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

/// One line and the inboxes of its streams.
#[derive(Debug)]
pub struct Carrier(Mutex<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) inboxes: HashMap<StreamId, Inbox>,
    /// As of the driver's last round: close enough for flow control, and saves the clock.
    pub(super) now: Instant,
    /// The socket is gone; nothing will come or go any more.
    pub(super) lost: bool,
    closing: Option<(u16, String)>,
    driver: Option<Waker>,
    idler: Option<Waker>,
}

impl Shared {
    /// Makes the driver look: call it whenever the line may have something to send.
    pub(super) fn wake_driver(&mut self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }
}

impl Shared {
    fn wake_idler(&mut self) {
        if (self.lost || self.line.is_idle())
            && let Some(waker) = self.idler.take()
        {
            waker.wake();
        }
    }
}

/// What the driver is to do next.
pub(super) enum Next {
    Send(Bytes),
    Close(u16, String),
    Wait,
}

impl Carrier {
    /// A carrier for this line.
    #[must_use]
    pub fn new(line: Line) -> Arc<Self> {
        let (now, lost, inboxes) = (Instant::now(), false, HashMap::new());
        let (closing, driver, idler) = (None, None, None);
        Arc::new(Self(Mutex::new(Shared { line, inboxes, now, lost, closing, driver, idler })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic of a stream's owner must not take the other streams with it; the line has no half-done states.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        if shared.lost {
            return Err(NotOpened::Leaving);
        }
        let now = shared.now;
        let id = shared.line.open(now, request, body, end)?;
        shared.inboxes.insert(id, Inbox::default());
        shared.wake_driver();
        Ok(Stream::new(Arc::clone(self), id))
    }

    /// Accepts a HELLO (relay's side).
    pub fn welcome(&self, hello: &Hello, welcome: Welcome) {
        let mut shared = self.lock();
        let now = shared.now;
        shared.line.welcome(now, hello, welcome);
        shared.wake_driver();
    }

    /// Shows a fresh token (agent's side).
    pub fn renew(&self, token: &str) {
        let mut shared = self.lock();
        shared.line.renew(token);
        shared.wake_driver();
    }

    /// Asks the other side for no new streams.
    pub fn go_away(&self, goaway: GoAway) {
        let mut shared = self.lock();
        shared.line.go_away(goaway);
        shared.wake_driver();
    }

    /// Closes the WebSocket with this code; streams that are left are lost.
    pub fn close(&self, code: u16, reason: &str) {
        let mut shared = self.lock();
        shared.closing.get_or_insert_with(|| (code, reason.to_owned()));
        shared.wake_driver();
    }

    /// Whether [`open`](Self::open) would find a place.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let shared = self.lock();
        !shared.lost && shared.closing.is_none() && shared.line.has_room()
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

    /// Whether one side has asked for no new streams.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.lock().line.is_leaving()
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
    ) -> Result<Option<Event>, Violation> {
        let mut shared = self.lock();
        shared.now = now;
        let Some(happened) = shared.line.receive(now, message)? else {
            shared.wake_writers();
            return Ok(None);
        };
        Ok(shared.sort(self, happened))
    }

    pub(super) fn timeout(&self, now: Instant) -> Result<(), Violation> {
        let mut shared = self.lock();
        shared.now = now;
        shared.line.timeout(now)
    }

    pub(super) fn next_timeout(&self) -> Instant {
        self.lock().line.next_timeout()
    }

    /// The next thing for the socket; when there is none, the driver is remembered and woken for the next.
    pub(super) fn next(&self, cx: &Context<'_>) -> Next {
        let mut shared = self.lock();
        if let Some(message) = shared.line.transmit() {
            shared.wake_writers();
            return Next::Send(message);
        }
        if let Some((code, reason)) = shared.closing.clone() {
            return Next::Close(code, reason);
        }
        shared.driver = Some(cx.waker().clone());
        shared.wake_idler();
        Next::Wait
    }

    /// The socket is gone: whoever waits on a stream learns it.
    pub(super) fn lose(&self) {
        let mut shared = self.lock();
        shared.lost = true;
        shared.wake_idler();
        shared.inboxes.values_mut().for_each(Inbox::wake);
    }
}

impl Shared {
    /// Puts what happened into the inbox it belongs to, or gives it to the line's owner.
    fn sort(&mut self, carrier: &Arc<Carrier>, happened: Happened) -> Option<Event> {
        match happened {
            Happened::Answered { stream, answer, body, end } => {
                self.hear(stream, Heard::Answered { answer, body, end });
            }
            Happened::Refused { stream, reason, detail } => {
                self.hear(stream, Heard::Refused { reason, detail });
            }
            Happened::Data { stream, bytes } => self.body(stream, bytes),
            Happened::Ended { stream, trailers } => {
                self.with(stream, |inbox| inbox.end(trailers));
            }
            Happened::Reset(reset) => self.with(reset.stream, |inbox| inbox.break_off(reset)),
            Happened::Opened { stream, request, body, end } => {
                self.inboxes.insert(stream, Inbox::default());
                let now = self.now;
                self.line.consume(now, stream, body.len());
                let stream = Stream::new(Arc::clone(carrier), stream);
                return Some(Event::Opened { stream, request, body, end });
            }
            Happened::Hello(hello) => return Some(Event::Hello(hello)),
            Happened::Welcome(welcome) => return Some(Event::Welcome(welcome)),
            Happened::GoingAway(goaway) => return Some(Event::GoingAway(goaway)),
            Happened::Renewed(token) => return Some(Event::Renewed(token)),
        }
        None
    }

    fn with(&mut self, stream: StreamId, act: impl FnOnce(&mut Inbox)) {
        if let Some(inbox) = self.inboxes.get_mut(&stream) {
            act(inbox);
        }
    }

    fn hear(&mut self, stream: StreamId, heard: Heard) {
        match (self.inboxes.get_mut(&stream), &heard) {
            (Some(inbox), _) => inbox.hear(heard),
            (None, Heard::Answered { body, .. }) => self.line.consume(self.now, stream, body.len()),
            (None, _) => {}
        }
    }

    fn body(&mut self, stream: StreamId, bytes: Bytes) {
        match self.inboxes.get_mut(&stream) {
            Some(inbox) => inbox.push(bytes),
            None => self.line.consume(self.now, stream, bytes.len()),
        }
    }

    fn wake_writers(&mut self) {
        while let Some(stream) = self.line.writable() {
            self.with(stream, Inbox::wake_writer);
        }
    }
}
