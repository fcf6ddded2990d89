//! Vectors: requests of providers as they are on record, with what must be found of them. Those that the verifier is tested
//! with, here to be sent through a running relay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_client::api::ApiError;
use serde_json::{Value, json};

use crate::raw::Message;
use crate::relay::{Endpoint, Relay};

/// A request on record.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub provider: String,
    /// The endpoint's secrets, the newest first.
    pub secrets: Vec<String>,
    /// The endpoint's parameters.
    pub params: BTreeMap<String, String>,
    /// The URL that it was sent to.
    pub url: String,
    /// Its method.
    pub method: String,
    /// Its header fields.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// When it came, in seconds of the Unix epoch.
    pub now_s: u64,
    /// What else there is on record of it.
    pub record: Value,
}

/// The files of the crate that verifies.
fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/trust")
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a readable file");
    serde_json::from_str(&text).expect("a list")
}

/// Every vector.
///
/// # Panics
/// When they are not there.
#[must_use]
pub fn all() -> Vec<Recorded> {
    let folder = std::fs::read_dir(files().join("vectors")).expect("vectors");
    let mut paths: Vec<PathBuf> = folder.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| read(path)).map(|vector| Recorded::of(&vector, &vector)).collect()
}

/// Every handshake.
///
/// # Panics
/// When they are not there.
#[must_use]
pub fn handshakes() -> Vec<Recorded> {
    let all = read(&files().join("handshakes.json"));
    all.iter()
        .map(|case| {
            let mut flat = case["request"].clone();
            for key in ["secret", "secrets", "params", "fetch"] {
                flat[key] = case["config"][key].clone();
            }
            Recorded::of(&flat, case)
        })
        .collect()
}

impl Recorded {
    fn of(request: &Value, record: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let secrets = request["secrets"].as_array().cloned().unwrap_or_default();
        let secrets = secrets.into_iter().chain([request["secret"].clone()]);
        let mut secrets: Vec<String> =
            secrets.filter_map(|secret| secret.as_str().map(str::to_owned)).collect();
        secrets.retain(|secret| !secret.is_empty());
        secrets.dedup();
        let params = request["params"].as_object().into_iter().flatten();
        let headers = request["headers"].as_array().into_iter().flatten();
        Self {
            name: text(&record["name"]),
            provider: text(&record["provider"]),
            secrets,
            params: params.map(|(name, value)| (name.clone(), param(value))).collect(),
            url: text(&request["url"]),
            method: text(&request["method"]),
            headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            body: STANDARD.decode(text(&request["body_base64"])).expect("base64"),
            now_s: request["now_unix"].as_u64().expect("a time"),
            record: record.clone(),
        }
    }

    /// What the provider keeps on the web: by its URL.
    #[must_use]
    pub fn on_the_web(&self) -> BTreeMap<String, String> {
        let pages = self.record["fetch"].as_object().or(self.record["config"]["fetch"].as_object());
        let page = |(url, text): (&String, &Value)| {
            (url.clone(), text.as_str().unwrap_or_default().to_owned())
        };
        pages.into_iter().flatten().map(page).collect()
    }

    /// The URL up to its path, and the rest.
    fn parts(&self) -> (&str, &str) {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let path = self.url[host..].find(['/', '?']).map_or(self.url.len(), |at| host + at);
        self.url.split_at(path)
    }

    /// Makes an endpoint that takes it, with these settings as well.
    ///
    /// # Errors
    /// What the relay says.
    pub async fn endpoint(
        &self,
        relay: &Relay,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Result<Endpoint, ApiError> {
        let mut all = BTreeMap::from([("verify".to_owned(), self.provider.clone())]);
        all.insert("public_url".into(), self.parts().0.to_owned());
        all.extend(self.params.iter().map(|(n, v)| (format!("verify_param.{n}"), v.clone())));
        all.extend(settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let wanted = json!({"name": name, "settings": all, "secrets": self.secrets});
        let made = relay.api().post("/endpoints", &wanted).await?;
        let key = made["key"].as_str().expect("a key").to_owned();
        Ok(Endpoint { name: name.to_owned(), path: format!("/hooks/{key}"), key })
    }

    /// Sends it to an endpoint, and gives the answer.
    pub async fn send(&self, relay: &Relay, endpoint: &Endpoint) -> Message {
        let mut provider = relay.provider(endpoint);
        let mut request = provider.request(&self.method, self.parts().1);
        let mut has_length = false;
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("host") {
                has_length |= name.eq_ignore_ascii_case("content-length");
                request = request.field(name, value);
            }
        }
        let request = match (has_length, self.body.is_empty()) {
            (true, _) => request.with_bytes(&self.body),
            (false, true) => request,
            (false, false) => request.body(&self.body),
        };
        provider.send(&self.method, &request).await
    }
}

fn param(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(param).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
