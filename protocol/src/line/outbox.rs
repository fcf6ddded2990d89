//! What waits for the socket: control before heads before body bytes, so that nothing small is stuck behind bulk.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id::StreamId;
use crate::limits::{CONTROL_QUEUE_MAX, OUTBOX_MAX};

/// The three lanes of one line.
///
/// A stream's own order holds: its head is queued before its body, and RESET, which may overtake both, ends it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    control: VecDeque<Bytes>,
    heads: VecDeque<Bytes>,
    body: VecDeque<Chunk>,
    body_bytes: usize,
}

/// A DATA or END frame that waits.
#[derive(Debug)]
struct Chunk {
    stream: StreamId,
    frame: Bytes,
    /// How many bytes of credit were spent on it.
    spent: usize,
}

impl Outbox {
    pub(super) fn control(&mut self, frame: Bytes) {
        self.control.push_back(frame);
    }

    pub(super) fn head(&mut self, frame: Bytes) {
        self.heads.push_back(frame);
    }

    pub(super) fn body(&mut self, stream: StreamId, frame: Bytes, spent: usize) {
        self.body_bytes += spent;
        self.body.push_back(Chunk { stream, frame, spent });
    }

    /// Drops what waits of a stream that is over, and says how many bytes of credit were spent on it in vain.
    pub(super) fn forget(&mut self, stream: StreamId) -> usize {
        let before = self.body_bytes;
        self.body.retain(|chunk| chunk.stream != stream);
        self.body_bytes = self.body.iter().map(|chunk| chunk.spent).sum();
        before - self.body_bytes
    }

    /// How many more body bytes may wait.
    pub(super) fn room(&self) -> usize {
        OUTBOX_MAX.saturating_sub(self.body_bytes)
    }

    /// Whether the other side provokes more control frames than it takes.
    pub(super) fn flooded(&self) -> bool {
        self.control.len() > CONTROL_QUEUE_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.control.len() + self.heads.len() + self.body.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        if let Some(frame) = self.control.pop_front().or_else(|| self.heads.pop_front()) {
            return Some(frame);
        }
        let chunk = self.body.pop_front()?;
        self.body_bytes -= chunk.spent;
        Some(chunk.frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_goes_first_and_bulk_last() {
        let mut outbox = Outbox::default();
        outbox.body(StreamId(1), Bytes::from_static(b"bulk"), 4);
        outbox.head(Bytes::from_static(b"head"));
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
        assert_eq!(outbox.forget(StreamId(1)), 3);
        assert_eq!(outbox.room(), OUTBOX_MAX - 3);
        assert_eq!(outbox.pop(), Some(Bytes::from_static(b"two")));
        assert!(outbox.is_empty());
    }
}
