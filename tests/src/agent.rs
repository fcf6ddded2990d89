//! An agent in this process; the real program is started through [`process`](crate::process).

use std::sync::{Arc, OnceLock};

use relay_client::agent::{Agent as Running, Route, Setup, TokenSource};
use relay_client::notice::{Notice, Notices};
use relay_client::socket::Trust;
use relay_client::target::{HttpTarget, Options};
use relay_client::way::Way;
use relay_protocol::hello::Subscription;
use relay_protocol::id::Name;
use relay_protocol::limits::STREAMS_MAX;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::folder::Folder;
use crate::process::Program;
use crate::wait::soon;

/// How an agent is to be.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The relay's URL, or that of a line to it.
    pub relay: String,
    /// Its token.
    pub token: String,
    /// Endpoints and their targets.
    pub routes: Vec<(String, String)>,
    /// How many lines it keeps.
    pub lines: u8,
    /// How many requests at a time it takes on a line.
    pub max_streams: u32,
    /// Whether it sends the provider's `Host`.
    pub preserve_host: bool,
    /// What it asks for beyond the endpoints' names: group, tap, bounds of the backlog.
    pub asks: Subscription,
    /// Whom it trusts.
    pub trust: Trust,
}

impl Wanted {
    /// An agent with one line for one endpoint.
    #[must_use]
    pub fn for_one(relay: &str, token: &str, endpoint: &str, target: &str) -> Self {
        Self {
            relay: relay.to_owned(),
            token: token.to_owned(),
            routes: vec![(endpoint.to_owned(), target.to_owned())],
            lines: 1,
            max_streams: STREAMS_MAX,
            preserve_host: false,
            asks: subscription(endpoint),
            trust: trust(),
        }
    }

    fn setup(&self, notices: Notices) -> Setup {
        let trust = &self.trust;
        let options = Options { preserve_host: self.preserve_host, ..Options::default() };
        let route = |(endpoint, target): &(String, String)| Route {
            subscription: Subscription { endpoint: name(endpoint), ..self.asks.clone() },
            target: Arc::new(
                HttpTarget::new(target, trust.clone(), options.clone()).expect("a target"),
            ),
            verifier: None,
        };
        Setup {
            relay: self.relay.parse().expect("a relay's URL"),
            token: TokenSource::Fixed(self.token.clone()),
            routes: self.routes.iter().map(route).collect(),
            lines: self.lines,
            max_streams: self.max_streams,
            way: Way::direct(trust.clone()),
            notices,
        }
    }
}

/// The system's certificates, read once: thousands of agents share them.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn trust() -> Trust {
    static TRUST: OnceLock<Trust> = OnceLock::new();
    TRUST.get_or_init(|| Trust::load(None).expect("the system's certificates")).clone()
}

/// What an agent asks for to share the work of an endpoint.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn subscription(endpoint: &str) -> Subscription {
    Subscription {
        endpoint: name(endpoint),
        group: Name::main(),
        tap: false,
        max_backlog: None,
        skip_older_than_ms: None,
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// An agent that runs in this process.
#[derive(Debug)]
pub struct Agent {
    notices: mpsc::Receiver<Notice>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Agent {
    /// Starts it, whether or not the relay is there.
    #[must_use]
    pub fn begin(wanted: &Wanted) -> Self {
        let (notices, watched) = Notices::watched(true);
        let stop = CancellationToken::new();
        let running = tokio::spawn(Running::new(wanted.setup(notices)).run(stop.clone()));
        Self { notices: watched, stop, running }
    }

    /// Starts it and waits until it serves all that it is to serve.
    pub async fn start(wanted: &Wanted) -> Self {
        let mut agent = Self::begin(wanted);
        for _ in &wanted.routes {
            agent.notice(|notice| matches!(notice, Notice::Ready { .. })).await;
        }
        agent
    }

    /// The next notice of this kind; others are let go.
    ///
    /// # Panics
    /// When there is none.
    pub async fn notice(&mut self, wanted: impl Fn(&Notice) -> bool) -> Notice {
        soon("the agent tells so", async {
            loop {
                let notice = self.notices.recv().await.expect("the agent runs");
                if wanted(&notice) {
                    return notice;
                }
            }
        })
        .await
    }

    /// Asks it to finish what it has and leave.
    pub fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it in order and waits until it is gone.
    ///
    /// # Panics
    /// When it does not go.
    pub async fn stop(mut self) {
        self.stop.cancel();
        soon("the agent stops", &mut self.running).await.expect("no panic");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The command line of `relay-client`, with its token in a file of this folder.
#[must_use]
pub fn command(folder: &Folder, relay: &str, token: &str) -> Command {
    let file = folder.file(&format!("{:x}.token", fastrand::u64(..)), token);
    let mut command = Program::Client.command();
    command.arg("--relay").arg(relay).arg("--token-file").arg(file);
    command
}
