//! The command line, one file a command.

mod audit;
mod endpoints;
mod events;
mod failure;
mod forward;
mod run;
mod table;
mod tokens;
mod verify;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::agent::TokenSource;
use crate::api::Api;
use crate::dial::RelayUrl;
use crate::socket::Trust;
use crate::way::{ProxyUrl, Way, WaySettings};

pub use failure::Failure;

/// What the options of every command are called in the help, where they stand below a command's own.
const HEADING: &str = "Options of every command";

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
#[command(next_help_heading = HEADING)]
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
    #[command(flatten)]
    out: Out,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The way out to the relay.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = HEADING)]
struct Out {
    /// Proxy to reach the relay through: http://, https://, socks5:// or socks5h://HOST:PORT, or `direct` for none
    /// [default: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, by the relay's scheme; NO_PROXY names hosts that need none]
    #[arg(long, value_name = "URL", global = true)]
    proxy: Option<String>,
    /// File with user:password for the proxy; it may stand in the URL in the environment, but never on the command line
    #[arg(long, value_name = "FILE", env = "RELAY_PROXY_AUTH_FILE", global = true)]
    proxy_auth_file: Option<PathBuf>,
    /// File with the certificate to show to a relay that asks for one (PEM)
    #[arg(long, value_name = "FILE", env = "RELAY_CLIENT_CERT", global = true)]
    client_cert: Option<PathBuf>,
    /// File with that certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "RELAY_CLIENT_KEY", global = true)]
    client_key: Option<PathBuf>,
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
    /// Make, list, rotate and revoke tokens
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Check a saved request offline, and say why its signature fails
    Verify(Box<verify::Verify>),
    /// See who has changed what
    #[command(subcommand)]
    Audit(audit::Audit),
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
                Command::Verify(verify) => verify.run(self.to.json),
                Command::Audit(audit) => audit.run(&self.to).await,
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

    /// The way out, as far as the command line says something of it.
    fn out(&self) -> Result<WaySettings, Failure> {
        let Out { proxy, proxy_auth_file, client_cert, client_key } = self.out.clone();
        if proxy.as_deref().is_some_and(|url| url.contains('@')) {
            return Err(Failure::Usage(
                "proxy: a password on the command line is seen by everybody; it may stand in HTTPS_PROXY, in the agent's file or in --proxy-auth-file".into(),
            ));
        }
        let (ca_file, proxy) = (self.ca_file.clone(), proxy.map(ProxyUrl));
        Ok(WaySettings { ca_file, client_cert, client_key, proxy, proxy_auth_file })
    }

    fn api(&self) -> Result<Api, Failure> {
        self.api_with(&self.token()?).map(|(api, _)| api)
    }

    /// The API with this token, and whom to trust besides the relay.
    fn api_with(&self, token: &TokenSource) -> Result<(Api, Trust), Failure> {
        let token = token.read().map_err(Failure::Usage)?;
        let (relay, out) = (self.relay()?, self.out()?);
        let trust = out.trust().map_err(Failure::Usage)?;
        let way = way(&out, &relay, &trust)?;
        Ok((Api { relay, way, token }, trust))
    }
}

/// The way to a relay, the environment's proxy included.
fn way(out: &WaySettings, relay: &RelayUrl, trust: &Trust) -> Result<Way, Failure> {
    out.way(relay, trust, |name| std::env::var(name).ok()).map_err(Failure::Usage)
}

/// Logs go to stderr, so that stdout is for what was asked for; `RELAY_LOG` says how much.
fn logs() {
    let filter = EnvFilter::try_from_env("RELAY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = logs.with_target(false).try_init();
}
