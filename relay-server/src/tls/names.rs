//! Which certificate is shown to whom: by the name that the other side asks for (RFC 6066 §3).

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates that are shown at the moment.
#[derive(Debug, Default)]
pub(super) struct Names {
    shown: RwLock<Vec<Arc<CertifiedKey>>>,
}

impl Names {
    /// Shows these from now on; sessions that have begun go on as they are.
    pub(super) fn show(&self, certificates: Vec<Arc<CertifiedKey>>) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = certificates;
    }
}

impl ResolvesServerCert for Names {
    /// Of those that have the name, one whose signature the other side can check; the first of all where none has it.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown.read().unwrap_or_else(PoisonError::into_inner);
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| fits(key, name));
        let usable =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let best = shown.iter().find(|key| named(key) && usable(key));
        let best = best.or_else(|| shown.iter().find(named));
        best.or_else(|| shown.iter().find(usable)).or_else(|| shown.first()).cloned()
    }
}

fn fits(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = key.end_entity_cert().and_then(ParsedCertificate::try_from);
    leaf.is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
}
