//! Which certificate is shown to whom: by the name that the other side asks for (RFC 6066 §3).

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::acme::{Challenges, PROTOCOL};
use super::certificate;

/// The certificates that are shown at the moment.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The operator's own, and last the one that was ordered.
    shown: RwLock<Shown>,
    /// What an ACME server is answered.
    pub(super) challenges: Arc<Challenges>,
}

#[derive(Debug, Default)]
struct Shown {
    own: Vec<Arc<CertifiedKey>>,
    ordered: Option<Arc<CertifiedKey>>,
}

impl Shown {
    fn all(&self) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        self.own.iter().chain(&self.ordered)
    }
}

impl Names {
    /// Shows these of the operator from now on; sessions that have begun go on as they are.
    pub(super) fn show(&self, certificates: Vec<Arc<CertifiedKey>>) {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).own = certificates;
    }

    /// Shows this one that was ordered.
    pub(super) fn show_ordered(&self, certificate: Arc<CertifiedKey>) {
        self.shown.write().unwrap_or_else(PoisonError::into_inner).ordered = Some(certificate);
    }

    /// When the first of those that are shown ends, in milliseconds of the Unix epoch.
    pub(super) fn first_end(&self) -> Option<u64> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        shown.all().filter_map(|key| Some(certificate::validity(key)?.1)).min()
    }
}

impl ResolvesServerCert for Names {
    /// Of those that have the name, one whose signature the other side can check; the first of all where none has it.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut told| told.any(|name| name == PROTOCOL)) {
            return self.challenges.certificate(hello.server_name()?);
        }
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| fits(key, name));
        let usable =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let best = shown.all().find(|key| named(key) && usable(key));
        let best = best.or_else(|| shown.all().find(named));
        best.or_else(|| shown.all().find(usable)).or_else(|| shown.all().next()).cloned()
    }
}

fn fits(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    leaf.is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
}
