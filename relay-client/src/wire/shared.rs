//! What stands behind the lock of a line: its state, the inboxes of its streams, and who is to be woken.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use foldhash::HashMap;
use relay_protocol::Line;
use relay_protocol::id::StreamId;
use relay_protocol::line::Happened;

use super::carrier::{Carrier, Event};
use super::driver::Ended;
use super::inbox::Inbox;
use super::stream::{Heard, Stream};

/// The line, the inboxes of its streams, and who is to be woken.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) inboxes: HashMap<StreamId, Inbox>,
    /// As of the driver's last round: close enough for flow control, and saves the clock.
    pub(super) now: Instant,
    /// The socket is gone; nothing will come or go any more.
    pub(super) lost: bool,
    pub(super) closing: Option<Closing>,
    pub(super) driver: Option<Waker>,
    /// The driver has nothing to do and is to be woken for the next message.
    pub(super) asleep: bool,
    pub(super) idler: Option<Waker>,
    /// How many heads in a row were queued while there was no other stream.
    pub(super) alone: u8,
}

/// After so many, the next one is taken to be alone too: the first of a batch of streams is so only at first.
const ALONE_AFTER: u8 = 4;

/// The wish to close the WebSocket.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) code: u16,
    pub(super) reason: String,
    /// When it is closed even though not everything was written.
    pub(super) at_latest: Instant,
}

impl Shared {
    /// Wakes whoever the line's new state concerns: call it after everything that was done to it.
    pub(super) fn settle(&mut self) {
        self.wake_writers();
        if self.line.has_output() {
            self.wake_driver();
        } else {
            self.wake_idler();
        }
    }

    /// Whether a head that was just queued is most likely the only one for now.
    pub(super) fn is_alone(&mut self) -> bool {
        let others = self.line.stream_count() > 1;
        self.alone = if others { 0 } else { self.alone.saturating_add(1) };
        self.alone > ALONE_AFTER
    }

    /// Makes the driver look.
    pub(super) fn wake_driver(&mut self) {
        if std::mem::take(&mut self.asleep)
            && let Some(waker) = &self.driver
        {
            waker.wake_by_ref();
        }
    }

    pub(super) fn wake_idler(&mut self) {
        if (self.lost || self.line.is_idle())
            && let Some(waker) = self.idler.take()
        {
            waker.wake();
        }
    }

    /// Puts what happened into the inbox it belongs to, or gives it to the line's owner.
    pub(super) fn sort(&mut self, carrier: &Arc<Carrier>, happened: Happened) -> Option<Event> {
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

    pub(super) fn next_timeout(&self) -> Instant {
        let next = self.line.next_timeout();
        self.closing.as_ref().map_or(next, |closing| closing.at_latest.min(next))
    }

    pub(super) fn wake_writers(&mut self) {
        while let Some(stream) = self.line.writable() {
            self.with(stream, Inbox::wake_writer);
        }
    }
}

impl From<&Closing> for Ended {
    fn from(closing: &Closing) -> Self {
        Self::Asked { code: closing.code, reason: closing.reason.clone() }
    }
}
