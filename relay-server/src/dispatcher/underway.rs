//! Live events that others may be repeats of: nothing is promised of them yet, so a repeat waits for what becomes of them.

use std::sync::Arc;

use dashmap::DashMap;
use relay_protocol::id::EventId;
use tokio_util::sync::CancellationToken;

/// The events under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Underway(Arc<DashMap<EventId, CancellationToken>>);

impl Underway {
    /// Puts an event on the list until the guard is dropped.
    pub(super) fn begin(&self, event: EventId) -> Going {
        self.0.insert(event, CancellationToken::new());
        Going { list: self.clone(), event }
    }

    /// Cancelled when this event is over; none if it is.
    pub(super) fn end_of(&self, event: EventId) -> Option<CancellationToken> {
        self.0.get(&event).map(|over| over.clone())
    }
}

/// An event under way.
#[derive(Debug)]
pub(super) struct Going {
    list: Underway,
    event: EventId,
}

impl Drop for Going {
    fn drop(&mut self) {
        if let Some((_, over)) = self.list.0.remove(&self.event) {
            over.cancel();
        }
    }
}
