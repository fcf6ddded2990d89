//! The provider of the demo: posts one webhook to a public URL and signs it as GitHub does.

use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::receiver::{SIGNATURE, sign};

/// What is posted. The spaces are part of what is signed, and reach the receiver as they are.
const BODY: &str = r#"{ "zen": "Keep it logically awesome.",  "hook_id": 1 }"#;

/// What stands behind the public URL: it reaches the receiver as it is.
const SUB_PATH: &str = "/github?from=demo";

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// A webhook, signed and ready to go.
pub(super) struct Webhook {
    url: String,
    target: String,
    host: String,
    signature: String,
}

/// What came back for it.
pub(super) struct Answer {
    pub(super) status: u16,
    /// What the receiver says of the signature.
    pub(super) signature: String,
}

impl Webhook {
    pub(super) fn signed(url: &str, secret: &str) -> anyhow::Result<Self> {
        let url = format!("{url}{SUB_PATH}");
        let uri: Uri = url.parse()?;
        let target = uri.path_and_query().context("a URL without a path")?.to_string();
        let host = uri.authority().context("a URL without a host")?.to_string();
        Ok(Self { url, target, host, signature: sign(secret, BODY.as_bytes()) })
    }

    /// What it is, in a line.
    pub(super) fn told(&self) -> String {
        format!("POST {} with {} bytes, signed", self.target, BODY.len())
    }

    /// The same webhook as a command for a shell.
    pub(super) fn curl(&self) -> String {
        let Self { url, signature, .. } = self;
        format!(
            "curl -i '{url}' -H 'Content-Type: application/json' -H 'X-GitHub-Event: ping' \\\n  \
             -H 'X-Hub-Signature-256: {signature}' \\\n  --data-binary '{BODY}'"
        )
    }

    /// Posts it to the relay at this address.
    pub(super) async fn send(&self, relay: SocketAddr) -> anyhow::Result<Answer> {
        let socket = TcpStream::connect(relay).await.context("the relay takes no connection")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.target)
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("user-agent", "relay-demo")
            .header("x-github-event", "ping")
            .header(SIGNATURE, &self.signature)
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))?;
        // The connection ends with the exchange, which owns its sender.
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            let signature = said["signature"].as_str().unwrap_or("not checked").to_owned();
            Ok(Answer { status, signature })
        };
        tokio::join!(exchange, connection).0
    }
}
