//! `relay-client forward [TARGET]`: one command to a public URL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use relay_protocol::hello::Subscription;
use relay_protocol::id::{Name, NotAName};
use relay_protocol::limits::STREAMS_MAX;
use relay_trust::Profiles;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Failure, To};
use crate::agent::{Agent, LINES, Route, Setup};
use crate::api::{Api, ApiError};
use crate::duration;
use crate::notice::Notices;
use crate::open_files;
use crate::screen::{Style, show};
use crate::target::{HttpTarget, Options};
use crate::verify::{OnFailure, Verifier, Wanted, param};
use crate::{scheduling, small_pages};

/// How long an agent that has ended waits until its last lines are shown.
const LAST_LINES: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct Forward {
    /// Where to send webhooks: http://host[:port][/base], https://..., unix:/path.sock[:/base] or a port
    #[arg(default_value = "http://localhost:3000")]
    target: String,
    /// The endpoint; made if there is none and the token may [default: the only one the token sees]
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// The group whose work to share
    #[arg(long, value_name = "NAME", default_value = "main", conflicts_with = "tap")]
    group: String,
    /// Only look on: see every event as it comes, in no group; what the target answers concerns nobody
    #[arg(long, conflicts_with_all = ["max_backlog", "skip_older_than"])]
    tap: bool,
    /// If more events than this are waiting, take none of them; those that come from now on are taken
    #[arg(long, value_name = "COUNT")]
    max_backlog: Option<u64>,
    /// Put aside, as expired, what has waited longer than this: 500ms, 10s, 5m, 2h, 3d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    skip_older_than: Option<Duration>,
    /// Send the Host that the provider used, not the target's own
    #[arg(long)]
    preserve_host: bool,
    /// How long the target may take, in seconds, if the relay does not ask for less
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Check who has sent each webhook, by the rules of this provider, with a secret that stays here
    #[arg(long, value_name = "PROVIDER", requires = "secret_file")]
    verify: Option<String>,
    /// File with the provider's secret; several while it changes over
    #[arg(long, value_name = "FILE", requires = "verify")]
    secret_file: Vec<PathBuf>,
    /// What to do with what nothing proves: reject it with 401, or mark it for the target
    #[arg(long, value_name = "WHAT", value_enum, default_value = "reject", requires = "verify")]
    on_failure: OnFailure,
    /// Where the provider sends webhooks, if not to the URL that the relay says
    #[arg(long, value_name = "URL", requires = "verify")]
    public_url: Option<String>,
    /// What the provider's scheme needs beside a secret
    #[arg(long, value_name = "NAME=VALUE", value_parser = param, requires = "verify")]
    param: Vec<(String, String)>,
    /// Show no line for each delivery
    #[arg(long)]
    quiet: bool,
}

impl Forward {
    pub(super) async fn run(self, to: &To) -> Result<(), Failure> {
        let token = to.token()?;
        let verifier = self.verifier()?;
        let (api, trust) = to.api_with(&token)?;
        let usage = |e: NotAName| Failure::Usage(e.to_string());
        let group: Name = self.group.parse().map_err(usage)?;
        let endpoint = match &self.endpoint {
            Some(name) => ensure(&api, name.parse().map_err(usage)?).await?,
            None => the_only_one(&api).await?,
        };
        let mut options = Options { preserve_host: self.preserve_host, ..Options::default() };
        if let Some(seconds) = self.timeout {
            options.answer_timeout = Duration::from_secs(seconds);
        }
        let target = HttpTarget::new(&self.target, trust, options);
        let target = Arc::new(target.map_err(|e| Failure::Usage(e.to_string()))?);
        let subscription = Subscription {
            endpoint,
            group,
            tap: self.tap,
            max_backlog: self.max_backlog,
            skip_older_than_ms: self.skip_older_than.map(duration::milliseconds),
        };
        let setup = Setup {
            relay: api.relay,
            way: api.way,
            token,
            routes: vec![Route { subscription, target, verifier: verifier.map(Arc::new) }],
            lines: LINES,
            max_streams: STREAMS_MAX,
            notices: Notices::unwatched(),
        };
        keep(setup, to.json, self.quiet).await
    }
}

impl Forward {
    fn verifier(&self) -> Result<Option<Verifier>, Failure> {
        let Some(provider) = &self.verify else { return Ok(None) };
        let wanted = Wanted {
            provider: provider.clone(),
            secret_files: self.secret_file.clone(),
            params: self.param.iter().cloned().collect(),
            public_url: self.public_url.clone(),
            on_failure: self.on_failure,
        };
        Verifier::new(&Profiles::embedded(), wanted).map(Some).map_err(Failure::Usage)
    }
}

/// Runs an agent until a signal, showing what happens. A second signal ends it at once.
pub(super) async fn keep(mut setup: Setup, json: bool, quiet: bool) -> Result<(), Failure> {
    let (notices, watched) = Notices::watched(!quiet);
    setup.notices = notices;
    let style = Style::for_stdout(json);
    let (showing, shown) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = show(style, watched);
        drop(showing);
    });
    open_files::take_all();
    scheduling::wait_for_turns();
    small_pages::keep();
    let stop = CancellationToken::new();
    let mut running = tokio::spawn(Agent::new(setup).run(stop.clone()));
    tokio::select! {
        () = asked_to_stop() => stop.cancel(),
        _ = &mut running => return Err(Failure::Failed("the agent has ended by itself".into())),
    }
    tokio::select! {
        _ = &mut running => {}
        () = asked_to_stop() => return Err(Failure::Failed("stopped before everything was done".into())),
    }
    // Whoever reads what is shown may have stopped reading, and is no reason to stay.
    let _ = timeout(LAST_LINES, shown).await;
    Ok(())
}

async fn asked_to_stop() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// The endpoint of this name, made if there is none and the token may.
async fn ensure(api: &Api, name: Name) -> Result<Name, Failure> {
    match api.get(&format!("/endpoints/{name}")).await {
        Ok(_) => return Ok(name),
        Err(ApiError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match api.post("/endpoints", &json!({"name": name})).await {
        Ok(_) => Ok(name),
        Err(ApiError::NotAllowed(why)) => Err(Failure::NotFound(format!(
            "there is no endpoint {name}, and the token may not make it: {why}"
        ))),
        Err(error) => Err(error.into()),
    }
}

/// The only endpoint that the token sees.
async fn the_only_one(api: &Api) -> Result<Name, Failure> {
    let all = api.get("/endpoints").await?;
    let names: Vec<&str> =
        all.as_array().into_iter().flatten().filter_map(|e| e["name"].as_str()).collect();
    match names[..] {
        [only] => only.parse().map_err(|e: NotAName| Failure::Failed(e.to_string())),
        [] => Err(Failure::Usage(
            "which endpoint? there is none yet: say --endpoint NAME to make one".into(),
        )),
        _ => Err(Failure::Usage(format!(
            "which endpoint? say --endpoint with one of {}",
            names.join(", ")
        ))),
    }
}
