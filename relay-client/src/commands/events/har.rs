//! Events as an HTTP archive (HAR 1.2), one entry an event, with the last answer that was had.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::exported::Exported;
use super::{bytes, fields};
use crate::api::Api;
use crate::commands::Failure;

/// An archive under construction.
#[derive(Default)]
pub(super) struct Archive {
    entries: Vec<Value>,
    /// The public URL of each endpoint.
    urls: HashMap<String, String>,
}

impl Archive {
    pub(super) async fn add(&mut self, api: &Api, exported: &Exported) -> Result<(), Failure> {
        let endpoint = exported.event["endpoint"].as_str().unwrap_or_default().to_owned();
        let url = match self.urls.get(&endpoint) {
            Some(url) => url,
            None => {
                let shown = api.get(&format!("/endpoints/{endpoint}")).await?;
                let url = shown["url"].as_str().unwrap_or_default().to_owned();
                self.urls.entry(endpoint).or_insert(url)
            }
        };
        self.entries.push(entry(url, exported));
        Ok(())
    }

    pub(super) fn finish(self) -> String {
        let creator = json!({"name": "relay-client", "version": env!("CARGO_PKG_VERSION")});
        let log = json!({"version": "1.2", "creator": creator, "entries": self.entries});
        format!("{:#}\n", json!({"log": log}))
    }
}

fn entry(url: &str, exported: &Exported) -> Value {
    let event = &exported.event;
    let attempt = last_answer(event);
    let took = attempt.map_or(0, |attempt| attempt["ms"].as_u64().unwrap_or(0));
    json!({
        "startedDateTime": event["received_at"],
        "time": took,
        "request": request(url, exported),
        "response": attempt.map_or_else(nothing, response),
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
        "comment": format!("{} {}", text(&event["id"]), text(&event["deliveries"][0]["state"])),
    })
}

/// The last attempt of any delivery that was answered.
fn last_answer(event: &Value) -> Option<&Value> {
    let deliveries = event["deliveries"].as_array().into_iter().flatten();
    let attempts =
        deliveries.flat_map(|delivery| delivery["attempts"].as_array().into_iter().flatten());
    let answered = attempts.filter(|attempt| attempt["status"].is_u64());
    answered.max_by(|a, b| a["started_at"].as_str().cmp(&b["started_at"].as_str()))
}

fn request(url: &str, Exported { event, body }: &Exported) -> Value {
    let fields = fields(&event["fields"]);
    let path = String::from_utf8_lossy(&bytes(&event["path"])).into_owned();
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs: Vec<Value> =
        pairs.map(|(name, value)| json!({"name": name, "value": value})).collect();
    let version = text(&event["version"]);
    let mut request = json!({
        "method": event["method"],
        "url": format!("{url}{path}"),
        "httpVersion": if version == "2" { "HTTP/2".to_owned() } else { format!("HTTP/{version}") },
        "cookies": [],
        "headers": headers(&fields),
        "queryString": pairs,
        "headersSize": -1,
        "bodySize": event["body_bytes"],
    });
    if let Some(body) = body.as_ref().filter(|body| !body.is_empty()) {
        let mut data = content(body);
        data["mimeType"] = mime(&fields).into();
        request["postData"] = data;
    }
    request
}

fn response(attempt: &Value) -> Value {
    let (fields, body) = (fields(&attempt["fields"]), bytes(&attempt["body"]));
    let mut kept = content(&body);
    kept["mimeType"] = mime(&fields).into();
    kept["size"] = body.len().into();
    json!({
        "status": attempt["status"],
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": headers(&fields),
        "content": kept,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": body.len(),
    })
}

/// There was no answer: HAR has it so.
fn nothing() -> Value {
    json!({
        "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [], "redirectURL": "",
        "content": {"size": 0, "mimeType": ""}, "headersSize": -1, "bodySize": -1,
    })
}

/// Text as it is, anything else in base64.
fn content(body: &[u8]) -> Value {
    match std::str::from_utf8(body) {
        Ok(text) => json!({"text": text}),
        Err(_) => json!({"text": STANDARD.encode(body), "encoding": "base64"}),
    }
}

fn mime(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let found = fields.iter().find(|(name, _)| name == b"content-type");
    found.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).into_owned())
}

fn headers(fields: &[(Vec<u8>, Vec<u8>)]) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| json!({"name": text(name), "value": text(value)})).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
