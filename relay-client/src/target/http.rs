//! An HTTP target: joins the path to its base, sends one request, and hands back the answer as it comes.

use std::path::PathBuf;
use std::time::Duration;

use ::http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use ::http::uri::{PathAndQuery, Uri};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, Response};
use bytes::Bytes;
use http_body::Frame;
use hyper::body::Incoming;
use relay_protocol::reason::{Broken, Refusal};
use relay_protocol::webhook::Request;
use std::task::Poll;

use super::Failure;
use super::body::RequestBody;
use super::connection::Connection;
use super::path::join;
use super::pool::Pool;
use crate::dial::masked;
use crate::fields::to_headers;
use crate::socket::{ConnectError, Socket, Trust};

/// How a target is to be treated.
#[derive(Debug, Clone)]
pub struct Options {
    /// Send the `Host` that the provider used instead of the target's own.
    pub preserve_host: bool,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long the target may take until its answer begins, if the relay asks for no less.
    pub answer_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let (connect_timeout, answer_timeout) = (Duration::from_secs(5), Duration::from_secs(300));
        Self { preserve_host: false, connect_timeout, answer_timeout }
    }
}

/// Where the bytes go.
#[derive(Debug, Clone)]
enum Address {
    Host { name: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// One target.
pub struct HttpTarget {
    url: String,
    address: Address,
    host: HeaderValue,
    base: String,
    trust: Trust,
    options: Options,
    pool: Pool,
}

/// A URL that cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no target: {why}")]
pub struct BadTarget {
    url: String,
    why: String,
}

impl HttpTarget {
    /// A target at `http://host[:port][/base]`, `https://...`, `unix:/path/to.sock[:/base]`, or just a port number.
    ///
    /// # Errors
    /// [`BadTarget`] says what is wrong with the URL.
    pub fn new(url: &str, trust: Trust, options: Options) -> Result<Self, BadTarget> {
        let bad = |why: &str| BadTarget { url: masked(url), why: why.to_owned() };
        let whole = match url.parse::<u16>() {
            Ok(port) => format!("http://localhost:{port}"),
            Err(_) => url.to_owned(),
        };
        let (address, host, base) = match whole.strip_prefix("unix:") {
            Some(rest) => unix(rest).ok_or_else(|| bad("unix: wants an absolute path"))?,
            None => tcp(&whole).map_err(|why| bad(&why))?,
        };
        let host = HeaderValue::try_from(host).map_err(|_| bad("its host is no host"))?;
        Ok(Self { url: whole, address, host, base, trust, options, pool: Pool::new() })
    }

    /// The same target over connections of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            url: self.url.clone(),
            address: self.address.clone(),
            host: self.host.clone(),
            base: self.base.clone(),
            trust: self.trust.clone(),
            options: self.options.clone(),
            pool: Pool::new(),
        }
    }

    /// The URL, written out.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How long the target may take until its answer begins.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }

    /// Closes kept connections that stay unused; run it beside the target.
    pub fn sweep(&self) -> impl Future<Output = ()> + use<> {
        self.pool.sweep()
    }

    /// Sends one request and waits for the head of the answer. Redirects are answers like any other.
    ///
    /// # Errors
    /// [`Failure`]: whether something was dispatched is in its kind.
    pub async fn send(
        &self,
        request: &Request,
        body: RequestBody,
    ) -> Result<Answering<'_>, Failure> {
        let message = self.message(request, body)?;
        let Some(mut connection) = self.pool.take() else {
            return Box::pin(self.send_anew(message)).await;
        };
        match connection.send(message).await {
            Ok(response) => Ok(Answering { response, connection, target: self }),
            // The kept connection was closed under our hands before anything was written.
            Err((_, Some(unsent))) => Box::pin(self.send_anew(unsent)).await,
            Err((error, None)) => Err(broken(&error)),
        }
    }

    /// Sends a request over a connection of its own. Rare beside the other, so it does not weigh on it.
    async fn send_anew(&self, message: HttpRequest<RequestBody>) -> Result<Answering<'_>, Failure> {
        let mut connection = self.connect().await?;
        match connection.send(message).await {
            Ok(response) => Ok(Answering { response, connection, target: self }),
            Err((error, _)) => Err(broken(&error)),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let limit = self.options.connect_timeout;
        let socket = match &self.address {
            Address::Host { name, port, tls } => {
                Socket::connect(name, *port, tls.then_some(&self.trust), limit).await
            }
            Address::Unix(path) => Socket::connect_unix(path, limit).await,
        };
        let socket = socket.map_err(|error| {
            let reason = match error {
                ConnectError::Dns { .. } => Refusal::TargetDns,
                ConnectError::Refused { .. } => Refusal::TargetRefused,
                ConnectError::Tls { .. } => Refusal::TargetTls,
            };
            Failure::Refused(reason, error.to_string())
        })?;
        let refused = |e: hyper::Error| Failure::Refused(Refusal::TargetRefused, e.to_string());
        Connection::new(socket).await.map_err(refused)
    }

    fn message(
        &self,
        request: &Request,
        body: RequestBody,
    ) -> Result<HttpRequest<RequestBody>, Failure> {
        let refused = |why: String| Failure::Refused(Refusal::PathNotAllowed, why);
        let path = join(&self.base, &request.path).map_err(|e| refused(e.to_string()))?;
        let path = PathAndQuery::from_maybe_shared(path).map_err(|e| refused(e.to_string()))?;
        let method = Method::from_bytes(&request.method).map_err(|e| refused(e.to_string()))?;
        // An answer to it would make a tunnel of the connection (RFC 9110 §9.3.6); no honest relay passes it on.
        if method == Method::CONNECT {
            return Err(refused("CONNECT is not served".into()));
        }
        let mut headers = to_headers(&request.fields)
            .map_err(|name| refused(format!("the header field {name:?} is none")))?;
        self.complete(&mut headers, request);
        let mut message = HttpRequest::new(body);
        *message.method_mut() = method;
        *message.uri_mut() = Uri::from(path);
        *message.headers_mut() = headers;
        Ok(message)
    }

    /// Sets what this hop says for itself.
    fn complete(&self, headers: &mut HeaderMap, request: &Request) {
        const EVENT_ID: HeaderName = HeaderName::from_static("webhook-relay-event-id");
        const ATTEMPT: HeaderName = HeaderName::from_static("webhook-relay-attempt");
        if request.fields.iter().any(|(name, _)| is_framing(name)) {
            FRAMING.iter().for_each(|name| drop(headers.remove(name)));
        }
        if !self.options.preserve_host || !headers.contains_key(HOST) {
            headers.insert(HOST, self.host.clone());
        }
        if headers.contains_key(TE) {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
        }
        let id = HeaderValue::from_bytes(&request.event.text()).expect("an id is ASCII");
        headers.insert(EVENT_ID, id);
        headers.insert(ATTEMPT, HeaderValue::from(request.attempt));
    }
}

/// What says how far a message goes and what its connection becomes: this hop's own to say. An honest relay sends none of
/// them.
const FRAMING: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE];

/// Whether a name, in lower case, is one of [`FRAMING`].
const fn is_framing(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection" | b"content-length" | b"expect" | b"transfer-encoding" | b"upgrade"
    )
}

/// An answer whose head has come.
pub struct Answering<'a> {
    /// The head; its body is read through [`frame`](Self::frame).
    pub response: Response<Incoming>,
    connection: Connection,
    target: &'a HttpTarget,
}

impl Answering<'_> {
    /// The next frame of the body.
    pub async fn frame(&mut self) -> Option<hyper::Result<Frame<Bytes>>> {
        self.connection.frame(self.response.body_mut()).await
    }

    /// The next frame of the body, if it is there already.
    pub async fn ready_frame(&mut self) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        self.connection.ready_frame(self.response.body_mut()).await
    }

    /// Keeps the connection for the next request, if the answer is complete.
    pub fn finish(self) -> impl Future<Output = ()> {
        let Self { response, connection, target } = self;
        drop(response);
        target.pool.give(connection)
    }
}

fn broken(error: &hyper::Error) -> Failure {
    let mut words = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        words = format!("{words}: {source}");
    }
    Failure::Broken(Broken::TargetBadResponse, words)
}

fn tcp(url: &str) -> Result<(Address, String, String), String> {
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
    let address = Address::Host { name: authority.host().to_owned(), port, tls };
    Ok((address, authority.as_str().to_owned(), uri.path().to_owned()))
}

fn unix(rest: &str) -> Option<(Address, String, String)> {
    let (path, base) = rest.split_once(":/").map_or((rest, ""), |(path, base)| (path, base));
    let path = path.starts_with('/').then(|| PathBuf::from(path))?;
    let base = if base.is_empty() { String::new() } else { format!("/{base}") };
    Some((Address::Unix(path), "localhost".into(), base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<HttpTarget, BadTarget> {
        HttpTarget::new(url, Trust::load(None).unwrap(), Options::default())
    }

    #[test]
    fn a_port_alone_is_a_local_target() {
        let target = target("3000").unwrap();
        assert_eq!(target.url(), "http://localhost:3000");
        assert_eq!(target.host, "localhost:3000");
    }

    #[test]
    fn a_unix_socket_may_have_a_base_path() {
        let target = target("unix:/run/app.sock:/hooks").unwrap();
        assert!(matches!(&target.address, Address::Unix(path) if path.ends_with("app.sock")));
        assert_eq!(target.base, "/hooks");
    }

    #[test]
    fn what_is_no_target_is_told() {
        for url in
            ["ftp://x", "localhost:3000", "http://", "http://u:p@h/", "http://h/?q", "unix:rel", ""]
        {
            assert!(target(url).is_err(), "{url}");
        }
    }
}
