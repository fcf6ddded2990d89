//! The WebSocket upgrade of an agent's line (RFC 6455 §4.2), from the request to the bare socket. Knows no sessions.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use relay_client::wire::Pipe;
use relay_protocol::LINE_HEADER;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::http::ServerIo;

/// The key of a WebSocket upgrade (RFC 6455 §4.2.1), if the request is one.
pub(super) fn key<'a>(method: &Method, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    let fits = method == Method::GET && has(CONNECTION, "upgrade") && has(UPGRADE, "websocket");
    let version = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    if fits && version { headers.get(SEC_WEBSOCKET_KEY) } else { None }
}

/// The answer that the upgrade is accepted with.
pub(super) fn switching(key: &HeaderValue) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes());
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).expect("base64"));
    response
}

/// Which of its agent's lines it is to be, by a hint that not every agent gives ([`LINE_HEADER`]).
pub(super) fn line(headers: &HeaderMap) -> usize {
    let hint = headers.get(LINE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    hint.map_or(0, |line: u8| line.into())
}

/// The socket without the HTTP library's buffers around it, at home on the thread that this runs on.
pub(super) async fn pipe(upgraded: Upgraded) -> std::io::Result<Pipe> {
    let parts = upgraded.downcast::<ServerIo>().expect("every connection is served over it");
    let mut socket = TokioIo::into_inner(parts.io).into_inner();
    socket.come_home()?;
    Ok(Pipe::new(socket, &parts.read_buf, Role::Server).await)
}
