//! What the relay answers an ACME server that looks whether a name is ours: on the plain listener (HTTP-01, RFC 8555
//! §8.3) and in a handshake (TLS-ALPN-01, RFC 8737).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;

use crate::tls::certificate;

/// The protocol by which a server says that it asks for this (RFC 8737 §4).
pub(in crate::tls) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers to the challenges of the order under way.
#[derive(Debug, Default)]
pub struct Challenges {
    /// By token.
    answers: RwLock<HashMap<String, String>>,
    /// By name.
    certificates: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Challenges {
    /// The answer to who asks for this token on the plain listener.
    #[must_use]
    pub fn answer(&self, token: &str) -> Option<String> {
        self.answers.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// The certificate for who asks for this name by [`PROTOCOL`].
    pub(in crate::tls) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.read().unwrap_or_else(PoisonError::into_inner);
        certificates.get(&name.to_ascii_lowercase()).cloned()
    }

    /// Answers this token on the plain listener.
    pub(super) fn offer_answer(&self, token: String, answer: String) {
        self.answers.write().unwrap_or_else(PoisonError::into_inner).insert(token, answer);
    }

    /// Answers for this name in a handshake, with a certificate that says the digest of the challenge's answer.
    ///
    /// # Errors
    /// When the name is none.
    pub(super) fn offer_certificate(&self, name: &str, digest: &[u8]) -> Result<(), String> {
        let made = Arc::new(certificate::self_signed(&[name.to_owned()], Some(digest))?);
        let mut certificates = self.certificates.write().unwrap_or_else(PoisonError::into_inner);
        certificates.insert(name.to_ascii_lowercase(), made);
        Ok(())
    }

    /// Answers nothing any more.
    pub(super) fn clear(&self) {
        self.answers.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.certificates.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
