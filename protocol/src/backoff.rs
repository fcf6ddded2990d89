//! How long to wait before the next try: exponential with full jitter. Pure: the caller brings the luck.

use std::time::Duration;

/// A growing wait: each try waits a random time below a ceiling that doubles from `first` to `max`.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// A wait whose ceiling starts at `first` and doubles up to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, tries: 0 }
    }

    /// The next wait; `luck` is uniform in 0..1 (full jitter spreads a herd evenly over the whole ceiling).
    pub fn next(&mut self, luck: f64) -> Duration {
        let ceiling = self.ceiling();
        self.tries = self.tries.saturating_add(1);
        ceiling.mul_f64(luck.clamp(0.0, 1.0))
    }

    /// The ceiling of the next wait.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let doubled = self.first.checked_mul(1u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        doubled.map_or(self.max, |wait| wait.min(self.max))
    }

    /// Starts over if what was tried has lasted at least so long: a peer that accepts and drops is not to be hammered.
    pub fn lasted(&mut self, time: Duration, stable: Duration) {
        if time >= stable {
            self.reset();
        }
    }

    /// Starts over. Call it after a stable time only.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many waits were taken since the last reset.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_and_stops_at_the_maximum() {
        let mut wait = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));
        let ceilings: Vec<u128> = (0..9).map(|_| wait.next(1.0).as_millis()).collect();
        assert_eq!(ceilings, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        for _ in 0..100 {
            assert!(wait.next(0.999) < Duration::from_secs(30));
        }
        wait.reset();
        assert_eq!(wait.next(0.5), Duration::from_millis(125));
    }

    #[test]
    fn whoever_is_dropped_soon_after_it_was_accepted_waits_longer_each_time() {
        let (first, stable) = (Duration::from_millis(250), Duration::from_secs(30));
        let mut wait = Backoff::new(first, Duration::from_secs(30));
        for tries in 0..5 {
            assert_eq!(wait.next(1.0), first * 2u32.pow(tries));
            wait.lasted(stable - Duration::from_millis(1), stable);
        }
        wait.lasted(stable, stable);
        assert_eq!(wait.next(1.0), first);
    }
}
