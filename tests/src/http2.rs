//! Who sends webhooks over HTTP/2: many requests on one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay_client::socket::Socket;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, Issued};
use crate::raw::Connection;
use crate::wait::soon;

/// What a caller is when it shows hands.
#[derive(Debug, Clone)]
pub struct Caller {
    config: ClientConfig,
    name: String,
}

impl Caller {
    /// One that trusts this authority, and asks for `localhost` and these protocols.
    ///
    /// # Panics
    /// When the authority's file is none.
    #[must_use]
    pub fn of(authority: &Authority, protocols: &[&str]) -> Self {
        let root = CertificateDer::from_pem_file(authority.ca_file()).expect("its file");
        Self::trusting(root, protocols)
    }

    /// The same, trusting this certificate and what it has signed.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn trusting(root: CertificateDer<'static>, protocols: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { config, name: "localhost".into() }
    }

    /// One that takes every certificate, and speaks HTTP/1.1.
    ///
    /// # Panics
    /// When the library has no protocol.
    #[must_use]
    pub fn credulous() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
            .with_no_client_auth();
        Self { config, name: "localhost".into() }
    }

    /// The same, asking for this name.
    #[must_use]
    pub fn asking_for(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The same, remembering no session: each handshake is a whole one.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.config.resumption = Resumption::disabled();
        self
    }

    /// The same, showing this certificate.
    ///
    /// # Panics
    /// When it does not belong to its key.
    #[must_use]
    pub fn showing(mut self, issued: &Issued) -> Self {
        let (certificate, key) = issued.der();
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(vec![certificate], key, &provider);
        let certified = SingleCertAndKey::from(certified.expect("its key"));
        self.config.client_auth_cert_resolver = Arc::new(certified);
        self
    }

    /// Shakes hands and speaks HTTP/1.1.
    ///
    /// # Panics
    /// When there is no TLS session.
    pub async fn speaks(&self, address: SocketAddr) -> Connection {
        let stream = self.connect(address).await.expect("TLS");
        Connection::over(Socket::Tls(Box::new(stream.into())))
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// When there is no TLS session.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<Socket>> {
        let socket = TcpStream::connect(address).await.expect("somebody listens");
        let name = ServerName::try_from(self.name.clone()).expect("a name");
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        soon("a handshake", connector.connect(name, Socket::Tcp(socket))).await
    }

    /// The certificate that is shown at this address.
    ///
    /// # Panics
    /// When there is no TLS session.
    pub async fn shown(&self, address: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(address).await.expect("TLS");
        let shown = stream.get_ref().1.peer_certificates().expect("certificates");
        shown[0].clone().into_owned()
    }
}

/// Believes everybody.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection of many requests.
#[derive(Debug)]
pub struct Http2<B = Full<Bytes>> {
    /// To send requests on.
    pub sender: SendRequest<B>,
    /// Ends with the connection.
    pub connection: JoinHandle<Result<(), hyper::Error>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Its trailers, if there are any.
    pub trailers: Option<HeaderMap>,
}

impl<B: Body + Send + Unpin + 'static> Http2<B>
where
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Opens one.
    ///
    /// # Panics
    /// When there is no HTTP/2 at this address.
    pub async fn to(address: SocketAddr, authority: &Authority) -> Self {
        let stream = Caller::of(authority, &["h2"]).connect(address).await.expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let shaken = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = shaken.expect("HTTP/2");
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends a request and gets the head of its answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn begin(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>> {
        soon("room for a stream", self.sender.ready()).await?;
        soon("an answer", self.sender.send_request(request)).await
    }

    /// Sends a request and gets its answer.
    ///
    /// # Panics
    /// When it is not whole.
    pub async fn send(&mut self, request: Request<B>) -> Answer {
        whole(self.begin(request).await.expect("an answer")).await
    }
}

/// An answer to its end.
///
/// # Panics
/// When it breaks off.
pub async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon("the body", body.collect()).await.expect("a whole answer");
    let trailers = body.trailers().cloned();
    Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), trailers }
}
