//! Writes the public URLs of endpoints.

use http::Uri;
use relay_client::dial::masked;

use crate::endpoint::Key;
use crate::http::HOOKS;

/// How the outside reaches endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrls {
    base: String,
    hooks_domain: Option<String>,
}

impl PublicUrls {
    /// URLs below `base`, or, with a hooks domain, with the key as host name.
    #[must_use]
    pub fn new(base: String, hooks_domain: Option<String>) -> Self {
        Self { base, hooks_domain }
    }

    /// The relay's own URL.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The port in it, if there is one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.base.parse::<Uri>().ok()?.port_u16()
    }

    /// The public URL of the endpoint with this key.
    #[must_use]
    pub fn of(&self, key: &Key) -> String {
        let Some(domain) = &self.hooks_domain else { return format!("{}{HOOKS}{key}", self.base) };
        let (scheme, rest) = self.base.split_once("://").unwrap_or(("http", &self.base));
        let authority = rest.split('/').next().unwrap_or_default();
        let port =
            authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()));
        match port {
            Some((_, port)) => format!("{scheme}://{key}.{domain}:{port}"),
            None => format!("{scheme}://{key}.{domain}"),
        }
    }
}

/// A base URL without a slash at its end.
pub(super) fn base(text: &str) -> Result<String, String> {
    let bad = || format!("{:?} is no URL such as https://relay.example.com", masked(text));
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let named = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if http && named && uri.query().is_none() {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_path_or_a_host_of_its_own() {
        let key = Key::parse("github-abc").unwrap();
        let urls = |base: &str, domain: Option<&str>| {
            PublicUrls::new(base.into(), domain.map(str::to_owned)).of(&key)
        };
        assert_eq!(urls("https://r.example", None), "https://r.example/hooks/github-abc");
        assert_eq!(
            urls("http://127.0.0.1:8080", Some("h.example")),
            "http://github-abc.h.example:8080"
        );
        assert_eq!(
            urls("https://r.example/base", Some("h.example")),
            "https://github-abc.h.example"
        );
    }

    #[test]
    fn a_base_is_a_url() {
        assert_eq!(base("https://r.example/").unwrap(), "https://r.example");
        assert!(
            base("r.example").is_err() && base("ftp://x").is_err() && base("https://x/?q").is_err()
        );
    }
}
