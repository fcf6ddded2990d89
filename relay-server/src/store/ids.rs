//! The ids of new events: each is greater than every one before it in the same store, over restarts and whatever the clock
//! says, since order, pages and retention go by ids.
//!
//! When the clock was set back, ids go on from the newest one and their time stands still until the clock is there again.

use std::sync::{Mutex, PoisonError};

use relay_protocol::id::EventId;

/// Makes ids.
#[derive(Debug)]
pub(super) struct Ids(Mutex<EventId>);

impl Ids {
    /// Goes on after the newest id that the store has seen.
    ///
    /// In the millisecond after it, and at random there: ids that were made after it and never stored are not made again.
    #[must_use]
    pub(super) fn after(newest: EventId) -> Self {
        Self(Mutex::new(EventId::now_or_after(newest)))
    }

    /// A new id.
    pub(super) fn next(&self) -> EventId {
        let now = EventId::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = now.max(last.successor());
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_also_from_one_that_is_ahead_of_the_clock() {
        let ahead = EventId::first_at(EventId::now().unix_ms() + 3_600_000);
        for newest in [EventId::from_bytes([0; 16]), EventId::now(), ahead] {
            let ids = Ids::after(newest);
            let made: Vec<EventId> = (0..5000).map(|_| ids.next()).collect();
            assert!(newest < made[0]);
            assert!(made.windows(2).all(|pair| pair[0] < pair[1]));
            let told = made[4999].unix_ms().abs_diff(newest.max(EventId::now()).unix_ms());
            assert!(told < 60_000, "their time is off by {told} ms");
        }
    }

    #[test]
    fn what_was_made_and_not_stored_is_not_made_again() {
        let ahead = EventId::first_at(EventId::now().unix_ms() + 3_600_000);
        let (one, other) = (Ids::after(ahead), Ids::after(ahead));
        let made: Vec<EventId> = (0..1000).map(|_| one.next()).collect();
        assert!((0..1000).all(|_| !made.contains(&other.next())));
    }
}
