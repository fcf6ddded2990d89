//! Retry policies: how long to wait after which failed attempt. Pure; read from a setting and shown as one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::endpoint::units::{duration, show_duration};

/// Exponential: the ceiling of the first wait, and the highest one.
const FIRST: Duration = Duration::from_secs(5);
const HIGHEST: Duration = Duration::from_secs(3600);
/// Full jitter may fall on nothing; a target that has just failed is left alone at least this long.
const FLOOR: Duration = Duration::from_secs(1);
/// The longest list of delays, and what they may add up to.
const LIST_MAX: usize = 100;
const SPAN_MAX: Duration = Duration::from_secs(30 * 86_400);

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Slack's Events API: nearly at once, then after one and after five minutes.
const SLACK: &[Duration] = &[Duration::ZERO, minutes(1), minutes(5)];
/// Stripe's live mode, evened out: every hour for three days.
const STRIPE: &[Duration] = &[minutes(60); 72];
/// The schedule that the Standard Webhooks specification suggests; its first entry is the first attempt itself.
const STANDARD_WEBHOOKS: &[Duration] = &[
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];

/// A retry policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Retry {
    /// Full jitter below a ceiling that doubles from 5 s to 1 h, for as long as `retry_for` says.
    #[default]
    Exponential,
    /// As Slack does.
    Slack,
    /// As Stripe does.
    Stripe,
    /// As Standard Webhooks suggests.
    StandardWebhooks,
    /// These waits, one after each failed attempt.
    List(Arc<[Duration]>),
}

impl Retry {
    /// The policy in this text.
    ///
    /// # Errors
    /// What was wanted, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "exponential" => Ok(Self::Exponential),
            "slack" => Ok(Self::Slack),
            "stripe" => Ok(Self::Stripe),
            "standard-webhooks" => Ok(Self::StandardWebhooks),
            list => delays(list).map(Self::List),
        }
    }

    /// How long to wait after the attempt of this number (from 1) has failed; `None`: that was the last one.
    ///
    /// `luck` is uniform in 0..1.
    #[must_use]
    pub fn wait(&self, attempt: u32, luck: f64) -> Option<Duration> {
        let Some(list) = self.list() else {
            return Some(ceiling(attempt).mul_f64(luck.clamp(0.0, 1.0)).max(FLOOR));
        };
        list.get(usize::try_from(attempt).ok()?.checked_sub(1)?).copied()
    }

    /// The sum of all waits, where the policy has a last one.
    #[must_use]
    pub fn span(&self) -> Option<Duration> {
        self.list().map(|list| list.iter().sum())
    }

    /// How many attempts there are at most, where the policy has a last one.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.list().and_then(|list| u32::try_from(list.len() + 1).ok())
    }

    fn list(&self) -> Option<&[Duration]> {
        match self {
            Self::Exponential => None,
            Self::Slack => Some(SLACK),
            Self::Stripe => Some(STRIPE),
            Self::StandardWebhooks => Some(STANDARD_WEBHOOKS),
            Self::List(list) => Some(list),
        }
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential => f.write_str("exponential"),
            Self::Slack => f.write_str("slack"),
            Self::Stripe => f.write_str("stripe"),
            Self::StandardWebhooks => f.write_str("standard-webhooks"),
            Self::List(list) => {
                let delays: Vec<String> = list.iter().copied().map(show_duration).collect();
                f.write_str(&delays.join(","))
            }
        }
    }
}

/// The ceiling of the exponential wait after this attempt.
fn ceiling(attempt: u32) -> Duration {
    let doubled = 1u32.checked_shl(attempt.saturating_sub(1)).and_then(|by| FIRST.checked_mul(by));
    doubled.map_or(HIGHEST, |wait| wait.min(HIGHEST))
}

fn delays(text: &str) -> Result<Arc<[Duration]>, String> {
    if text.is_empty() {
        return Err("no delay: write exponential, slack, stripe, standard-webhooks, or delays as in 1s,10s,1m".into());
    }
    let mut list = Vec::new();
    for (place, delay) in text.split(',').enumerate() {
        if place == LIST_MAX {
            return Err(format!("at most {LIST_MAX} delays"));
        }
        let wait = duration(delay.trim()).map_err(|why| match text.contains(',') {
            true => format!("delay {}: {why}", place + 1),
            false => format!("{why}; or exponential, slack, stripe, standard-webhooks"),
        })?;
        list.push(wait);
    }
    if list.iter().sum::<Duration>() > SPAN_MAX {
        return Err(format!("more than {} in all", show_duration(SPAN_MAX)));
    }
    Ok(list.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for text in ["exponential", "slack", "stripe", "standard-webhooks", "1s,10s,1m", "0ms"] {
            assert_eq!(Retry::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Retry::parse("60s, 2m").unwrap().to_string(), "1m,2m");
        for bad in
            ["", ",", "1s,", "1s,,2s", "soon", "1", "31d", "20d,11d", &vec!["1s"; 101].join(",")]
        {
            assert!(Retry::parse(bad).is_err(), "{bad}");
        }
        assert!(Retry::parse("1s,x").unwrap_err().starts_with("delay 2: "));
    }

    #[test]
    fn presets_are_as_published() {
        let waits = |retry: &Retry| -> Vec<u64> {
            (1..).map_while(|n| retry.wait(n, 0.5)).map(|wait| wait.as_secs()).collect()
        };
        assert_eq!(waits(&Retry::Slack), [0, 60, 300]);
        assert_eq!(waits(&Retry::Stripe), [3600; 72]);
        assert_eq!(
            waits(&Retry::StandardWebhooks),
            [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
        );
        assert_eq!(Retry::StandardWebhooks.attempts(), Some(10));
    }

    #[test]
    fn the_exponential_ceiling_doubles_to_an_hour() {
        let ceilings: Vec<u64> =
            (1..=12).map(|n| Retry::Exponential.wait(n, 1.0).unwrap().as_secs()).collect();
        assert_eq!(ceilings, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(Retry::Exponential.wait(u32::MAX, 1.0), Some(HIGHEST));
        assert_eq!(Retry::Exponential.wait(1, 0.0), Some(FLOOR));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            if let Ok(retry) = Retry::parse(&text) {
                prop_assert_eq!(Retry::parse(&retry.to_string()), Ok(retry));
            }
        }

        #[test]
        fn exponential_waits_grow_with_the_attempts(n in 1u32..100, luck in 0.0f64..1.0) {
            let (this, next) = (Retry::Exponential.wait(n, luck), Retry::Exponential.wait(n + 1, luck));
            prop_assert!(this <= next && this >= Some(FLOOR) && next <= Some(HIGHEST));
        }
    }
}
