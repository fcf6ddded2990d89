//! Through an HTTP proxy: CONNECT (RFC 9110 §9.3.6), with Basic authentication where there is a login.

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_util::task::AbortOnDropHandle;

use super::{Proxy, WayError};
use crate::dial::AGENT;
use crate::screen::clean;
use crate::socket::Socket;

/// The most header bytes of the proxy's answer that are read.
const HEAD_MAX: usize = 64 * 1024;

/// Has the proxy at the other end of this socket open a tunnel to a host.
pub(super) async fn open(
    proxy: &Proxy,
    socket: Socket,
    host: &str,
    port: u16,
    authorization: Option<&HeaderValue>,
) -> Result<Socket, WayError> {
    let to = format!("{host}:{port}");
    let request = request(&to, authorization).map_err(|e| proxy.refuses(host, port, e))?;
    let broke = |error: hyper::Error| {
        if error.is_parse() { proxy.is_none(error) } else { proxy.broke(error) }
    };
    let shaken = http1::Builder::new().max_buf_size(HEAD_MAX).handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = shaken.map_err(broke)?;
    // Ends when the tunnel is there, or is dropped with what waits for it.
    let _driving = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
    let response = sender.send_request(request).await.map_err(broke)?;
    if !response.status().is_success() {
        return Err(refused(proxy, host, port, &response, authorization.is_some()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(broke)?;
    let parts = upgraded.downcast::<TokioIo<Socket>>().expect("it is what was given");
    // Neither a relay nor TLS speaks first.
    if !parts.read_buf.is_empty() {
        return Err(proxy.is_none("it sends more than an answer to CONNECT"));
    }
    Ok(parts.io.into_inner())
}

fn request(
    to: &str,
    authorization: Option<&HeaderValue>,
) -> Result<Request<Empty<Bytes>>, http::Error> {
    let request = Request::builder().method(Method::CONNECT).uri(to);
    let mut request = request.header(HOST, to).header(USER_AGENT, AGENT).body(Empty::new())?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

/// What a proxy means that opens no tunnel.
fn refused(
    proxy: &Proxy,
    host: &str,
    port: u16,
    response: &Response<Incoming>,
    shown: bool,
) -> WayError {
    let status = response.status();
    let why = match response.headers().get("x-squid-error") {
        Some(told) => {
            format!("it answers {status} ({})", clean(&String::from_utf8_lossy(told.as_bytes())))
        }
        None => format!("it answers {status}"),
    };
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            proxy.wants_login(shown, &schemes(response.headers()))
        }
        // Not what RFC 9110 §11.7.1 wants, but what tinyproxy says of a wrong password.
        StatusCode::UNAUTHORIZED if shown => proxy.wants_login(shown, &schemes(response.headers())),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            proxy.cannot_reach(host, port, why)
        }
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => proxy.is_none(why),
        _ if status.is_server_error() => proxy.cannot_reach(host, port, why),
        _ => proxy.refuses(host, port, why),
    }
}

/// The ways to authenticate that a proxy takes.
fn schemes(headers: &HeaderMap) -> String {
    let offered =
        headers.get_all(PROXY_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let names = offered.filter_map(|value| value.split_whitespace().next());
    clean(&names.collect::<Vec<_>>().join(", "))
}
