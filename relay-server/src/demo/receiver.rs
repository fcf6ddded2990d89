//! The sample receiver: what a team would run behind its firewall. Checks the provider's signature over the exact bytes.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// GitHub's header: `sha256=` and the HMAC-SHA-256 of the body in hexadecimal.
pub(super) const SIGNATURE: &str = "x-hub-signature-256";

/// The longest body, in bytes: what the relay takes by default.
const BODY_MAX: usize = 26 << 20;

/// How many connections at a time; the agent keeps far fewer.
const CONNECTIONS_MAX: usize = 1024;

/// A running receiver; stops when dropped.
pub(super) struct Receiver {
    address: SocketAddr,
    accepting: AbortHandle,
}

impl Receiver {
    /// One on a port of its own, which knows this secret.
    pub(super) async fn start(secret: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, key(secret))).abort_handle();
        Ok(Self { address, accepting })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

/// The value of the signature header for this body.
pub(super) fn sign(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&key(secret), body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// What the receiver finds about a signature.
fn check(key: &hmac::Key, headers: &HeaderMap, body: &[u8]) -> &'static str {
    let Some(given) = headers.get(SIGNATURE) else { return "absent" };
    let tag = given.to_str().ok().and_then(|text| text.strip_prefix("sha256=")).and_then(unhex);
    match tag.map(|tag| hmac::verify(key, body, &tag)) {
        Some(Ok(())) => "verified",
        _ => "wrong",
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

async fn accept(listener: TcpListener, key: hmac::Key) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        tokio::select! {
            Ok((socket, _)) = listener.accept() => drop(connections.spawn(serve(socket, key.clone()))),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, key: hmac::Key) {
    let service = service_fn(move |request| {
        let key = key.clone();
        async move { Ok::<_, Infallible>(answer(request, &key).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(request: Request<Incoming>, key: &hmac::Key) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let (status, said) = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            let signature = check(key, &head.headers, &body);
            let status =
                if signature == "wrong" { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            let said = json!({
                "receiver": "demo", "method": head.method.as_str(), "path": target,
                "bytes": body.len(), "signature": signature,
            });
            (status, said)
        }
        Err(error) => (StatusCode::BAD_REQUEST, json!({"error": error.to_string()})),
    };
    let mut response = Response::new(Full::new(Bytes::from(format!("{said}\n"))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: Option<&str>, body: &[u8]) -> &'static str {
        let header = header.map(|value| (SIGNATURE.parse().unwrap(), value.parse().unwrap()));
        check(&key("It's a Secret to Everybody"), &HeaderMap::from_iter(header), body)
    }

    /// The example in GitHub's documentation of webhook signatures.
    #[test]
    fn a_signature_is_checked_as_github_makes_it() {
        let theirs = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(sign("It's a Secret to Everybody", b"Hello, World!"), theirs);
        assert_eq!(found(Some(theirs), b"Hello, World!"), "verified");
        assert_eq!(found(Some(theirs), b"Hello, World?"), "wrong");
        assert_eq!(found(Some("sha256=zz"), b"Hello, World!"), "wrong");
        assert_eq!(found(None, b"Hello, World!"), "absent");
    }
}
