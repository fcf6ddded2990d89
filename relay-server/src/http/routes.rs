//! The one list of routes, and what is asked of every request before it takes one of them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use relay_protocol::CONNECT_PATH;
use tower::ServiceExt;

use super::{Peer, ResponseBody};
use crate::ingress::Ingress;
use crate::problem::{Code, Problem, request_id};
use crate::session::Sessions;

/// Where public URLs begin.
pub const HOOKS: &str = "/hooks/";

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
}

/// Where a request goes.
enum Route {
    Hook { key: String, path: Bytes },
    Connect,
    Api,
}

impl Routes {
    /// Answers one request.
    pub(super) async fn serve(&self, request: Request<Incoming>, peer: Peer) -> Response<ResponseBody> {
        let route = match self.route(&request) {
            Ok(route) => route,
            Err(problem) => return problem.response(&request_id()).map(ResponseBody::whole),
        };
        match route {
            Route::Hook { key, path } => {
                let _asking = peer.asking.asking();
                self.ingress.handle(request, &key, path, &peer).await
            }
            Route::Connect => self.connect(request),
            Route::Api => {
                let request = request.map(axum::body::Body::new);
                let Ok(response) = self.api.clone().oneshot(request).await;
                response.map(ResponseBody::Api)
            }
        }
    }

    fn route(&self, request: &Request<Incoming>) -> Result<Route, Problem> {
        let host = host(request)?;
        let uri = request.uri();
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        if let Some(key) = self.hooks_domain.as_deref().and_then(|domain| subdomain(&host, domain)) {
            return Ok(Route::Hook { key, path: Bytes::copy_from_slice(path.as_bytes()) });
        }
        if let Some(rest) = path.strip_prefix(HOOKS) {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (key, path) = rest.split_at(end);
            return Ok(Route::Hook { key: key.to_owned(), path: Bytes::copy_from_slice(path.as_bytes()) });
        }
        Ok(if uri.path() == CONNECT_PATH { Route::Connect } else { Route::Api })
    }

    fn connect(&self, mut request: Request<Incoming>) -> Response<ResponseBody> {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        match self.sessions.connect(request.method(), request.headers(), upgrade) {
            Ok(response) => response.map(|()| ResponseBody::Whole(None)),
            Err(problem) => problem.response(&request_id()).map(ResponseBody::whole),
        }
    }
}

/// The host that a request is for: exactly one valid `Host` in HTTP/1.1 (RFC 9112 §3.2), or the target's own.
fn host(request: &Request<Incoming>) -> Result<String, Problem> {
    let bad = |words: &str| Problem::new(Code::BadRequest, words).closing();
    let mut hosts = request.headers().get_all(HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.as_bytes()),
        (None, _) if request.version() < Version::HTTP_11 => None,
        (None, _) if request.version() >= Version::HTTP_2 => None,
        (None, _) => return Err(bad("no Host")),
        (Some(_), Some(_)) => return Err(bad("more than one Host")),
    };
    let authority = match (request.uri().authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host).map_err(|_| bad("an invalid Host"))?,
        (None, None) => return Ok(String::new()),
    };
    if authority.as_str().contains('@') {
        return Err(bad("an invalid Host"));
    }
    Ok(authority.host().to_ascii_lowercase())
}

/// The one label in front of the domain.
fn subdomain(host: &str, domain: &str) -> Option<String> {
    let label = host.strip_suffix(domain)?.strip_suffix('.')?;
    (!label.is_empty() && !label.contains('.')).then(|| label.to_owned())
}
