//! How a relay comes up, goes, and comes up again where it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use relay_server::config::{SETTINGS, gather};
use relay_server::store::OpenError;
use relay_server::{Config, Server};
use tokio_util::sync::CancellationToken;

use super::{Here, Host, Relay};
use crate::process::{Process, Program};
use crate::wait::{soon, until};

impl Relay {
    /// Starts it again, in this process, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn resume(&mut self) {
        let mut flags: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut given = self.settings.clone();
        given.push(("data".into(), self.data.path().join("store").display().to_string()));
        if self.address.port() > 0 || !given.iter().any(|(name, _)| name == "listen") {
            given.push(("listen".into(), self.address.to_string()));
        }
        for (name, value) in given {
            let known = SETTINGS.iter().find(|setting| setting.name == name).expect("a setting");
            flags.insert(known.name, value);
        }
        let config = Config::read(gather(None, |_| None, &flags)).expect("sound settings");
        let server = bind(&config).await;
        (self.address, self.lobby) = (server.address(), server.lobby_address());
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let (budget, store) = (server.budget().clone(), Arc::downgrade(server.store()));
        let served = tokio::spawn(server.run(stop.clone(), hurry.clone()));
        self.host = Host::Here(Box::new(Here { stop, hurry, served, budget, store }));
    }

    /// Starts it again, as the real program, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn resume_program(&mut self) {
        until("it is ready", async || match self.try_resume_program().await {
            Ok(()) => true,
            Err(said) if said.contains(PORT_TAKEN) => false,
            Err(said) => panic!("it ended before it was ready: {said}"),
        })
        .await;
    }

    /// Starts it again, as the real program, on the same port, though it may end before it is ready.
    ///
    /// # Errors
    /// What it said, when it has ended.
    ///
    /// # Panics
    /// When it cannot be started at all.
    pub async fn try_resume_program(&mut self) -> Result<(), String> {
        let mut command = Program::Server.command_under(&self.under);
        command.arg("serve").arg("--data").arg(self.data.path().join("store"));
        command.arg("--listen").arg(self.address.to_string());
        // Stories look into the log; what is measured logs as it does by default.
        if cfg!(debug_assertions) {
            command.env("RELAY_LOG", "debug");
        }
        for (name, value) in &self.settings {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        let mut process = Process::start(&mut command);
        let Some(ready) = process.try_event("ready").await else {
            process.ended().await;
            return Err(process.said());
        };
        let url = ready["url"].as_str().expect("a URL");
        (self.address, self.lobby) = (at(url), ready["http_url"].as_str().map(at));
        self.host = Host::Program(Box::new(process));
        Ok(())
    }

    /// Asks a relay in this process to leave in order; [`stop`](Self::stop) waits for it.
    pub fn ask_to_stop(&self) {
        if let Host::Here(here) = &self.host {
            here.stop.cancel();
        }
    }

    /// Stops it in order and waits until it is gone.
    ///
    /// # Panics
    /// When it does not go.
    pub async fn stop(&mut self) {
        match std::mem::replace(&mut self.host, Host::Stopped) {
            Host::Here(here) => {
                here.stop.cancel();
                let served = soon("the relay stops", here.served).await;
                served.expect("no panic").expect("no fault");
            }
            Host::Program(mut process) => {
                process.signal(rustix::process::Signal::TERM);
                assert!(process.ended().await.success(), "{}", process.said());
            }
            Host::Stopped => {}
        }
    }
}

/// Where a program says that it listens.
fn at(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a URL");
    address.parse().expect("an address")
}

/// What the system says of a port that somebody else has.
const PORT_TAKEN: &str = "Address already in use";

/// Binds a relay; its store may be held for a moment, as in [`fresh_store`](super::fresh_store), and so may its port, by a
/// copy of its listener.
async fn bind(config: &Config) -> Server {
    let mut server = None;
    until("the relay binds", async || {
        server = match Server::bind(config.clone()).await {
            Ok(bound) => Some(bound),
            Err(error) if matches!(error.downcast_ref(), Some(OpenError::InUse(_))) => None,
            Err(error) if error.chain().any(|why| why.to_string().contains(PORT_TAKEN)) => None,
            Err(error) => panic!("the relay does not bind: {error:#}"),
        };
        server.is_some()
    })
    .await;
    server.expect("it was waited for")
}
