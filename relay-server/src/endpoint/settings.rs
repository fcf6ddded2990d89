//! What can be set for an endpoint: one table of keys, each with its own check. Pure.
//!
//! The command line, the API and the store all go through [`Settings::apply`], so a setting means the same everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::units::{bytes, duration, show_bytes, show_duration};

/// Whether the provider waits for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The provider gets the target's own answer.
    Live,
}

/// What happens when there is no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// An honest 502, 503 or 504.
    Fail,
}

/// What is kept of an event that was answered live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Head and body, and the beginning of the answer.
    Full,
    /// Heads only.
    Headers,
    /// Nothing.
    None,
}

/// The settings of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether the provider waits for the target.
    pub reply: Reply,
    /// How long the provider waits for an answer.
    pub reply_timeout: Duration,
    /// How long an event waits for an agent that is just reconnecting.
    pub hold: Duration,
    /// What happens when there is no answer in time.
    pub fallback: Fallback,
    /// What is kept of an event that was answered live.
    pub capture: Capture,
    /// The longest body, in bytes.
    pub max_body: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reply: Reply::Live,
            reply_timeout: Duration::from_secs(10),
            hold: Duration::from_secs(3),
            fallback: Fallback::Fail,
            capture: Capture::Full,
            max_body: 26 << 20,
        }
    }
}

/// A setting that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct BadSetting {
    /// The key.
    pub key: String,
    /// What is wrong, in words.
    pub why: String,
}

/// One row of the table.
struct Key {
    name: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    show: fn(&Settings) -> String,
}

const KEYS: &[Key] = &[
    Key {
        name: "reply",
        set: |s, v| choose(v, &[("live", Reply::Live)]).map(|x| s.reply = x),
        show: |s| match s.reply {
            Reply::Live => "live".into(),
        },
    },
    Key {
        name: "reply_timeout",
        set: |s, v| between(v, 100, 300_000).map(|x| s.reply_timeout = x),
        show: |s| show_duration(s.reply_timeout),
    },
    Key {
        name: "hold",
        set: |s, v| between(v, 0, 60_000).map(|x| s.hold = x),
        show: |s| show_duration(s.hold),
    },
    Key {
        name: "fallback",
        set: |s, v| choose(v, &[("fail", Fallback::Fail)]).map(|x| s.fallback = x),
        show: |s| match s.fallback {
            Fallback::Fail => "fail".into(),
        },
    },
    Key {
        name: "capture",
        set: |s, v| {
            let all =
                [("full", Capture::Full), ("headers", Capture::Headers), ("none", Capture::None)];
            choose(v, &all).map(|x| s.capture = x)
        },
        show: |s| match s.capture {
            Capture::Full => "full".into(),
            Capture::Headers => "headers".into(),
            Capture::None => "none".into(),
        },
    },
    Key {
        name: "max_body",
        set: |s, v| {
            let size = bytes(v)?;
            if size > MAX_BODY_MAX {
                return Err(format!("at most {}", show_bytes(MAX_BODY_MAX)));
            }
            s.max_body = size;
            Ok(())
        },
        show: |s| show_bytes(s.max_body),
    },
];

/// The largest `max_body`: one event fits into the memory of a small machine's page cache.
const MAX_BODY_MAX: u64 = 1 << 30;

impl Settings {
    /// The settings with these keys set, the rest as by default.
    ///
    /// # Errors
    /// Every key that is unknown or has a value that makes no sense, all at once.
    pub fn apply(set: &BTreeMap<String, String>) -> Result<Self, Vec<BadSetting>> {
        let (mut settings, mut bad) = (Self::default(), Vec::new());
        for (key, value) in set {
            let refuse = |why| BadSetting { key: key.clone(), why };
            match KEYS.iter().find(|known| known.name == key) {
                Some(known) => {
                    bad.extend((known.set)(&mut settings, value.trim()).err().map(refuse));
                }
                None => bad.push(refuse(format!("no such setting; there are {}", names()))),
            }
        }
        if bad.is_empty() { Ok(settings) } else { Err(bad) }
    }

    /// Every key with its value as text.
    #[must_use]
    pub fn show(&self) -> BTreeMap<String, String> {
        KEYS.iter().map(|key| (key.name.to_owned(), (key.show)(self))).collect()
    }
}

fn names() -> String {
    KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

fn choose<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let all: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{value:?} is none of {}", all.join(", "))
    })
}

fn between(value: &str, least_ms: u64, most_ms: u64) -> Result<Duration, String> {
    let wait = duration(value)?;
    let (least, most) = (Duration::from_millis(least_ms), Duration::from_millis(most_ms));
    if (least..=most).contains(&wait) {
        Ok(wait)
    } else {
        Err(format!("between {} and {}", show_duration(least), show_duration(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(pairs: &[(&str, &str)]) -> Result<Settings, Vec<BadSetting>> {
        Settings::apply(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let settings =
            apply(&[("reply_timeout", "25s"), ("capture", "headers"), ("max_body", "1MiB")])
                .unwrap();
        assert_eq!(Settings::apply(&settings.show()), Ok(settings));
        assert_eq!(Settings::apply(&Settings::default().show()), Ok(Settings::default()));
    }

    #[test]
    fn every_wrong_key_is_told_at_once() {
        let bad = apply(&[
            ("hold", "3x"),
            ("colour", "red"),
            ("max_body", "9999GiB"),
            ("reply_timeout", "1ms"),
        ]);
        let keys: Vec<String> = bad.unwrap_err().into_iter().map(|bad| bad.key).collect();
        assert_eq!(keys, ["colour", "hold", "max_body", "reply_timeout"]);
    }
}
