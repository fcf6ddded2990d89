//! `relay-server demo`: a relay, an agent and a sample receiver in one process, over real sockets, with one signed webhook
//! sent through. Knows every room by its front door only: what it does, people could do with the two programs.

mod provider;
mod receiver;
mod telling;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use relay_client::agent::{Agent, LINES, Route, Setup, TokenSource};
use relay_client::api::{Api, ApiError};
use relay_client::notice::{Attempt, Notice, Notices};
use relay_client::socket::Trust;
use relay_client::target::{HttpTarget, Options};
use relay_client::way::Way;
use relay_protocol::hello::Subscription;
use relay_protocol::id::Name;
use relay_protocol::limits::STREAMS_MAX;
use relay_server::access::{new_signing_secret, new_token};
use relay_server::clock::now_ms;
use relay_server::config::gather;
use relay_server::store::records::{Actor, Scope};
use relay_server::store::{OpenError, Store};
use relay_server::vault::{SealKey, beside};
use relay_server::{Config, Server};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use provider::Webhook;
use receiver::Receiver;
use telling::Telling;

/// The endpoint's name.
const ENDPOINT: &str = "demo";

/// How long each step may take before the demo has failed: everything is on this machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Directory of the store, kept afterwards [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes any
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// What the demo is called where it is written down who made a token.
const PROGRAM: &str = "relay-server demo";

/// Shows it all, then serves until `stop`.
pub(crate) async fn run(
    args: DemoArgs,
    stop: CancellationToken,
    hurry: CancellationToken,
) -> anyhow::Result<()> {
    let telling = Telling::for_stdout();
    let folder = Folder::of(args.data)?;
    let (token, token_id) = token(&folder.path).await?;
    let server = Server::bind(config(&folder, args.listen)?).await?;
    let (store, near) = (Arc::clone(server.store()), reachable(server.address()));
    let serving = tokio::spawn(server.run(stop.clone(), hurry));
    telling.step("relay", &format!("listens on http://{near}, its store is {}", folder.told()))?;

    let secret = new_signing_secret();
    let receiver = Receiver::start(&secret).await?;
    telling
        .step("receiver", &format!("listens on {}, checks X-Hub-Signature-256", receiver.url()))?;

    let url = endpoint(&format!("http://{near}"), &token).await?;
    telling.step("relay", &format!("made the endpoint {ENDPOINT}: {url}"))?;

    let (notices, mut watched) = Notices::watched(true);
    let agent = Agent::new(setup(&format!("http://{near}"), &token, &receiver.url(), notices)?);
    let agent = tokio::spawn(agent.run(stop.clone()));
    wait_for(&mut watched, |notice| matches!(notice, Notice::Ready { .. })).await?;
    telling.step("agent", "dialled out to the relay and waits on its line for webhooks")?;

    let webhook = Webhook::signed(&url, &secret)?;
    webhook_goes_through(&telling, &webhook, near, &mut watched).await?;
    telling.invite(&format!("http://{near}"), &url, &webhook.curl())?;

    let shown = std::thread::spawn(move || telling.follow(watched));
    let served = serving.await;
    let _ = agent.await;
    let _ = shown.join();
    store.revoke_token(token_id, now_ms(), Actor::program(PROGRAM)).await?;
    served.context("the relay has broken down")?
}

/// The journey of one webhook, told as it goes.
async fn webhook_goes_through(
    telling: &Telling,
    webhook: &Webhook,
    relay: SocketAddr,
    watched: &mut mpsc::Receiver<Notice>,
) -> anyhow::Result<()> {
    telling.step("provider", &format!("--> {}", webhook.told()))?;
    let sent = Instant::now();
    let answer = timeout(PATIENCE, webhook.send(relay)).await.context("no answer in time")??;
    let took = sent.elapsed();
    let started = |notice: &Notice| matches!(notice, Notice::Started(_));
    if let Notice::Started(Attempt { event, method, path, .. }) = wait_for(watched, started).await?
    {
        let line = [&method[..], b" ", &path[..]].concat();
        telling.step("relay", &format!("took it as {event} and sent it down the agent's line"))?;
        telling
            .step("agent", &format!("--> {} to the receiver", String::from_utf8_lossy(&line)))?;
    }
    telling.step("receiver", &format!("the signature is {}", answer.signature))?;
    let done = |notice: &Notice| matches!(notice, Notice::Done { .. });
    if let Notice::Done { result: Ok(status), .. } = wait_for(watched, done).await? {
        telling.step("agent", &format!("<-- {status} back up the line"))?;
    }
    telling
        .step("provider", &format!("<-- {} {:.1} ms", answer.status, took.as_secs_f64() * 1e3))?;
    if answer.status != 200 || answer.signature != "verified" {
        bail!("the webhook did not come through as it was sent");
    }
    Ok(())
}

/// The first notice of this kind.
async fn wait_for(
    watched: &mut mpsc::Receiver<Notice>,
    wanted: impl Fn(&Notice) -> bool,
) -> anyhow::Result<Notice> {
    let found = async {
        loop {
            match watched.recv().await.context("the agent has ended")? {
                Notice::Disconnected { why, .. } => bail!("the agent has no line: {why}"),
                notice if wanted(&notice) => return Ok(notice),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, found).await.context("the agent says nothing")?
}

/// The store, made if there is none, with a token for this run.
async fn token(data: &Path) -> anyhow::Result<(String, String)> {
    let store = match Store::init(data) {
        Err(OpenError::Exists(_)) => Store::open(data)?,
        made => made?,
    };
    let (text, token) = new_token(vec![Scope::Admin], None, None);
    let id = token.id.clone();
    store.create_token(token, Actor::program(PROGRAM)).await?;
    store.flush().await?;
    Ok((text, id))
}

fn config(folder: &Folder, listen: SocketAddr) -> anyhow::Result<Config> {
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is no text");
    let key = if folder.temporary { folder.path.join("demo.key") } else { beside(&folder.path) };
    SealKey::make(&key)?;
    let flags = BTreeMap::from([
        ("data", text(&folder.path)?),
        ("listen", listen.to_string()),
        ("secrets_key_file", text(&key)?),
    ]);
    Ok(Config::read(gather(None, |_| None, &flags))?)
}

/// Where this machine reaches a listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    address
}

/// The public URL of the demo's endpoint, which is made if there is none.
async fn endpoint(relay: &str, token: &str) -> anyhow::Result<String> {
    let api = Api {
        relay: relay.parse()?,
        way: Way::direct(Trust::load(None)?),
        token: token.to_owned(),
    };
    let shown = match api.get(&format!("/endpoints/{ENDPOINT}")).await {
        Err(ApiError::NotFound(_)) => api.post("/endpoints", &json!({"name": ENDPOINT})).await?,
        found => found?,
    };
    Ok(shown["url"].as_str().context("an endpoint without a URL")?.to_owned())
}

fn setup(relay: &str, token: &str, target: &str, notices: Notices) -> anyhow::Result<Setup> {
    let trust = Trust::load(None)?;
    let subscription = Subscription {
        endpoint: ENDPOINT.parse()?,
        group: Name::main(),
        tap: false,
        max_backlog: None,
        skip_older_than_ms: None,
    };
    let target = Arc::new(HttpTarget::new(target, trust.clone(), Options::default())?);
    Ok(Setup {
        relay: relay.parse()?,
        way: Way::direct(trust),
        token: TokenSource::Fixed(token.to_owned()),
        routes: vec![Route { subscription, target, verifier: None }],
        lines: LINES,
        max_streams: STREAMS_MAX,
        notices,
    })
}

/// Where the store is; a temporary one is gone when the demo is.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn of(given: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path, temporary: false });
        }
        let path = std::env::temp_dir().join(format!("relay-demo-{:016x}", fastrand::u64(..)));
        std::fs::DirBuilder::new().mode(0o700).create(&path).context("no temporary directory")?;
        Ok(Self { path, temporary: true })
    }

    fn told(&self) -> String {
        let until = if self.temporary { " until the demo ends" } else { "" };
        format!("in {}{until}", self.path.display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
