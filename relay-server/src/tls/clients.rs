//! Certificates that callers show: who holds one of the agents' authority, and who is to hold one.
//!
//! Providers need none, and some show one of their own that is nobody's business here. So a handshake fails for no
//! certificate that its holder has the key of; what it is worth is looked into afterwards, and said where it matters.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::provider;

/// What callers have to show a certificate of the agents' authority for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Demand {
    /// Agents, to connect.
    #[default]
    Agents,
    /// Agents to connect, and everybody for the API.
    AgentsAndApi,
}

/// What a caller has shown.
#[derive(Debug, Clone, Default)]
pub enum Shown {
    /// No certificate.
    #[default]
    Nothing,
    /// One of the agents' authority.
    Agent,
    /// One that is not, or not any more, for this reason.
    Stranger(Arc<str>),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no client certificate was shown"),
            Self::Agent => f.write_str("a client certificate was shown"),
            Self::Stranger(why) => write!(f, "the client certificate is not accepted: {why}"),
        }
    }
}

/// The agents' authority.
#[derive(Debug, Clone)]
pub(super) struct Agents(Arc<dyn ClientCertVerifier>);

impl Agents {
    /// The authority in PEM; several may stand in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|error: pem::Error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.is_empty() {
            return Err("there is no certificate in it".into());
        }
        let built =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        built.map(Self).map_err(|error| error.to_string())
    }

    /// What this chain is worth now, the holder's own certificate first.
    pub(super) fn look_at(&self, chain: Option<&[CertificateDer<'_>]>) -> Shown {
        let Some([own, above @ ..]) = chain else { return Shown::Nothing };
        match self.0.verify_client_cert(own, above, UnixTime::now()) {
            Ok(_) => Shown::Agent,
            Err(Error::InvalidCertificate(why)) => Shown::Stranger(why.to_string().into()),
            Err(error) => Shown::Stranger(error.to_string().into()),
        }
    }
}

impl ClientCertVerifier for Agents {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
