//! A vector: a request of a provider, the secret, and what must be found.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_trust::{Certificates, Finding, Keys, Profile, Profiles, Request, Secret, verify};
use serde_json::Value;

/// A vector, as it stands in the files.
pub(crate) struct Vector(Value);

/// The request of the vector of this name.
pub(crate) fn case(name: &str) -> Case {
    let found = all().into_iter().find(|vector| vector.name() == name);
    found.unwrap_or_else(|| panic!("there is no vector {name}")).case()
}

/// Every vector of every file.
pub(crate) fn all() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("vectors")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let vectors = files.iter().flat_map(|file| {
        let text = std::fs::read_to_string(file).expect("a readable file");
        serde_json::from_str::<Vec<Value>>(&text).expect("a list")
    });
    vectors.map(Vector).collect()
}

/// Checks what this request brings.
pub(crate) struct Case {
    pub(crate) provider: String,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) now_ms: u64,
    pub(crate) certificates: Certificates,
}

impl Vector {
    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    pub(crate) fn is_valid(&self) -> bool {
        match self.text("expect") {
            "valid" => true,
            "invalid" => false,
            other => panic!("{}: expect {other:?}", self.name()),
        }
    }

    /// What it is there for.
    pub(crate) fn why(&self) -> &str {
        self.text("why")
    }

    /// The state and the reason that must be found, where the vector has them.
    pub(crate) fn found(&self) -> Option<&str> {
        self.0["found"].as_str()
    }

    pub(crate) fn case(&self) -> Case {
        let secrets = self.0["secrets"].as_array().cloned().unwrap_or_default();
        let secrets = secrets.into_iter().chain([self.0["secret"].clone()]);
        let pairs = self.0["headers"].as_array().expect("headers").iter();
        let bytes = |value: &Value| value.as_str().expect("a text").as_bytes().to_vec();
        let mut certificates = Certificates::new();
        for (url, pem) in self.0["fetch"].as_object().into_iter().flatten() {
            certificates.insert(url, pem.as_str().expect("a text"));
        }
        let params = self.0["params"].as_object().into_iter().flatten();
        Case {
            provider: self.text("provider").to_owned(),
            secrets: secrets.filter_map(|s| s.as_str().map(Secret::new)).collect(),
            params: params.map(|(name, value)| (name.clone(), param(value))).collect(),
            method: self.text("method").to_owned(),
            url: self.text("url").to_owned(),
            headers: pairs.map(|pair| (bytes(&pair[0]), bytes(&pair[1]))).collect(),
            body: STANDARD.decode(self.text("body_base64")).expect("base64"),
            now_ms: self.0["now_unix"].as_u64().expect("a time") * 1000,
            certificates,
        }
    }
}

fn param(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(param).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

impl Case {
    /// This request with the field of this name changed by `change`.
    pub(crate) fn with(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        let field = self.headers.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        let (_, value) = field.unwrap_or_else(|| panic!("there is no {name}"));
        *value = change(std::str::from_utf8(value).expect("a text")).into_bytes();
        self
    }

    /// This request with one more field.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// This request without this field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name.as_bytes()));
        self
    }

    /// This request with another body.
    pub(crate) fn saying(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The state and the reason, as they are written.
    pub(crate) fn told(&self) -> String {
        let found = self.find();
        found
            .reason
            .map_or_else(|| found.state.to_string(), |reason| format!("{} {reason}", found.state))
    }

    /// What is found; a certificate that is not at hand is a panic.
    pub(crate) fn find(&self) -> Finding {
        self.with_request(|profile, request, keys| {
            verify(profile, request, keys, &self.certificates, self.now_ms).expect("certificates")
        })
    }

    /// Does something with this request, its profile and its keys.
    pub(crate) fn with_request<T>(
        &self,
        act: impl FnOnce(&Profile, &Request<'_>, &Keys<'_>) -> T,
    ) -> T {
        let profiles = Profiles::embedded();
        let profile =
            profiles.get(&self.provider).expect("a profile").fit(&self.params).expect("fits");
        let keys = Keys { secrets: &self.secrets, params: &self.params, tolerance_s: None };
        self.with_bare_request(|request| act(&profile, request, &keys))
    }

    /// Does something with this request alone.
    pub(crate) fn with_bare_request<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        act(&Request {
            method: &self.method,
            url: self.url.as_bytes(),
            headers: &headers,
            body: &self.body,
        })
    }
}
