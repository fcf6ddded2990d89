//! A relay and an agent as real programs, and between them and both ledgers whatever is to be broken.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::watch;

use super::keeper::{Keeper, Mood};
use super::ledger::Ledger;
use super::mark::LARGE_FROM;
use super::senders::Senders;
use crate::agent::command;
use crate::process::{Program, run};
use crate::relay::{Endpoint, Host, Relay};
use crate::wait::{holds_within, pass};

/// How long nothing of what was promised may arrive, when nothing is broken any more, until the rest counts as lost. A long
/// run leaves a long backlog, so it is no bound of the whole.
const STANDSTILL: Duration = Duration::from_secs(90);

/// How long an agent is given to come back by itself before it is started anew, as an impatient person would.
const AGENT_PATIENCE: Duration = Duration::from_millis(1500);

/// How often a condition is looked at that nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The endpoint whose events the relay promises, and the one whose events the target answers itself if it can.
pub const ENDPOINTS: [(&str, &[(&str, &str)]); 2] = [
    ("ack", &[("reply", "ack")]),
    (
        "live",
        &[("reply", "live"), ("fallback", "queue"), ("reply_timeout", "1s"), ("hold", "200ms")],
    ),
];

/// The real thing, to be broken.
#[derive(Debug)]
pub struct Rig {
    /// The relay.
    pub relay: Relay,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Where the agent's requests go.
    pub keeper: Keeper,
    /// What both ends have seen.
    pub ledger: Arc<Ledger>,
    /// How the agent reaches the relay, if not directly.
    pub agent_via: Option<String>,
    agent: Option<Child>,
    token: String,
    up: watch::Sender<bool>,
    streams: u32,
}

impl Rig {
    /// A relay with these settings, its two endpoints with these beside their own, and no agent yet.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn new(relay: &[(&str, &str)], more: &[(&str, &str)]) -> Self {
        Self::of(Relay::program(relay).await, more).await
    }

    /// The same around a relay that runs already.
    pub async fn of(relay: Relay, more: &[(&str, &str)]) -> Self {
        let ledger = Arc::<Ledger>::default();
        let keeper = Keeper::start(&ledger).await;
        let retry = format!("{}{}", "100ms,".repeat(9), vec!["500ms"; 91].join(","));
        let mut endpoints = Vec::new();
        for (name, own) in ENDPOINTS {
            let usual = [("retry", retry.as_str()), ("breaker", "off"), ("attempt_timeout", "2s")];
            let settings = [&usual, own, more].concat();
            endpoints.push(relay.endpoint_with(name, &settings).await);
        }
        let token = relay.token(&["ack", "live"]).await;
        let (up, _) = watch::channel(true);
        let (agent, agent_via, streams) = (None, None, 0);
        Self { relay, endpoints, keeper, ledger, agent_via, agent, token, up, streams }
    }

    /// Providers with so many streams to each endpoint, each pausing so long after an answer.
    pub fn load(&mut self, streams: u32, pause: Duration) -> Senders {
        let first = self.streams;
        self.streams += streams;
        let (to, up) = (self.relay.address, self.up.subscribe());
        Senders::start(&self.ledger, to, &self.endpoints, first..first + streams, pause, &up)
    }

    /// One more provider for each endpoint, whose bodies are all so large that the relay keeps them in files.
    pub fn load_large(&mut self, pause: Duration) -> Senders {
        let first = LARGE_FROM + self.streams;
        self.streams += 1;
        let (to, up) = (self.relay.address, self.up.subscribe());
        Senders::start(&self.ledger, to, &self.endpoints, first..first + 1, pause, &up)
    }

    /// Starts the agent.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_agent(&mut self) {
        let relay = self.agent_via.clone().unwrap_or_else(|| self.relay.url());
        let routes = self.endpoints.iter().map(|endpoint| {
            let (name, target) = (&endpoint.name, self.keeper.door(&endpoint.name));
            format!("[[endpoint]]\nname = \"{name}\"\ntarget = \"{target}\"\n")
        });
        let config = self.relay.data.file("agent.toml", &routes.collect::<String>());
        let mut command = command(&self.relay.data, &relay, &self.token);
        command.arg("run").arg("--quiet").arg("--config").arg(config);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.agent = Some(command.spawn().expect("the agent starts"));
    }

    /// Kills the agent, as a power cut would.
    pub async fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill().await;
        }
    }

    /// Waits until both endpoints are served; an agent that still waits before it dials again is replaced.
    pub async fn served(&mut self) {
        let mut since = Instant::now();
        while !self.is_served().await {
            if self.agent.is_none() || since.elapsed() > AGENT_PATIENCE {
                self.kill_agent().await;
                self.start_agent();
                since = Instant::now();
            }
            pass(LOOK_EVERY).await;
        }
    }

    /// Whether both endpoints are served.
    pub async fn is_served(&self) -> bool {
        let mut all = true;
        for endpoint in &self.endpoints {
            all &= self.relay.agents(&endpoint.name).await > 0;
        }
        all
    }

    /// Kills the relay, as a power cut would.
    pub async fn kill_relay(&mut self) {
        self.relay.process().kill().await;
        self.relay_is_gone();
    }

    /// The relay has ended by itself.
    pub fn relay_is_gone(&mut self) {
        self.up.send_replace(false);
        self.relay.host = Host::Stopped;
    }

    /// Starts the relay again, and says how long it took until it was ready.
    pub async fn restart_relay(&mut self) -> Duration {
        let begun = Instant::now();
        self.relay.resume_program().await;
        self.up.send_replace(true);
        begun.elapsed()
    }

    /// Starts the relay again, though it may end before it is ready; says whether it is.
    pub async fn try_restart_relay(&mut self) -> bool {
        let ready = self.relay.try_resume_program().await.is_ok();
        self.up.send_replace(ready);
        ready
    }

    /// Stops the relay in order.
    pub async fn stop_relay(&mut self) {
        self.up.send_replace(false);
        self.relay.stop().await;
    }

    /// Kills the relay for the last time, and says what is damaged in the store that it leaves behind.
    pub async fn damages(&mut self) -> Vec<String> {
        self.kill_relay().await;
        let mut check = Program::Server.command();
        check.arg("check").arg("--data").arg(self.relay.data.path().join("store"));
        let checked = run(&mut check).await;
        let told = || [&checked.stdout, &checked.stderr].map(|text| text.trim().to_owned());
        if checked.code == Some(0) { Vec::new() } else { told().to_vec() }
    }

    /// Sends the relay a signal.
    pub fn signal_relay(&mut self, signal: Signal) {
        self.relay.process().signal(signal);
    }

    /// With everything well again: waits until all that was promised has arrived, and says how long it took. What has not
    /// arrived when nothing more comes is lost.
    pub async fn drained(&mut self) -> Duration {
        self.keeper.is(Mood::Well);
        self.served().await;
        let begun = Instant::now();
        let mut left = self.ledger.outstanding();
        while left > 0 && holds_within(STANDSTILL, async || self.ledger.outstanding() < left).await
        {
            left = self.ledger.outstanding();
        }
        begun.elapsed()
    }
}
