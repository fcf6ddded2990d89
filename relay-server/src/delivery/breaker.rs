//! The circuit breaker of an endpoint: pauses it when nearly everything fails, and probes until it works again. Pure.
//!
//! In memory only: after a restart an endpoint is tried again, which is a probe as well.

use std::time::Duration;

/// It opens when at least this share of the attempts in the window failed, in percent...
const FAILED_PERCENT: u32 = 95;
/// ... of at least so many attempts.
const ATTEMPTS_MIN: u32 = 20;
/// The window, kept in slices: it moves by one slice at a time.
const SLICES: usize = 10;
const SLICE_MS: u64 = 30_000;
/// The wait before the first probe, and the longest one.
const PROBE_FIRST: Duration = Duration::from_secs(30);
const PROBE_MAX: Duration = Duration::from_secs(600);

/// One endpoint's breaker.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    window: [Slice; SLICES],
    open: Option<Open>,
}

/// How an attempt of this endpoint ended, live or from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target took it.
    Worked,
    /// It did not.
    Failed,
    /// It did not, and it was the probe.
    ProbeFailed,
}

/// Whether the queue may make an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Pass,
    /// It may make this one, as a probe. One that is never reported is replaced by the next, a wait later.
    Probe,
    /// Not before this time, in milliseconds of the Unix epoch.
    Shut(u64),
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The endpoint is paused from now on.
    Opened,
    /// The endpoint works again.
    Closed,
}

/// The breaker is open: the endpoint is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// Since when, in milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// When the next probe may go.
    pub probe_ms: u64,
    wait_ms: u64,
}

/// The attempts of one slice of time.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    number: u64,
    attempts: u32,
    failed: u32,
}

impl Breaker {
    /// Asks for an attempt.
    pub fn gate(&mut self, now_ms: u64) -> Gate {
        let Some(open) = &mut self.open else { return Gate::Pass };
        // Never further away than a whole wait: a clock that was set back would pause for as long as it went back.
        open.probe_ms = open.probe_ms.min(now_ms.saturating_add(open.wait_ms));
        if now_ms < open.probe_ms {
            return Gate::Shut(open.probe_ms);
        }
        open.probe_ms = now_ms.saturating_add(open.wait_ms);
        Gate::Probe
    }

    /// Takes note of an attempt's end.
    pub fn ended(&mut self, now_ms: u64, how: Ended) -> Change {
        match (how, &mut self.open) {
            (Ended::Worked, Some(_)) => {
                *self = Self::default();
                Change::Closed
            }
            (Ended::ProbeFailed, Some(open)) => {
                open.wait_ms = (open.wait_ms * 2).min(ms(PROBE_MAX));
                open.probe_ms = now_ms.saturating_add(open.wait_ms);
                Change::None
            }
            // What was under way when it opened says nothing new.
            (Ended::Failed, Some(_)) => Change::None,
            (_, None) => self.count(now_ms, how != Ended::Worked),
        }
    }

    /// Since when the endpoint is paused and when it is probed, if it is.
    #[must_use]
    pub const fn open(&self) -> Option<Open> {
        self.open
    }

    fn count(&mut self, now_ms: u64, failed: bool) -> Change {
        let number = now_ms / SLICE_MS;
        let slice = &mut self.window[(number % SLICES as u64) as usize];
        if slice.number != number {
            *slice = Slice { number, ..Slice::default() };
        }
        slice.attempts = slice.attempts.saturating_add(1);
        slice.failed = slice.failed.saturating_add(u32::from(failed));
        if !(failed && self.nearly_all_failed(number)) {
            return Change::None;
        }
        let wait_ms = ms(PROBE_FIRST);
        let probe_ms = now_ms.saturating_add(wait_ms);
        self.open = Some(Open { since_ms: now_ms, probe_ms, wait_ms });
        Change::Opened
    }

    fn nearly_all_failed(&self, number: u64) -> bool {
        let recent =
            |slice: &&Slice| slice.number <= number && number - slice.number < SLICES as u64;
        let (attempts, failed) =
            self.window.iter().filter(recent).fold((0u64, 0u64), |(a, f), slice| {
                (a + u64::from(slice.attempts), f + u64::from(slice.failed))
            });
        attempts >= u64::from(ATTEMPTS_MIN) && failed * 100 >= attempts * u64::from(FAILED_PERCENT)
    }
}

fn ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    /// A breaker that has just opened.
    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let changes: Vec<Change> = (0..20).map(|_| breaker.ended(NOW, Ended::Failed)).collect();
        assert_eq!(changes.iter().position(|change| *change == Change::Opened), Some(19));
        breaker
    }

    #[test]
    fn twenty_failures_in_a_row_open_it() {
        let open = opened().open().unwrap();
        assert_eq!((open.since_ms, open.probe_ms), (NOW, NOW + 30_000));
    }

    #[test]
    fn one_success_in_ten_keeps_it_closed_and_one_in_twenty_does_not() {
        for (every, opens) in [(10, false), (20, true)] {
            let mut breaker = Breaker::default();
            let opened = (1..=200).any(|n| {
                let how = if n % every == 1 { Ended::Worked } else { Ended::Failed };
                breaker.ended(NOW, how) == Change::Opened
            });
            assert_eq!(opened, opens, "one in {every}");
        }
    }

    #[test]
    fn failures_further_apart_than_the_window_do_not_add_up() {
        let mut breaker = Breaker::default();
        for n in 0..100 {
            assert_eq!(breaker.ended(NOW + n * 30_000, Ended::Failed), Change::None);
        }
    }

    #[test]
    fn a_probe_that_fails_doubles_the_wait_up_to_ten_minutes() {
        let (mut breaker, mut now, mut waits) = (opened(), NOW, Vec::new());
        for _ in 0..7 {
            let Gate::Shut(until) = breaker.gate(now) else { panic!("it is shut") };
            waits.push((until - now) / 1000);
            now = until;
            assert_eq!(breaker.gate(now), Gate::Probe);
            assert!(matches!(breaker.gate(now), Gate::Shut(_)), "one probe at a time");
            assert_eq!(breaker.ended(now, Ended::ProbeFailed), Change::None);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn any_success_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.ended(NOW + 1, Ended::Failed), Change::None);
        assert_eq!(breaker.ended(NOW + 2, Ended::Worked), Change::Closed);
        assert_eq!(breaker.gate(NOW + 3), Gate::Pass);
        assert_eq!(breaker.ended(NOW + 4, Ended::Failed), Change::None, "it starts over");
    }

    #[test]
    fn a_probe_that_is_never_reported_is_replaced() {
        let mut breaker = opened();
        assert_eq!(breaker.gate(NOW + 30_000), Gate::Probe);
        assert_eq!(breaker.gate(NOW + 59_999), Gate::Shut(NOW + 60_000));
        assert_eq!(breaker.gate(NOW + 60_000), Gate::Probe);
    }

    #[test]
    fn a_clock_set_back_prolongs_no_pause() {
        assert_eq!(opened().gate(NOW - 7_200_000), Gate::Shut(NOW - 7_200_000 + 30_000));
    }

    proptest! {
        #[test]
        fn it_is_never_shut_for_longer_than_the_longest_wait(
            turns in prop::collection::vec((0u8..4, any::<u32>()), 0..200),
        ) {
            let (mut breaker, mut now) = (Breaker::default(), NOW);
            for (turn, step) in turns {
                now += u64::from(step) / 4096;
                let how = [Ended::Worked, Ended::ProbeFailed, Ended::Failed, Ended::Failed];
                breaker.ended(now, how[usize::from(turn)]);
                if let Gate::Shut(until) = breaker.gate(now) {
                    prop_assert!(until > now && until <= now + ms(PROBE_MAX));
                }
            }
        }
    }
}
