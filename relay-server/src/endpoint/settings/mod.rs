//! What can be set for an endpoint: one table of keys, each with its own check. Pure.
//!
//! The command line, the API and the store all go through [`Settings::apply`], so a setting means the same everywhere.

mod choices;
mod keys;
mod provider;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use relay_protocol::id::Name;
use relay_trust::Profiles;

use crate::address::Networks;
use crate::delivery::{Filter, Rate, Retry, Selector};

pub use choices::{Capture, Fallback, OnFailure, Order, Reply};
use keys::KEYS;
pub use provider::Verify;

/// What a setting for one group begins with; the group's name follows.
const FILTER_OF: &str = "filter.";
/// What a parameter of the provider begins with; its name follows.
const PARAM: &str = "verify_param.";
/// The most parameters of a provider, and the longest of them, in bytes.
const PARAMS_MAX: usize = 32;
const PARAM_MAX: usize = 2 << 10;
/// How the names of parameters end that are between an endpoint and its provider, such as `verify_token`.
const CONFIDENTIAL: [&str; 2] = ["token", "secret"];
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

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
    /// The target's statuses that count as no answer, ascending.
    pub fallback_statuses: Arc<[u16]>,
    /// The status of the relay's own "taken": a 2xx.
    pub ack_status: u16,
    /// Its body; without one, the event's id as JSON.
    pub ack_body: Option<Arc<str>>,
    /// The media type of that body, if it is not plain text.
    pub ack_type: Option<Arc<str>>,
    /// What is kept of an event that was answered live.
    pub capture: Capture,
    /// The waits between attempts.
    pub retry: Retry,
    /// How long after the first attempt another may begin.
    pub retry_for: Duration,
    /// The age at which an event is not worth delivering any more, if there is one.
    pub expire_after: Option<Duration>,
    /// How long an attempt from the queue may take.
    pub attempt_timeout: Duration,
    /// Which events wait for which.
    pub order: Order,
    /// The most attempts from the queue at a time, in one group.
    pub max_in_flight: u32,
    /// The most attempts from the queue in a time, in one group.
    pub rate: Option<Rate>,
    /// Whether the endpoint pauses itself when nearly every attempt fails.
    pub breaker: bool,
    /// By what a repeat is known, if at all.
    pub dedup: Option<Selector>,
    /// For how long a repeat is known as one.
    pub dedup_window: Duration,
    /// The most events in one request to the target.
    pub batch: u32,
    /// How long a batch waits to be full.
    pub batch_wait: Duration,
    /// Of what only the newest event is delivered, if of anything.
    pub collapse: Option<Selector>,
    /// How long it must be quiet before the newest is delivered.
    pub collapse_wait: Duration,
    /// The groups, each of which gets every event that its filter takes; `main` is the first of them.
    pub groups: Vec<Name>,
    /// The filter of every group without one of its own.
    pub filter: Option<Filter>,
    /// The filters of single groups.
    pub filters: BTreeMap<Name, Filter>,
    /// The most events that wait.
    pub queue_max_events: u64,
    /// The most bytes that wait.
    pub queue_max_bytes: u64,
    /// What events are verified with, if they are.
    pub verify: Option<Verify>,
    /// What becomes of an event that is not good.
    pub on_failure: OnFailure,
    /// The endpoint's URL as its provider knows it, if not as the relay does.
    pub public_url: Option<Arc<str>>,
    /// Whether what is forwarded is signed anew.
    pub resign: bool,
    /// From where requests are taken, if not from everywhere.
    pub allow: Option<Networks>,
    /// The most requests in a time.
    pub rate_limit: Option<Rate>,
    /// The most requests of one address in a time.
    pub rate_limit_address: Option<Rate>,
    /// The longest body, in bytes.
    pub max_body: u64,
    /// How long a settled event is kept.
    pub keep_for: Duration,
    /// How many events are kept, if that is bounded.
    pub keep_events: Option<u64>,
    /// How many bytes are kept, if that is bounded.
    pub keep_bytes: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reply: Reply::Live,
            reply_timeout: Duration::from_secs(10),
            hold: Duration::from_secs(3),
            fallback: Fallback::Queue,
            fallback_statuses: Arc::default(),
            ack_status: 202,
            ack_body: None,
            ack_type: None,
            capture: Capture::Full,
            retry: Retry::Exponential,
            retry_for: 3 * DAY,
            expire_after: None,
            attempt_timeout: Duration::from_secs(30),
            order: Order::None,
            max_in_flight: 16,
            rate: None,
            breaker: true,
            dedup: None,
            dedup_window: DAY,
            batch: 1,
            batch_wait: Duration::from_secs(1),
            collapse: None,
            collapse_wait: Duration::from_secs(5),
            groups: vec![Name::main()],
            filter: None,
            filters: BTreeMap::new(),
            queue_max_events: 1_000_000,
            queue_max_bytes: 10 << 30,
            verify: None,
            on_failure: OnFailure::Reject,
            public_url: None,
            resign: false,
            allow: None,
            rate_limit: None,
            rate_limit_address: None,
            max_body: 26 << 20,
            keep_for: 30 * DAY,
            keep_events: None,
            keep_bytes: None,
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

/// Whether the value of this setting is for the endpoint's provider and nobody else.
#[must_use]
pub fn is_confidential(key: &str) -> bool {
    let name = key.strip_prefix(PARAM);
    name.is_some_and(|name| CONFIDENTIAL.iter().any(|end| name.ends_with(end)))
}

impl Settings {
    /// The settings with these keys set, the rest as suits the provider, if one of `profiles` is named, or as by default.
    ///
    /// # Errors
    /// Every key that is unknown or has a value that makes no sense, all at once.
    pub fn apply(
        set: &BTreeMap<String, String>,
        profiles: &Profiles,
    ) -> Result<Self, Vec<BadSetting>> {
        let (mut settings, mut bad, mut params) = (Self::default(), Vec::new(), BTreeMap::new());
        for (key, value) in set {
            let done = match key.strip_prefix(PARAM) {
                Some(name) => param(&mut params, name, value.trim()),
                None => settings.set(key, value.trim(), profiles),
            };
            if let Err(why) = done {
                bad.push(BadSetting { key: key.clone(), why });
            }
        }
        // Of a provider that is not known, nothing is known of its parameters either.
        if bad.is_empty() {
            bad.extend(settings.fit_provider(params));
        }
        settings.suit_provider(set);
        if !set.contains_key("retry_for") {
            settings.retry_for = settings.retry_for.max(settings.retry_span());
        }
        if bad.is_empty() {
            bad = settings.contradictions();
        }
        if bad.is_empty() { Ok(settings) } else { Err(bad) }
    }

    /// Every key with its value as text.
    #[must_use]
    pub fn show(&self) -> BTreeMap<String, String> {
        let table = KEYS.iter().map(|key| (key.name.to_owned(), (key.show)(self)));
        let filter =
            |(group, filter): (&Name, &Filter)| (format!("{FILTER_OF}{group}"), filter.to_string());
        let params = self.verify.iter().flat_map(|verify| &verify.params);
        let params = params.map(|(name, value)| (format!("{PARAM}{name}"), value.clone()));
        table.chain(self.filters.iter().map(filter)).chain(params).collect()
    }

    /// The filter of this group, if it has one.
    #[must_use]
    pub fn filter_of(&self, group: &Name) -> Option<&Filter> {
        self.filters.get(group).or(self.filter.as_ref())
    }

    fn set(&mut self, key: &str, value: &str, profiles: &Profiles) -> Result<(), String> {
        if let Some(group) = key.strip_prefix(FILTER_OF) {
            let group: Name =
                group.parse().map_err(|e: relay_protocol::id::NotAName| e.to_string())?;
            self.filters.insert(group, Filter::parse(value)?);
            return Ok(());
        }
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            return Err(format!(
                "no such setting; there are {}, {FILTER_OF}GROUP, {PARAM}NAME",
                names.join(", ")
            ));
        };
        (known.set)(self, value, profiles)
    }

    /// What a policy with a last attempt needs to come to it: its waits and its attempts, in whole hours.
    fn retry_span(&self) -> Duration {
        let (Some(waits), Some(attempts)) = (self.retry.span(), self.retry.attempts()) else {
            return Duration::ZERO;
        };
        let span = waits + self.attempt_timeout * attempts;
        HOUR * u32::try_from(span.as_secs().div_ceil(HOUR.as_secs())).unwrap_or(u32::MAX)
    }

    /// Settings that make sense alone, but not together.
    fn contradictions(&self) -> Vec<BadSetting> {
        let mut bad = Vec::new();
        let mut refuse = |key: &str, why: String| bad.push(BadSetting { key: key.into(), why });
        let live = self.reply != Reply::Ack;
        if live && self.batch > 1 {
            refuse(
                "batch",
                "a provider that waits for its own answer cannot share it; needs reply=ack".into(),
            );
        }
        if live && self.collapse.is_some() {
            refuse(
                "collapse",
                "a provider that waits for an answer needs its event delivered; needs reply=ack"
                    .into(),
            );
        }
        if self.order != Order::None {
            if live && self.fallback == Fallback::Fail {
                let why = "what could not be delivered keeps its place; needs fallback=queue";
                refuse("order", why.into());
            }
            if self.batch > 1 {
                refuse("batch", "one at a time, as order wants it, is no batch".into());
            }
            if self.collapse.is_some() {
                refuse(
                    "collapse",
                    "what is put aside for a newer one has no place in an order".into(),
                );
            }
        }
        for group in self.filters.keys().filter(|group| !self.groups.contains(group)) {
            let groups: Vec<&str> = self.groups.iter().map(Name::as_str).collect();
            let why = format!("no such group; groups are {}", groups.join(", "));
            refuse(&format!("{FILTER_OF}{group}"), why);
        }
        bad
    }
}

/// One more parameter of the provider.
fn param(params: &mut BTreeMap<String, String>, name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || params.len() == PARAMS_MAX || value.len() > PARAM_MAX {
        return Err(format!("at most {PARAMS_MAX} parameters of at most {PARAM_MAX} bytes"));
    }
    params.insert(name.to_owned(), value.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests;
