//! `relay-client endpoints secrets ...`: what verifies a provider's events. Secrets come from files and are never printed,
//! but for what a provider has sent and wants back.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::{Api, segment};
use crate::commands::{Failure, table};
use crate::screen::clean;

/// The longest file of a secret, in bytes.
const FILE_MAX: u64 = 64 << 10;

#[derive(Debug, Subcommand)]
pub(in crate::commands) enum Cmd {
    /// List them: what for and since when, but not what they are
    List {
        /// The endpoint
        name: String,
    },
    /// Add one beside those that are there: while the provider changes over, both count
    Add {
        /// The endpoint
        name: String,
        /// File with the secret
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
    },
    /// Put one in the place of those that are there
    Replace {
        /// The endpoint
        name: String,
        /// File with the secret
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// How long the others still count, such as 24h or 0s [default: 24h]
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
    /// Remove one
    Remove {
        /// The endpoint
        name: String,
        /// Its number in the list
        id: u64,
    },
    /// Print one that the provider has sent, to be given back to it; that can be done once
    Show {
        /// The endpoint
        name: String,
        /// Its number in the list
        id: u64,
    },
}

impl Cmd {
    pub(super) async fn run(self, api: &Api, json: bool) -> Result<(), Failure> {
        let of = |name: &str| format!("/endpoints/{}/secrets", segment(name));
        match self {
            Self::List { name } => list(&api.get(&of(&name)).await?, json),
            Self::Add { name, secret_file } => {
                let secret = read(&secret_file)?;
                told(&api.post(&of(&name), &json!({"secret": secret})).await?, json);
            }
            Self::Replace { name, secret_file, grace } => {
                let wanted =
                    json!({"secret": read(&secret_file)?, "replace": true, "grace": grace});
                told(&api.post(&of(&name), &wanted).await?, json);
            }
            Self::Remove { name, id } => api.delete(&format!("{}/{id}", of(&name))).await?,
            Self::Show { name, id } => {
                let open = api.post(&format!("{}/{id}/show", of(&name)), &json!({})).await?;
                if json {
                    println!("{open}");
                } else {
                    println!("{}", clean(open["secret"].as_str().unwrap_or_default()));
                }
            }
        }
        Ok(())
    }
}

/// The secret in a file, without the end of its last line.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let told = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| told(e.to_string()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    match secret.len() as u64 {
        0 => Err(told("there is no secret in it".into())),
        length if length > FILE_MAX => Err(told(format!("above {FILE_MAX} bytes"))),
        _ => Ok(secret.to_owned()),
    }
}

/// A fresh signing secret, alone on a line, or all of it.
pub(super) fn print_signing(endpoint: &Value, json: bool) {
    if json {
        println!("{endpoint}");
    } else {
        println!("{}", clean(endpoint["signing_secret"].as_str().unwrap_or_default()));
    }
}

fn told(secrets: &Value, json: bool) {
    if json {
        list(secrets, true);
    }
}

fn list(secrets: &Value, json: bool) {
    let all = secrets.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return all.iter().for_each(|secret| println!("{secret}"));
    }
    let rows = all.iter().map(|secret| {
        let text = |key: &str| secret[key].as_str().unwrap_or_default().to_owned();
        let until = match secret["until_ms"].as_u64() {
            Some(until_ms) => table::time(Some(until_ms)),
            None => "-".to_owned(),
        };
        let note =
            if secret["unseen"] == true { "sent by the provider, not shown yet" } else { "" };
        let since = table::time(secret["created_at_ms"].as_u64());
        [secret["id"].to_string(), text("purpose"), since, until, note.to_owned()]
    });
    table::print(["ID", "PURPOSE", "SINCE", "UNTIL", "NOTE"], rows);
}
