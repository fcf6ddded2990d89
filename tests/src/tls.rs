//! TLS in front of a relay, as a reverse proxy would do it, with a certificate that only the story trusts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// A proxy that speaks TLS on its near side.
#[derive(Debug)]
pub struct TlsFront {
    host: &'static str,
    port: u16,
    authority: Authority,
    accepting: AbortHandle,
}

impl TlsFront {
    /// One for `localhost`, or for ::1, in front of this address.
    ///
    /// # Panics
    /// When the system has no port.
    pub async fn of(address: SocketAddr) -> Self {
        Self::new(address, false).await
    }

    /// One that lets nobody in without a certificate of its own authority.
    pub async fn demanding(address: SocketAddr) -> Self {
        Self::new(address, true).await
    }

    async fn new(address: SocketAddr, demanding: bool) -> Self {
        let authority = Authority::fresh();
        let (certificate, key) = authority.issue("leaf", &["localhost", "::1"]).der();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let config = if demanding {
            builder.with_client_cert_verifier(authority.verifier())
        } else {
            builder.with_no_client_auth()
        };
        let config = config.with_single_cert(vec![certificate], key);
        let config = config.expect("the key fits the certificate");
        // Of the same family as what is behind it.
        let listener = TcpListener::bind(SocketAddr::new(address.ip(), 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tls = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, tls, address)).abort_handle();
        let host = if address.is_ipv6() { "[::1]" } else { "localhost" };
        Self { host, port, authority, accepting }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// Who has signed its certificate, and signs those of who comes.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The file of the authority that has signed its certificate.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.authority.ca_file()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, to: SocketAddr) {
    let mut carried = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let tls = tls.clone();
        carried.spawn(async move {
            let (Ok(mut near), Ok(mut far)) =
                (tls.accept(near).await, TcpStream::connect(to).await)
            else {
                return;
            };
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
