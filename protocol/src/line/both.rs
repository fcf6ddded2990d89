//! What both ends of a line do alike with what they hear: body bytes, credit, resets, heartbeat.

use std::time::Instant;

use bytes::Bytes;

use super::{Happened, Line, Side, Violation};
use crate::frame::{Both, Reset};
use crate::id::StreamId;
use crate::webhook::Fields;

impl Line {
    /// Counts body bytes of a stream that is over, and gives their credit back at once.
    pub(super) fn discard(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: usize,
    ) -> Result<(), Violation> {
        if !self.window.receive(bytes) {
            return Err(Violation::CreditOverrun(stream));
        }
        self.consume(now, stream, bytes);
        Ok(())
    }

    /// Counts body bytes of a live stream.
    pub(super) fn count(&mut self, stream: StreamId, bytes: usize) -> Result<(), Violation> {
        let state = self.streams.get_mut(stream).expect("the caller has found it");
        if state.window.receive(bytes) && self.window.receive(bytes) {
            Ok(())
        } else {
            Err(Violation::CreditOverrun(stream))
        }
    }

    /// Takes a frame that goes both ways.
    pub(super) fn both_receive(
        &mut self,
        now: Instant,
        both: Both,
    ) -> Result<Option<Happened>, Violation> {
        let stream = match &both {
            Both::Data { stream, .. } | Both::End { stream, .. } | Both::Credit { stream, .. } => {
                *stream
            }
            Both::Reset(reset) => reset.stream,
            Both::Ping(_) | Both::Pong(_) | Both::GoAway(_) => StreamId(0),
        };
        self.known(stream)?;
        match both {
            Both::Data { stream, bytes } => self.data(now, stream, bytes),
            Both::End { stream, trailers } => self.ended(stream, trailers),
            Both::Credit { stream, bytes } => self.credit(stream, bytes).map(|()| None),
            Both::Reset(reset) => Ok(self.was_reset(reset)),
            Both::Ping(number) => {
                self.control(Both::Pong(number));
                Ok(None)
            }
            Both::Pong(number) => {
                self.beat.pong(now, number);
                Ok(None)
            }
            Both::GoAway(goaway) => {
                self.peer_leaving = true;
                Ok(Some(Happened::GoingAway(goaway)))
            }
        }
    }

    fn data(
        &mut self,
        now: Instant,
        stream: StreamId,
        bytes: Bytes,
    ) -> Result<Option<Happened>, Violation> {
        let Some(state) = self.streams.get_mut(stream) else {
            return self.discard(now, stream, bytes.len()).map(|()| None);
        };
        if state.got_end || (self.side == Side::Relay && !state.answered) {
            return Err(Violation::OutOfTurn(stream));
        }
        self.count(stream, bytes.len())?;
        Ok(Some(Happened::Data { stream, bytes }))
    }

    fn ended(&mut self, stream: StreamId, trailers: Fields) -> Result<Option<Happened>, Violation> {
        let Some(state) = self.streams.get_mut(stream) else { return Ok(None) };
        if state.got_end || (self.side == Side::Relay && !state.answered) {
            return Err(Violation::OutOfTurn(stream));
        }
        state.got_end = true;
        if self.side == Side::Relay {
            self.finish(stream);
        }
        Ok(Some(Happened::Ended { stream, trailers }))
    }

    /// Forgets a stream whose answer is complete; what was not sent of its request is of no use any more.
    pub(super) fn finish(&mut self, stream: StreamId) {
        self.streams.remove(stream);
        let spent = self.outbox.drop_body(stream);
        self.reuse(spent);
    }

    fn was_reset(&mut self, reset: Reset) -> Option<Happened> {
        self.streams.remove(reset.stream)?;
        self.give_up(reset.stream);
        Some(Happened::Reset(reset))
    }

    fn credit(&mut self, stream: StreamId, bytes: u32) -> Result<(), Violation> {
        if stream == StreamId(0) {
            if !self.budget.grant(bytes) {
                return Err(Violation::CreditOverflow(stream));
            }
            self.streams.unblock_all(&mut self.writable);
        } else if let Some(state) = self.streams.get_mut(stream) {
            if !state.budget.grant(bytes) {
                return Err(Violation::CreditOverflow(stream));
            }
            self.streams.unblock(stream, &mut self.writable);
        }
        Ok(())
    }

    /// Holds a stream's number against the last one opened; stream 0, the line itself, is always known.
    pub(super) fn known(&self, stream: StreamId) -> Result<(), Violation> {
        if stream <= self.streams.last() { Ok(()) } else { Err(Violation::UnknownStream(stream)) }
    }
}
