//! `relay-client events show ID`

use clap::Args;
use serde_json::Value;

use super::{bytes, fields, say};
use crate::api::{Api, ApiError};
use crate::commands::Failure;
use crate::screen::clean;

/// How much of a body people are shown, in bytes.
const BODY_SHOWN: usize = 4096;

#[derive(Debug, Args)]
pub(in crate::commands) struct Show {
    /// The event's id, evt_...
    id: String,
    /// Only its body, byte for byte
    #[arg(long)]
    body: bool,
}

impl Show {
    pub(super) async fn run(self, api: &Api, json: bool) -> Result<(), Failure> {
        let path = format!("/events/{}", self.id);
        if self.body {
            return say(&api.bytes(&format!("{path}/body")).await?);
        }
        let event = api.get(&path).await?;
        if json {
            return say(format!("{event}\n").as_bytes());
        }
        let body = match api.bytes(&format!("{path}/body")).await {
            Ok(body) => Some(body),
            Err(ApiError::NotFound(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let mut out = String::new();
        tell(&event, body.as_deref(), &mut out);
        say(out.as_bytes())
    }
}

fn tell(event: &Value, body: Option<&[u8]>, out: &mut String) {
    let text = |value: &Value| clean(value.as_str().unwrap_or("-"));
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(format!("{}  (no. {} of {})", text(&event["id"]), event["seq"], text(&event["endpoint"])));
    line(format!("received {} from {}", text(&event["received_at"]), text(&event["remote"])));
    for key in
        ["event_type", "provider", "verification", "verification_reason", "note", "replay_of"]
    {
        if let Some(value) = event[key].as_str() {
            line(format!("{key}: {}", clean(value)));
        }
    }
    line(String::new());
    line(format!("{} {}", text(&event["method"]), shown(&bytes(&event["path"]))));
    for (name, value) in fields(&event["fields"]) {
        line(format!("{}: {}", shown(&name), shown(&value)));
    }
    line(String::new());
    match body {
        Some(body) => content(body, &mut line),
        None => line(format!("({} bytes, not kept)", event["body_bytes"])),
    }
    for delivery in event["deliveries"].as_array().into_iter().flatten() {
        line(String::new());
        let replay = delivery["replay"].as_u64().filter(|replay| *replay > 0);
        let replay = replay.map(|n| format!(", replay {n}")).unwrap_or_default();
        let why = delivery["why"].as_str().map(|why| format!(" ({})", clean(why)));
        let (group, state) = (text(&delivery["group"]), text(&delivery["state"]));
        line(format!("== {group}{replay}: {state}{}", why.unwrap_or_default()));
        if let Some(due) = delivery["due_at"].as_str() {
            line(format!("next try {}", clean(due)));
        }
        for attempt in delivery["attempts"].as_array().into_iter().flatten() {
            tried(attempt, &mut line);
        }
    }
}

fn tried(attempt: &Value, line: &mut impl FnMut(String)) {
    let text = |key: &str| clean(attempt[key].as_str().unwrap_or_default());
    let what = match attempt["status"].as_u64() {
        Some(status) => status.to_string(),
        None => format!("{}: {}", text("code"), text("detail")),
    };
    let head = format!("-- attempt {} at {}", attempt["number"], text("started_at"));
    line(format!("{head}: {what} in {} ms", attempt["ms"]));
    for (name, value) in fields(&attempt["fields"]) {
        line(format!("   {}: {}", shown(&name), shown(&value)));
    }
    let body = bytes(&attempt["body"]);
    if !body.is_empty() {
        content(&body, line);
    }
}

/// A body as people can read it.
fn content(body: &[u8], line: &mut impl FnMut(String)) {
    let shown = &body[..body.len().min(BODY_SHOWN)];
    match std::str::from_utf8(shown) {
        Ok(text) => text.lines().for_each(|text| line(clean(text))),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            let text = String::from_utf8_lossy(&shown[..error.valid_up_to()]);
            text.lines().for_each(|text| line(clean(text)));
        }
        Err(_) => return line(format!("({} bytes that are no text)", body.len())),
    }
    if body.len() > shown.len() {
        line(format!("(and {} bytes more)", body.len() - shown.len()));
    }
}

fn shown(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(bytes))
}
