//! A proxy that opens TLS, as many companies have: it shows certificates of an authority of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use relay_client::socket::{Socket, Trust};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::wait::PATIENCE;

/// The longest head of a CONNECT.
const HEAD_MAX: usize = 4096;

/// An HTTP proxy in the middle of TLS.
#[derive(Debug)]
pub struct Interception {
    address: SocketAddr,
    authority: Arc<Authority>,
    accepting: AbortHandle,
}

impl Interception {
    /// One that itself trusts whoever this says.
    ///
    /// # Panics
    /// When the system has no port.
    pub async fn trusting(trust: Trust) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let authority = Arc::new(Authority::fresh());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&authority), trust));
        Self { address, authority, accepting: accepting.abort_handle() }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file of its authority.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.authority.ca_file()
    }
}

impl Drop for Interception {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, authority: Arc<Authority>, trust: Trust) {
    let mut carried = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        carried.spawn(carry(near, Arc::clone(&authority), trust.clone()));
    }
}

/// Carries one connection, in the clear in between; none when either side does not like what it is shown.
async fn carry(mut near: TcpStream, authority: Arc<Authority>, trust: Trust) -> Option<()> {
    let (host, port) = asked(&mut near).await?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    let (certificate, key) = authority.issue(&format!("for-{port}"), &[&host]).der();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .ok()?;
    let mut near = TlsAcceptor::from(Arc::new(config)).accept(near).await.ok()?;
    let mut far = Socket::connect(&host, port, Some(&trust), PATIENCE).await.ok()?;
    copy_bidirectional(&mut near, &mut far).await.ok().map(|_| ())
}

/// The host and the port of a CONNECT.
async fn asked(near: &mut TcpStream) -> Option<(String, u16)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_MAX {
        head.push(near.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let authority = head.strip_prefix("CONNECT ")?.split(' ').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}
