//! One agent's line, on the relay's side: admits it, seats it, watches its token, and ends it.
//!
//! It drives the protocol over one WebSocket and does not know that deliveries are stored.

mod departure;
mod host;
mod subscription;
mod upgrade;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use relay_client::wire::{Carrier, drive};
use relay_protocol::Line;
use relay_protocol::frame::GoAway;
use relay_protocol::line::Setup;
use relay_protocol::reason::{Leaving, close};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::access::{Access, Grant};
use crate::backlog::Backlogs;
use crate::endpoint::{Directory, Endpoint, EndpointId};
use crate::problem::{Code, Problem};
use crate::router::Router;
use crate::workers::Lanes;

use departure::{COME_AGAIN, Departure};
use host::Host;

pub use subscription::Subscribed;

/// How long the upgrade may take after the 101 was sent.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many events of one line may wait until its session has seen to them. An honest agent says HELLO once, and RENEW
/// and GOAWAY rarely; whoever fills this is cut off.
const EVENTS_MAX: usize = 16;

/// What this program calls itself.
pub const RELAY: &str = concat!("relay-server/", env!("CARGO_PKG_VERSION"));

/// One live line.
#[derive(Debug)]
pub struct Session {
    /// Its id, for logs of both sides.
    pub id: String,
    /// What the agent calls itself.
    pub agent: String,
    /// The agent's instance: its lines share it.
    pub instance: String,
    /// Which of the instance's lines it is.
    pub line: u8,
    /// The id of the token that holds it: the one it came with, or showed last.
    token: Mutex<String>,
    /// When it came, in milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// The worker on whose thread it runs.
    pub worker: usize,
    /// What it serves, in HELLO's order.
    pub subscriptions: Vec<Subscribed>,
    /// The line itself.
    pub carrier: Arc<Carrier>,
    departure: Departure,
}

impl Session {
    /// Has the agent open another line, and ends this one when nothing is under way on it.
    fn come_again(&self, why: String) {
        self.carrier.go_away(GoAway {
            reason: Leaving::Shutdown,
            deadline_ms: milliseconds(COME_AGAIN),
            reconnect_after_ms: 0,
            detail: why,
        });
        self.departure.within(COME_AGAIN);
    }

    /// Its agent has come back on a newer line: one that is being left ends in its own time.
    fn was_replaced(&self) {
        if self.carrier.is_taking() {
            let why = "the same instance has come back on a newer line";
            self.carrier.close(close::REPLACED, why);
        } else {
            self.departure.within(COME_AGAIN);
        }
    }

    /// The id of the token that holds it.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether this is the same line of the same instance, come back.
    #[must_use]
    pub fn is_same_line(&self, other: &Self) -> bool {
        self.instance == other.instance && self.line == other.line
    }
}

/// What every session needs.
#[derive(Debug)]
pub struct Sessions {
    /// Who may connect.
    pub access: Arc<Access>,
    /// What can be served.
    pub directory: Arc<Directory>,
    /// Where sessions are found.
    pub router: Arc<Router>,
    /// How lines are set up.
    pub setup: Setup,
    /// Writes an endpoint's public URL.
    pub urls: Arc<crate::config::PublicUrls>,
    /// Tells how far behind groups are.
    pub backlogs: Backlogs,
    /// The threads that lines are driven on.
    pub lanes: Lanes,
    /// Every session under way.
    pub tasks: TaskTracker,
    /// Set when no new sessions are admitted.
    pub draining: CancellationToken,
}

impl Sessions {
    /// Answers a request to connect; when it is admitted, the session begins after the upgrade.
    ///
    /// # Errors
    /// The [`Problem`] that speaks against it: the token first, before anything else is said.
    pub fn connect(
        self: &Arc<Self>,
        method: &Method,
        headers: &HeaderMap,
        from: IpAddr,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<()>, Problem> {
        let grant = self.access.bearer(headers, from)?;
        if self.draining.is_cancelled() {
            return Err(Problem::new(Code::RelayDraining, "the relay is shutting down"));
        }
        let key = upgrade::key(method, headers).ok_or_else(|| {
            Problem::new(Code::BadRequest, "agents connect with a WebSocket upgrade")
        })?;
        let upgrade = upgrade
            .ok_or_else(|| Problem::new(Code::BadRequest, "no upgrade on this connection"))?;
        let sessions = Arc::clone(self);
        let lane = self.lanes.of_line(upgrade::line(headers));
        let session = async move {
            match timeout(UPGRADE_TIMEOUT, upgrade).await {
                Ok(Ok(upgraded)) => sessions.run(upgraded, grant, from).await,
                Ok(Err(error)) => tracing::debug!(%error, "an agent's upgrade failed"),
                Err(_) => tracing::debug!("an agent's upgrade took too long"),
            }
        };
        self.tasks.spawn_on(session, lane);
        Ok(upgrade::switching(key))
    }

    /// Stays with one line until it ends. What it holds, thousands of idle lines hold.
    async fn run(self: Arc<Self>, upgraded: Upgraded, grant: Grant, from: IpAddr) {
        let pipe = match upgrade::pipe(upgraded).await {
            Ok(pipe) => pipe,
            Err(error) => return tracing::warn!(%error, "an agent's socket cannot be used"),
        };
        // ± 20 %, so that thousands of lines do not beat together.
        let heartbeat = self.setup.heartbeat.mul_f64(0.8 + 0.4 * fastrand::f64());
        let carrier = Carrier::new(Line::relay(Instant::now(), Setup { heartbeat, ..self.setup }));
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let line = Arc::clone(&carrier);
        // Boxed: the channel keeps room for 32 of them all the time.
        let on = move |event| {
            if events.try_send(Box::new(event)).is_err() {
                line.close(close::PROTOCOL, "HELLO, RENEW and GOAWAY faster than they are seen to");
            }
        };
        // A task of its own: what comes over the line wakes it alone, and not all that its host watches.
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(pipe, Arc::clone(&carrier), on)));
        let id = format!("ses_{:016x}", fastrand::u64(..));
        let host = Host { sessions: self, id, from, carrier, grant, seated: None };
        host.keep(driver, inbox).await;
    }

    /// Asks every agent to go elsewhere or come back later, and no longer admits any.
    pub fn go_away(&self, deadline: Duration, reconnect_after: Duration) {
        self.draining.cancel();
        for session in self.router.sessions() {
            session.carrier.go_away(GoAway {
                reason: Leaving::Shutdown,
                deadline_ms: milliseconds(deadline),
                reconnect_after_ms: milliseconds(reconnect_after),
                detail: "the relay shuts down".into(),
            });
        }
    }

    /// Ends the sessions that serve nothing else than an endpoint that was deleted; it is not in the directory any more.
    pub fn endpoint_went(&self, endpoint: EndpointId) {
        for session in self.router.sessions() {
            let served = || session.subscriptions.iter().map(|served| served.endpoint);
            let is_left = |id| self.directory.by_id(id).is_some();
            if served().any(|id| id == endpoint) && !served().any(is_left) {
                session.carrier.close(close::UNKNOWN_ENDPOINT, "the endpoint was deleted");
            }
        }
    }

    /// Has the sessions come again that served an endpoint of this name before it was deleted: they ask for this one then.
    pub fn endpoint_came(&self, endpoint: &Endpoint) {
        for session in self.router.sessions() {
            let another = |served: &Subscribed| {
                served.name == endpoint.name && served.endpoint != endpoint.id
            };
            if session.subscriptions.iter().any(another) {
                session.come_again(format!("there is another endpoint {}", endpoint.name));
            }
        }
    }
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}
