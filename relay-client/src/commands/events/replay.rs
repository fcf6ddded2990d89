//! `relay-client events replay`: one event, as it was or edited, or all that the filters say.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::Which;
use crate::api::Api;
use crate::commands::{Failure, table};

#[derive(Debug, Args)]
pub(in crate::commands) struct Replay {
    /// The event; without it, all that the filters say, of one endpoint
    #[arg(value_name = "ID", conflicts_with_all = ["endpoints", "states", "since", "before"])]
    id: Option<String>,
    #[command(flatten)]
    which: Which,
    /// To this group only [default: every group that had it]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    edits: Edits,
    #[command(flatten)]
    bulk: Bulk,
}

/// What is to be different of one event.
#[derive(Debug, Args)]
#[group(id = "edited", multiple = true, requires = "id")]
struct Edits {
    /// Another method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Another sub-path and query
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Another value of a header field; without a value, the field is left out; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Another body
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
}

/// How many events are replayed.
#[derive(Debug, Args)]
#[group(id = "many", multiple = true, conflicts_with = "id")]
struct Bulk {
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// How many become due in a time at the most, such as 50/s
    #[arg(long, value_name = "RATE")]
    rate: Option<String>,
    /// Not what was ever delivered
    #[arg(long)]
    only_never_succeeded: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Replay {
    pub(super) async fn run(self, api: &Api, json: bool) -> Result<(), Failure> {
        match &self.id {
            Some(id) => self.one(api, id, json).await,
            None => self.many(api, json).await,
        }
    }

    async fn one(&self, api: &Api, id: &str, json: bool) -> Result<(), Failure> {
        let wanted = json!({"group": self.group, "edit": self.edits.wanted()?});
        let made = api.post(&format!("/events/{id}/replay"), &wanted).await?;
        if json {
            println!("{made}");
        } else {
            println!("{}", made["id"].as_str().unwrap_or_default());
        }
        Ok(())
    }

    async fn many(&self, api: &Api, json: bool) -> Result<(), Failure> {
        let [endpoint] = &self.which.endpoints[..] else {
            return Err(Failure::Usage("say an ID, or one --endpoint and what of it".into()));
        };
        let Which { states, since, before, .. } = &self.which;
        let group = &self.group;
        let filter = json!({
            "endpoint": endpoint, "state": states, "since": since, "before": before, "group": group,
        });
        let Bulk { dry_run, rate, only_never_succeeded, yes } = &self.bulk;
        let wanted = |dry_run: bool| {
            json!({
                "filter": filter, "dry_run": dry_run, "rate": rate, "only_never_succeeded": only_never_succeeded,
            })
        };
        if *dry_run {
            say(&api.post("/replays", &wanted(true)).await?, json);
            return Ok(());
        }
        if !yes && std::io::stdin().is_terminal() {
            let counted = api.post("/replays", &wanted(true)).await?;
            ask(counted["deliveries"].as_u64().unwrap_or(0))?;
        }
        let done = api.post("/replays", &wanted(false)).await?;
        say(&done, json);
        if done["queue_full"] == true {
            return Err(Failure::Failed("the endpoint's queue took no more".into()));
        }
        Ok(())
    }
}

impl Edits {
    fn wanted(&self) -> Result<Value, Failure> {
        let header = |text: &String| {
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            let value = Some(value.trim()).filter(|value| !value.is_empty());
            json!([name.trim(), value])
        };
        let read = |path: &PathBuf| {
            let bytes = std::fs::read(path);
            bytes.map_err(|e| Failure::Usage(format!("{}: {e}", path.display())))
        };
        let body = self.body_file.as_ref().map(read).transpose()?;
        Ok(json!({
            "method": self.method,
            "path": self.path,
            "headers": self.headers.iter().map(header).collect::<Vec<_>>(),
            "body_base64": body.map(|body| STANDARD.encode(body)),
        }))
    }
}

fn say(replayed: &Value, json: bool) {
    if json {
        return println!("{replayed}");
    }
    match replayed["deliveries"].as_u64() {
        Some(deliveries) => println!("{deliveries} deliveries"),
        None => println!("under way; see: relay-client events replays"),
    }
    if let Some(bodiless @ 1..) = replayed["bodiless"].as_u64() {
        println!("{bodiless} events cannot be replayed: their bodies were not kept");
    }
}

/// Lets a person think again.
fn ask(deliveries: u64) -> Result<(), Failure> {
    eprint!("Replay {deliveries} deliveries? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    match read.map(|_| line.trim().to_lowercase()) {
        Ok(answer) if answer == "y" || answer == "yes" => Ok(()),
        _ => Err(Failure::Failed("nothing was replayed".into())),
    }
}

pub(super) async fn list(api: &Api, json: bool) -> Result<(), Failure> {
    let all = api.get("/replays").await?;
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        all.iter().for_each(|replay| println!("{replay}"));
        return Ok(());
    }
    let rows = all.iter().map(|replay| {
        let text = |key: &str| replay[key].as_str().unwrap_or_default().to_owned();
        let (number, count) = (replay["replay"].to_string(), replay["deliveries"].to_string());
        [number, text("at"), text("token"), text("endpoint"), count, text("what")]
    });
    table::print(["NO.", "AT", "TOKEN", "ENDPOINT", "DELIVERIES", "WHAT"], rows);
    Ok(())
}
