//! The way out as people set it up: on the command line, in the environment, in the agent's file.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Proxy, Way};
use crate::dial::RelayUrl;
use crate::socket::Trust;

/// Whom to trust, what to show, and which proxy to take; all of it optional.
#[derive(Debug, Clone, Default)]
pub struct WaySettings {
    /// File with further root certificates.
    pub ca_file: Option<PathBuf>,
    /// File with the certificate to show to the relay, and what leads to its authority.
    pub client_cert: Option<PathBuf>,
    /// File with that certificate's private key.
    pub client_key: Option<PathBuf>,
    /// The proxy's URL; without one, the environment is asked.
    pub proxy: Option<ProxyUrl>,
    /// File with `user:password` for the proxy.
    pub proxy_auth_file: Option<PathBuf>,
}

/// The URL of a proxy, in which a password may stand: never shown.
#[derive(Clone, Deserialize)]
pub struct ProxyUrl(pub String);

impl std::fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProxyUrl(masked)")
    }
}

impl WaySettings {
    /// These, and where they say nothing, those. A certificate and its key come from the same place.
    #[must_use]
    pub fn or(self, those: Self) -> Self {
        let identity = if self.client_cert.is_some() || self.client_key.is_some() {
            (self.client_cert, self.client_key)
        } else {
            (those.client_cert, those.client_key)
        };
        Self {
            ca_file: self.ca_file.or(those.ca_file),
            client_cert: identity.0,
            client_key: identity.1,
            proxy: self.proxy.or(those.proxy),
            proxy_auth_file: self.proxy_auth_file.or(those.proxy_auth_file),
        }
    }

    /// Whom to trust.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub fn trust(&self) -> Result<Trust, String> {
        Trust::load(self.ca_file.as_deref()).map_err(|e| format!("ca-file: {e}"))
    }

    /// The way to this relay, with this trust.
    ///
    /// # Errors
    /// What is wrong with a file or with a URL, in words without a password.
    pub fn way(
        &self,
        relay: &RelayUrl,
        trust: &Trust,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Way, String> {
        let trust = match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => {
                trust.with_identity(certificate, key).map_err(|e| format!("client-cert: {e}"))?
            }
            (None, None) => trust.clone(),
            _ => return Err("client-cert and client-key go together".into()),
        };
        let given = self.proxy.as_ref().map(|ProxyUrl(url)| url.as_str());
        let proxy = Proxy::toward(relay, given, environment).map_err(|e| e.to_string())?;
        let login = self.proxy_auth_file.as_deref().map(login).transpose()?;
        Ok(match (proxy, login) {
            (Some(proxy), Some(login)) => Way::through(trust, proxy.asked_as(&login)),
            (Some(proxy), None) => Way::through(trust, proxy),
            (None, _) => Way::direct(trust),
        })
    }
}

/// The user and the password in a file.
fn login(path: &Path) -> Result<String, String> {
    let told = |why: String| format!("proxy-auth-file: {}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
    let line = text.trim_end_matches(['\r', '\n']);
    match line.split_once(':') {
        Some((user, _)) if !user.is_empty() && !line.contains('\n') => Ok(line.to_owned()),
        _ => Err(told("one line with user:password is wanted".into())),
    }
}
