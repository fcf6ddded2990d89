//! `relay-client endpoints ...`

mod provider;
mod secrets;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

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
    /// Show an endpoint: its settings, who serves it, what waits and how its events stand
    Show {
        /// Its name
        name: String,
    },
    /// Change settings
    Set {
        /// Its name
        name: String,
        /// The settings
        #[arg(value_name = "KEY=VALUE", required_unless_present = "unset")]
        settings: Vec<String>,
        /// Back to the default; may be given several times
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
    },
    /// Deliver nothing for a while; events are still accepted and kept
    Pause {
        /// Its name
        name: String,
    },
    /// Deliver again, what has waited first
    Resume {
        /// Its name
        name: String,
    },
    /// Give it another key and print its new URL
    RotateKey {
        /// Its name
        name: String,
        /// How long the old URL still works, such as 24h or 0s [default: 24h]
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
    /// Add, replace and remove the secrets that verify what its provider sends
    #[command(subcommand)]
    Secrets(secrets::Cmd),
    /// Give it another secret for signing what is forwarded, and print it
    RotateSigningSecret {
        /// Its name
        name: String,
        /// How long it is signed with the old one too, such as 24h or 0s [default: 24h]
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
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
    /// Verify what comes as this provider's, and do as suits it
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// File with the secret that the provider signs with; may be given several times
    #[arg(long, value_name = "FILE")]
    secret_file: Vec<PathBuf>,
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
                print_url(&made, to.json);
                if !to.json {
                    provider::tell(&made, create.secret_file.is_empty());
                }
            }
            Self::List => list(&api.get("/endpoints").await?, to.json),
            Self::Show { name } => {
                show::print(&api.get(&format!("/endpoints/{}", segment(&name))).await?, to.json);
            }
            Self::Set { name, settings: pairs, unset } => {
                let mut changes: BTreeMap<String, Option<String>> =
                    settings(&pairs)?.into_iter().map(|(key, value)| (key, Some(value))).collect();
                changes.extend(unset.into_iter().map(|key| (key, None)));
                let path = format!("/endpoints/{}", segment(&name));
                told(&api.patch(&path, &json!({"settings": changes})).await?, to.json);
            }
            Self::Pause { name } => {
                told(
                    &api.post(&format!("/endpoints/{}/pause", segment(&name)), &json!({})).await?,
                    to.json,
                );
            }
            Self::Resume { name } => {
                told(
                    &api.post(&format!("/endpoints/{}/resume", segment(&name)), &json!({})).await?,
                    to.json,
                );
            }
            Self::RotateKey { name, grace } => {
                let path = format!("/endpoints/{}/rotate-key", segment(&name));
                print_url(&api.post(&path, &json!({"grace": grace})).await?, to.json);
            }
            Self::Secrets(command) => command.run(&api, to.json).await?,
            Self::RotateSigningSecret { name, grace } => {
                let path = format!("/endpoints/{}/rotate-signing-secret", segment(&name));
                secrets::print_signing(&api.post(&path, &json!({"grace": grace})).await?, to.json);
            }
            Self::Delete { name } => api.delete(&format!("/endpoints/{}", segment(&name))).await?,
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
        put("verify", self.provider.clone());
        let secrets: Result<Vec<String>, Failure> =
            self.secret_file.iter().map(|file| secrets::read(file)).collect();
        let exact_key = self.exact_key;
        Ok(json!({
            "name": self.name, "exact_key": exact_key, "settings": settings, "secrets": secrets?,
        }))
    }
}

/// The URL, which is what people go on with, or all of it.
fn print_url(endpoint: &Value, json: bool) {
    if json {
        println!("{endpoint}");
    } else {
        println!("{}", clean(endpoint["url"].as_str().unwrap_or_default()));
    }
}

/// Nothing, or all of it for programs.
fn told(endpoint: &Value, json: bool) {
    if json {
        println!("{endpoint}");
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
