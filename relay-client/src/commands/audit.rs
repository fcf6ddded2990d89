//! `relay-client audit ...`

use clap::{Args, Subcommand};
use serde_json::Value;

use super::events::say;
use super::{Failure, To, table};
use crate::api::Api;

/// The most acts of one request.
const PAGE_MAX: usize = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List who has changed what, the newest first
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// From this time on: how long ago (2h), RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// How many at the most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

impl Audit {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(&to.api()?, to.json).await,
        }
    }
}

impl List {
    async fn run(self, api: &Api, json: bool) -> Result<(), Failure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        query.extend_pairs(self.before.iter().map(|time| ("before", time)));
        let query = query.finish();
        let (mut left, mut cursor, mut rows) = (self.limit, String::new(), Vec::new());
        while left > 0 {
            let most = left.min(PAGE_MAX);
            let mut page = api.get(&format!("/audit?limit={most}{cursor}&{query}")).await?;
            let acts = page["acts"].as_array_mut().map(std::mem::take).unwrap_or_default();
            left -= acts.len().min(left);
            if json {
                let lines: String = acts.iter().map(|act| format!("{act}\n")).collect();
                say(lines.as_bytes())?;
            } else {
                rows.extend(acts.iter().map(row));
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        if !json {
            table::print(["AT", "WHO", "FROM", "ACT", "TO", "CHANGES"], rows);
        }
        Ok(())
    }
}

/// An act as one line for people.
fn row(act: &Value) -> [String; 6] {
    let text = |key: &str| act[key].as_str().unwrap_or("-").to_owned();
    let who = match (act["name"].as_str(), act["token"].as_str()) {
        (Some(name), Some(token)) => format!("{name} ({token})"),
        (name, token) => name.or(token).unwrap_or("-").to_owned(),
    };
    let changes = act["changes"].as_array().into_iter().flatten().map(change);
    let changes = changes.collect::<Vec<_>>().join(", ");
    [text("at"), who, text("address"), text("act"), text("subject"), changes]
}

fn change(change: &Value) -> String {
    let text = |key: &str| change[key].as_str().unwrap_or("-");
    match change["old"].as_str() {
        Some(old) => format!("{}: {old} -> {}", text("key"), text("new")),
        None => format!("{}={}", text("key"), text("new")),
    }
}
