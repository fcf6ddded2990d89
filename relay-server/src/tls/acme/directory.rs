//! The way to an ACME directory: one request at a time over HTTPS. Knows no ACME.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use relay_client::socket::{Socket, Trust};
use tokio::time::timeout;

/// How long a connection and its handshake may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How long one request may take in all.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 1 << 20;

/// The way there.
pub(super) struct Directory {
    /// Whom to trust.
    pub(super) trust: Trust,
}

impl HttpClient for Directory {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let trust = self.trust.clone();
        Box::pin(async move {
            let url = request.uri().to_string();
            let told = |why: String| Error::Other(format!("{url}: {why}").into());
            match timeout(TIMEOUT, exchange(&trust, request)).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(why)) => Err(told(why.to_string())),
                Err(_) => Err(told(format!("no answer in {TIMEOUT:?}"))),
            }
        })
    }
}

async fn exchange(
    trust: &Trust,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Box<dyn std::error::Error + Send + Sync>> {
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
    let authority = authority.ok_or("it is no https URL")?;
    let (host, port) = (authority.host(), authority.port_u16().unwrap_or(443));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    request.headers_mut().insert(HOST, HeaderValue::try_from(authority.as_str())?);
    let socket = Socket::connect(host, port, Some(trust), CONNECT_TIMEOUT).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // Ends with the answer, for nothing more is sent.
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
    connection.abort();
    Ok(BytesResponse { parts, body: Box::new(body) })
}
