//! The one list of routes, and what is asked of every request before it takes one of them.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use relay_protocol::CONNECT_PATH;
use tower::ServiceExt;

use super::{Asking, Peer, Remote, ResponseBody};
use crate::endpoint::Endpoint;
use crate::ingress::{self, Ingress};
use crate::problem::{Code, Problem, request_id};
use crate::session::Sessions;
use crate::tls::{Demand, Shown};

/// Where public URLs begin.
pub const HOOKS: &str = "/hooks/";

/// Where the API begins.
const API: &str = "/api/";

/// Everything that is served.
#[derive(Debug)]
pub struct Routes {
    /// `/hooks/<key>...`, and every path of `<key>.<hooks domain>`: providers.
    pub ingress: Ingress,
    /// `/agent/v1/connect`: agents.
    pub sessions: Arc<Sessions>,
    /// `/api/v1/...`, `/healthz`, `/readyz`: people and programs.
    pub api: axum::Router,
    /// The domain whose subdomains are keys.
    pub hooks_domain: Option<String>,
    /// What a client certificate is demanded for, if for anything.
    pub demand: Option<Demand>,
}

/// Where a request goes.
enum Route {
    Hook { endpoint: Option<Arc<Endpoint>>, path: Bytes },
    Connect,
    Api,
}

impl Routes {
    /// Answers one request.
    pub(super) async fn serve(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        asking: Asking,
    ) -> Result<Response<ResponseBody>, Infallible> {
        peer.asking.owes(!request.body().is_end_stream());
        let route = self.route(&request);
        let route = route.and_then(|route| self.admit(route, request.uri().path(), peer));
        // Only where a target is asked does a caller that has gone quiet have time.
        let _asking = matches!(route, Ok(Route::Hook { .. })).then_some(asking);
        Ok(match route {
            Ok(Route::Hook { endpoint, path }) => {
                let taken = self.ingress.take(request, endpoint, path, peer).await;
                ingress::answer(taken, peer).await
            }
            Ok(Route::Connect) => self.connect(request, peer),
            Ok(Route::Api) => Box::pin(self.call_api(request, peer)).await,
            Err(problem) => problem.response(&request_id()).map(ResponseBody::whole),
        })
    }

    fn route(&self, request: &Request<Incoming>) -> Result<Route, Problem> {
        let host = host(request)?;
        let uri = request.uri();
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let hook = |key: &str, path: &str| {
            let endpoint = self.ingress.directory.by_key(key);
            Ok(Route::Hook { endpoint, path: Bytes::copy_from_slice(path.as_bytes()) })
        };
        if let Some(domain) = &self.hooks_domain
            && let Some(key) = subdomain(&host.to_ascii_lowercase(), domain)
        {
            return hook(key, path);
        }
        if let Some(rest) = path.strip_prefix(HOOKS) {
            let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?'));
            let (key, path) = rest.split_at(end.unwrap_or(rest.len()));
            return hook(key, path);
        }
        Ok(if uri.path() == CONNECT_PATH { Route::Connect } else { Route::Api })
    }

    /// Turns back who has not shown the certificate that the route demands. Whether the relay is well, all may ask.
    fn admit(&self, route: Route, path: &str, peer: &Peer) -> Result<Route, Problem> {
        let demanded = match (&route, self.demand) {
            (Route::Connect, Some(_)) => true,
            (Route::Api, Some(Demand::AgentsAndApi)) => path.starts_with(API),
            _ => false,
        };
        let code = match &peer.shown {
            Shown::Nothing if demanded => Code::Unauthorized,
            Shown::Stranger(_) if demanded => Code::NotAllowed,
            _ => return Ok(route),
        };
        let words = format!("{}; this needs one of the relay's agent authority", peer.shown);
        Err(Problem::new(code, words).closing())
    }

    async fn call_api(
        &self,
        mut request: Request<Incoming>,
        peer: &Peer,
    ) -> Response<ResponseBody> {
        let from = Remote(self.ingress.trusted.sender(request.headers(), peer));
        request.extensions_mut().insert(from);
        let Ok(response) = self.api.clone().oneshot(request.map(axum::body::Body::new)).await;
        response.map(ResponseBody::Api)
    }

    fn connect(&self, mut request: Request<Incoming>, peer: &Peer) -> Response<ResponseBody> {
        let from = self.ingress.trusted.sender(request.headers(), peer);
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        match self.sessions.connect(request.method(), request.headers(), from, upgrade) {
            Ok(response) => response.map(|()| ResponseBody::Whole(None)),
            Err(problem) => problem.response(&request_id()).map(ResponseBody::whole),
        }
    }
}

/// The host that a request is for, without its port: exactly one valid `Host` in HTTP/1.1 (RFC 9112 §3.2), or the
/// target's own.
pub(super) fn host(request: &Request<Incoming>) -> Result<&str, Problem> {
    let bad = |words: &str| Problem::new(Code::BadRequest, words).closing();
    let mut hosts = request.headers().get_all(HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.as_bytes()),
        (None, _) if request.version() != Version::HTTP_11 => None,
        (None, _) => return Err(bad("no Host")),
        (Some(_), Some(_)) => return Err(bad("more than one Host")),
    };
    let host = host.map_or(Ok(""), |host| name_of(host).ok_or_else(|| bad("an invalid Host")))?;
    Ok(request.uri().host().unwrap_or(host))
}

/// The host in a `Host` field: a name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
fn name_of(field: &[u8]) -> Option<&str> {
    let place = |byte: u8| field.iter().position(|one| *one == byte);
    let (host, port) = match place(b']') {
        Some(end) if field.starts_with(b"[") => field.split_at(end + 1),
        Some(_) => return None,
        None => field.split_at(place(b':').unwrap_or(field.len())),
    };
    let port = port.strip_prefix(b":").unwrap_or(port);
    let named = |c: &u8| c.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(c);
    let literal = |c: &u8| c.is_ascii_hexdigit() || b":.".contains(c);
    let sound = match host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        Some(inside) => inside.iter().all(literal),
        None => !host.is_empty() && host.iter().all(named),
    };
    let host = std::str::from_utf8(host).ok()?;
    (sound && port.iter().all(u8::is_ascii_digit)).then_some(host)
}

/// The one label in front of the domain.
pub(super) fn subdomain<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let label = host.strip_suffix(domain)?.strip_suffix('.')?;
    (!label.is_empty() && !label.contains('.')).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses_with_perhaps_a_port() {
        for (field, host) in [
            ("a.example", "a.example"),
            ("A:80", "A"),
            ("[::1]:8", "[::1]"),
            ("1.2.3.4:", "1.2.3.4"),
        ] {
            assert_eq!(name_of(field.as_bytes()), Some(host), "{field}");
        }
        for field in
            ["", ":80", "a b", "u@h", "a/b", "a:b", "[::1", "::1]", "[g]", "h\\", "a?b", "\u{e9}"]
        {
            assert_eq!(name_of(field.as_bytes()), None, "{field}");
        }
    }

    #[test]
    fn one_label_in_front_of_the_domain_is_a_key() {
        assert_eq!(subdomain("key.hooks.example", "hooks.example"), Some("key"));
        for other in [
            "hooks.example",
            ".hooks.example",
            "a.b.hooks.example",
            "keyhooks.example",
            "x.example",
        ] {
            assert_eq!(subdomain(other, "hooks.example"), None, "{other}");
        }
    }
}
