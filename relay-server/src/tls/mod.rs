//! TLS on the public listener: which certificate is shown to whom, what a handshake may cost, and who keeps it fresh.
//!
//! It ends at a byte stream and what is known of its other end. It knows no HTTP but the names of its versions.

mod certificate;
mod files;
mod names;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use relay_client::socket::Socket;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use files::Files;
pub use files::Pair;
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
}

impl TlsSettings {
    /// Whether the listener speaks TLS at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// Looks whether the files are sound.
    ///
    /// # Errors
    /// What is wrong with the first that is not.
    pub fn check(&self) -> Result<(), String> {
        Files::new(&self.pairs).load().map(|_| ())
    }
}

/// TLS on one listener.
#[derive(Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    names: Arc<Names>,
    files: Files,
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Secured {
    /// The bytes in clear.
    pub socket: Socket,
    /// Whether both sides have settled on HTTP/2.
    pub http2: bool,
}

impl Tls {
    /// TLS as set up.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be.
    pub fn new(settings: &TlsSettings) -> anyhow::Result<Arc<Self>> {
        let names = Arc::new(Names::default());
        let mut files = Files::new(&settings.pairs);
        names.show(files.load().map_err(anyhow::Error::msg)?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&names) as _);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Sessions are resumed from what the other side keeps, so thousands of them cost no memory here.
        config.ticketer = Ticketer::new()?;
        Ok(Arc::new(Self { config: Arc::new(config), names, files }))
    }

    /// Shakes hands; who takes longer than `limit` is cut off.
    ///
    /// # Errors
    /// When there is no TLS session.
    pub async fn accept(&self, socket: TcpStream, limit: Duration) -> io::Result<Secured> {
        let shaking = TlsAcceptor::from(Arc::clone(&self.config)).accept(Socket::Tcp(socket));
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
        let stream = timeout(limit.min(HANDSHAKE_MAX), shaking).await.map_err(late)??;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
        Ok(Secured { socket: Socket::Tls(Box::new(stream.into())), http2 })
    }

    /// Keeps the certificates fresh until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.files.clone().watch(&self.names)).await;
    }
}

/// Where every key and every signature comes from.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}
