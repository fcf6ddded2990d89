//! `relay-client tokens ...`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Failure, To, table};
use crate::api::segment;
use crate::screen::clean;

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Make a token and print it alone on a line; it is shown this once
    Create(Create),
    /// List all tokens, without their secrets
    List,
    /// Give a token another secret, and print it alone on a line; the old one counts for a while
    Rotate {
        /// The part between wr_ and the second _
        id: String,
        /// How long the old secret still counts, such as 0s or 7d [default: 1h]
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
    /// Revoke a token and close its sessions
    Revoke {
        /// The part between wr_ and the second _
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// For this endpoint only; may be given several times [default: all endpoints]
    #[arg(long = "endpoint", value_name = "NAME")]
    endpoints: Vec<String>,
    /// What it allows: listen, read, replay or admin; may be given several times [default: listen]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it lasts, such as 90d [default: for ever]
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
    /// What to call it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Tokens {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let api = to.api()?;
        match self {
            Self::Create(Create { endpoints, scopes, expires, name }) => {
                let wanted = json!({
                    "endpoints": endpoints, "scopes": scopes, "expires": expires, "name": name
                });
                made(&api.post("/tokens", &wanted).await?, to.json);
            }
            Self::Rotate { id, grace } => {
                let path = format!("/tokens/{}/rotate", segment(&id));
                made(&api.post(&path, &json!({"grace": grace})).await?, to.json);
            }
            Self::List => list(&api.get("/tokens").await?, to.json),
            Self::Revoke { id } => api.delete(&format!("/tokens/{}", segment(&id))).await?,
        }
        Ok(())
    }
}

/// A token with its secret, shown this once.
fn made(token: &Value, json: bool) {
    if json {
        println!("{token}");
    } else {
        println!("{}", clean(token["token"].as_str().unwrap_or_default()));
    }
}

fn list(all: &Value, json: bool) {
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    if json {
        return all.iter().for_each(|token| println!("{token}"));
    }
    let words = |value: &Value| {
        let list =
            value.as_array().map(|list| list.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        list.map_or_else(|| "all".to_owned(), |list| list.join(" "))
    };
    let rows = all.iter().map(|token| {
        let time = |name: &str| table::time(token[name].as_u64());
        let id = token["id"].as_str().unwrap_or_default().to_owned();
        let (scopes, endpoints) = (words(&token["scopes"]), words(&token["endpoints"]));
        let name = token["name"].as_str().unwrap_or("-").to_owned();
        let [used, created] = ["last_used_at_ms", "created_at_ms"].map(time);
        let [expires, revoked] = ["expires_at_ms", "revoked_at_ms"].map(time);
        [id, name, scopes, endpoints, created, used, expires, revoked]
    });
    let heading =
        ["ID", "NAME", "SCOPES", "ENDPOINTS", "CREATED", "LAST USED", "EXPIRES", "REVOKED"];
    table::print(heading, rows);
}
