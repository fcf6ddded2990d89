//! The agent's end of a line: it introduces itself, hears requests and answers them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::relay::inline;
use super::{Happened, Line, Setup, Side, Stage, Violation};
use crate::VERSIONS;
use crate::codec::{TooLong, answer_room};
use crate::frame::{Answered, Open, Refuse, ToAgent, ToRelay};
use crate::hello::{Hello, Welcome};
use crate::id::StreamId;
use crate::reason::Refusal;
use crate::webhook::Answer;

impl Line {
    /// The agent's end of a new line, with its HELLO on the way. Credits and bounds are those of `hello`.
    ///
    /// # Errors
    /// [`TooLong`], when the HELLO does not fit into a frame.
    pub fn agent(now: Instant, hello: Hello) -> Result<Self, TooLong> {
        let setup = Setup {
            stream_credit: hello.stream_credit,
            line_credit: hello.line_credit,
            max_streams: hello.max_streams,
            ..Setup::default()
        };
        let mut line = Self::new(Side::Agent, now, setup);
        line.outbox.control(ToRelay::Hello(hello).encode()?);
        Ok(line)
    }

    /// Refuses a stream: nothing was dispatched, and it is over.
    pub fn refuse(&mut self, stream: StreamId, reason: Refusal, detail: &str) {
        if self.streams.remove(stream).is_some() {
            self.say_refused(stream, reason, detail);
        }
    }

    /// Sends the head of an answer; as much of `body` as fits rides along and is gone from it.
    ///
    /// `end` says that `body` is all there is. If all of it went along the stream is over and `true` comes back;
    /// else [`send`](Self::send) and [`end`](Self::end) must follow.
    ///
    /// # Errors
    /// [`TooLong`], when the head does not fit into a frame; nothing was sent then.
    pub fn answer(
        &mut self,
        stream: StreamId,
        answer: Answer,
        body: &mut Bytes,
        end: bool,
    ) -> Result<bool, TooLong> {
        let room = answer_room(&answer.fields).ok_or(TooLong(usize::MAX))?;
        let Some(state) = self.streams.get_mut(stream).filter(|state| !state.answered) else {
            return Ok(true);
        };
        state.answered = true;
        let inline = inline(body, room, &mut state.budget, &mut self.budget);
        let end = end && body.is_empty();
        let spent = inline.len();
        let frame = ToRelay::Answer(Answered { stream, answer, body: inline, end });
        self.outbox.head(stream, frame.encode().expect("the room was measured"), spent);
        if end {
            self.streams.remove(stream);
        }
        Ok(end)
    }

    /// Shows the relay a fresh token.
    ///
    /// # Errors
    /// [`TooLong`], when it is longer than any token is; the relay would end the line over it.
    pub fn renew(&mut self, token: &str) -> Result<(), TooLong> {
        self.outbox.control(ToRelay::Renew(token.to_owned()).encode()?);
        Ok(())
    }

    pub(super) fn agent_receives(
        &mut self,
        now: Instant,
        frame: ToAgent,
    ) -> Result<Option<Happened>, Violation> {
        match (self.stage, frame) {
            (Stage::Opening { .. }, ToAgent::Welcome(welcome)) => self.welcomed(now, welcome),
            (Stage::Live, ToAgent::Open(open)) => self.opened(now, open),
            (Stage::Live, ToAgent::Both(both)) => self.both_receive(now, both),
            (_, ToAgent::Welcome(_)) => Err(Violation::WrongStage("a second WELCOME")),
            _ => Err(Violation::WrongStage("a frame before WELCOME")),
        }
    }

    fn welcomed(&mut self, now: Instant, welcome: Welcome) -> Result<Option<Happened>, Violation> {
        welcome.check(&VERSIONS)?;
        self.setup.heartbeat = Duration::from_millis(welcome.heartbeat_ms);
        self.setup.dead_after = Duration::from_millis(welcome.dead_after_ms);
        self.go_live(now, welcome.stream_credit, welcome.line_credit);
        Ok(Some(Happened::Welcome(welcome)))
    }

    fn opened(&mut self, now: Instant, open: Open) -> Result<Option<Happened>, Violation> {
        let Open { stream, request, body, end } = open;
        if stream <= self.streams.last() {
            return Err(Violation::StreamNotNew(stream));
        }
        // The relay counts a stream until it has read the answer; so should it not read, answers are bounded as well.
        if self.streams.len().max(self.outbox.heads()) >= self.setup.max_streams as usize {
            return Err(Violation::TooManyStreams(self.setup.max_streams));
        }
        let window = self.window(now);
        self.streams.insert(stream, window).got_end = end;
        self.count(stream, body.len())?;
        if self.leaving {
            // It crossed our GOAWAY on the way; the relay tries it elsewhere.
            self.streams.remove(stream);
            self.consume(now, stream, body.len());
            self.say_refused(stream, Refusal::Draining, "");
            return Ok(None);
        }
        Ok(Some(Happened::Opened { stream, request, body, end }))
    }

    fn say_refused(&mut self, stream: StreamId, reason: Refusal, detail: &str) {
        let frame = ToRelay::Refuse(Refuse { stream, reason, detail: detail.to_owned() });
        self.outbox.control(frame.encode().expect("a bounded frame"));
    }
}
