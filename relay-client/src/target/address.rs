//! Where a target is: its URL, taken apart, and the way to a socket there.

use std::path::PathBuf;
use std::time::Duration;

use ::http::uri::Uri;
use relay_protocol::reason::Refusal;

use super::Failure;
use crate::dial::masked;
use crate::socket::{ConnectError, Socket, Trust};

/// A URL that cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no target: {why}")]
pub struct BadTarget {
    url: String,
    why: String,
}

/// Where the bytes go.
#[derive(Debug, Clone)]
enum Place {
    Host { name: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// A target's URL, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// The URL, written out.
    pub(super) url: String,
    /// The `Host` that the target goes by.
    pub(super) host: String,
    /// What stands before every path.
    pub(super) base: String,
    place: Place,
}

impl Address {
    /// # Errors
    /// [`BadTarget`] says what is wrong with the URL.
    pub(super) fn parse(url: &str) -> Result<Self, BadTarget> {
        let bad = |why: &str| BadTarget { url: masked(url), why: why.to_owned() };
        let whole = match url.parse::<u16>() {
            Ok(port) => format!("http://localhost:{port}"),
            Err(_) => url.to_owned(),
        };
        let (place, host, base) = match whole.strip_prefix("unix:") {
            Some(rest) => unix(rest).ok_or_else(|| bad("unix: wants an absolute path"))?,
            None => tcp(&whole).map_err(|why| bad(&why))?,
        };
        Ok(Self { url: whole, host, base, place })
    }

    /// A socket there; `trust` says whose certificates are believed, and `limit` how long each step may take.
    ///
    /// # Errors
    /// [`Failure::Refused`], with what is missing: the name, the port or the certificate.
    pub(super) async fn connect(&self, trust: &Trust, limit: Duration) -> Result<Socket, Failure> {
        let socket = match &self.place {
            Place::Host { name, port, tls } => {
                Socket::connect(name, *port, tls.then_some(trust), limit).await
            }
            Place::Unix(path) => Socket::connect_unix(path, limit).await,
        };
        socket.map_err(|error| {
            let reason = match error {
                ConnectError::Dns { .. } => Refusal::TargetDns,
                ConnectError::Refused { .. } => Refusal::TargetRefused,
                ConnectError::Tls { .. } => Refusal::TargetTls,
            };
            Failure::Refused(reason, error.to_string())
        })
    }
}

fn tcp(url: &str) -> Result<(Place, String, String), String> {
    let uri: Uri = url.parse().map_err(|e: ::http::uri::InvalidUri| e.to_string())?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err("it must begin with http://, https:// or unix:".into()),
    };
    let authority = uri.authority().ok_or("it has no host")?;
    if authority.as_str().contains('@') {
        return Err("a user in it is not supported".into());
    }
    if uri.query().is_some() {
        return Err("a query in it is not supported".into());
    }
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let place = Place::Host { name: authority.host().to_owned(), port, tls };
    Ok((place, authority.as_str().to_owned(), uri.path().to_owned()))
}

fn unix(rest: &str) -> Option<(Place, String, String)> {
    let (path, base) = rest.split_once(":/").map_or((rest, ""), |(path, base)| (path, base));
    let path = path.starts_with('/').then(|| PathBuf::from(path))?;
    let base = if base.is_empty() { String::new() } else { format!("/{base}") };
    Some((Place::Unix(path), "localhost".into(), base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_a_local_target() {
        let target = Address::parse("3000").unwrap();
        assert_eq!((&*target.url, &*target.host), ("http://localhost:3000", "localhost:3000"));
    }

    #[test]
    fn a_unix_socket_may_have_a_base_path() {
        let target = Address::parse("unix:/run/app.sock:/hooks").unwrap();
        assert!(matches!(&target.place, Place::Unix(path) if path.ends_with("app.sock")));
        assert_eq!(target.base, "/hooks");
    }

    #[test]
    fn what_is_no_target_is_told() {
        for url in
            ["ftp://x", "localhost:3000", "http://", "http://u:p@h/", "http://h/?q", "unix:rel", ""]
        {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }
}
