//! How many bytes of requests the relay holds in memory, over all endpoints: a bound, and a guard for each part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes in flight.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    most: usize,
}

impl Budget {
    /// A budget of `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { used: Arc::default(), most }
    }

    /// Takes bytes from the budget until the guard is dropped; `None` when they are not there.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Held> {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { used: Arc::clone(&self.used), bytes };
        // Dropping the guard gives the bytes back when they were too many.
        (used.saturating_add(bytes) <= self.most).then_some(held)
    }

    /// How many bytes are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// Bytes taken from a budget; given back when dropped.
#[derive(Debug)]
pub struct Held {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Held {
    /// How many bytes they are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_comes_back() {
        let budget = Budget::new(100);
        let first = budget.take(60).unwrap();
        assert!(budget.take(41).is_none());
        let second = budget.take(40).unwrap();
        assert!(budget.take(1).is_none());
        drop(first);
        assert_eq!(budget.used(), 40);
        assert!(budget.take(60).is_some());
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
