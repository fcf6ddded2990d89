//! Talks to the relay's API, one request at a time. What went wrong is told by kind, because exit codes are.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

use crate::dial::{AGENT, RelayUrl};
use crate::screen::clean;
use crate::socket::Trust;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// Why a request of the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The relay is not there.
    #[error("the relay is not reachable: {0}")]
    Unreachable(String),
    /// The token does not allow it.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// There is no such thing.
    #[error("not found: {0}")]
    NotFound(String),
    /// The relay refused for another reason, or answered nonsense.
    #[error("{0}")]
    Failed(String),
}

/// A name as one segment of a path (RFC 3986 §3.3): whatever is in it, it leads nowhere else.
#[must_use]
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    let escaped = name.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

/// The API of one relay, as one token sees it.
#[derive(Debug, Clone)]
pub struct Api {
    /// The relay.
    pub relay: RelayUrl,
    /// Whom to trust.
    pub trust: Trust,
    /// The token.
    pub token: String,
}

impl Api {
    /// Gets a document.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.call(Method::GET, path, None).await
    }

    /// Posts a document and gets the answer.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes a document and gets it as it is now.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.call(Method::DELETE, path, None).await.map(|_| ())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let request = self.request(method, path, body)?;
        let exchange = timeout(TIMEOUT, self.exchange(request));
        let late =
            |_| ApiError::Unreachable(format!("no answer from {} in {TIMEOUT:?}", self.relay));
        let (status, bytes) = exchange.await.map_err(late)??;
        if status.is_success() {
            let none = bytes.is_empty().then_some(Value::Null);
            let parsed = none.map_or_else(|| serde_json::from_slice(&bytes), Ok);
            return parsed.map_err(|_| ApiError::Failed(format!("{} answers no JSON", self.relay)));
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let why = problem["detail"].as_str().map_or_else(|| format!("it answers {status}"), clean);
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::NotAllowed(why),
            StatusCode::NOT_FOUND if problem["code"].is_string() => ApiError::NotFound(why),
            StatusCode::NOT_FOUND => {
                ApiError::Failed(format!("there is no relay at {}", self.relay))
            }
            _ => ApiError::Failed(why),
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, ApiError> {
        let unusable =
            |what: &str| ApiError::Failed(format!("{what} has characters that it cannot have"));
        let bytes =
            body.map(|body| serde_json::to_vec(body).expect("JSON serializes")).unwrap_or_default();
        let bearer = HeaderValue::try_from(format!("Bearer {}", self.token));
        let mut bearer = bearer.map_err(|_| {
            ApiError::NotAllowed("the token has characters that no token has".into())
        })?;
        bearer.set_sensitive(true);
        Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.relay.path()))
            .header(HOST, self.relay.authority())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|_| unusable("the path"))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ApiError> {
        let broke =
            |e: hyper::Error| ApiError::Unreachable(format!("{} broke off: {e}", self.relay));
        let socket = self.relay.connect(&self.trust).await;
        let socket = socket.map_err(|e| ApiError::Unreachable(e.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(broke)?;
        // Ends with the sender, that is with this function.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(broke)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body =
            body.map_err(|e| ApiError::Unreachable(format!("{} broke off: {e}", self.relay)))?;
        Ok((status, body.to_bytes()))
    }
}
