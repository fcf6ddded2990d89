//! `relay-client events ...`

mod curl;
mod export;
mod exported;
mod har;
mod list;
mod replay;
mod show;
mod tail;

use std::io::Write;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Failure, To};
use crate::api::Api;

#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events, the newest first
    List(list::List),
    /// Show one event: the request, and every attempt with its answer
    Show(show::Show),
    /// Watch events as they come
    Tail(tail::Tail),
    /// Deliver an event once more, as it was or edited; or all that the filters say
    Replay(replay::Replay),
    /// List the replays: who had what delivered again
    Replays,
    /// Write events out, with their bodies
    Export(export::Export),
}

impl Events {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let api = to.api()?;
        match self {
            Self::List(list) => list.run(&api, to.json).await,
            Self::Show(show) => show.run(&api, to.json).await,
            Self::Tail(tail) => tail.run(&api, to.json).await,
            Self::Replay(replay) => replay.run(&api, to.json).await,
            Self::Replays => replay::list(&api, to.json).await,
            Self::Export(export) => export.run(&api).await,
        }
    }
}

/// Which events.
#[derive(Debug, Clone, Default, Args)]
struct Which {
    /// Of this endpoint; may be given several times [default: all that the token sees]
    #[arg(long = "endpoint", value_name = "NAME")]
    endpoints: Vec<String>,
    /// In this state, such as failed, dead or delivered; may be given several times
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<String>,
    /// From this time on: how long ago (2h), RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
}

impl Which {
    /// As the pairs of a query.
    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.endpoints.iter().map(|name| ("endpoint", name)));
        query.extend_pairs(self.states.iter().map(|state| ("state", state)));
        query.extend_pairs(self.since.iter().map(|time| ("since", time)));
        query.extend_pairs(self.before.iter().map(|time| ("before", time)));
        query.finish()
    }
}

/// The most events of one request.
const PAGE_MAX: usize = 1000;

/// Events page by page, the newest first.
struct Pages<'a> {
    api: &'a Api,
    query: String,
    left: usize,
    cursor: Option<String>,
    over: bool,
}

impl<'a> Pages<'a> {
    fn of(api: &'a Api, which: &Which, most: usize) -> Self {
        Self { api, query: which.query(), left: most, cursor: None, over: false }
    }

    /// The next page; empty when there is no more.
    async fn next(&mut self) -> Result<Vec<Value>, Failure> {
        if self.over || self.left == 0 {
            return Ok(Vec::new());
        }
        let most = self.left.min(PAGE_MAX);
        let mut path = format!("/events?limit={most}&{}", self.query);
        if let Some(cursor) = &self.cursor {
            path += &format!("&cursor={cursor}");
        }
        let mut page = self.api.get(&path).await?;
        self.cursor = page["next"].as_str().map(str::to_owned);
        self.over = self.cursor.is_none();
        let events = page["events"].as_array_mut().map(std::mem::take).unwrap_or_default();
        self.left = self.left.saturating_sub(events.len());
        Ok(events)
    }
}

/// Writes to standard output; that nobody reads it any more ends the program quietly.
pub(super) fn say(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(|e| Failure::Failed(format!("standard output: {e}"))),
    }
}

/// Bytes that stand in a document as text or as `{"base64": ...}`.
fn bytes(value: &Value) -> Vec<u8> {
    use base64::Engine;
    let decoded = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other["base64"].as_str().and_then(decoded).unwrap_or_default(),
    }
}

/// Header fields of a document.
fn fields(value: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = value.as_array().into_iter().flatten();
    all.map(|pair| (bytes(&pair[0]), bytes(&pair[1]))).collect()
}
