//! The pace of an endpoint: a rate as people write it, and who may go when. Pure; exact over any length of time.

use std::fmt;

/// The highest count in a rate, and the largest burst: above it nobody paces anything.
const COUNT_MAX: u32 = 1_000_000;
/// Without a burst of its own, a rate lets this much of its time catch up: a worker that wakes a little late each time
/// would otherwise fall behind the rate by as much.
const CATCH_UP_MS: u64 = 250;

/// So many in a time: `50/s`, `600/m`, `5/h`, or `100/s:500` with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Per,
    burst: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

/// Who may go now, at a rate: a bucket of tokens, kept as the time at which it was (or will be) full.
///
/// Times are in units of `1 / count` milliseconds, so that the time of one token is a whole number.
#[derive(Debug, Clone)]
pub struct Pace {
    rate: Rate,
    full_at: u128,
}

/// Whether somebody may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Now,
    /// Not before this time, in milliseconds of the Unix epoch.
    At(u64),
}

impl Rate {
    /// The rate in this text.
    ///
    /// # Errors
    /// What was wanted, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no rate: write 50/s, 600/m, 5/h or 100/s:500");
        let (pace, burst) = match text.split_once(':') {
            Some((pace, burst)) => (pace, Some(count(burst).ok_or_else(wrong)?)),
            None => (text, None),
        };
        let (number, unit) = pace.split_once('/').ok_or_else(wrong)?;
        let per = match unit {
            "s" => Per::Second,
            "m" => Per::Minute,
            "h" => Per::Hour,
            _ => return Err(wrong()),
        };
        let count = count(number).ok_or_else(wrong)?;
        if count == 0 || burst == Some(0) {
            return Err("a rate of 0 lets nothing through; pause the endpoint for that".into());
        }
        if count.max(burst.unwrap_or(0)) > COUNT_MAX {
            return Err(format!("at most {COUNT_MAX}"));
        }
        Ok(Self { count, per, burst })
    }

    /// When the one after so many goes, in milliseconds after the first.
    #[must_use]
    pub fn after(self, n: u64) -> u64 {
        n.saturating_mul(self.per.ms()) / u64::from(self.count)
    }

    /// The same rate for those who are refused beyond it, not held back: without a burst of its own, as many may come at
    /// once as it counts.
    #[must_use]
    pub fn as_limit(self) -> Self {
        Self { burst: self.burst.or(Some(self.count)), ..self }
    }

    /// How many may go at once when nobody has gone for a while.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst.unwrap_or_else(|| {
            let catch_up = u64::from(self.count) * CATCH_UP_MS / self.per.ms();
            u32::try_from(catch_up).unwrap_or(COUNT_MAX) + 1
        })
    }
}

impl Per {
    const fn ms(self) -> u64 {
        match self {
            Self::Second => 1000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        };
        write!(f, "{}/{unit}", self.count)?;
        self.burst.map_or(Ok(()), |burst| write!(f, ":{burst}"))
    }
}

impl Pace {
    /// Nobody has gone yet: the bucket is full.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate, full_at: 0 }
    }

    /// Takes a token, or says when there is one.
    pub fn take(&mut self, now_ms: u64) -> Turn {
        let (count, token) = (u128::from(self.rate.count), u128::from(self.rate.per.ms()));
        let (now, depth) = (u128::from(now_ms) * count, u128::from(self.rate.burst()) * token);
        // Never further away than an empty bucket: a clock that was set back would make everybody wait for its return.
        let full_at = self.full_at.clamp(now, now + depth);
        let after = full_at + token;
        self.full_at = if after <= now + depth { after } else { full_at };
        if after <= now + depth {
            return Turn::Now;
        }
        Turn::At(u64::try_from((after - depth).div_ceil(count)).unwrap_or(u64::MAX))
    }

    /// Whether nobody has gone lately.
    #[must_use]
    pub fn is_full(&self, now_ms: u64) -> bool {
        self.full_at <= u128::from(now_ms) * u128::from(self.rate.count)
    }

    /// The same bucket at another rate.
    pub fn set(&mut self, rate: Rate) {
        if rate != self.rate {
            *self = Self::new(rate);
        }
    }
}

fn count(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000_000;

    fn pace(text: &str) -> Pace {
        Pace::new(Rate::parse(text).unwrap())
    }

    #[test]
    fn rates_are_read_and_written() {
        for text in ["50/s", "600/m", "5/h", "100/s:500", "1000000/s"] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "50",
            "/s",
            "50/",
            "50/d",
            "-1/s",
            "+1/s",
            "0/s",
            "5/s:0",
            "5/s:",
            "1.5/s",
            "1000001/s",
            "9999999999999/s",
        ] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut pace = pace("100/s:5");
        let mut turn = |at| pace.take(NOW + at);
        assert_eq!([turn(0), turn(0), turn(0), turn(0), turn(0)], [Turn::Now; 5]);
        assert_eq!([turn(0), turn(9)], [Turn::At(NOW + 10); 2]);
        assert_eq!([turn(10), turn(10)], [Turn::Now, Turn::At(NOW + 20)]);
        assert_eq!(turn(10_000), Turn::Now);
    }

    #[test]
    fn a_backlog_drains_at_the_rate_however_late_the_worker_wakes() {
        for (rate, per_s) in [("50/s", 50.0), ("600/m", 10.0), ("7/s", 7.0), ("2000/s", 2000.0)] {
            let (mut pace, mut now, mut late) = (pace(rate), NOW, 0);
            for _ in 0..100_000 {
                while let Turn::At(due) = pace.take(now) {
                    assert!(due > now);
                    late = (late + 1) % 7;
                    now = due + late;
                }
            }
            let measured = 100_000.0 / ((now - NOW) as f64 / 1000.0);
            assert!((measured / per_s - 1.0).abs() < 0.01, "{rate}: {measured} a second");
        }
    }

    #[test]
    fn as_many_as_a_limit_counts_may_come_at_once() {
        for (rate, burst) in [("5/s", 5), ("600/m", 600), ("100/s:7", 7)] {
            assert_eq!(Rate::parse(rate).unwrap().as_limit().burst(), burst, "{rate}");
        }
        let mut pace = Pace::new(Rate::parse("2/s").unwrap().as_limit());
        assert!(pace.is_full(NOW));
        let turns = [pace.take(NOW), pace.take(NOW), pace.take(NOW)];
        assert_eq!(turns, [Turn::Now, Turn::Now, Turn::At(NOW + 500)]);
        assert!(!pace.is_full(NOW + 999) && pace.is_full(NOW + 1000));
    }

    #[test]
    fn a_clock_set_back_holds_nobody_up() {
        let mut pace = pace("1/s");
        assert_eq!(pace.take(NOW), Turn::Now);
        assert_eq!(pace.take(NOW - 7_200_000), Turn::At(NOW - 7_200_000 + 1000));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_allow(
            count in 1u32..5000,
            burst in 1u32..500,
            steps in prop::collection::vec(0u64..200, 1..400),
        ) {
            let rate = Rate::parse(&format!("{count}/s:{burst}")).unwrap();
            let (mut pace, mut now, mut taken) = (Pace::new(rate), NOW, 0u64);
            for step in steps {
                now += step;
                taken += u64::from(pace.take(now) == Turn::Now);
                prop_assert!(taken * 1000 <= u64::from(burst) * 1000 + (now - NOW) * u64::from(count));
            }
        }
    }
}
