//! The plain listener in front of one that speaks TLS: sends browsers on, and turns everybody else back.
//!
//! A webhook that comes here is refused, and neither served nor sent on. Served, its secrets would go over the wire in
//! clear for ever without anybody noticing: the key in its path, a shared token in its header. Sent on, it would be
//! lost: most senders follow no redirect, some follow it as a GET without the body, and the secrets are out already. A
//! refusal shows at the first test, where the URL is set.

use std::sync::Arc;

use http::header::{ACCEPT, CACHE_CONTROL, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};

use super::routes::{HOOKS, host, subdomain};
use super::{Peer, ResponseBody};
use crate::config::PublicUrls;
use crate::problem::{Code, Problem, request_id};
use crate::tls::Challenges;

/// Where an ACME server asks (RFC 8555 §8.3).
const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// What is served without TLS beside it.
#[derive(Debug)]
pub struct Lobby {
    /// Where it is served with TLS.
    pub urls: Arc<PublicUrls>,
    /// The domain whose subdomains are keys.
    pub hooks_domain: Option<String>,
    /// What an ACME server is answered here.
    pub challenges: Arc<Challenges>,
}

impl Lobby {
    /// Answers one request.
    pub(super) fn serve(&self, request: &Request<Incoming>, peer: &Peer) -> Response<ResponseBody> {
        peer.asking.owes(!request.body().is_end_stream());
        let answered = self.answer(request);
        answered.unwrap_or_else(|problem| problem.response(&request_id()).map(ResponseBody::whole))
    }

    fn answer(&self, request: &Request<Incoming>) -> Result<Response<ResponseBody>, Problem> {
        let host = host(request)?.to_ascii_lowercase();
        let token = request.uri().path().strip_prefix(CHALLENGE);
        if let Some(answer) = token.and_then(|token| self.challenges.answer(token)) {
            return Ok(Response::new(ResponseBody::whole(answer.into())));
        }
        if !host.is_empty() && !self.is_hook(request, &host) && is_a_browsers(request) {
            return self.send_on(request, &host);
        }
        let words = format!("only https is served; this relay is at {}", self.urls.base());
        Err(Problem::new(Code::HttpsRequired, words).closing())
    }

    fn is_hook(&self, request: &Request<Incoming>, host: &str) -> bool {
        let domain = self.hooks_domain.as_ref();
        request.uri().path().starts_with(HOOKS)
            || domain.is_some_and(|domain| subdomain(host, domain).is_some())
    }

    /// The same host and path, with TLS.
    fn send_on(
        &self,
        request: &Request<Incoming>,
        host: &str,
    ) -> Result<Response<ResponseBody>, Problem> {
        let port = self.urls.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let there = HeaderValue::try_from(format!("https://{host}{port}{path}"));
        let there = there.map_err(|_| Problem::new(Code::BadRequest, "an odd path").closing())?;
        let mut response = Response::new(ResponseBody::Whole(None));
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(LOCATION, there);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// Whether a person waits for a page.
fn is_a_browsers(request: &Request<Incoming>) -> bool {
    let accepted = request.headers().get_all(ACCEPT).into_iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && accepted.any(|value| value.contains("text/html"))
}
