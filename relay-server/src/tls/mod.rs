//! TLS on the public listener: which certificate is shown to whom, what a handshake may cost, and who keeps it fresh.
//!
//! It ends at a byte stream and what is known of its other end. It knows no HTTP but the names of its versions.

mod acme;
mod certificate;
mod clients;
mod files;
mod names;

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use relay_client::socket::Socket;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, NoClientAuth};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::store::Store;
use crate::vault::{HOW_TO, Vault};
use acme::Acme;
pub use acme::{AcmeSettings, Challenges, Standing};
use clients::Agents;
pub use clients::{Demand, Shown};
pub use files::Pair;
use files::{Files, Loaded};
use names::Names;

/// How long a handshake may take at the most.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// The protocols above TLS (RFC 7301), as we like them best.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How the listener speaks TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The operator's own certificates; the first is shown to who asks for a name that none of them has.
    pub pairs: Vec<Pair>,
    /// How others are ordered, if they are.
    pub acme: Option<AcmeSettings>,
    /// The authority whose certificates agents have to show.
    pub agent_ca: Option<PathBuf>,
    /// What such a certificate is demanded for.
    pub demand: Demand,
}

impl TlsSettings {
    /// Whether the listener speaks TLS at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.pairs.is_empty() || self.acme.is_some()
    }

    /// The name that it is known by, if that is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.acme.as_ref()?.names.first().map(String::as_str)
    }
}

/// Looks whether these certificates and keys are sound.
///
/// # Errors
/// What is wrong with the first that is not.
pub fn check_pairs(pairs: &[Pair]) -> Result<(), String> {
    Files::new(pairs, None).load().map(|_| ())
}

/// Looks whether there is an authority in this file.
///
/// # Errors
/// What is wrong with it.
pub fn check_authority(file: &Path) -> Result<(), String> {
    Files::new(&[], Some(file)).load().map(|_| ())
}

/// TLS on one listener.
#[derive(Debug)]
pub struct Tls {
    spoken: RwLock<Spoken>,
    names: Arc<Names>,
    files: Files,
    acme: Option<Acme>,
    turns: Semaphore,
}

/// How it is spoken at the moment.
#[derive(Debug, Clone)]
struct Spoken {
    config: Arc<ServerConfig>,
    agents: Option<Agents>,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Secured {
    /// The bytes in clear.
    pub socket: Socket,
    /// Whether both sides have settled on HTTP/2.
    pub http2: bool,
    /// What the caller has shown of itself.
    pub shown: Shown,
}

impl Tls {
    /// TLS as set up, if it is spoken at all, on so many threads.
    ///
    /// # Errors
    /// When a file or the store cannot be read, or holds something else than it should; when a certificate is to be
    /// ordered and its key could not be sealed.
    pub async fn open(
        settings: &TlsSettings,
        threads: usize,
        store: &Store,
        vault: &Vault,
    ) -> anyhow::Result<Option<Arc<Self>>> {
        if !settings.is_on() {
            return Ok(None);
        }
        let names = Arc::new(Names::default());
        let mut files = Files::new(&settings.pairs, settings.agent_ca.as_deref());
        let loaded = files.load().map_err(anyhow::Error::msg)?;
        names.show(loaded.certificates);
        let acme = match settings.acme.clone() {
            Some(_) if !vault.has_key() => anyhow::bail!(
                "acme_domain: the key of the certificate is kept sealed, and there is no key to seal it with: {HOW_TO}"
            ),
            Some(settings) => Some(Acme::start(settings, store, vault, &names).await?),
            None => None,
        };
        let spoken = RwLock::new(Spoken::new(&names, loaded.agents)?);
        let turns = Semaphore::new(threads);
        Ok(Some(Arc::new(Self { spoken, names, files, acme, turns })))
    }

    /// Shakes hands; who takes longer than `limit` is cut off.
    ///
    /// # Errors
    /// When there is no TLS session.
    pub async fn accept(&self, socket: TcpStream, limit: Duration) -> io::Result<Secured> {
        let Spoken { config, agents } =
            self.spoken.read().unwrap_or_else(PoisonError::into_inner).clone();
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
        let shaking = self.shake_hands(Socket::Tcp(socket), config);
        let stream = timeout(limit.min(HANDSHAKE_MAX), shaking).await.map_err(late)??;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() == Some(acme::PROTOCOL) {
            return Err(io::Error::other("it was an ACME server, and has seen what it came for"));
        }
        let http2 = session.alpn_protocol() == Some(HTTP2);
        let shown = agents.map(|agents| agents.look_at(session.peer_certificates()));
        let socket = Socket::Tls(Box::new(stream.into()));
        Ok(Secured { socket, http2, shown: shown.unwrap_or_default() })
    }

    /// A handshake costs a signature, which thousands of agents that come back at once all want first. So one is made,
    /// then everything else on the thread has its turn, and then the next: the wait for a turn costs nothing, and none
    /// is held while the other side is waited for.
    async fn shake_hands(
        &self,
        socket: Socket,
        config: Arc<ServerConfig>,
    ) -> io::Result<TlsStream<Socket>> {
        let begun = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let mut shaking = begun.into_stream(config);
        let turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut shaking).poll(cx))).await;
        yield_now().await;
        drop(turn);
        match first {
            Poll::Ready(shaken) => shaken,
            Poll::Pending => shaking.await,
        }
    }

    /// Keeps the certificates fresh until `stop`.
    pub async fn keep(
        self: Arc<Self>,
        store: Arc<Store>,
        vault: Arc<Vault>,
        stop: CancellationToken,
    ) {
        let watching = self.files.clone().watch(|loaded| self.take_over(loaded));
        let ordering = async {
            match &self.acme {
                Some(acme) => acme.keep(&store, &vault, &self.names).await,
                None => std::future::pending().await,
            }
        };
        let both = async { tokio::join!(watching, ordering) };
        stop.run_until_cancelled(Box::pin(both)).await;
    }

    /// What an ACME server is answered.
    #[must_use]
    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.names.challenges
    }

    /// When the first certificate ends, in milliseconds of the Unix epoch, and how it stands with the order of one.
    #[must_use]
    pub fn standing(&self) -> (Option<u64>, Option<Standing>) {
        (self.names.first_end(), self.acme.as_ref().map(Acme::standing))
    }

    fn take_over(&self, loaded: Loaded) {
        self.names.show(loaded.certificates);
        match Spoken::new(&self.names, loaded.agents) {
            Ok(spoken) => *self.spoken.write().unwrap_or_else(PoisonError::into_inner) = spoken,
            Err(error) => tracing::error!(%error, "TLS goes on with the old authority of agents"),
        }
    }
}

impl Spoken {
    fn new(names: &Arc<Names>, agents: Option<Agents>) -> anyhow::Result<Self> {
        let verifier: Arc<dyn ClientCertVerifier> = match &agents {
            Some(agents) => Arc::new(agents.clone()),
            None => Arc::new(NoClientAuth),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(names) as _);
        config.alpn_protocols = [HTTP2, HTTP1, acme::PROTOCOL].map(<[u8]>::to_vec).to_vec();
        // Sessions are resumed from what the other side keeps, so thousands of them cost no memory here.
        config.ticketer = Ticketer::new()?;
        Ok(Self { config: Arc::new(config), agents })
    }
}

/// Where every key and every signature comes from.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
