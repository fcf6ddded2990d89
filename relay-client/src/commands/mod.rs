//! The command line, one file a command.

mod endpoints;
mod events;
mod failure;
mod forward;
mod run;
mod table;
mod tokens;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::agent::TokenSource;
use crate::api::Api;
use crate::dial::RelayUrl;
use crate::socket::Trust;

pub use failure::Failure;

/// The agent of a self-hosted webhook relay, and the hand on the relay itself.
#[derive(Debug, Parser)]
#[command(name = "relay-client", version)]
pub struct Cli {
    #[command(flatten)]
    to: To,
    #[command(subcommand)]
    command: Command,
}

/// Which relay, and as whom.
#[derive(Debug, Clone, Args)]
struct To {
    /// The relay's URL
    #[arg(long, value_name = "URL", env = "RELAY_URL", global = true)]
    relay: Option<String>,
    /// File with the token; the token itself may stand in RELAY_TOKEN, but never on the command line
    #[arg(long, value_name = "FILE", env = "RELAY_TOKEN_FILE", global = true)]
    token_file: Option<PathBuf>,
    /// File with further root certificates to trust (PEM)
    #[arg(long, value_name = "FILE", env = "RELAY_CA_FILE", global = true)]
    ca_file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward an endpoint's webhooks to a local target
    Forward(forward::Forward),
    /// Serve several endpoints and targets from a file, in production
    Run(run::Run),
    /// Make, show, set, pause and delete endpoints
    #[command(subcommand)]
    Endpoints(endpoints::Endpoints),
    /// List, show, watch, export and replay events
    #[command(subcommand)]
    Events(Box<events::Events>),
    /// Make, list and revoke tokens
    #[command(subcommand)]
    Tokens(tokens::Tokens),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// A [`Failure`], whose kind is the exit code.
    pub fn run(self) -> Result<(), Failure> {
        logs();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::Failed(e.to_string()))?;
        runtime.block_on(async {
            match self.command {
                Command::Forward(forward) => forward.run(&self.to).await,
                Command::Run(run) => run.run(&self.to).await,
                Command::Endpoints(endpoints) => endpoints.run(&self.to).await,
                Command::Events(events) => events.run(&self.to).await,
                Command::Tokens(tokens) => tokens.run(&self.to).await,
            }
        })
    }
}

impl To {
    fn relay(&self) -> Result<RelayUrl, Failure> {
        let missing = "which relay? say --relay URL or set RELAY_URL";
        let url = self.relay.as_deref().ok_or_else(|| Failure::Usage(missing.into()))?;
        url.parse().map_err(|e: crate::dial::BadRelayUrl| Failure::Usage(e.to_string()))
    }

    fn token(&self) -> Result<TokenSource, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(TokenSource::File(path.clone()));
        }
        if let Some(token) = std::env::var("RELAY_TOKEN").ok().filter(|token| !token.is_empty()) {
            return Ok(TokenSource::Fixed(token));
        }
        let wanted = "as whom? say --token-file FILE or set RELAY_TOKEN_FILE or RELAY_TOKEN";
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage(wanted.into()));
        }
        eprint!("token: ");
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        read.ok()
            .filter(|_| !line.trim().is_empty())
            .ok_or_else(|| Failure::Usage(wanted.into()))?;
        Ok(TokenSource::Fixed(line.trim().to_owned()))
    }

    fn trust(&self) -> Result<Trust, Failure> {
        Trust::load(self.ca_file.as_deref()).map_err(|e| Failure::Usage(format!("ca-file: {e}")))
    }

    fn api(&self) -> Result<Api, Failure> {
        let token = self.token()?.read().map_err(Failure::Usage)?;
        Ok(Api { relay: self.relay()?, trust: self.trust()?, token })
    }
}

/// Logs go to stderr, so that stdout is for what was asked for; `RELAY_LOG` says how much.
fn logs() {
    let filter = EnvFilter::try_from_env("RELAY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = logs.with_target(false).try_init();
}
