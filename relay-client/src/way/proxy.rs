//! Which proxy leads to a relay, by curl's rules, and what is told of one. It opens nothing.

use std::fmt;
use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use super::WayError;
use crate::dial::RelayUrl;

/// A proxy. It never shows the password that it may want.
#[derive(Clone)]
pub struct Proxy {
    pub(super) kind: Kind,
    pub(super) host: String,
    pub(super) port: u16,
}

/// How a proxy is asked.
#[derive(Clone)]
pub(super) enum Kind {
    /// CONNECT (RFC 9110 §9.3.6), over TLS or not.
    Http { tls: bool, authorization: Option<HeaderValue> },
    /// SOCKS 5 (RFC 1928); the name is looked up there, or here.
    Socks { names: bool, login: Option<Login> },
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// A text that is no proxy's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{from}: {url:?} is no proxy: http://, https://, socks5:// or socks5h:// with a host and a port is wanted"
)]
pub struct BadProxy {
    from: &'static str,
    url: String,
}

impl Proxy {
    /// The proxy that leads to this relay, if one does: what was `given` in words, or what the environment says. In both
    /// cases `NO_PROXY` names hosts that need none.
    ///
    /// # Errors
    /// [`BadProxy`], with where it stands.
    pub fn toward(
        relay: &RelayUrl,
        given: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, BadProxy> {
        let of_scheme = if relay.tls() { "HTTPS_PROXY" } else { "HTTP_PROXY" };
        let found = match given {
            Some(url) => Some(("proxy", url.to_owned())),
            None => [of_scheme, "ALL_PROXY"]
                .into_iter()
                .find_map(|name| Some((name, either_case(name, &environment)?))),
        };
        let Some((from, url)) = found.filter(|(_, url)| url != DIRECT) else { return Ok(None) };
        let bad = || BadProxy { from, url: without_login(&url) };
        let relay: Uri = relay.origin().parse().map_err(|_| bad())?;
        let exempt = exemptions(&either_case("NO_PROXY", &environment).unwrap_or_default());
        let taken =
            |exempt: &str| Matcher::builder().all(&url).no(exempt).build().intercept(&relay);
        let proxy = taken("").as_ref().and_then(Self::of).ok_or_else(bad)?;
        Ok(taken(&exempt).is_some().then_some(proxy))
    }

    fn of(intercept: &Intercept) -> Option<Self> {
        let uri = intercept.uri();
        let raw = || {
            let (user, password) = intercept.raw_auth()?;
            Some(Login { user: user.to_owned(), password: password.to_owned() })
        };
        let authorization = intercept.basic_auth().cloned();
        let (kind, port) = match uri.scheme_str()? {
            "http" => (Kind::Http { tls: false, authorization }, 80),
            "https" => (Kind::Http { tls: true, authorization }, 443),
            "socks5" => (Kind::Socks { names: false, login: raw() }, 1080),
            "socks5h" => (Kind::Socks { names: true, login: raw() }, 1080),
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?;
        let port = match uri.port_u16() {
            Some(port) => port,
            // Something stands there, and it is no port: half of a password, perhaps.
            None if uri.authority()?.as_str() != host => return None,
            None => port,
        };
        Some(Self { kind, host: host.to_owned(), port })
    }

    /// The same proxy, asked as this user: `user:password`, as in a URL but not encoded.
    #[must_use]
    pub fn asked_as(mut self, user_and_password: &str) -> Self {
        match &mut self.kind {
            Kind::Http { authorization, .. } => {
                let encoded = format!("Basic {}", STANDARD.encode(user_and_password));
                let mut value = HeaderValue::try_from(encoded).expect("base64 is plain text");
                value.set_sensitive(true);
                *authorization = Some(value);
            }
            Kind::Socks { login, .. } => {
                let (user, password) =
                    user_and_password.split_once(':').unwrap_or((user_and_password, ""));
                *login = Some(Login { user: user.to_owned(), password: password.to_owned() });
            }
        }
        self
    }

    pub(super) fn cannot_reach(&self, host: &str, port: u16, why: impl Display) -> WayError {
        let to = format!("{host}:{port}");
        WayError::ProxyCannotReach { proxy: self.to_string(), to, why: why.to_string() }
    }

    pub(super) fn refuses(&self, host: &str, port: u16, why: impl Display) -> WayError {
        let to = format!("{host}:{port}");
        WayError::ProxyRefuses { proxy: self.to_string(), to, why: why.to_string() }
    }

    pub(super) fn broke(&self, why: impl Display) -> WayError {
        WayError::ProxyBroke { proxy: self.to_string(), why: why.to_string() }
    }

    pub(super) fn is_none(&self, why: impl Display) -> WayError {
        WayError::NoProxy { proxy: self.to_string(), why: why.to_string() }
    }

    /// It wants a login and got none, or does not take the one it got.
    pub(super) fn wants_login(&self, shown: bool, offered: &str) -> WayError {
        let why = if shown {
            "does not accept the user and password".to_owned()
        } else {
            "wants a user and a password: put them into its URL in the environment or the agent's file, or into --proxy-auth-file".to_owned()
        };
        let why = if offered.is_empty() { why } else { format!("{why} (it takes {offered})") };
        WayError::ProxyAuthentication { proxy: self.to_string(), why }
    }
}

impl Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http { tls: false, .. } => "http",
            Kind::Http { tls: true, .. } => "https",
            Kind::Socks { names: false, .. } => "socks5",
            Kind::Socks { names: true, .. } => "socks5h",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// A proxy's URL as it may be shown. A password may hold anything, whatever URLs allow.
fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => url.to_owned(),
    }
}

/// Instead of a URL: no proxy, whatever the environment says.
const DIRECT: &str = "direct";

/// A variable's value, if it is not empty. As with curl, the name in lower case comes first.
fn either_case(name: &str, environment: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let value = |name: &str| environment(name).filter(|value| !value.is_empty());
    value(&name.to_ascii_lowercase()).or_else(|| value(name))
}

/// `NO_PROXY` as the matcher reads it; curl takes blanks between the entries too, a dot at the end of a name, and
/// brackets around an IPv6 address.
fn exemptions(text: &str) -> String {
    let entries = text.split([',', ' ', '\t', '\n']).filter(|entry| !entry.is_empty());
    let plain = entries.map(|entry| crate::socket::bare(entry).trim_end_matches('.'));
    plain.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
