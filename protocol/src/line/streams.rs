//! The streams of one line and who of them waits to send.

use std::collections::{HashMap, VecDeque};

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
    /// The sender waits to be told that it may go on.
    blocked: bool,
}

/// All streams of one line.
#[derive(Debug)]
pub(super) struct Streams {
    map: HashMap<StreamId, Stream>,
    /// The greatest id ever opened.
    last: StreamId,
    /// What this side may send on a new stream.
    credit: u32,
}

impl Default for Streams {
    fn default() -> Self {
        Self { map: HashMap::new(), last: StreamId(0), credit: STREAM_CREDIT }
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

    pub(super) fn insert(&mut self, stream: StreamId, window: Window) -> &mut Stream {
        self.last = stream;
        let budget = Budget::new(self.credit);
        let (sent_end, got_end, answered, blocked) = (false, false, false, false);
        let state = Stream { budget, window, sent_end, got_end, answered, blocked };
        self.map.entry(stream).or_insert(state)
    }

    pub(super) fn remove(&mut self, stream: StreamId) -> Option<Stream> {
        self.map.remove(&stream)
    }

    pub(super) fn block(&mut self, stream: StreamId) {
        if let Some(state) = self.map.get_mut(&stream) {
            state.blocked = true;
        }
    }

    pub(super) fn unblock(&mut self, stream: StreamId, writable: &mut VecDeque<StreamId>) {
        if let Some(state) = self.map.get_mut(&stream).filter(|state| state.blocked) {
            state.blocked = false;
            writable.push_back(stream);
        }
    }

    /// Lets everybody try again: at most `max_streams` wake-ups, and each that finds no room waits again.
    pub(super) fn unblock_all(&mut self, writable: &mut VecDeque<StreamId>) {
        for (stream, state) in self.map.iter_mut().filter(|(_, state)| state.blocked) {
            state.blocked = false;
            writable.push_back(*stream);
        }
    }
}
