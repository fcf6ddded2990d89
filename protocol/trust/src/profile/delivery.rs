//! How a provider delivers: how long it waits, what it takes for a success, how often it tries again.

use std::time::Duration;

use serde::Deserialize;

use super::rule::When;

/// How a provider delivers.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// How long it waits for an answer, where that is published.
    pub timeout: Option<Duration>,
    /// How long to wait for the target's answer (the endpoint's setting `reply_timeout`), so that the provider still
    /// hears of an acknowledgement; `None` where nothing is known.
    pub reply_timeout: Option<Duration>,
    /// What it takes for a success, in words.
    pub success: Option<String>,
    /// When it tries again, in words.
    pub retries: Option<String>,
    /// Its largest body in bytes, where that is published.
    pub max_body: Option<u64>,
    /// What it wants for an acknowledgement, if not any 2xx.
    pub ack: Option<Ack>,
    /// Which of its requests wait for data in the answer, so that an acknowledgement is no answer.
    pub(crate) answer_is_data: Option<When>,
}

/// An acknowledgement that a provider wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// A 2xx.
    pub status: u16,
    /// Its `Content-Type`, if it has a body.
    #[serde(rename = "type", default)]
    pub content_type: Option<String>,
    /// Its body.
    #[serde(default)]
    pub body: String,
}

/// What is best done where the target gives no answer in time: the values of the endpoint's setting `fallback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The event is acknowledged and delivered later.
    Queue,
    /// An honest error, for the answer would have been data.
    Fail,
}
