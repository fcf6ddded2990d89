//! One relay: how it comes up, how it serves, and how it leaves, in this order.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use relay_client::socket::Trust;
use relay_protocol::line::Setup;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::api::{self, Api};
use crate::backlog::Backlogs;
use crate::budget::Budget;
use crate::config::{Config, PublicUrls};
use crate::dispatcher::Dispatcher;
use crate::endpoint::Directory;
use crate::http::{Door, Front, Lobby, Routes};
use crate::ingress::{Admission, HeadBounds, Ingress, TrustedProxies};
use crate::router::Router;
use crate::session::Sessions;
use crate::store::Store;
use crate::store::records::Keep;
use crate::tls::{Tls, TlsSettings};
use crate::trust::{Fetcher, Gate};
use crate::vault::{Vault, VaultError};
use crate::workers::{Workers, listen};

/// After a shutdown, agents come back spread over this time.
const RECONNECT_WITHIN: Duration = Duration::from_secs(2);

/// What is taken from queues may take this part of the memory that requests may, beside them.
const QUEUED_SHARE: usize = 4;

/// How much time there is between two writes of when tokens were last used.
const USES_APART: Duration = Duration::from_secs(5);

/// A relay that listens.
pub struct Server {
    config: Config,
    listeners: Vec<StdListener>,
    address: SocketAddr,
    store: Arc<Store>,
    dispatcher: Arc<Dispatcher>,
    sessions: Arc<Sessions>,
    access: Arc<Access>,
    urls: Arc<PublicUrls>,
    front: Front,
    lobby: Option<StdListener>,
    budget: Budget,
    workers: Workers,
}

impl Server {
    /// Opens the store and listens; nothing is accepted until [`run`](Self::run).
    ///
    /// # Errors
    /// When the store does not open, the address is taken, or the relay would stand open to the world.
    pub async fn bind(config: Config) -> anyhow::Result<Self> {
        let profiles = Arc::clone(&config.profiles);
        let store = Arc::new(Store::open(&config.data)?.with_profiles(profiles));
        let (access, directory) = load(&store, &config).await?;
        let vault = Arc::new(open_vault(&config, &store, &directory).await?);
        refuse_open(&config, &access)?;
        let listeners = listen_on(config.listen, config.workers)?;
        let address = listeners[0].local_addr()?;
        let workers = Workers::start(config.workers)?;
        let lobby = config.http_listen.map(|address| listen_on(address, 1)).transpose()?;
        let lobby = lobby.map(|mut one| one.remove(0));
        let tls = Tls::open(&config.tls, config.workers, &store).await?;
        let base = config.public_url.clone().unwrap_or_else(|| own_url(address, &config.tls));
        let urls = Arc::new(PublicUrls::new(base, config.hooks_domain.clone()));
        let router = Arc::new(Router::default());
        let dispatcher = Arc::new(Dispatcher::new(
            Arc::clone(&store),
            Arc::clone(&router),
            Arc::clone(&directory),
            Arc::clone(&vault),
            config.in_flight / QUEUED_SHARE,
        ));
        let budget = Budget::new(config.in_flight);
        let sessions = Arc::new(Sessions {
            access: Arc::clone(&access),
            directory: Arc::clone(&directory),
            router: Arc::clone(&router),
            setup: line_setup(&config),
            urls: Arc::clone(&urls),
            backlogs: Backlogs::new(Arc::clone(&store)),
            lanes: workers.lanes(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
        });
        let ingress = Ingress {
            directory: Arc::clone(&directory),
            dispatcher: Arc::clone(&dispatcher),
            store: Arc::clone(&store),
            budget: budget.clone(),
            bounds: HeadBounds { fields_max: config.headers_max, uri_max: config.uri_max },
            trusted: TrustedProxies(config.trusted_proxies.clone()),
            gate: gate(&config, &vault, &urls, &budget)?,
            admission: Admission::new(config.rate_limit_address),
        };
        let api = Arc::new(Api {
            store: Arc::clone(&store),
            access: Arc::clone(&access),
            directory,
            profiles: Arc::clone(&config.profiles),
            vault,
            router,
            dispatcher: Arc::clone(&dispatcher),
            sessions: Arc::clone(&sessions),
            urls: Arc::clone(&urls),
            tls: tls.clone(),
        });
        let routes = Routes {
            ingress,
            sessions: Arc::clone(&sessions),
            api: api::routes(api),
            hooks_domain: config.hooks_domain.clone(),
            demand: config.tls.agent_ca.as_ref().map(|_| config.tls.demand),
        };
        let front = Front::new(Door::Relay(Arc::new(routes)), tls, config.header_timeout);
        Ok(Self {
            config,
            listeners,
            address,
            store,
            dispatcher,
            sessions,
            access,
            urls,
            front,
            lobby,
            budget,
            workers,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens without TLS beside it, if it does.
    #[must_use]
    pub fn lobby_address(&self) -> Option<SocketAddr> {
        self.lobby.as_ref()?.local_addr().ok()
    }

    /// The URL of that address itself, whatever the outside uses.
    #[must_use]
    pub fn near_url(&self) -> String {
        let scheme = if self.front.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The relay's own URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.urls.base()
    }

    /// Its tokens.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The memory for requests in flight.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Serves until `stop`, then leaves in order; `hurry` cuts that short.
    pub async fn run(
        mut self,
        stop: CancellationToken,
        hurry: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut accepting = Vec::new();
        for (lane, listener) in self.workers.lanes().iter().zip(self.listeners.drain(..)) {
            // On its own thread: whoever registers a socket is woken for it.
            let front = self.front.clone();
            accepting.push(lane.spawn(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => front.accept(listener).await,
                    Err(error) => tracing::error!(%error, "a worker does not listen"),
                }
            }));
        }
        let lobby = self.lobby.take().map(TcpListener::from_std).transpose()?;
        let lobby = lobby.map(|listener| tokio::spawn(self.in_front().accept(listener)));
        let keeping = self.front.tls.clone();
        let keeping = keeping.map(|tls| tls.keep(Arc::clone(&self.store), stop.clone()));
        let keeping = keeping.map(tokio::spawn);
        self.dispatcher.watch_all();
        let writing = tokio::spawn(write_uses(Arc::clone(&self.access), Arc::clone(&self.store)));
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
        self.workers.end().await;
        Ok(())
    }

    /// How the plain listener beside TLS serves.
    fn in_front(&self) -> Front {
        let (urls, hooks_domain) = (Arc::clone(&self.urls), self.config.hooks_domain.clone());
        let challenges = self.front.tls.as_ref().map(|tls| Arc::clone(tls.challenges()));
        let challenges = challenges.unwrap_or_default();
        let door = Door::Lobby(Arc::new(Lobby { urls, hooks_domain, challenges }));
        Front { door, tls: None, ..self.front.clone() }
    }

    /// Leaves in order, with one deadline for all of it.
    async fn shut_down(&self) {
        let limit = self.config.drain_timeout;
        tracing::info!(?limit, "the relay shuts down");
        // Agents first: they take no new events from here and open their lines elsewhere, or come back later.
        self.sessions.go_away(limit, RECONNECT_WITHIN);
        // Then the door: what is under way is answered, nothing new is accepted.
        self.front.draining.cancel();
        self.front.connections.close();
        let drained = timeout(limit, async {
            self.front.connections.wait().await;
            self.dispatcher.drain().await;
        });
        if drained.await.is_err() {
            tracing::warn!("not everything was done before the deadline");
        }
        // The lines last, when nothing is under way on them.
        for session in self.sessions.router.sessions() {
            session
                .carrier
                .close(relay_protocol::reason::close::GOING_AWAY, "the relay shuts down");
        }
        self.sessions.tasks.close();
        let _ = timeout(Duration::from_secs(3), self.sessions.tasks.wait()).await;
        let _ = self.store.note_uses(self.access.uses()).await;
        if let Err(error) = self.store.flush().await {
            tracing::error!(%error, "the store could not be written to the end");
        }
    }
}

/// Who looks at the events of endpoints that verify.
fn gate(
    config: &Config,
    vault: &Arc<Vault>,
    urls: &Arc<PublicUrls>,
    budget: &Budget,
) -> anyhow::Result<Gate> {
    let roots = Trust::load(config.fetch_ca_file.as_deref()).context("fetch_ca_file")?;
    Ok(Gate {
        vault: Arc::clone(vault),
        urls: Arc::clone(urls),
        fetcher: Fetcher::new(roots, config.fetch_from.clone()),
        budget: budget.clone(),
    })
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

/// Without an admin token nobody could close what stands open to the world.
fn refuse_open(config: &Config, access: &Access) -> anyhow::Result<()> {
    if !access.has_admin() && !config.listen.ip().to_canonical().is_loopback() {
        anyhow::bail!(
            "the store has no valid admin token, so the relay does not listen on {}: \
             make one with relay-server admin-token --data {}",
            config.listen,
            config.data.display()
        );
    }
    Ok(())
}

fn line_setup(config: &Config) -> Setup {
    Setup { heartbeat: config.heartbeat, dead_after: config.dead_after, ..Setup::default() }
}

/// Reads the tokens and endpoints that every request looks into.
async fn load(store: &Store, config: &Config) -> anyhow::Result<(Arc<Access>, Arc<Directory>)> {
    store.set_audit_retention(config.audit_keep_for);
    let (access, directory) = (Access::default(), Directory::default());
    for token in store.tokens().await? {
        access.put(token);
    }
    for endpoint in store.endpoints().await? {
        store.set_retention(endpoint.id, Keep::of(&endpoint.settings));
        directory.put(endpoint);
    }
    for old in store.old_keys().await? {
        directory.put_old_key(&old.key, old.endpoint, old.until_ms);
    }
    Ok((Arc::new(access), Arc::new(directory)))
}

/// Opens the secrets with the relay's key, if it has one.
async fn open_vault(
    config: &Config,
    store: &Arc<Store>,
    directory: &Directory,
) -> Result<Vault, VaultError> {
    let (source, data) = (&config.secrets_key, &config.data);
    let key = source.read(data)?;
    Vault::open(Arc::clone(store), key, &source.told(data), directory).await
}

fn listen_on(address: SocketAddr, workers: usize) -> anyhow::Result<Vec<StdListener>> {
    listen(address, workers).with_context(|| format!("cannot listen on {address}"))
}

/// The URL at which this machine itself reaches the relay.
fn own_url(address: SocketAddr, tls: &TlsSettings) -> String {
    if let Some(name) = tls.name() {
        let port = Some(address.port()).filter(|port| *port != 443);
        return format!(
            "https://{name}{}",
            port.map(|port| format!(":{port}")).unwrap_or_default()
        );
    }
    let mut shown = address;
    if address.ip().is_unspecified() {
        shown.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{}://{shown}", if tls.is_on() { "https" } else { "http" })
}
