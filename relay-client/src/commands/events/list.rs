//! `relay-client events list`

use clap::Args;
use serde_json::{Map, Value};

use super::{Pages, Which, say};
use crate::api::Api;
use crate::commands::{Failure, table};

/// What programs get of an event in a list: a contract.
const KEYS: [&str; 12] = [
    "id",
    "seq",
    "endpoint",
    "state",
    "why",
    "method",
    "path",
    "received_at",
    "event_type",
    "verification",
    "status",
    "attempts",
];

pub(super) const HEADING: [&str; 9] =
    ["RECEIVED", "STATE", "STATUS", "TRIES", "METHOD", "PATH", "TYPE", "ENDPOINT", "ID"];

#[derive(Debug, Args)]
pub(in crate::commands) struct List {
    #[command(flatten)]
    which: Which,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

impl List {
    pub(super) async fn run(self, api: &Api, json: bool) -> Result<(), Failure> {
        let mut pages = Pages::of(api, &self.which, self.limit);
        let mut rows = Vec::new();
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                break;
            }
            if json {
                let lines: String = page.iter().map(|event| line(event) + "\n").collect();
                say(lines.as_bytes())?;
            } else {
                rows.extend(page.iter().map(row));
            }
        }
        if !json {
            table::print(HEADING, rows);
        }
        Ok(())
    }
}

/// An event as one line for programs.
pub(super) fn line(event: &Value) -> String {
    let keys = KEYS.iter().map(|key| ((*key).to_owned(), event[*key].clone()));
    Value::Object(keys.collect::<Map<_, _>>()).to_string()
}

/// An event as one line for people.
pub(super) fn row(event: &Value) -> [String; 9] {
    let text = |key: &str| event[key].as_str().unwrap_or("-").to_owned();
    let state = match event["why"].as_str() {
        Some(why) if why != text("state") => format!("{} ({why})", text("state")),
        _ => text("state"),
    };
    let status = event["status"].as_u64().map_or("-".to_owned(), |status| status.to_string());
    let path = text("path");
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let (tries, method) = (event["attempts"].to_string(), text("method"));
    let (event_type, endpoint, id) = (text("event_type"), text("endpoint"), text("id"));
    [text("received_at"), state, status, tries, method, path, event_type, endpoint, id]
}
