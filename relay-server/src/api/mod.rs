//! The relay's own API, `/api/v1/...`, with a bearer token; and whether the relay is well.
//!
//! Every answer is JSON; every error is a problem document (RFC 9457).

mod audit;
mod endpoints;
mod events;
mod health;
mod pieces;
mod replays;
mod rotation;
mod time;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::request::Parts;
use relay_trust::Profiles;
use tokio::sync::Semaphore;

use crate::access::{Access, Grant};
use crate::config::PublicUrls;
use crate::dispatcher::Dispatcher;
use crate::endpoint::Directory;
use crate::http::Remote;
use crate::problem::{Code, Problem, request_id};
use crate::router::Router as Sessions;
use crate::session::Sessions as SessionKeeper;
use crate::store::records::Actor;
use crate::store::{Store, StoreError};
use crate::tls::Tls;
use crate::vault::{Vault, VaultError};

/// The longest request body of the API, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// What the API works on.
#[derive(Debug)]
pub struct Api {
    /// Where everything is kept.
    pub store: Arc<Store>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// The endpoints in memory.
    pub directory: Arc<Directory>,
    /// The providers that they may have.
    pub profiles: Arc<Profiles>,
    /// Their secrets.
    pub vault: Arc<Vault>,
    /// The agents that are there.
    pub router: Arc<Sessions>,
    /// Who works on the queues.
    pub dispatcher: Arc<Dispatcher>,
    /// To close sessions.
    pub sessions: Arc<SessionKeeper>,
    /// Writes public URLs.
    pub urls: Arc<PublicUrls>,
    /// TLS, where the relay speaks it itself.
    pub tls: Option<Arc<Tls>>,
}

/// The API's routes.
pub fn routes(api: Arc<Api>) -> Router {
    let streams = Arc::new(Semaphore::new(events::STREAMS_MAX));
    let stream = move |api, who, query| events::stream(api, who, query, Arc::clone(&streams));
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/api/v1/endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/api/v1/endpoints/{name}",
            get(endpoints::show).patch(endpoints::set).delete(endpoints::remove),
        )
        .route("/api/v1/endpoints/{name}/pause", post(endpoints::pause))
        .route("/api/v1/endpoints/{name}/resume", post(endpoints::resume))
        .route("/api/v1/endpoints/{name}/rotate-key", post(endpoints::rotate_key))
        .route(
            "/api/v1/endpoints/{name}/rotate-signing-secret",
            post(endpoints::secrets::rotate_signing),
        )
        .route(
            "/api/v1/endpoints/{name}/secrets",
            get(endpoints::secrets::list).post(endpoints::secrets::add),
        )
        .route("/api/v1/endpoints/{name}/secrets/{id}", delete(endpoints::secrets::remove))
        .route("/api/v1/endpoints/{name}/secrets/{id}/show", post(endpoints::secrets::show_once))
        .route("/api/v1/events", get(events::list))
        .route("/api/v1/events/stream", get(stream))
        .route("/api/v1/events/{id}", get(events::show))
        .route("/api/v1/events/{id}/body", get(events::body))
        .route(
            "/api/v1/events/{id}/replay",
            post(replays::one).layer(axum::extract::DefaultBodyLimit::max(replays::BODY_MAX)),
        )
        .route("/api/v1/replays", get(replays::list).post(replays::many))
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", delete(tokens::revoke))
        .route("/api/v1/tokens/{id}/rotate", post(tokens::rotate))
        .route("/api/v1/audit", get(audit::list))
        .fallback(|| async { Refused::new(Code::NotFound, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Refused::new(Code::MethodNotAllowed, "this path is not served with this method")
        })
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(to_its_end))
        .with_state(api)
}

/// Has a change in a task of its own: a caller that hangs up ends only its own waiting, and not what comes after the
/// store has it. A token that was revoked there and in no memory would still open everything.
async fn to_its_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let changed = tokio::spawn(next.run(request)).await;
    changed.unwrap_or_else(|e| Refused::new(Code::Internal, e.to_string()).into_response())
}

/// A refusal of the API.
#[derive(Debug)]
struct Refused(Problem);

impl Refused {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self(Problem::new(code, detail))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.response(&request_id()).map(Body::from)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::warn!(why, "a request of the API met a store that is unavailable");
                Self::new(Code::StoreUnavailable, "the store is unavailable at the moment")
            }
            StoreError::QueueFull => Self::new(Code::QueueFull, "the endpoint's queue is full"),
            StoreError::Overloaded => Self::new(Code::RelayOverloaded, "the store cannot keep up"),
            StoreError::Refused(why) => Self::new(Code::BadRequest, why),
            StoreError::Exists(what) => Self::new(Code::Conflict, format!("{what} exists already")),
            StoreError::NotFound(what) => Self::new(Code::NotFound, format!("there is no {what}")),
        }
    }
}

impl From<VaultError> for Refused {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            error => Self::new(Code::BadRequest, error.to_string()),
        }
    }
}

/// Whoever shows a good token, and from where.
#[derive(Debug)]
struct Bearer(Grant, IpAddr);

impl FromRequestParts<Arc<Api>> for Bearer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refused> {
        let Remote(from) = *parts.extensions.get().expect("the door says where a request is from");
        let grant = api.access.bearer(&parts.headers, from);
        grant.map(|grant| Self(grant, from)).map_err(|denied| Refused(denied.into()))
    }
}

impl Bearer {
    /// Who it is, for what is written down.
    fn actor(&self) -> Actor {
        let Grant { token, name, .. } = &self.0;
        Actor { token: Some(token.clone()), name: name.clone(), address: Some(self.1) }
    }

    /// Refuses whoever may not do everything.
    fn admin(&self) -> Result<(), Refused> {
        if self.0.is_admin() {
            Ok(())
        } else {
            Err(Refused::new(
                Code::NotAllowed,
                "this needs a token with the scope admin, for all endpoints",
            ))
        }
    }
}

/// A JSON body whose faults are told as problems.
struct Json<T>(T);

impl<T, S> FromRequest<S> for Json<T>
where
    axum::Json<T>: FromRequest<S, Rejection = JsonRejection>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(Refused::new(Code::BadRequest, rejection.body_text())),
        }
    }
}
