//! One relay: how it comes up, how it serves, and how it leaves, in this order.

mod ground;
mod ports;
mod rooms;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::budget::Budget;
use crate::config::Config;
use crate::http::{Door, Front, Lobby};
use crate::store::Store;
use ground::Ground;
use ports::Ports;
use rooms::Rooms;

/// After a shutdown, agents come back spread over this time.
const RECONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How much time there is between two writes of when tokens were last used.
const USES_APART: Duration = Duration::from_secs(5);

/// A relay that listens.
pub struct Server {
    config: Config,
    ground: Ground,
    ports: Ports,
    rooms: Rooms,
}

impl Server {
    /// Opens the store and listens; nothing is accepted until [`run`](Self::run).
    ///
    /// # Errors
    /// When the store does not open, the address is taken, or the relay would stand open to the world.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let ground = Ground::open(&config).await?;
        let ports = Ports::open(&config)?;
        let rooms = Rooms::build(&config, &ground, &ports).await?;
        Ok(Self { config, ground, ports, rooms })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ports.address
    }

    /// Where it listens without TLS beside it, if it does.
    #[must_use]
    pub fn lobby_address(&self) -> Option<SocketAddr> {
        self.ports.lobby.as_ref()?.local_addr().ok()
    }

    /// The URL of that address itself, whatever the outside uses.
    #[must_use]
    pub fn near_url(&self) -> String {
        let scheme = if self.rooms.front.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.ports.address)
    }

    /// The relay's own URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.rooms.urls.base()
    }

    /// Its tokens.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.ground.access
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.ground.store
    }

    /// The memory for requests in flight.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.rooms.budget
    }

    /// Serves until `stop`, then leaves in order; `hurry` cuts that short.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        hurry: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut accepting = Vec::new();
        for (lane, listener) in
            self.ports.workers.lanes().iter().zip(self.ports.listeners.drain(..))
        {
            // On its own thread: whoever registers a socket is woken for it.
            let front = self.rooms.front.clone();
            let accept = async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => front.accept(listener).await,
                    Err(error) => tracing::error!(%error, "a worker does not listen"),
                }
            };
            // Waited for like a connection: what it accepts at the very last is among them before it ends.
            accepting.push(self.rooms.front.connections.spawn_on(accept, lane));
        }
        let lobby = self.ports.lobby.take().map(TcpListener::from_std).transpose()?;
        let lobby = lobby
            .map(|listener| self.rooms.front.connections.spawn(self.in_front().accept(listener)));
        let keeping = self.rooms.front.tls.clone();
        let keeping = keeping.map(|tls| {
            let Ground { store, vault, .. } = &self.ground;
            tls.keep(Arc::clone(store), Arc::clone(vault), stop.clone())
        });
        let keeping = keeping.map(tokio::spawn);
        self.rooms.dispatcher.watch_all();
        let writing = tokio::spawn(write_uses(
            Arc::clone(&self.ground.access),
            Arc::clone(&self.ground.store),
        ));
        stop.cancelled().await;
        tokio::select! {
            () = self.shut_down() => {}
            () = hurry.cancelled() => tracing::warn!("the shutdown was cut short"),
        }
        accepting.iter().for_each(JoinHandle::abort);
        writing.abort();
        for ending in keeping.into_iter().chain(lobby) {
            let _ = ending.await;
        }
        self.ports.workers.end().await;
        Ok(())
    }

    /// How the plain listener beside TLS serves.
    fn in_front(&self) -> Front {
        let (urls, hooks_domain) = (Arc::clone(&self.rooms.urls), self.config.hooks_domain.clone());
        let challenges = self.rooms.front.tls.as_ref().map(|tls| Arc::clone(tls.challenges()));
        let challenges = challenges.unwrap_or_default();
        let door = Door::Lobby(Arc::new(Lobby { urls, hooks_domain, challenges }));
        Front { door, tls: None, ..self.rooms.front.clone() }
    }

    /// Leaves in order, with one deadline for all of it.
    async fn shut_down(&self) {
        let limit = self.config.drain_timeout;
        tracing::info!(?limit, "the relay shuts down");
        // Agents first: they take no new events from here and open their lines elsewhere, or come back later.
        self.rooms.sessions.go_away(limit, RECONNECT_WITHIN);
        // Then the door: what is under way is answered, nothing new is accepted.
        self.rooms.front.draining.begin();
        self.rooms.front.connections.close();
        let drained = timeout(limit, async {
            self.rooms.front.connections.wait().await;
            self.rooms.dispatcher.drain().await;
        });
        if drained.await.is_err() {
            tracing::warn!("not everything was done before the deadline");
        }
        // The lines last, when nothing is under way on them.
        for session in self.rooms.sessions.router.sessions() {
            session
                .carrier
                .close(relay_protocol::reason::close::GOING_AWAY, "the relay shuts down");
        }
        self.rooms.sessions.tasks.close();
        let _ = timeout(Duration::from_secs(3), self.rooms.sessions.tasks.wait()).await;
        let _ = self.ground.store.note_uses(self.ground.access.uses()).await;
        if let Err(error) = self.ground.store.flush().await {
            tracing::error!(%error, "the store could not be written to the end");
        }
    }
}

/// Writes down when tokens were last used, lazily.
async fn write_uses(access: Arc<Access>, store: Arc<Store>) {
    loop {
        access.worth_writing().await;
        // What is lost here is seen again at the token's next use, or written when the relay ends.
        if let Err(error) = store.note_uses(access.uses()).await {
            tracing::debug!(%error, "when tokens were last used is not written down");
        }
        tokio::time::sleep(USES_APART).await;
    }
}
