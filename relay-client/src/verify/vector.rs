//! Vectors: requests with secrets and what must be found, in a file, so that anybody can check the verifier.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_trust::{Certificates, Finding, Keys, Profiles, Reason, Secret, verify};
use serde::Deserialize;
use serde_json::Value;

use super::{Saved, profile};

/// One vector, as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
pub struct Vector {
    /// What it is called.
    pub name: String,
    provider: String,
    secret: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, Value>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body_base64: String,
    now_unix: u64,
    #[serde(default)]
    fetch: BTreeMap<String, String>,
    /// What must be found, if it says so.
    pub expect: Option<Expected>,
}

/// What must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It may be believed.
    Valid,
    /// It may not.
    Invalid,
}

impl Vector {
    /// What is found.
    ///
    /// # Errors
    /// Why it is no vector, in words.
    pub fn find(&self, profiles: &Profiles) -> Result<Finding, String> {
        let params = self.params.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let profile = profile(profiles, &self.provider, &params)?;
        let secrets: Vec<Secret> = self
            .secrets
            .iter()
            .chain(&self.secret)
            .map(|secret| Secret::new(secret.as_str()))
            .collect();
        let mut certificates = Certificates::new();
        self.fetch.iter().for_each(|(url, pem)| certificates.insert(url, pem.as_str()));
        let bytes = |text: &str| text.as_bytes().to_vec();
        let saved = Saved {
            method: self.method.clone(),
            url: self.url.clone(),
            url_is_guessed: false,
            headers: self.headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
            body: STANDARD.decode(&self.body_base64).map_err(|e| format!("body_base64: {e}"))?,
            notes: Vec::new(),
        };
        let keys = Keys { secrets: &secrets, params: &params, tolerance_s: None };
        let now_ms = self.now_unix.saturating_mul(1000);
        let found =
            saved.with_request(|request| verify(&profile, request, &keys, &certificates, now_ms));
        Ok(found.unwrap_or(Finding::failed(Reason::CertificateUnavailable)))
    }
}

impl Expected {
    /// Whether that is what was found.
    #[must_use]
    pub fn is(self, found: &Finding) -> bool {
        (self == Self::Valid) == found.is_good()
    }
}

/// A parameter as the settings of an endpoint have it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
