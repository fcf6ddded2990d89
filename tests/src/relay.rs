//! A relay on a port of its own with a store of its own: in this process, or as the real program.

mod life;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};

use relay_client::api::Api;
use relay_client::socket::Trust;
use relay_client::way::Way;
use relay_server::access::new_token;
use relay_server::store::records::{Actor, Scope};
use relay_server::store::{OpenError, Store};
use relay_server::vault::{SealKey, beside};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::trust;
use crate::authority::Authority;
use crate::folder::Folder;
use crate::place::Place;
use crate::process::{Process, Program, run};
use crate::provider::Provider;
use crate::wait::until;

/// A relay.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens without TLS beside it, if it does.
    pub lobby: Option<SocketAddr>,
    /// Its first admin token.
    pub admin: String,
    /// Its store.
    pub data: Arc<Folder>,
    /// Where it runs.
    pub host: Host,
    /// What starts the real program, with its arguments; mostly nothing.
    pub under: Vec<String>,
    settings: Vec<(String, String)>,
    /// Keeps the port while it is away, unless the settings say where it is to listen.
    _place: Option<Place>,
    /// Who has certified it, if it speaks TLS.
    authority: Option<Arc<Authority>>,
}

/// Where a relay runs.
#[derive(Debug)]
pub enum Host {
    /// In this process.
    Here(Box<Here>),
    /// As the real program.
    Program(Box<Process>),
    /// Nowhere at the moment.
    Stopped,
}

/// A relay in this process.
#[derive(Debug)]
pub struct Here {
    stop: CancellationToken,
    hurry: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
    /// The memory for requests in flight.
    pub budget: relay_server::budget::Budget,
    /// Weak: it is closed when the relay has ended.
    store: Weak<Store>,
}

/// An endpoint of a relay.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// The path of its public URL.
    pub path: String,
    /// Its key.
    pub key: String,
}

impl Relay {
    /// A relay in this process, as by default.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A relay in this process with these settings.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::certified(None, settings).await
    }

    /// A relay in this process that speaks TLS, with a certificate of this authority for `localhost`.
    pub async fn secure(authority: &Arc<Authority>, settings: &[(&str, &str)]) -> Self {
        let (certificate, key) = authority.issue("relay", &["localhost", "127.0.0.1"]).paths();
        let files = [("tls_cert", &certificate[..]), ("tls_key", &key)];
        Self::certified(Some(Arc::clone(authority)), &[&files, settings].concat()).await
    }

    /// The same as the real program.
    pub async fn secure_program(authority: &Arc<Authority>, settings: &[(&str, &str)]) -> Self {
        let (certificate, key) = authority.issue("relay", &["localhost", "127.0.0.1"]).paths();
        let files = [("tls_cert", &certificate[..]), ("tls_key", &key)];
        let mut relay = Self::program(&[&files, settings].concat()).await;
        relay.authority = Some(Arc::clone(authority));
        relay
    }

    async fn certified(authority: Option<Arc<Authority>>, settings: &[(&str, &str)]) -> Self {
        let data = Arc::new(Folder::fresh());
        let store = fresh_store(&data.path().join("store")).await;
        SealKey::make(&beside(&data.path().join("store"))).expect("a key for secrets");
        let (admin, token) = new_token(vec![Scope::Admin], None, None);
        store.create_token(token, Actor::program("tests")).await.expect("a token");
        store.flush().await.expect("it is written");
        drop(store);
        let mut relay = Self::nowhere(data, admin, settings);
        relay.authority = authority;
        relay.resume().await;
        relay
    }

    /// A relay as the real program, with these settings.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn program(settings: &[(&str, &str)]) -> Self {
        let data = Arc::new(Folder::fresh());
        let mut init = Program::Server.command();
        let made = run(init.arg("init").arg("--data").arg(data.path().join("store"))).await;
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        let mut relay = Self::nowhere(data, made.stdout.trim().to_owned(), settings);
        relay.resume_program().await;
        relay
    }

    fn nowhere(data: Arc<Folder>, admin: String, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> =
            settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let placed = settings.iter().any(|(name, _)| name == "listen");
        let place = (!placed).then(Place::fresh);
        let address = place.as_ref().map_or(([127, 0, 0, 1], 0).into(), Place::address);
        Self {
            address,
            lobby: None,
            admin,
            data,
            host: Host::Stopped,
            under: Vec::new(),
            settings,
            _place: place,
            authority: None,
        }
    }

    /// The real program.
    ///
    /// # Panics
    /// When it runs in this process.
    pub fn process(&mut self) -> &mut Process {
        match &mut self.host {
            Host::Program(process) => process,
            other => panic!("no program: {other:?}"),
        }
    }

    /// The memory that requests take at the moment, of a relay in this process.
    ///
    /// # Panics
    /// When it runs elsewhere.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        match &self.host {
            Host::Here(here) => here.budget.used(),
            other => panic!("not here: {other:?}"),
        }
    }

    /// The open store of a relay in this process.
    ///
    /// # Panics
    /// When it runs elsewhere.
    #[must_use]
    pub fn store(&self) -> Arc<Store> {
        match &self.host {
            Host::Here(here) => here.store.upgrade().expect("it is open"),
            other => panic!("not here: {other:?}"),
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self.authority {
            // Whom a certificate names, it names by name.
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Whom its callers are to trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.authority.as_ref().map_or_else(trust, |authority| authority.trust())
    }

    /// Its API, as its administrator sees it.
    #[must_use]
    pub fn api(&self) -> Api {
        self.api_with(&self.admin)
    }

    /// Its API, as this token sees it.
    ///
    /// # Panics
    /// When its URL is none.
    #[must_use]
    pub fn api_with(&self, token: &str) -> Api {
        let relay = self.url().parse().expect("a URL");
        Api { relay, way: Way::direct(self.trust()), token: token.to_owned() }
    }

    /// Makes an endpoint.
    pub async fn endpoint(&self, name: &str) -> Endpoint {
        self.endpoint_with(name, &[]).await
    }

    /// Makes an endpoint with these settings.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn endpoint_with(&self, name: &str, settings: &[(&str, &str)]) -> Endpoint {
        let settings: BTreeMap<&str, &str> = settings.iter().copied().collect();
        let wanted = json!({"name": name, "settings": settings});
        let made = self.api().post("/endpoints", &wanted).await.expect("an endpoint");
        let key = made["key"].as_str().expect("a key").to_owned();
        Endpoint { name: name.to_owned(), path: format!("/hooks/{key}"), key }
    }

    /// Makes a token that may listen to these endpoints; none means all.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn token(&self, endpoints: &[&str]) -> String {
        let made = self.make_token(&json!({"endpoints": endpoints})).await;
        made["token"].as_str().expect("a token").to_owned()
    }

    /// Makes a token as asked for.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn make_token(&self, wanted: &Value) -> Value {
        self.api().post("/tokens", wanted).await.expect("a token")
    }

    /// A provider that knows an endpoint's URL.
    #[must_use]
    pub fn provider(&self, endpoint: &Endpoint) -> Provider {
        let provider = Provider::of(self.address, &endpoint.path);
        if self.authority.is_some() { provider.over_tls(self.trust()) } else { provider }
    }

    /// How many agents serve an endpoint.
    ///
    /// # Panics
    /// When the relay refuses.
    pub async fn agents(&self, endpoint: &str) -> u64 {
        let shown = self.api().get(&format!("/endpoints/{endpoint}")).await.expect("an endpoint");
        shown["agents"].as_u64().expect("a number")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Host::Here(here) = &self.host {
            here.stop.cancel();
            here.hurry.cancel();
        }
    }
}

/// Makes a store. A program that is being started elsewhere in this process holds a copy of every lock for a moment.
async fn fresh_store(path: &Path) -> Store {
    let mut store = None;
    until("a fresh store", async || {
        store = match Store::init(path) {
            Ok(made) => Some(made),
            Err(OpenError::InUse(_)) => None,
            Err(OpenError::Exists(_)) => Store::open(path).ok(),
            Err(error) => panic!("no store: {error}"),
        };
        store.is_some()
    })
    .await;
    store.expect("it was waited for")
}
