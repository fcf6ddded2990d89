//! TLS in front of a relay, as a reverse proxy would do it, with a certificate that only the story trusts.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// A proxy that speaks TLS on its near side.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    authority: Authority,
    accepting: AbortHandle,
}

impl TlsFront {
    /// One for `localhost`, in front of this address.
    ///
    /// # Panics
    /// When the system has no port.
    pub async fn of(address: SocketAddr) -> Self {
        let authority = Authority::fresh();
        let (certificate, key) = authority.issue("leaf", &["localhost"]).der();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key fits the certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let accepting =
            tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), address));
        Self { port, authority, accepting: accepting.abort_handle() }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
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
