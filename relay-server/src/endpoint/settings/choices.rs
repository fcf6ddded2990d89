//! The settings that are a choice: each with its names.

use std::fmt;

use crate::delivery::Selector;

/// Whether the provider waits for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The provider gets the target's own answer.
    Live,
    /// The provider is told that the event was taken; it is delivered afterwards.
    Ack,
}

/// What happens when there is no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The provider is told that the event was taken, and the relay keeps trying.
    Queue,
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

/// What becomes of an event that is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused, recorded and not delivered.
    Reject,
    /// It is delivered, with what was found.
    Mark,
}

/// Which events wait for which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// None for any other.
    None,
    /// Each for the one before it.
    Endpoint,
    /// Each for the one before it of the same key.
    Key(Selector),
}

pub(super) const REPLIES: &[(&str, Reply)] = &[("live", Reply::Live), ("ack", Reply::Ack)];
pub(super) const FALLBACKS: &[(&str, Fallback)] =
    &[("queue", Fallback::Queue), ("fail", Fallback::Fail)];
pub(super) const CAPTURES: &[(&str, Capture)] =
    &[("full", Capture::Full), ("headers", Capture::Headers), ("none", Capture::None)];
pub(super) const ON_FAILURE: &[(&str, OnFailure)] =
    &[("reject", OnFailure::Reject), ("mark", OnFailure::Mark)];
pub(super) const RESIGN: &[(&str, bool)] = &[("off", false), ("standard", true)];
pub(super) const SWITCH: &[(&str, bool)] = &[("on", true), ("off", false)];

/// The choice of this name.
pub(super) fn choose<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice);
    found.ok_or_else(|| {
        let all: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("{value:?} is none of {}", all.join(", "))
    })
}

/// The name of this choice.
pub(super) fn chosen<T: PartialEq>(choice: &T, choices: &[(&str, T)]) -> String {
    let found = choices.iter().find(|(_, other)| other == choice);
    found.map_or_else(String::new, |(name, _)| (*name).to_owned())
}

impl Order {
    /// The order in this text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "endpoint" => Ok(Self::Endpoint),
            selector => Selector::parse(selector)
                .map(Self::Key)
                .map_err(|why| format!("{why}; or none, or endpoint")),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Endpoint => f.write_str("endpoint"),
            Self::Key(selector) => selector.fmt(f),
        }
    }
}
