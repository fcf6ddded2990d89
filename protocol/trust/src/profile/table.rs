//! The table: every profile by its name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, de::ValueDeserializer};

use super::check::{Check, Kind};
use super::mistake::{Mistakes, ProfileError};
use super::row::{DeliveryRow, Generic, Row};
use super::rule::{Rule, When};
use super::{Delivery, Parameter, Profile, TOLERANCE};
use crate::selector::{Selector, dedup_key};

/// The table that comes with the program.
const EMBEDDED: &str = include_str!("../../providers.toml");
/// The version of the schema.
const SCHEMA: i64 = 1;
/// The longest name of a provider.
const NAME_MAX: usize = 64;

/// Every profile by its name.
#[derive(Debug, Clone, Default)]
pub struct Profiles(BTreeMap<String, Arc<Profile>>);

impl Profiles {
    /// Those that come with the program.
    #[must_use]
    pub fn embedded() -> Arc<Self> {
        static TABLE: OnceLock<Arc<Profiles>> = OnceLock::new();
        let read = || Arc::new(Self::default().and(EMBEDDED).expect("a test reads it"));
        Arc::clone(TABLE.get_or_init(read))
    }

    /// Those that come with the program, and the rows of this file: a row of the same name takes the other's place.
    ///
    /// # Errors
    /// Everything that is wrong with the file, each with its line.
    pub fn with_file(text: &str) -> Result<Self, ProfileError> {
        Self::embedded().as_ref().clone().and(text)
    }

    /// The profile of this name; `-` and `_` are one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.get(&key(name))
    }

    /// All names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|profile| profile.name())
    }

    /// These and the rows of this text.
    fn and(mut self, text: &str) -> Result<Self, ProfileError> {
        let mut mistakes = Mistakes::new(text);
        let whole = 0..0;
        match DeTable::parse(text) {
            Err(error) => mistakes.add_toml(&error, &whole),
            Ok(table) => {
                for (name, value) in table.into_inner() {
                    self.add(&name, value, &mut mistakes);
                }
            }
        }
        mistakes.end()?;
        Ok(self)
    }

    fn add(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: Spanned<DeValue<'_>>,
        mistakes: &mut Mistakes<'_>,
    ) {
        let at = name.span();
        let name = name.get_ref().as_ref();
        let reader = ValueDeserializer::from(value);
        if name == "schema" {
            if i64::deserialize(reader) != Ok(SCHEMA) {
                mistakes.add(&at, format!("schema is {SCHEMA}"));
            }
            return;
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        if name.len() > NAME_MAX || !name.chars().all(fits) || ["", "off"].contains(&name) {
            let what = format!("{name:?} is no name for a provider: a-z, 0-9, - and _");
            return mistakes.add(&at, what);
        }
        match Row::deserialize(reader.into_deserializer()) {
            Err(error) => mistakes.add_toml(&error, &at),
            Ok(row) => {
                let profile = profile(name, row, &at, mistakes);
                self.0.insert(key(name), Arc::new(profile));
            }
        }
    }
}

fn key(name: &str) -> String {
    name.replace('-', "_")
}

/// The profile in this row; what is wrong with it is told.
fn profile(name: &str, row: Row, at: &Range<usize>, mistakes: &mut Mistakes<'_>) -> Profile {
    let mut checks = each(row.verify, mistakes, |check: super::row::CheckRow| {
        let check = check.build()?;
        if row.body_bound && check.leaves_body_unsigned() {
            return Err("message leaves the body unsigned: say body_bound = false".to_owned());
        }
        Ok(check)
    });
    let rules = each(row.handshake, mistakes, super::row::RuleRow::build);
    let selector = |text: String| text.parse::<Selector>();
    let ids = each(row.event.id, mistakes, selector);
    let types = each(row.event.r#type, mistakes, selector);
    let dedup = match row.event.dedup {
        Some(keys) => each(keys, mistakes, |key| dedup_key(&key)),
        None => ids.iter().filter_map(Selector::for_dedup).collect(),
    };
    if row.generic.is_some() && !checks.is_empty() {
        mistakes.add(at, "generic: what is verified is said by the endpoint's parameters");
    }
    let mut described = row.params;
    if matches!(row.generic, Some(Generic::Hmac | Generic::Jwt))
        || checks.iter_mut().any(|check| check.tolerance_s().is_some())
    {
        described.entry(TOLERANCE.to_owned()).or_insert_with(|| {
            "how far the signed time may be from now, in seconds; 0 is any time".to_owned()
        });
    }
    let mut parameters = parameters(&checks, &rules, described);
    let generic = row.generic.into_iter().flat_map(Generic::params);
    parameters.extend(generic.map(|(name, what)| Parameter {
        name: name.to_owned(),
        what: what.to_owned(),
        required: false,
    }));
    Profile {
        name: name.to_owned(),
        confidence: row.conf,
        checks,
        generic: row.generic,
        body_bound: row.body_bound,
        ids,
        types,
        dedup: (!dedup.is_empty()).then(|| dedup.join("|")),
        delivery: delivery(row.delivery, at, mistakes),
        rules,
        parameters,
    }
}

/// Builds each entry of a list.
fn each<R, T>(
    entries: Vec<Spanned<R>>,
    mistakes: &mut Mistakes<'_>,
    build: impl Fn(R) -> Result<T, String>,
) -> Vec<T> {
    let mut built = Vec::new();
    for entry in entries {
        let at = entry.span();
        match build(entry.into_inner()) {
            Ok(thing) => built.push(thing),
            Err(what) => mistakes.add(&at, what),
        }
    }
    built
}

fn delivery(row: DeliveryRow, at: &Range<usize>, mistakes: &mut Mistakes<'_>) -> Delivery {
    if let Some(ack) = &row.ack
        && !(200..=299).contains(&ack.status)
    {
        mistakes.add(at, format!("delivery.ack.status: {} is no 2xx", ack.status));
    }
    let data = row.answer_is_data.map(|when| (when.span(), when.into_inner().build()));
    let answer_is_data = data.and_then(|(at, when)| match when {
        Ok(when) => Some(when),
        Err(what) => {
            mistakes.add(&at, what);
            None::<When>
        }
    });
    let seconds = |s: u32| (s > 0).then(|| Duration::from_secs(s.into()));
    let timeout = seconds(row.timeout_s);
    Delivery {
        timeout,
        // A tenth is for the way there and back, at least half a second.
        reply_timeout: seconds(row.wait_s).or_else(|| {
            timeout.map(|all| all.saturating_sub((all / 10).max(Duration::from_millis(500))))
        }),
        success: row.ok,
        retries: row.retries,
        max_body: (row.max_body > 0).then_some(row.max_body),
        ack: row.ack,
        answer_is_data,
    }
}

/// The parameters of a profile: those that are described, and those that its templates take.
fn parameters(
    checks: &[Check],
    rules: &[Rule],
    mut described: BTreeMap<String, String>,
) -> Vec<Parameter> {
    let mut required: Vec<String> = Vec::new();
    for check in checks {
        match &check.kind {
            Kind::Signed(scheme) => required.extend(scheme.message.params().map(str::to_owned)),
            Kind::Sns { .. } => drop(described.entry("topic_arn".into()).or_insert_with(|| {
                "the topic's ARN; the endpoint's secret may say it as well".into()
            })),
            Kind::MessageSignature { .. } => {
                for (name, what) in [
                    ("alg", "the algorithm: hmac-sha256, ed25519 or ecdsa-p256-sha256"),
                    ("require", "what must be signed: component names, a comma between two"),
                    ("keyid", "the id of the key, if only one is accepted"),
                ] {
                    described.entry(name.into()).or_insert_with(|| what.into());
                }
            }
            Kind::Jwt(_) => {
                for (name, what) in super::jwt::PARAMS {
                    described.entry(name.into()).or_insert_with(|| what.into());
                }
            }
            _ => {}
        }
    }
    let asked = rules.iter().flat_map(Rule::params).map(str::to_owned);
    for name in required.iter().cloned().chain(asked) {
        described.entry(name).or_default();
    }
    let all = described.into_iter();
    all.map(|(name, what)| Parameter { required: required.contains(&name), name, what }).collect()
}
