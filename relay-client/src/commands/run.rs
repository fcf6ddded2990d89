//! `relay-client run --config FILE`: an agent in production.

use std::path::PathBuf;

use clap::Args;
use relay_protocol::limits::STREAMS_MAX;

use super::{Failure, To, forward};
use crate::agent::{LINES, Setup};
use crate::config;
use crate::notice::Notices;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// File with the relay, the token file, and the endpoints with their targets (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Show no line for each delivery
    #[arg(long)]
    quiet: bool,
}

impl Run {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let config = config::read(&self.config, to.out()?).map_err(Failure::Usage)?;
        let relay = match config.relay {
            Some(relay) if to.relay.is_none() => relay,
            _ => to.relay()?,
        };
        let setup = Setup {
            way: super::way(&config.out, &relay, &config.trust)?,
            relay,
            token: match config.token {
                Some(token) if to.token_file.is_none() => token,
                _ => to.token()?,
            },
            routes: config.routes,
            lines: LINES,
            max_streams: config.max_in_flight.unwrap_or(STREAMS_MAX),
            notices: Notices::unwatched(),
        };
        forward::keep(setup, to.json, self.quiet).await
    }
}
