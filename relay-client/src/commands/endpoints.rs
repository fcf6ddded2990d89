//! `relay-client endpoints ...`

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{Failure, To, table};
use crate::api::segment;
use crate::screen::clean;

#[derive(Debug, Subcommand)]
pub(super) enum Endpoints {
    /// Make an endpoint and print its public URL
    Create(Create),
    /// List the endpoints that the token may see
    List,
    /// Delete an endpoint and all its events
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name: 1 to 46 characters of a-z, 0-9 and -
    name: String,
    /// Use the name itself as the key in its URL, which anybody can guess then
    #[arg(long)]
    exact_key: bool,
    /// Whether the provider waits for the target
    #[arg(long, value_enum)]
    reply: Option<Reply>,
    /// What happens when no answer can be had
    #[arg(long, value_enum)]
    fallback: Option<Fallback>,
    /// Any other setting
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reply {
    Live,
    Ack,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fallback {
    Queue,
    Fail,
}

impl Endpoints {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let api = to.api()?;
        match self {
            Self::Create(create) => {
                let made = api.post("/endpoints", &create.wanted()?).await?;
                if to.json {
                    println!("{made}");
                } else {
                    println!("{}", clean(made["url"].as_str().unwrap_or_default()));
                }
            }
            Self::List => list(&api.get("/endpoints").await?, to.json),
            Self::Delete { name } => {
                api.delete(&format!("/endpoints/{}", segment(&name))).await?;
            }
        }
        Ok(())
    }
}

impl Create {
    fn wanted(&self) -> Result<Value, Failure> {
        let mut settings = settings(&self.set)?;
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                settings.insert(key.to_owned(), value);
            }
        };
        let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        put("reply", self.reply.and_then(|reply| reply.to_possible_value()).map(name));
        put("fallback", self.fallback.and_then(|fallback| fallback.to_possible_value()).map(name));
        Ok(json!({"name": self.name, "exact_key": self.exact_key, "settings": settings}))
    }
}

/// `KEY=VALUE` pairs.
fn settings(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let split = |pair: &String| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.to_owned()))
    };
    let pair = |text: &String| {
        split(text).ok_or_else(|| Failure::Usage(format!("{text:?} is no KEY=VALUE")))
    };
    pairs.iter().map(pair).collect()
}

fn list(all: &Value, json: bool) {
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return all.iter().for_each(|endpoint| println!("{endpoint}"));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = all.iter().map(|endpoint| {
        let agents = endpoint["agents"].to_string();
        let made = table::time(endpoint["created_at_ms"].as_u64());
        [text(&endpoint["name"]), agents, made, text(&endpoint["url"])]
    });
    table::print(["NAME", "AGENTS", "CREATED", "URL"], rows);
}
