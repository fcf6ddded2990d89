//! One line, without its socket: messages, time and wishes go in; messages, events and the next deadline come out.
//!
//! Whoever drives a [`Line`] does so in rounds: hand it what came ([`receive`](Line::receive)), let the time pass
//! ([`timeout`](Line::timeout)), send what it has ([`transmit`](Line::transmit)), wake the streams that may send again
//! ([`writable`](Line::writable)), and sleep until [`next_timeout`](Line::next_timeout). It takes no clock of its own.

mod agent;
mod both;
mod flow;
mod happened;
mod heartbeat;
mod outbox;
mod relay;
mod setup;
mod streams;
#[cfg(test)]
mod tests;
mod violation;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::frame::{Both, GoAway, Reset, ToAgent, ToRelay};
use crate::id::StreamId;
use crate::limits::{DATA_MAX, HELLO_TIMEOUT, LINE_CREDIT, STREAM_CREDIT_MAX};
use crate::reason::{Broken, Dispatched};
use crate::webhook::Fields;

use flow::{Budget, Window};
use heartbeat::{Heartbeat, Pulse};
use outbox::Outbox;
use streams::Streams;

pub use happened::{Happened, Sent};
pub use relay::NotOpened;
pub use setup::Setup;
pub use violation::Violation;

/// Which end of the line this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Relay,
    Agent,
}

/// How far the line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first frame has not come yet; it is late at this time.
    Opening { late: Instant },
    /// The relay has read HELLO and not answered it yet.
    Introduced,
    /// Streams may be opened.
    Live,
}

/// One line's state.
#[derive(Debug)]
pub struct Line {
    side: Side,
    stage: Stage,
    setup: Setup,
    beat: Heartbeat,
    outbox: Outbox,
    streams: Streams,
    /// What this side may send on all streams together.
    budget: Budget,
    /// What the other side may send on all streams together.
    window: Window,
    writable: VecDeque<StreamId>,
    leaving: bool,
    peer_leaving: bool,
}

impl Line {
    fn new(side: Side, now: Instant, setup: Setup) -> Self {
        Self {
            side,
            stage: Stage::Opening { late: now + HELLO_TIMEOUT },
            setup,
            beat: Heartbeat::new(now, setup.heartbeat, setup.dead_after),
            outbox: Outbox::default(),
            streams: Streams::default(),
            budget: Budget::new(LINE_CREDIT),
            window: Window::new(setup.line_credit, setup.line_credit, now),
            writable: VecDeque::new(),
            leaving: false,
            peer_leaving: false,
        }
    }

    /// Takes one message of the other side.
    ///
    /// # Errors
    /// [`Violation`]: the line must be closed with its code; nothing of it may be used any more.
    pub fn receive(&mut self, now: Instant, message: Bytes) -> Result<Option<Happened>, Violation> {
        self.beat.heard(now);
        let happened = match self.side {
            Side::Relay => match ToRelay::decode(message)? {
                Some(frame) => self.relay_receives(now, frame)?,
                None => None,
            },
            Side::Agent => match ToAgent::decode(message)? {
                Some(frame) => self.agent_receives(now, frame)?,
                None => None,
            },
        };
        // Whatever it was that provoked them: PONG, CREDIT and REFUSE all wait in the same lane.
        if self.outbox.flooded() { Err(Violation::Flood) } else { Ok(happened) }
    }

    /// Lets the time pass: asks whether the other side lives, or finds it dead.
    ///
    /// # Errors
    /// [`Violation`]: the line must be closed with its code.
    pub fn timeout(&mut self, now: Instant) -> Result<(), Violation> {
        if let Stage::Opening { late } = self.stage {
            return if now >= late { Err(Violation::HelloTimeout) } else { Ok(()) };
        }
        match self.beat.check(now) {
            Pulse::Fine => {}
            Pulse::Ask(number) => self.control(Both::Ping(number)),
            Pulse::Dead => return Err(Violation::Dead),
        }
        Ok(())
    }

    /// When [`timeout`](Self::timeout) is to be called next.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        match self.stage {
            Stage::Opening { late } => late,
            Stage::Introduced | Stage::Live => self.beat.next(),
        }
    }

    /// The next message for the socket.
    pub fn transmit(&mut self) -> Option<Bytes> {
        let message = self.outbox.pop()?;
        if self.outbox.room() >= DATA_MAX {
            self.streams.unblock_all(&mut self.writable);
        }
        Some(message)
    }

    /// Whether [`transmit`](Self::transmit) has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// How many messages wait for the socket.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbox.len()
    }

    /// The next stream whose sender was [`Blocked`](Sent::Blocked) and may try again.
    pub fn writable(&mut self) -> Option<StreamId> {
        self.writable.pop_front()
    }

    /// Sends body bytes as far as credit and the outbox reach; what was taken is gone from `bytes`.
    ///
    /// While others wait, a turn is one DATA frame.
    pub fn send(&mut self, stream: StreamId, bytes: &mut Bytes) -> Sent {
        self.streams.come(stream);
        let mut turn = if self.streams.contended() { DATA_MAX } else { usize::MAX };
        while !bytes.is_empty() {
            let Some(state) = self.streams.sender(stream) else { return Sent::Gone };
            let room = state.budget.left().min(self.budget.left()).min(self.outbox.room());
            let taken = bytes.len().min(room).min(DATA_MAX).min(turn);
            if taken == 0 {
                self.streams.block(stream);
                return Sent::Blocked;
            }
            state.budget.spend(taken);
            self.budget.spend(taken);
            turn -= taken;
            self.streams.serve(stream);
            let frame = ToAgent::Both(Both::Data { stream, bytes: bytes.split_to(taken) });
            self.outbox.body(stream, frame.encode().expect("a bounded frame"), taken);
        }
        if self.streams.sender(stream).is_some() { Sent::All } else { Sent::Gone }
    }

    /// Ends this side's direction. The agent's END ends the whole stream; call nothing more on it then.
    pub fn end(&mut self, stream: StreamId, trailers: Fields) {
        self.streams.come(stream);
        let Some(state) = self.streams.sender(stream) else { return };
        state.sent_end = true;
        let frame = ToAgent::Both(Both::End { stream, trailers });
        self.outbox.body(stream, frame.encode().expect("a bounded frame"), 0);
        if self.side == Side::Agent {
            self.streams.remove(stream);
        }
    }

    /// Ends both directions at once; a stream that is over already is left alone.
    ///
    /// A stream whose OPEN has not left yet never was: the other side hears nothing of it.
    pub fn reset(
        &mut self,
        stream: StreamId,
        reason: Broken,
        dispatched: Dispatched,
        detail: &str,
    ) {
        if self.streams.remove(stream).is_none() {
            return;
        }
        let unheard = self.give_up(stream) && self.side == Side::Relay;
        if !unheard {
            let detail = detail.to_owned();
            self.control(Both::Reset(Reset { stream, reason, dispatched, detail }));
        }
    }

    /// Drops what waits of a stream that is over, and lets others use its room. Whether its head was among it.
    fn give_up(&mut self, stream: StreamId) -> bool {
        let dropped = self.outbox.drop_stream(stream);
        self.reuse(dropped.spent);
        dropped.head
    }

    /// Takes back credit that was spent in vain: whoever waits for it, or for the room in the outbox, may go on.
    fn reuse(&mut self, spent: usize) {
        self.budget.refund(spent);
        if spent > 0 {
            self.streams.unblock_all(&mut self.writable);
        }
    }

    /// Says that received bytes have left this process's memory, so that the other side may send more.
    ///
    /// Call it for every byte, also for those of a stream that is over.
    pub fn consume(&mut self, now: Instant, stream: StreamId, bytes: usize) {
        let rtt = self.beat.rtt();
        if let Some(grant) = self.window.consume(bytes, now, rtt) {
            self.control(Both::Credit { stream: StreamId(0), bytes: grant });
        }
        let state = self.streams.get_mut(stream).filter(|state| !state.got_end);
        if let Some(grant) = state.and_then(|state| state.window.consume(bytes, now, rtt)) {
            self.control(Both::Credit { stream, bytes: grant });
        }
    }

    /// Tells the other side that no new streams are wanted.
    pub fn go_away(&mut self, goaway: GoAway) {
        self.leaving = true;
        self.control(Both::GoAway(goaway));
    }

    /// How many streams there are.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Whether no stream is left and everything is handed to the socket.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.streams.len() == 0 && self.outbox.is_empty()
    }

    /// Whether one of the sides has said GOAWAY.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.leaving || self.peer_leaving
    }

    /// Whether the line was welcomed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// The last measured round trip.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.beat.rtt()
    }

    /// Becomes live, with what the other side granted and how often it wants to be heard.
    fn go_live(&mut self, now: Instant, stream_credit: u32, line_credit: u32) {
        self.stage = Stage::Live;
        self.streams.set_credit(stream_credit);
        self.budget = Budget::new(line_credit);
        self.beat = Heartbeat::new(now, self.setup.heartbeat, self.setup.dead_after);
        let ping = self.beat.ask(now);
        self.control(Both::Ping(ping));
    }

    fn window(&self, now: Instant) -> Window {
        Window::new(self.setup.stream_credit, STREAM_CREDIT_MAX, now)
    }

    fn control(&mut self, both: Both) {
        self.outbox.control(ToAgent::Both(both).encode().expect("a bounded frame"));
    }
}
