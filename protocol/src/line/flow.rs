//! Credit: what this side may send, and what it lets the other side send.

use std::time::{Duration, Instant};

use crate::limits::CREDIT_LIMIT;

/// What may still be sent, in bytes.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn new(bytes: u32) -> Self {
        Self(u64::from(bytes))
    }

    pub(super) fn left(&self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.checked_sub(bytes as u64).expect("only what is left is spent");
    }

    /// Takes back what was spent on bytes that were never sent.
    pub(super) fn refund(&mut self, bytes: usize) {
        self.0 += bytes as u64;
    }

    /// Adds a grant; `false` when the sum is more than anybody may grant.
    #[must_use]
    pub(super) fn grant(&mut self, bytes: u32) -> bool {
        self.0 += u64::from(bytes);
        self.0 <= CREDIT_LIMIT
    }
}

/// What the other side may still send, and how much of it was taken off its hands.
///
/// At all times `open + held + taken == size`, where `held` is received and not yet consumed: so `size` bounds memory.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) size: u32,
    max: u32,
    pub(super) open: u32,
    pub(super) taken: u32,
    granted_at: Instant,
}

impl Window {
    /// A window of `size` bytes that grows up to `max` for a receiver that keeps up.
    pub(super) fn new(size: u32, max: u32, now: Instant) -> Self {
        Self { size, max: max.max(size), open: size, taken: 0, granted_at: now }
    }

    /// Counts received bytes; `false` when there was no credit for them.
    #[must_use]
    pub(super) fn receive(&mut self, bytes: usize) -> bool {
        match u32::try_from(bytes).ok().and_then(|bytes| self.open.checked_sub(bytes)) {
            Some(open) => {
                self.open = open;
                true
            }
            None => false,
        }
    }

    /// Counts bytes that the receiver is done with, and says what to grant, once half the window is due.
    ///
    /// A window that went by within two round trips held the sender up, so it doubles.
    pub(super) fn consume(&mut self, bytes: usize, now: Instant, rtt: Duration) -> Option<u32> {
        self.taken += u32::try_from(bytes).expect("no more is consumed than was received");
        debug_assert!(self.open.checked_add(self.taken).is_some_and(|sum| sum <= self.size));
        if self.taken < self.size / 2 {
            return None;
        }
        let quick = now.saturating_duration_since(self.granted_at) < 2 * rtt;
        let growth = if quick { self.size.min(self.max - self.size) } else { 0 };
        let grant = self.taken + growth;
        self.size += growth;
        self.open += grant;
        self.taken = 0;
        self.granted_at = now;
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sender and receiver of one direction, and the bytes between them.
    struct Direction {
        budget: Budget,
        window: Window,
        held: usize,
    }

    proptest! {
        #[test]
        fn an_honest_sender_is_never_refused_and_memory_is_bounded(
            steps in prop::collection::vec((0usize..40_000, 0usize..40_000, 0u64..50), 1..300)
        ) {
            let mut now = Instant::now();
            let (size, max) = (64 * 1024, 512 * 1024);
            let mut d = Direction { budget: Budget::new(size), window: Window::new(size, max, now), held: 0 };
            for (send, consume, pause) in steps {
                now += Duration::from_millis(pause);
                let sent = send.min(d.budget.left());
                d.budget.spend(sent);
                prop_assert!(d.window.receive(sent));
                d.held += sent;
                let consumed = consume.min(d.held);
                d.held -= consumed;
                if let Some(grant) = d.window.consume(consumed, now, Duration::from_millis(10)) {
                    prop_assert!(d.budget.grant(grant));
                }
                prop_assert!(d.held <= max as usize);
                prop_assert_eq!(d.window.open as usize, d.budget.left());
                prop_assert_eq!(d.window.open as usize + d.held + d.window.taken as usize, d.window.size as usize);
            }
        }

        #[test]
        fn a_receiver_that_takes_everything_never_starves_the_sender(chunks in prop::collection::vec(1usize..70_000, 1..100)) {
            let now = Instant::now();
            let mut d = Direction { budget: Budget::new(65_536), window: Window::new(65_536, 65_536, now), held: 0 };
            for chunk in chunks {
                let mut left = chunk;
                while left > 0 {
                    let sent = left.min(d.budget.left());
                    prop_assert!(sent > 0, "stuck with {left} to go");
                    d.budget.spend(sent);
                    prop_assert!(d.window.receive(sent));
                    if let Some(grant) = d.window.consume(sent, now, Duration::ZERO) {
                        prop_assert!(d.budget.grant(grant));
                    }
                    left -= sent;
                }
            }
        }
    }

    #[test]
    fn a_sender_beyond_its_credit_is_caught() {
        let mut window = Window::new(100, 100, Instant::now());
        assert!(window.receive(100));
        assert!(!window.receive(1));
        assert!(!window.receive(usize::MAX));
    }

    #[test]
    fn grants_beyond_the_limit_are_caught() {
        let mut budget = Budget::new(1);
        assert!(budget.grant(u32::MAX / 2 - 1));
        assert!(!budget.grant(u32::MAX));
    }

    #[test]
    fn only_a_window_that_went_by_quickly_grows() {
        let start = Instant::now();
        let rtt = Duration::from_millis(100);
        let mut slow = Window::new(100, 400, start);
        assert!(slow.receive(100));
        assert_eq!(slow.consume(100, start + Duration::from_secs(1), rtt), Some(100));
        let mut quick = Window::new(100, 400, start);
        assert!(quick.receive(100));
        assert_eq!(quick.consume(100, start + rtt, rtt), Some(200));
        assert!(quick.receive(200));
        assert_eq!(quick.consume(200, start + rtt, rtt), Some(400));
        assert!(quick.receive(400));
        assert_eq!(quick.consume(400, start + rtt, rtt), Some(400), "stops at the maximum");
    }
}
