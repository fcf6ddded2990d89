//! One session under way: what its agent says, and when its token or its time ends.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use relay_client::wire::{Carrier, Ended, Event};
use relay_protocol::hello::{Hello, Served, Welcome};
use relay_protocol::id::Name;
use relay_protocol::reason::close;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::departure::Departure;
use super::{RELAY, Session, Sessions, Subscribed};
use crate::access::{Denied, Grant};
use crate::clock::now_ms;
use crate::router::Presence;
use crate::store::records::Scope;
use crate::workers::here;

/// One session under way.
pub(super) struct Host {
    pub(super) sessions: Arc<Sessions>,
    pub(super) id: String,
    /// The agent's address, as the relay sees it.
    pub(super) from: IpAddr,
    pub(super) carrier: Arc<Carrier>,
    pub(super) grant: Grant,
    pub(super) seated: Option<(Arc<Session>, Presence)>,
}

impl Host {
    /// Stays with the line until it ends.
    pub(super) async fn keep(
        mut self,
        mut driver: AbortOnDropHandle<Ended>,
        mut inbox: mpsc::Receiver<Box<Event>>,
    ) {
        let (sessions, mut granted, mut stays) = (Arc::clone(&self.sessions), true, true);
        let ended = loop {
            tokio::select! {
                ended = &mut driver => break ended,
                Some(event) = inbox.recv() => self.happened(*event).await,
                why = sessions.access.ended(&self.grant), if granted => {
                    self.carrier.close(close::NOT_ALLOWED, why);
                    granted = false;
                }
                () = self.is_to_end(), if stays => {
                    self.carrier.close(close::GOING_AWAY, "the agent was asked to open another line");
                    stays = false;
                }
            }
        };
        self.sessions.access.touch(&self.grant);
        self.tell(ended);
    }

    /// Logs how the line has ended.
    fn tell(&self, ended: Result<Ended, JoinError>) {
        let agent = self.seated.as_ref().map_or("", |(session, _)| session.agent.as_str());
        let (session, token) = (&self.id, &self.grant.token);
        match ended {
            Ok(why) if why.is_fault() => {
                tracing::warn!(session, token, agent, %why, "an agent's line has ended: it broke the protocol");
            }
            Ok(why) => tracing::info!(session, token, agent, %why, "an agent's line has ended"),
            Err(why) => {
                tracing::error!(session, token, agent, %why, "an agent's line has ended by a fault in this program");
            }
        }
    }

    async fn is_to_end(&self) {
        match &self.seated {
            Some((session, _)) => session.departure.due(&self.carrier).await,
            None => pending().await,
        }
    }

    async fn happened(&mut self, event: Event) {
        match event {
            Event::Hello(hello) => {
                if let Err((code, why)) = self.introduce(&hello).await {
                    self.carrier.close(code, &why);
                }
            }
            Event::Renewed(token) => self.renew(&token),
            // Its seats stay: the router sees that the line takes no more, and what is under way ends on it.
            Event::GoingAway(goaway) => {
                tracing::info!(session = self.id, reason = %goaway.reason, "an agent takes no more work");
            }
            Event::Welcome(_) | Event::Opened { .. } => {}
        }
    }

    /// Seats the session, if everything it asks for exists and is allowed.
    async fn introduce(&mut self, hello: &Hello) -> Result<(), (u16, String)> {
        let (mut served, mut subscriptions) = (Vec::new(), Vec::new());
        for wanted in &hello.subscriptions {
            let (subscribed, told) = self.subscribe(&hello.instance, wanted).await?;
            subscriptions.push(subscribed);
            served.push(told);
        }
        let session = Arc::new(Session {
            id: self.id.clone(),
            agent: hello.agent.chars().take(80).collect(),
            instance: hello.instance.clone(),
            line: hello.line,
            token: Mutex::new(self.grant.token.clone()),
            since_ms: now_ms(),
            worker: here(),
            subscriptions,
            carrier: Arc::clone(&self.carrier),
            departure: Departure::default(),
        });
        let (presence, older) = self.sessions.router.join(&session);
        if let Some(older) = older {
            older.was_replaced();
        }
        // A token that was revoked since the upgrade is not welcomed; from here on, it ends the line.
        if !self.sessions.access.holds(&self.grant) {
            return Err((close::NOT_ALLOWED, "the token was revoked".into()));
        }
        // After it is seated: an endpoint deleted from here on finds it, and one deleted while it came is seen here.
        let deleted =
            |served: &&Subscribed| self.sessions.directory.by_id(served.endpoint).is_none();
        if let Some(served) = session.subscriptions.iter().find(deleted) {
            let words = format!("there is no endpoint {}", served.name);
            return Err((close::UNKNOWN_ENDPOINT, words));
        }
        self.carrier.welcome(hello, self.welcome(served)).map_err(|_| {
            let words = "the URLs of so many endpoints do not fit into WELCOME; ask for fewer";
            (close::TOO_BIG, words.to_owned())
        })?;
        self.sessions.router.announce(&session);
        let (agent, line) = (&session.agent, session.line);
        tracing::info!(
            session = self.id,
            token = self.grant.token,
            agent,
            line,
            from = %self.from,
            "an agent's line is live"
        );
        self.seated = Some((session, presence));
        Ok(())
    }

    fn welcome(&self, endpoints: Vec<Served>) -> Welcome {
        let setup = self.sessions.setup;
        let until_ms = self.sessions.access.until(&self.grant);
        Welcome {
            version: relay_protocol::VERSIONS[0],
            session: self.id.clone(),
            relay: RELAY.to_owned(),
            heartbeat_ms: 0,
            dead_after_ms: 0,
            stream_credit: setup.stream_credit,
            line_credit: setup.line_credit,
            nodes: Vec::new(),
            endpoints,
            token_expires_in_ms: until_ms.map(|at| at.saturating_sub(now_ms())),
        }
    }

    /// Takes a fresh token, if it allows what the session does.
    fn renew(&mut self, token: &str) {
        let fresh = self.sessions.access.shown(token, self.from);
        if let Err(Denied::TooMany(_)) = fresh {
            self.carrier.close(close::NOT_ALLOWED, "too many wrong tokens");
        }
        let served = self.seated.iter().flat_map(|(session, _)| &session.subscriptions);
        let names: Vec<&Name> = served.map(|served| &served.name).collect();
        let enough = |grant: &Grant| names.iter().all(|name| grant.allows(Scope::Listen, name));
        match fresh.ok().filter(enough) {
            Some(grant) => self.hold_by(grant),
            None => tracing::warn!(
                session = self.id,
                "an agent showed a token that does not do; the old one stays"
            ),
        }
    }

    /// Goes on under another token.
    fn hold_by(&mut self, grant: Grant) {
        if let Some((session, _)) = &self.seated {
            let mut token = session.token.lock().unwrap_or_else(PoisonError::into_inner);
            token.clone_from(&grant.token);
        }
        self.grant = grant;
        tracing::info!(
            session = self.id,
            token = self.grant.token,
            "a line goes on under another token"
        );
    }
}
