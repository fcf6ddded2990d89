//! TLS as a client: whom to trust, what to show of oneself, and what a person can do about a failure.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, OtherError, RootCertStore,
};
use rustls::{WantsVerifier, client::WantsClientCert};
use tokio_rustls::TlsConnector;

/// Whom to trust in TLS, and the certificate to show when the other side asks for one.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
}

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
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|e| told(path, e))?;
            }
        }
        let roots = Arc::new(roots);
        let config = Arc::new(trusting(&roots)?.with_no_client_auth());
        Ok(Self { roots, config })
    }

    /// The same trust, with a certificate to show: a PEM file with it and what leads to its authority, and one with its
    /// private key.
    ///
    /// # Errors
    /// When a file cannot be read, holds none, or the two do not belong together.
    pub fn with_identity(&self, certificate: &Path, key: &Path) -> io::Result<Self> {
        let chain = certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(|e| told(key, e))?;
        let config = trusting(&self.roots)?.with_client_auth_cert(chain, private);
        let config = Arc::new(config.map_err(|e| unfit(certificate, key, &e))?);
        Ok(Self { roots: Arc::clone(&self.roots), config })
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}

fn trusting(
    roots: &Arc<RootCertStore>,
) -> io::Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config: ConfigBuilder<ClientConfig, WantsVerifier> =
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(Arc::clone(roots)))
}

/// All certificates of a PEM file, at least one.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).map_err(|e| told(path, e))?;
    let all = read.collect::<Result<Vec<_>, _>>().map_err(|e| told(path, e))?;
    if all.is_empty() { Err(told(path, "no certificate in it")) } else { Ok(all) }
}

fn told(path: &Path, why: impl Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

/// Why a certificate and its key are not taken, with the file that is to blame.
fn unfit(certificate: &Path, key: &Path, error: &rustls::Error) -> io::Error {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            told(key, format!("it is not the key of {}", certificate.display()))
        }
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))
            if why.to_string() == "UnsupportedCertVersion" =>
        {
            told(
                certificate,
                "it is of version 1, and version 3 is wanted: make it with an extension, as basicConstraints=critical,CA:FALSE",
            )
        }
        rustls::Error::InvalidCertificate(_) => told(certificate, error),
        _ => told(key, error),
    }
}

/// What is wrong with a TLS session that does not change by itself: only a person can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The certificate is of an authority that nobody here knows.
    UnknownIssuer,
    /// The certificate may sign others, so it is no server's.
    Authority,
    /// The certificate is not what it should be in another way: its name, its time.
    BadCertificate,
    /// The other side wants a certificate and got none.
    CertificateRequired,
    /// The other side does not take the certificate that it was shown.
    CertificateRefused,
    /// The other side does not speak TLS at all.
    NoTls,
}

impl Hint {
    /// The hint to an error, whatever it is wrapped in; none if it may pass by itself.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            // An I/O error passes its content over when it is asked for its source.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let inner = inner.map(|inner| inner as &(dyn Error + 'static));
            let tls = error.downcast_ref().or_else(|| inner?.downcast_ref::<rustls::Error>());
            if let Some(tls) = tls {
                return Self::to(tls);
            }
            next = inner.or_else(|| error.source());
        }
        None
    }

    fn to(error: &rustls::Error) -> Option<Self> {
        use AlertDescription as Alert;
        match error {
            // A wrong signature, or one of another kind: an authority of the same name as a known one, with another key.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => Some(Self::UnknownIssuer),
            // What rustls has no word for it passes on, and the crate that says it is not ours to name.
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))
                if why.to_string() == "CaUsedAsEndEntity" =>
            {
                Some(Self::Authority)
            }
            rustls::Error::InvalidCertificate(_) => Some(Self::BadCertificate),
            rustls::Error::InvalidMessage(_) => Some(Self::NoTls),
            rustls::Error::AlertReceived(alert) => match *alert {
                Alert::CertificateRequired => Some(Self::CertificateRequired),
                Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied => Some(Self::CertificateRefused),
                _ => None,
            },
            _ => None,
        }
    }

    /// What to append to an error's own words: the hint, or nothing.
    #[must_use]
    pub fn to_append(error: &(dyn Error + 'static)) -> &'static str {
        match Self::of(error) {
            Some(Self::UnknownIssuer) => {
                "; if its authority is a private one, or a proxy on the way opens TLS, give that root certificate with --ca-file"
            }
            Some(Self::Authority) => {
                "; a self-made certificate has to be made as a server's own: basicConstraints=critical,CA:FALSE"
            }
            Some(Self::CertificateRequired) => {
                "; it wants a client certificate: --client-cert and --client-key"
            }
            Some(Self::CertificateRefused) => "; it does not accept the client certificate",
            Some(Self::NoTls) => "; it does not speak TLS there: is it an http:// address?",
            Some(Self::BadCertificate) | None => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_has_only_the_name_of_a_known_one_is_unknown() {
        let another_kind = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: vec![6],
            public_key_algorithm_id: vec![6],
        };
        for error in [CertificateError::UnknownIssuer, CertificateError::BadSignature, another_kind]
        {
            let hint = Hint::of(&rustls::Error::InvalidCertificate(error));
            assert_eq!(hint, Some(Hint::UnknownIssuer));
        }
    }
}
