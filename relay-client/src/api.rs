//! Talks to the relay's API, one request at a time. What went wrong is told by kind, because exit codes are.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

use crate::dial::{AGENT, RelayUrl};
use crate::screen::clean;
use crate::socket::Hint;
use crate::way::Way;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;

/// The header field with the event after which a stream of lines begins.
const CURSOR: &str = "webhook-relay-cursor";

/// A stream of lines says something at least this often, if only that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);

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
    /// The relay, or what stands before it, is not well at the moment.
    #[error("{0}")]
    NotNow(String),
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
    /// How to reach it.
    pub way: Way,
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

    /// Gets bytes as they are.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn bytes(&self, path: &str) -> Result<Bytes, ApiError> {
        self.fetch(Method::GET, path, None).await
    }

    /// Gets lines as they come.
    ///
    /// # Errors
    /// [`ApiError`] by kind.
    pub async fn lines(&self, path: &str) -> Result<LinesOf, ApiError> {
        let request = self.request(Method::GET, path, None)?;
        let response = timeout(TIMEOUT, self.send(request)).await.map_err(|_| self.late())??;
        if response.status().is_success() {
            let cursor = response.headers().get(CURSOR);
            let cursor = cursor.and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (body, line) = (response.into_body(), BytesMut::new());
            return Ok(LinesOf { cursor, body, line, from: self.relay.to_string() });
        }
        let status = response.status();
        let bytes = timeout(TIMEOUT, self.read(response)).await.map_err(|_| self.late())??;
        Err(self.refused(status, &bytes))
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
        let bytes = self.fetch(method, path, body).await?;
        let none = bytes.is_empty().then_some(Value::Null);
        let parsed = none.map_or_else(|| serde_json::from_slice(&bytes), Ok);
        parsed.map_err(|_| ApiError::Failed(format!("{} answers no JSON", self.relay)))
    }

    /// The content of a success.
    async fn fetch(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, ApiError> {
        let request = self.request(method, path, body)?;
        let exchange = async {
            let response = self.send(request).await?;
            Ok((response.status(), self.read(response).await?))
        };
        let (status, bytes) = timeout(TIMEOUT, exchange).await.map_err(|_| self.late())??;
        if status.is_success() { Ok(bytes) } else { Err(self.refused(status, &bytes)) }
    }

    fn late(&self) -> ApiError {
        ApiError::Unreachable(format!("no answer from {} in {TIMEOUT:?}", self.relay))
    }

    fn refused(&self, status: StatusCode, bytes: &[u8]) -> ApiError {
        let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let why = problem["detail"].as_str().map_or_else(|| format!("it answers {status}"), clean);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::NotAllowed(why),
            StatusCode::NOT_FOUND if problem["code"].is_string() => ApiError::NotFound(why),
            StatusCode::NOT_FOUND => {
                ApiError::Failed(format!("there is no relay at {}", self.relay))
            }
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => ApiError::NotNow(why),
            _ => ApiError::Failed(why),
        }
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

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ApiError> {
        let socket = self.relay.connect(&self.way).await;
        let socket = socket.map_err(|e| ApiError::Unreachable(e.to_string()))?;
        let shaken = http1::handshake(TokioIo::new(socket)).await;
        let (mut sender, connection) = shaken.map_err(|e| self.broke(&e))?;
        // Ends with the answer, for nothing more is sent.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| self.broke(&e))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, ApiError> {
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        body.map(Collected::to_bytes).map_err(|e| self.broke(&*e))
    }

    fn broke(&self, why: &(dyn std::error::Error + 'static)) -> ApiError {
        // The HTTP library's own words are few: what is behind them says more.
        let mut words = why.to_string();
        let mut next = why.source();
        while let Some(cause) = next {
            words = format!("{words}: {cause}");
            next = cause.source();
        }
        let no_http = why.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let hint = if no_http && !self.relay.tls() {
            "; it does not speak HTTP there: is it an https:// address?"
        } else {
            Hint::to_append(why)
        };
        ApiError::Unreachable(format!("{} broke off: {words}{hint}", self.relay))
    }
}

/// Lines of an answer that goes on and on.
#[derive(Debug)]
pub struct LinesOf {
    /// After which event they begin, if the relay says so.
    pub cursor: Option<String>,
    body: Incoming,
    line: BytesMut,
    from: String,
}

impl LinesOf {
    /// The next line that is not empty; none when the relay has ended the answer.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] when it broke off or was silent for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line = self.line.split_to(end + 1).freeze();
                if end > 0 {
                    return Ok(Some(line.slice(..end)));
                }
                continue;
            }
            if self.line.len() > ANSWER_MAX {
                return Err(ApiError::Failed(format!("{} sends a line without end", self.from)));
            }
            let silent = |_| ApiError::Unreachable(format!("{} is silent", self.from));
            match timeout(SILENCE_MAX, self.body.frame()).await.map_err(silent)? {
                Some(Ok(frame)) => {
                    self.line.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                Some(Err(e)) => {
                    return Err(ApiError::Unreachable(format!("{} broke off: {e}", self.from)));
                }
                None => return Ok(None),
            }
        }
    }
}
