//! Opens one WebSocket to the relay. An error says by its type when it makes sense to try again.

use std::time::Duration;

use http::header::{AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, StatusCode, Uri};
use relay_protocol::{CONNECT_PATH, LINE_HEADER};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::socket::{Hint, Socket};
use crate::way::{Way, WayError};
use crate::wire::Pipe;

/// How long the WebSocket handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What this program calls itself.
pub const AGENT: &str = concat!("relay-client/", env!("CARGO_PKG_VERSION"));

/// The relay's base URL, `http://` or `https://` (`ws://` and `wss://` mean the same).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    host: String,
    port: u16,
    tls: bool,
    path: String,
}

/// A text that is no base URL of a relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no relay URL: {why}")]
pub struct BadRelayUrl {
    url: String,
    why: &'static str,
}

impl std::str::FromStr for RelayUrl {
    type Err = BadRelayUrl;

    fn from_str(url: &str) -> Result<Self, BadRelayUrl> {
        let bad = |why| BadRelayUrl { url: masked(url), why };
        let uri: Uri = url.parse().map_err(|_| bad("it does not parse"))?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(bad("it must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it has no host"))?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(bad("a user or a query in it is not supported"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host: authority.host().to_owned(), port, tls, path })
    }
}

impl std::fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

impl RelayUrl {
    /// Host, and port where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// The path in front of everything, possibly empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub const fn tls(&self) -> bool {
        self.tls
    }

    /// Scheme, host and port, without a path.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// Opens a byte stream to the relay.
    ///
    /// # Errors
    /// [`WayError`] says which hop failed.
    pub async fn connect(&self, way: &Way) -> Result<Socket, WayError> {
        way.connect(&self.host, self.port, self.tls).await
    }
}

/// A URL without the user and the password that may be in it, fit to be shown.
#[must_use]
pub fn masked(url: &str) -> String {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |length| host + length);
    match url[host..end].rfind('@') {
        Some(at) => format!("{}***{}", &url[..host], &url[host + at..]),
        None => url.to_owned(),
    }
}

/// Why there is no line, and when to try again.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The relay is not there, or not well: try again soon, with backoff.
    #[error("{0}")]
    Unreachable(String),
    /// Something on the way bars it, a proxy or a certificate: only a person can change that, so try again slowly.
    #[error("{0}")]
    Barred(String),
    /// The relay says when to come back.
    #[error("{why}")]
    Later {
        /// What it said.
        why: String,
        /// When to come back.
        after: Duration,
    },
    /// The token is not accepted: only a person can change that, so try again slowly.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no relay at this URL: try again slowly.
    #[error("{0}")]
    NotFound(String),
}

/// Opens a WebSocket with this token in its upgrade request; it is to be this one of the agent's lines.
///
/// # Errors
/// [`DialError`], by when a new try makes sense.
pub async fn dial(relay: &RelayUrl, way: &Way, token: &str, line: u8) -> Result<Pipe, DialError> {
    let socket = relay.connect(way).await?;
    let url = format!("ws://{}{}{CONNECT_PATH}", relay.authority(), relay.path);
    let mut request = url.into_client_request().map_err(|e| DialError::NotFound(e.to_string()))?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| DialError::NotAllowed("the token has characters that no token has".into()))?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    request.headers_mut().insert(LINE_HEADER, HeaderValue::from(u16::from(line)));
    match timeout(HANDSHAKE_TIMEOUT, client_async(request, socket)).await {
        // The relay speaks after HELLO only, so nothing was read ahead.
        Ok(Ok((socket, _))) => Ok(Pipe::new(socket.into_inner(), &[], Role::Client).await),
        Ok(Err(Error::Http(response))) => Err(refused(&response)),
        Ok(Err(Error::Protocol(ProtocolError::HttparseError(error)))) if !relay.tls() => {
            let hint = "it does not speak HTTP there: is it an https:// address?";
            Err(DialError::Barred(format!("no WebSocket with {relay}: {error}; {hint}")))
        }
        Ok(Err(error)) => {
            let why = format!("no WebSocket with {relay}: {error}{}", Hint::to_append(&error));
            let barred = Hint::of(&error).is_some();
            Err(if barred { DialError::Barred(why) } else { DialError::Unreachable(why) })
        }
        Err(_) => Err(DialError::Unreachable(format!("no WebSocket with {relay}: timed out"))),
    }
}

impl From<WayError> for DialError {
    fn from(error: WayError) -> Self {
        let why = error.to_string();
        if error.is_lasting() { Self::Barred(why) } else { Self::Unreachable(why) }
    }
}

fn refused(response: &http::Response<Option<Vec<u8>>>) -> DialError {
    let status = response.status();
    let detail = response.body().as_deref().and_then(|body| {
        let problem: serde_json::Value = serde_json::from_slice(body).ok()?;
        problem.get("detail")?.as_str().map(str::to_owned)
    });
    let why =
        format!("the relay answers {status}: {}", detail.as_deref().unwrap_or("no reason given"));
    let after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match (status, after) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => DialError::NotAllowed(why),
        (StatusCode::NOT_FOUND, _) => DialError::NotFound(why),
        (_, Some(seconds)) => DialError::Later { why, after: Duration::from_secs(seconds) },
        _ => DialError::Unreachable(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("https://u:p@h:1/x@y", "https://***@h:1/x@y"),
            ("u:p@q@h", "***@h"),
            ("https://h/a@b", "https://h/a@b"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn a_relay_url_is_read_and_written() {
        for (given, shown) in [
            ("https://relay.example", "https://relay.example"),
            ("wss://relay.example:443/", "https://relay.example"),
            ("http://127.0.0.1:8080/base/", "http://127.0.0.1:8080/base"),
            ("ws://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(given.parse::<RelayUrl>().unwrap().to_string(), shown);
        }
        for bad in ["relay.example", "ftp://x", "https://u@h", "http://h/?q=1", ""] {
            assert!(bad.parse::<RelayUrl>().is_err(), "{bad}");
        }
    }
}
