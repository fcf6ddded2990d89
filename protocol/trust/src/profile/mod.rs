//! Profiles: what is known of each provider, as data. The embedded table and the user's own rows have one schema.

mod build;
mod build_rule;
pub(crate) mod check;
mod delivery;
mod generic;
pub(crate) mod jwt;
mod mistake;
pub(crate) mod pattern;
mod row;
pub(crate) mod rule;
mod secret_form;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::delivery::{Ack, Delivery, Fallback};
pub use self::mistake::{Mistake, ProfileError};
pub use self::table::Profiles;

use self::check::{Check, Kind};
use self::row::Generic;
use self::rule::Rule;
use crate::reading::Reading;
use crate::request::Request;
use crate::selector::Selector;

/// How sure a row of the table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Read in the provider's own library or its tests.
    Sdk,
    /// Read on the provider's pages.
    Docs,
    /// Read in two independent places elsewhere.
    Second,
    /// Not confirmed, or not said.
    #[default]
    Unverified,
}

/// A parameter of a profile: a key of the setting `verify_param.NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is, in words; may be empty.
    pub what: String,
    /// Whether nothing can be verified without it.
    pub required: bool,
}

/// Why nothing of a provider can be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unprovable {
    /// It sends nothing that could be checked.
    NothingSent,
    /// Its signatures are checked with a certificate that is fetched from it.
    Fetched,
}

/// The parameter that says how far a signed time may be from now.
const TOLERANCE: &str = "tolerance";

/// What is known of a provider.
#[derive(Debug, Clone)]
pub struct Profile {
    name: String,
    confidence: Confidence,
    pub(crate) checks: Vec<Check>,
    generic: Option<Generic>,
    pub(crate) body_bound: bool,
    ids: Vec<Selector>,
    types: Vec<Selector>,
    dedup: Option<String>,
    delivery: Delivery,
    pub(crate) rules: Vec<Rule>,
    parameters: Vec<Parameter>,
}

impl Profile {
    /// Its name in the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How sure the table is of it.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.confidence
    }

    /// Whether nobody has confirmed how this provider signs; a generic profile is of none.
    #[must_use]
    pub fn is_unconfirmed(&self) -> bool {
        self.generic.is_none() && self.confidence == Confidence::Unverified
    }

    /// The parameters that it takes.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How the provider delivers.
    #[must_use]
    pub const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The provider's id of this event: the same when it sends it again.
    #[must_use]
    pub fn event_id(&self, request: &Request<'_>) -> Option<String> {
        Reading::new(request, &BTreeMap::new()).first(&self.ids)
    }

    /// What kind of event it is, in the provider's words.
    #[must_use]
    pub fn event_type(&self, request: &Request<'_>) -> Option<String> {
        Reading::new(request, &BTreeMap::new()).first(&self.types)
    }

    /// The value of the endpoint's setting `dedup` that suits the provider.
    ///
    /// `None` where nothing is known that two of its events never share: a repeat is not delivered, so that a wrong key
    /// would lose events, and none lets some come twice.
    #[must_use]
    pub fn dedup(&self) -> Option<&str> {
        self.dedup.as_deref()
    }

    /// What is best done where the target gives no answer to this request.
    #[must_use]
    pub fn fallback(&self, request: &Request<'_>) -> Fallback {
        let params = BTreeMap::new();
        let reading = Reading::new(request, &params);
        match &self.delivery.answer_is_data {
            Some(when) if when.applies(&reading) => Fallback::Fail,
            _ => Fallback::Queue,
        }
    }

    /// Whether its URL is signed, so that the endpoint must know it as the provider does (`public_url`).
    #[must_use]
    pub fn signs_url(&self) -> bool {
        use crate::template::MessagePart::{Path, Url, UrlDecoded};
        self.checks.iter().any(|check| match &check.kind {
            Kind::Signed(scheme) => {
                [Url, UrlDecoded, Path].iter().any(|part| scheme.message.has(part))
            }
            Kind::Contentful { .. } | Kind::MessageSignature { .. } => true,
            Kind::Jwt(token) => token.url.is_some(),
            _ => false,
        })
    }

    /// Why nothing of this provider could be proved to somebody who fetches nothing from the web; `None` if something can.
    ///
    /// Ask it of a profile that was made for the endpoint's parameters ([`Profile::fit`]).
    #[must_use]
    pub fn unprovable_offline(&self) -> Option<Unprovable> {
        if self.checks.is_empty() {
            return Some(Unprovable::NothingSent);
        }
        self.checks.iter().all(Check::fetches).then_some(Unprovable::Fetched)
    }

    /// This profile for an endpoint with these parameters. Check them here, once, and keep what is returned.
    ///
    /// # Errors
    /// What is wrong with the parameters, in words.
    pub fn fit(&self, params: &BTreeMap<String, String>) -> Result<Self, String> {
        let known = |name: &String| self.parameters.iter().any(|known| known.name == *name);
        if let Some(stranger) = params.keys().find(|name| !known(name)) {
            let names: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
            let all = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(format!("{} has no parameter {stranger}: it takes {all}", self.name));
        }
        let missing = self.parameters.iter().find(|p| p.required && !params.contains_key(&p.name));
        if let Some(Parameter { name, what, .. }) = missing {
            let what = if what.is_empty() { String::new() } else { format!(": {what}") };
            return Err(format!("{} needs the parameter {name}{what}", self.name));
        }
        let mut fitted = self.clone();
        if let Some(generic) = self.generic {
            fitted.checks = vec![generic.check(params).map_err(|e| format!("{}: {e}", self.name))?];
        }
        if let Some(own) = params.get(TOLERANCE) {
            let own = own
                .parse()
                .map_err(|_| format!("{}: tolerance is a number of seconds", self.name))?;
            let times = fitted.checks.iter_mut().filter_map(Check::tolerance_s);
            times.for_each(|tolerance_s| *tolerance_s = own);
        }
        Ok(fitted)
    }
}
