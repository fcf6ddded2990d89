//! What waits for the socket: control before heads before body bytes, so that nothing small is stuck behind bulk.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id::StreamId;
use crate::limits::{CONTROL_QUEUE_MAX, OUTBOX_MAX};

/// The three lanes of one line.
///
/// A stream's own order holds: its head is queued before its body, and RESET, which may overtake both, ends it. What is
/// still here of a stream that ends is dropped, so RESET never overtakes the OPEN that it is about.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Bytes>,
    heads: VecDeque<Waiting>,
    body: VecDeque<Waiting>,
    body_bytes: usize,
    /// How many heads and chunks were ever queued.
    queued: u64,
    /// How many heads have left since the last chunk.
    heads_in_turn: u32,
}

/// After so many heads older bulk gets its turn: a flood of small events must not starve a large one.
const HEADS_IN_TURN: u32 = 16;

/// A frame of a stream that waits.
#[derive(Debug)]
struct Waiting {
    stream: StreamId,
    frame: Bytes,
    /// How many bytes of credit were spent on it.
    spent: usize,
    /// Its place in the order of queueing, over both lanes.
    place: u64,
}

/// What was dropped of a stream that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    /// The credit that was spent on it in vain.
    pub(super) spent: usize,
    /// Its head was among it: the other side has never heard of the stream's direction.
    pub(super) head: bool,
}

impl Outbox {
    pub(super) fn control(&mut self, frame: Bytes) {
        self.control.push_back(frame);
    }

    pub(super) fn head(&mut self, stream: StreamId, frame: Bytes, spent: usize) {
        let waiting = self.waiting(stream, frame, spent);
        self.heads.push_back(waiting);
    }

    pub(super) fn body(&mut self, stream: StreamId, frame: Bytes, spent: usize) {
        let waiting = self.waiting(stream, frame, spent);
        self.body_bytes += spent;
        self.body.push_back(waiting);
    }

    fn waiting(&mut self, stream: StreamId, frame: Bytes, spent: usize) -> Waiting {
        self.queued += 1;
        Waiting { stream, frame, spent, place: self.queued }
    }

    /// Drops all that waits of a stream that is over.
    pub(super) fn drop_stream(&mut self, stream: StreamId) -> Dropped {
        let mut spent = self.drop_body(stream);
        let head = self.heads.iter().position(|head| head.stream == stream);
        if let Some(head) = head.and_then(|place| self.heads.remove(place)) {
            spent += head.spent;
        }
        Dropped { spent, head: head.is_some() }
    }

    /// Drops the body that waits of a stream whose head has surely left, and says what was spent on it in vain.
    pub(super) fn drop_body(&mut self, stream: StreamId) -> usize {
        let mut spent = 0;
        self.body.retain(|chunk| {
            let over = chunk.stream == stream;
            spent += if over { chunk.spent } else { 0 };
            !over
        });
        self.body_bytes -= spent;
        spent
    }

    /// How many more body bytes may wait.
    pub(super) fn room(&self) -> usize {
        OUTBOX_MAX.saturating_sub(self.body_bytes)
    }

    /// Whether the other side provokes more control frames than it takes.
    pub(super) fn flooded(&self) -> bool {
        self.control.len() > CONTROL_QUEUE_MAX
    }

    pub(super) fn heads(&self) -> usize {
        self.heads.len()
    }

    pub(super) fn len(&self) -> usize {
        self.control.len() + self.heads.len() + self.body.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.control.pop_front() {
            return Some(frame);
        }
        if !self.is_bulks_turn()
            && let Some(head) = self.heads.pop_front()
        {
            self.heads_in_turn += 1;
            return Some(head.frame);
        }
        self.heads_in_turn = 0;
        let chunk = self.body.pop_front()?;
        self.body_bytes -= chunk.spent;
        Some(chunk.frame)
    }

    /// Only a chunk that is older than the first head: its own head has left then.
    fn is_bulks_turn(&self) -> bool {
        let older = |chunk: &Waiting| self.heads.front().is_none_or(|h| chunk.place < h.place);
        self.heads_in_turn >= HEADS_IN_TURN && self.body.front().is_some_and(older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_goes_first_and_bulk_last() {
        let mut outbox = Outbox::default();
        outbox.body(StreamId(1), Bytes::from_static(b"bulk"), 4);
        outbox.head(StreamId(2), Bytes::from_static(b"head"), 0);
        outbox.control(Bytes::from_static(b"control"));
        let order: Vec<Bytes> = std::iter::from_fn(|| outbox.pop()).collect();
        assert_eq!(order, ["control", "head", "bulk"]);
        assert_eq!(outbox.room(), OUTBOX_MAX);
    }

    #[test]
    fn a_stream_that_is_over_leaves_no_bytes_behind() {
        let mut outbox = Outbox::default();
        outbox.body(StreamId(1), Bytes::from_static(b"one"), 3);
        outbox.body(StreamId(2), Bytes::from_static(b"two"), 3);
        outbox.head(StreamId(1), Bytes::from_static(b"head"), 2);
        assert_eq!(outbox.drop_stream(StreamId(1)), Dropped { spent: 5, head: true });
        assert_eq!(outbox.drop_stream(StreamId(1)), Dropped { spent: 0, head: false });
        assert_eq!(outbox.room(), OUTBOX_MAX - 3);
        assert_eq!(outbox.pop(), Some(Bytes::from_static(b"two")));
        assert!(outbox.is_empty());
    }

    #[test]
    fn bulk_gets_its_turn_between_heads_and_never_overtakes_its_own() {
        let mut outbox = Outbox::default();
        let head = || Bytes::from_static(b"h");
        outbox.body(StreamId(1), Bytes::from_static(b"old"), 3);
        (0..40).for_each(|n| outbox.head(StreamId(2 + n), head(), 0));
        outbox.body(StreamId(41), Bytes::from_static(b"new"), 3);
        let order: Vec<Bytes> = std::iter::from_fn(|| outbox.pop()).collect();
        let place = |what: &[u8]| order.iter().position(|frame| frame == what);
        assert_eq!(place(b"old"), Some(HEADS_IN_TURN as usize));
        assert_eq!(place(b"new"), Some(41));
    }
}
