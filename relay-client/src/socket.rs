//! A byte stream to somewhere: TCP, TLS over it, or a Unix socket. Knows addresses and certificates, no protocol above.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long an address gets before the next one is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("no address for {host}: {source}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address took the connection in time.
    #[error("no connection to {to}: {source}")]
    Refused {
        /// Host and port, or a path.
        to: String,
        /// What the last address said.
        source: io::Error,
    },
    /// No TLS session: certificate, name or handshake.
    #[error("no TLS with {host}: {source}")]
    Tls {
        /// The name that was expected.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// Whom to trust in TLS.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// The system's root certificates, and those in a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn load(ca_file: Option<&Path>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let told = |why: String| io::Error::other(format!("{}: {why}", path.display()));
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|e| told(e.to_string()))?;
            let mut count = 0;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| told(e.to_string()))?;
                roots.add(certificate).map_err(|e| told(e.to_string()))?;
                count += 1;
            }
            if count == 0 {
                return Err(told("no certificate in it".into()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// An open byte stream.
#[derive(Debug)]
pub enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Connects to a host, trying its addresses in the manner of RFC 8305; with `trust`, speaks TLS.
    ///
    /// # Errors
    /// [`ConnectError`], also when it takes longer than `limit` in all.
    pub async fn connect(
        host: &str,
        port: u16,
        trust: Option<&Trust>,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let to = || format!("{host}:{port}");
        let late = || io::Error::new(io::ErrorKind::TimedOut, "timed out");
        let tcp = match timeout(limit, tcp(host, port)).await {
            Ok(tcp) => tcp?,
            Err(_) => return Err(ConnectError::Refused { to: to(), source: late() }),
        };
        let Some(trust) = trust else { return Ok(Self::Tcp(tcp)) };
        let failed = |source| ConnectError::Tls { host: host.to_owned(), source };
        let name =
            ServerName::try_from(host.to_owned()).map_err(|e| failed(io::Error::other(e)))?;
        let handshake = TlsConnector::from(Arc::clone(&trust.0)).connect(name, tcp);
        match timeout(limit, handshake).await {
            Ok(Ok(tls)) => Ok(Self::Tls(Box::new(tls))),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(failed(late())),
        }
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// [`ConnectError::Refused`], also when it takes longer than `limit`.
    pub async fn connect_unix(path: &Path, limit: Duration) -> Result<Self, ConnectError> {
        let refused = |source| ConnectError::Refused { to: path.display().to_string(), source };
        match timeout(limit, UnixStream::connect(path)).await {
            Ok(unix) => unix.map(Self::Unix).map_err(refused),
            Err(_) => Err(refused(io::Error::new(io::ErrorKind::TimedOut, "timed out"))),
        }
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    // An IPv6 address stands in brackets in a URL, not for the resolver.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let dns = |source| ConnectError::Dns { host: host.to_owned(), source };
    let addresses = interleave(lookup_host((name, port)).await.map_err(dns)?);
    let refused = |source| ConnectError::Refused { to: format!("{host}:{port}"), source };
    let stream = race(addresses).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

/// IPv6 and IPv4 in turn, beginning with what the resolver put first (RFC 8305 §4).
fn interleave(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<SocketAddr> = addresses.take(ADDRESSES_MAX).collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

/// The first address that answers; each gets a head start before the next.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut addresses = addresses.into_iter();
    let mut tries: JoinSet<io::Result<TcpStream>> = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        let next = addresses.next();
        let exhausted = next.is_none();
        if let Some(address) = next {
            tries.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            done = tries.join_next() => match done {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(error)) => last = io::Error::other(error),
                None => return Err(last),
            },
            () = sleep(HEAD_START), if !exhausted => {}
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let given = ["[::1]:1", "[::2]:1", "127.0.0.1:1", "[::3]:1"].map(address);
        let expected = ["[::1]:1", "127.0.0.1:1", "[::2]:1", "[::3]:1"].map(address);
        assert_eq!(interleave(given.into_iter()), expected);
    }
}
