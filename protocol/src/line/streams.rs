//! The streams of one line and who of them waits to send.

use std::collections::{BTreeSet, VecDeque};

use foldhash::HashMap;

use super::flow::{Budget, Window};
use crate::id::StreamId;
use crate::limits::STREAM_CREDIT;

/// One stream's state.
#[derive(Debug)]
pub(super) struct Stream {
    /// What this side may send.
    pub(super) budget: Budget,
    /// What the other side may send.
    pub(super) window: Window,
    /// This side's direction is complete.
    pub(super) sent_end: bool,
    /// The other side's direction is complete.
    pub(super) got_end: bool,
    /// The answer's head has passed.
    pub(super) answered: bool,
    turn: Turn,
    /// When its bytes were last taken, in the order of all such moments.
    served: u64,
}

/// Whether a stream's sender is waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It has nothing to send, as far as the line knows.
    Idle,
    /// It waits to be told that it may go on.
    Blocked,
    /// It was told, and has not come back yet.
    Called,
}

/// All streams of one line.
#[derive(Debug)]
pub(super) struct Streams {
    map: HashMap<StreamId, Stream>,
    /// The greatest id ever opened.
    last: StreamId,
    /// What this side may send on a new stream.
    credit: u32,
    /// Whose senders wait, by when they were last served: who was served least lately is called first.
    blocked: BTreeSet<(u64, StreamId)>,
    /// How many were called and have not come back yet.
    called: usize,
    served: u64,
}

impl Default for Streams {
    fn default() -> Self {
        let (map, blocked) = (HashMap::default(), BTreeSet::new());
        Self { map, last: StreamId(0), credit: STREAM_CREDIT, blocked, called: 0, served: 0 }
    }
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn last(&self) -> StreamId {
        self.last
    }

    pub(super) fn set_credit(&mut self, credit: u32) {
        self.credit = credit;
    }

    pub(super) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.map.get_mut(&stream)
    }

    /// The stream, if this side may still send on it.
    pub(super) fn sender(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.map.get_mut(&stream).filter(|state| !state.sent_end)
    }

    pub(super) fn insert(&mut self, stream: StreamId, window: Window) -> &mut Stream {
        self.last = stream;
        let budget = Budget::new(self.credit);
        let (sent_end, got_end, answered) = (false, false, false);
        let (turn, served) = (Turn::Idle, 0);
        let state = Stream { budget, window, sent_end, got_end, answered, turn, served };
        self.map.entry(stream).or_insert(state)
    }

    pub(super) fn remove(&mut self, stream: StreamId) -> Option<Stream> {
        self.come(stream);
        self.map.remove(&stream)
    }

    /// The sender is here, or will not come any more: it waits for nothing.
    pub(super) fn come(&mut self, stream: StreamId) {
        let Some(state) = self.map.get_mut(&stream) else { return };
        match std::mem::replace(&mut state.turn, Turn::Idle) {
            Turn::Idle => {}
            Turn::Called => self.called -= 1,
            Turn::Blocked => drop(self.blocked.remove(&(state.served, stream))),
        }
    }

    /// Whether other senders wait for the same room: then nobody takes more than one frame at a time.
    pub(super) fn contended(&self) -> bool {
        !self.blocked.is_empty() || self.called > 0
    }

    pub(super) fn serve(&mut self, stream: StreamId) {
        self.served += 1;
        if let Some(state) = self.map.get_mut(&stream) {
            state.served = self.served;
        }
    }

    pub(super) fn block(&mut self, stream: StreamId) {
        self.come(stream);
        if let Some(state) = self.map.get_mut(&stream) {
            state.turn = Turn::Blocked;
            self.blocked.insert((state.served, stream));
        }
    }

    pub(super) fn unblock(&mut self, stream: StreamId, writable: &mut VecDeque<StreamId>) {
        if let Some(state) = self.map.get_mut(&stream).filter(|state| state.turn == Turn::Blocked) {
            self.blocked.remove(&(state.served, stream));
            state.turn = Turn::Called;
            self.called += 1;
            writable.push_back(stream);
        }
    }

    /// Lets everybody try again: at most `max_streams` wake-ups, and each that finds no room waits again.
    pub(super) fn unblock_all(&mut self, writable: &mut VecDeque<StreamId>) {
        while let Some((_, stream)) = self.blocked.first().copied() {
            self.unblock(stream, writable);
        }
    }
}
