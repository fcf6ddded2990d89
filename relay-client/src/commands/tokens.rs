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
}

impl Tokens {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let api = to.api()?;
        match self {
            Self::Create(Create { endpoints, scopes, expires }) => {
                let wanted = json!({"endpoints": endpoints, "scopes": scopes, "expires": expires});
                let made = api.post("/tokens", &wanted).await?;
                if to.json {
                    println!("{made}");
                } else {
                    println!("{}", clean(made["token"].as_str().unwrap_or_default()));
                }
            }
            Self::List => list(&api.get("/tokens").await?, to.json),
            Self::Revoke { id } => api.delete(&format!("/tokens/{}", segment(&id))).await?,
        }
        Ok(())
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
        [id, scopes, endpoints, time("created_at_ms"), time("expires_at_ms"), time("revoked_at_ms")]
    });
    table::print(["ID", "SCOPES", "ENDPOINTS", "CREATED", "EXPIRES", "REVOKED"], rows);
}
