//! The relay's end of a line: it welcomes, opens streams and hears their answers.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Budget, Happened, Line, Setup, Side, Stage, Violation};
use crate::VERSIONS;
use crate::codec::{TooLong, open_room};
use crate::frame::{Answered, Open, Refuse, ToAgent, ToRelay};
use crate::hello::{Hello, Welcome};
use crate::id::StreamId;
use crate::limits::INLINE_MAX;
use crate::webhook::Request;

/// Why a stream was not opened. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// The agent has as many streams as it wants.
    #[error("the agent has as many streams as it wants")]
    Full,
    /// One of the sides takes no new streams, or the line is not live yet.
    #[error("the line takes no new streams")]
    Leaving,
    /// The head does not fit into a frame.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl Line {
    /// The relay's end of a new line, waiting for HELLO.
    #[must_use]
    pub fn relay(now: Instant, setup: Setup) -> Self {
        Self::new(Side::Relay, now, setup)
    }

    /// Accepts a HELLO. `welcome` repeats this side's setup to the agent, whatever it says there, and the
    /// version that both speak.
    ///
    /// # Errors
    /// [`TooLong`], when so many endpoints with so long URLs do not fit into a frame; close the line then.
    pub fn welcome(
        &mut self,
        now: Instant,
        hello: &Hello,
        mut welcome: Welcome,
    ) -> Result<(), TooLong> {
        let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        welcome.version = hello.check(&VERSIONS).unwrap_or(welcome.version);
        welcome.heartbeat_ms = ms(self.setup.heartbeat);
        welcome.dead_after_ms = ms(self.setup.dead_after);
        welcome.stream_credit = self.setup.stream_credit;
        welcome.line_credit = self.setup.line_credit;
        self.outbox.control(ToAgent::Welcome(welcome).encode()?);
        self.setup.max_streams = self.setup.max_streams.min(hello.max_streams);
        self.go_live(now, hello.stream_credit, hello.line_credit);
        Ok(())
    }

    /// Whether [`open`](Self::open) would find a place.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more [`open`](Self::open) would find a place.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.stage != Stage::Live || self.is_leaving() {
            return 0;
        }
        (self.setup.max_streams as usize).saturating_sub(self.streams.len())
    }

    /// Opens a stream; as much of `body` as fits rides along and is gone from it.
    ///
    /// `end` says that `body` is all there is; if some of it is left afterwards, [`send`](Self::send) and
    /// [`end`](Self::end) must follow.
    ///
    /// # Errors
    /// [`NotOpened`]; `body` is untouched then.
    pub fn open(
        &mut self,
        now: Instant,
        request: Request,
        body: &mut Bytes,
        end: bool,
    ) -> Result<StreamId, NotOpened> {
        if self.stage != Stage::Live || self.is_leaving() {
            return Err(NotOpened::Leaving);
        }
        if !self.has_room() {
            return Err(NotOpened::Full);
        }
        let stream = StreamId(self.streams.last().0 + 1);
        let room = open_room(&request).ok_or(TooLong(usize::MAX))?;
        let window = self.window(now);
        let state = self.streams.insert(stream, window);
        let inline = inline(body, room, &mut state.budget, &mut self.budget);
        let end = end && body.is_empty();
        state.sent_end = end;
        let spent = inline.len();
        let frame = ToAgent::Open(Open { stream, request, body: inline, end });
        self.outbox.head(stream, frame.encode().expect("the room was measured"), spent);
        Ok(stream)
    }

    pub(super) fn relay_receives(
        &mut self,
        now: Instant,
        frame: ToRelay,
    ) -> Result<Option<Happened>, Violation> {
        match (self.stage, frame) {
            (Stage::Opening { .. }, ToRelay::Hello(hello)) => {
                hello.check(&VERSIONS)?;
                self.stage = Stage::Introduced;
                Ok(Some(Happened::Hello(hello)))
            }
            (Stage::Live, ToRelay::Refuse(refuse)) => self.refused(refuse),
            (Stage::Live, ToRelay::Answer(answered)) => self.answered(now, answered),
            (Stage::Live, ToRelay::Renew(token)) => Ok(Some(Happened::Renewed(token))),
            (Stage::Live, ToRelay::Both(both)) => self.both_receive(now, both),
            (_, ToRelay::Hello(_)) => Err(Violation::WrongStage("a second HELLO")),
            _ => Err(Violation::WrongStage("a frame before WELCOME")),
        }
    }

    fn refused(&mut self, refuse: Refuse) -> Result<Option<Happened>, Violation> {
        let Refuse { stream, reason, detail } = refuse;
        self.known(stream)?;
        let Some(state) = self.streams.get_mut(stream) else { return Ok(None) };
        if state.answered {
            return Err(Violation::OutOfTurn(stream));
        }
        self.finish(stream);
        Ok(Some(Happened::Refused { stream, reason, detail }))
    }

    fn answered(
        &mut self,
        now: Instant,
        answered: Answered,
    ) -> Result<Option<Happened>, Violation> {
        let Answered { stream, answer, body, end } = answered;
        self.known(stream)?;
        let Some(state) = self.streams.get_mut(stream) else {
            return self.discard(now, stream, body.len()).map(|()| None);
        };
        if std::mem::replace(&mut state.answered, true) {
            return Err(Violation::OutOfTurn(stream));
        }
        self.count(stream, body.len())?;
        if end {
            self.finish(stream);
        }
        Ok(Some(Happened::Answered { stream, answer, body, end }))
    }
}

/// Takes off the body what rides in the stream's first frame.
pub(super) fn inline(
    body: &mut Bytes,
    room: usize,
    stream: &mut Budget,
    line: &mut Budget,
) -> Bytes {
    let taken = body.len().min(room).min(INLINE_MAX).min(stream.left()).min(line.left());
    stream.spend(taken);
    line.spend(taken);
    body.split_to(taken)
}
