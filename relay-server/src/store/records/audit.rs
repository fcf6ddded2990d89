//! What is written down of those who change something: who, from where, what, from which value to which. Never a secret.

use std::net::IpAddr;

use relay_protocol::id::Name;
use serde::{Deserialize, Serialize};

use super::{Change, SecretChange, Token};
use crate::clock::now_ms;
use crate::endpoint::Endpoint;
use crate::endpoint::settings::is_confidential;

/// The longest value that is written down, in characters.
const VALUE_MAX: usize = 200;

/// What is written down for a value that nobody else is to know.
const NOT_SHOWN: &str = "(not shown)";

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The public part of the token; none for a program that works on the store itself.
    pub token: Option<String>,
    /// The token's name, or the program's.
    pub name: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// A program that works on the store itself.
    #[must_use]
    pub fn program(name: &str) -> Self {
        Self { token: None, name: Some(name.to_owned()), address: None }
    }

    /// Whoever has made a handshake: a provider, which has no token.
    #[must_use]
    pub fn handshake() -> Self {
        Self { token: None, name: Some("handshake".into()), address: None }
    }
}

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub actor: Actor,
    /// What: a noun and a verb, such as `endpoint.changed`.
    pub act: String,
    /// To what: an endpoint's name, a token's public part, an event.
    pub subject: String,
    /// What is different now.
    pub changes: Vec<Changed>,
}

/// A value that is another now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which.
    pub key: String,
    /// What it was, if it was anything.
    pub old: Option<String>,
    /// What it is, if it is anything.
    pub new: Option<String>,
}

/// An act as it was written down, with its number: later ones have larger ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its number.
    pub n: u64,
    /// The act.
    pub act: Act,
}

/// Which acts are looked at, the newest first.
#[derive(Debug, Clone, Copy)]
pub struct ActFilter {
    /// From this time on, in milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// Before this time.
    pub before_ms: u64,
    /// Before this number.
    pub before: u64,
}

impl Act {
    /// Something that somebody does now.
    #[must_use]
    pub fn new(actor: Actor, act: &str, subject: &str) -> Self {
        let (act, subject) = (act.to_owned(), subject.to_owned());
        Self { at_ms: now_ms(), actor, act, subject, changes: Vec::new() }
    }

    /// The same, with something that is there now.
    #[must_use]
    pub fn with(self, key: &str, new: Option<String>) -> Self {
        if new.is_none() { self } else { self.changed(key, None, new) }
    }

    /// The same with a setting, unless it is as it was.
    fn with_setting(self, key: &str, old: Option<&String>, new: Option<&String>) -> Self {
        let told = |value: &String| {
            if is_confidential(key) { NOT_SHOWN.to_owned() } else { value.clone() }
        };
        if old == new { self } else { self.changed(key, old.map(told), new.map(told)) }
    }

    fn changed(mut self, key: &str, old: Option<String>, new: Option<String>) -> Self {
        let short = |value: String| value.chars().take(VALUE_MAX).collect();
        let (old, new) = (old.map(short), new.map(short));
        self.changes.push(Changed { key: key.to_owned(), old, new });
        self
    }

    /// An endpoint was made.
    pub(in crate::store) fn endpoint_created(actor: Actor, endpoint: &Endpoint) -> Self {
        let act = Self::new(actor, "endpoint.created", endpoint.name.as_str());
        let set = endpoint.set.iter();
        set.fold(act, |act, (key, value)| act.with_setting(key, None, Some(value)))
    }

    /// What a change of an endpoint is called. Its key is what only its providers know, so it is not told.
    pub(in crate::store) fn endpoint_changed(
        actor: Actor,
        change: &Change,
        old: &Endpoint,
    ) -> Self {
        let subject = old.name.as_str();
        match change {
            Change::Settings(_) => Self::new(actor, "endpoint.changed", subject),
            Change::Pause(_) => Self::new(actor, "endpoint.paused", subject),
            Change::Resume => Self::new(actor, "endpoint.resumed", subject),
            Change::Key(_, until_ms) => Self::new(actor, "endpoint.key_rotated", subject)
                .with("old_key_until_ms", Some(until_ms.to_string())),
        }
    }

    /// The same with every setting that is another now.
    pub(in crate::store) fn with_settings(self, old: &Endpoint, new: &Endpoint) -> Self {
        let (old, new) = (old.settings.show(), new.settings.show());
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.iter().fold(self, |act, key| act.with_setting(key, old.get(*key), new.get(*key)))
    }

    /// What a change of an endpoint's secrets is called; the secrets themselves are not told.
    pub(in crate::store) fn secret_changed(
        actor: Actor,
        change: &SecretChange,
        endpoint: &Name,
    ) -> Self {
        let act = |verb| Self::new(actor, verb, endpoint.as_str());
        match change {
            SecretChange::Add { new, .. } => {
                act("secret.added").with("purpose", Some(new.purpose.as_str().into()))
            }
            SecretChange::Replace(new, until_ms) => act("secret.replaced")
                .with("purpose", Some(new.purpose.as_str().into()))
                .with("old_secrets_until_ms", Some(until_ms.to_string())),
            SecretChange::Remove(id) => act("secret.removed").with("id", Some(id.to_string())),
            SecretChange::Seen(id) => act("secret.shown").with("id", Some(id.to_string())),
        }
    }

    /// A token was made.
    pub(in crate::store) fn token_created(actor: Actor, token: &Token) -> Self {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        let names = token
            .endpoints
            .as_ref()
            .map(|names| names.iter().map(Name::as_str).collect::<Vec<_>>().join(" "));
        Self::new(actor, "token.created", &token.id)
            .with("name", token.name.clone())
            .with("scopes", Some(scopes.join(" ")))
            .with("endpoints", Some(names.unwrap_or_else(|| "all".into())))
            .with("expires_at_ms", token.expires_ms.map(|ms| ms.to_string()))
    }
}
