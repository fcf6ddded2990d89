//! The rooms, and who of them knows whom.

use std::sync::Arc;

use anyhow::Context;
use relay_client::socket::Trust;
use relay_protocol::line::Setup;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ground::Ground;
use super::ports::{Ports, own_url};
use crate::api::{self, Api};
use crate::backlog::Backlogs;
use crate::budget::Budget;
use crate::config::{Config, PublicUrls};
use crate::dispatcher::Dispatcher;
use crate::http::{Door, Front, Routes};
use crate::ingress::{Admission, HeadBounds, Ingress, TrustedProxies};
use crate::router::Router;
use crate::session::Sessions;
use crate::tls::Tls;
use crate::trust::{Fetcher, Gate};

/// What is taken from queues may take this part of the memory that requests may, beside them.
const QUEUED_SHARE: usize = 4;

/// What a server runs.
pub(super) struct Rooms {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) urls: Arc<PublicUrls>,
    pub(super) front: Front,
    pub(super) budget: Budget,
}

impl Rooms {
    /// Builds them, the last of the journey first.
    ///
    /// # Errors
    /// When a certificate or a key is not sound.
    pub(super) async fn build(
        config: &Config,
        ground: &Ground,
        ports: &Ports,
    ) -> anyhow::Result<Self> {
        let Ground { store, vault, .. } = ground;
        let tls = Tls::open(&config.tls, config.workers, store, vault).await?;
        let base = config.public_url.clone();
        let base = base.unwrap_or_else(|| own_url(ports.address, &config.tls));
        let urls = Arc::new(PublicUrls::new(base, config.hooks_domain.clone()));
        let router = Arc::new(Router::default());
        let dispatcher = Arc::new(Dispatcher::new(
            Arc::clone(&ground.store),
            Arc::clone(&router),
            Arc::clone(&ground.directory),
            Arc::clone(&ground.vault),
            config.in_flight / QUEUED_SHARE,
        ));
        let sessions = Arc::new(sessions(config, ground, ports, &router, &urls));
        let budget = Budget::new(config.in_flight);
        let ingress = ingress(config, ground, &dispatcher, &urls, &budget)?;
        let api = Arc::new(Api {
            store: Arc::clone(&ground.store),
            access: Arc::clone(&ground.access),
            directory: Arc::clone(&ground.directory),
            profiles: Arc::clone(&config.profiles),
            vault: Arc::clone(&ground.vault),
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
        Ok(Self { dispatcher, sessions, urls, front, budget })
    }
}

fn sessions(
    config: &Config,
    ground: &Ground,
    ports: &Ports,
    router: &Arc<Router>,
    urls: &Arc<PublicUrls>,
) -> Sessions {
    Sessions {
        access: Arc::clone(&ground.access),
        directory: Arc::clone(&ground.directory),
        router: Arc::clone(router),
        setup: Setup {
            heartbeat: config.heartbeat,
            dead_after: config.dead_after,
            ..Setup::default()
        },
        urls: Arc::clone(urls),
        backlogs: Backlogs::new(Arc::clone(&ground.store)),
        lanes: ports.workers.lanes(),
        tasks: TaskTracker::new(),
        draining: CancellationToken::new(),
    }
}

fn ingress(
    config: &Config,
    ground: &Ground,
    dispatcher: &Arc<Dispatcher>,
    urls: &Arc<PublicUrls>,
    budget: &Budget,
) -> anyhow::Result<Ingress> {
    Ok(Ingress {
        directory: Arc::clone(&ground.directory),
        dispatcher: Arc::clone(dispatcher),
        store: Arc::clone(&ground.store),
        budget: budget.clone(),
        bounds: HeadBounds { fields_max: config.headers_max, uri_max: config.uri_max },
        trusted: TrustedProxies(config.trusted_proxies.clone()),
        gate: gate(config, ground, urls, budget)?,
        admission: Admission::new(config.rate_limit_address),
    })
}

/// Who looks at the events of endpoints that verify.
fn gate(
    config: &Config,
    ground: &Ground,
    urls: &Arc<PublicUrls>,
    budget: &Budget,
) -> anyhow::Result<Gate> {
    let roots = Trust::load(config.fetch_ca_file.as_deref()).context("fetch_ca_file")?;
    Ok(Gate {
        vault: Arc::clone(&ground.vault),
        urls: Arc::clone(urls),
        fetcher: Fetcher::new(roots, config.fetch_from.clone()),
        budget: budget.clone(),
    })
}
