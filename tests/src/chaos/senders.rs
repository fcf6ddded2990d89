//! Providers with a ledger: each posts one event after the other, each event once, and notes what it was told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::mark::{Mark, sha256};
use crate::raw::{Connection, Message, Written};
use crate::relay::Endpoint;
use crate::wait::pass;

/// How long a provider waits for an answer, as GitHub does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A provider of one stream.
#[derive(Debug)]
struct Sender {
    ledger: Arc<Ledger>,
    to: SocketAddr,
    endpoint: Endpoint,
    stream: u32,
    connection: Option<Connection>,
}

/// Providers that post until they are stopped.
#[derive(Debug)]
pub struct Senders {
    stop: CancellationToken,
    sending: JoinSet<()>,
}

impl Senders {
    /// So many streams for each endpoint, beginning with this one, each posting so often at the most; they wait while
    /// the relay is known to be away.
    #[must_use]
    pub fn start(
        ledger: &Arc<Ledger>,
        to: SocketAddr,
        endpoints: &[Endpoint],
        streams: std::ops::Range<u32>,
        pause: Duration,
        up: &watch::Receiver<bool>,
    ) -> Self {
        let (stop, mut sending) = (CancellationToken::new(), JoinSet::new());
        for endpoint in endpoints {
            for stream in streams.clone() {
                let (ledger, endpoint) = (Arc::clone(ledger), endpoint.clone());
                let mut sender = Sender { ledger, to, endpoint, stream, connection: None };
                let (stop, mut up) = (stop.clone(), up.clone());
                sending.spawn(async move {
                    for seq in 0.. {
                        let ready = up.wait_for(|up| *up);
                        tokio::select! {
                            () = stop.cancelled() => return,
                            ready = ready => drop(ready),
                        }
                        sender.post(seq).await;
                        // The pace is the load; nothing is waited for.
                        pass(pause).await;
                    }
                });
            }
        }
        Self { stop, sending }
    }

    /// Stops them, and waits for the answers under way.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.sending.join_next().await {
            ended.expect("no panic");
        }
    }
}

impl Sender {
    async fn post(&mut self, seq: u32) {
        let (endpoint, stream) = (self.endpoint.name.clone(), self.stream);
        let mark = Mark { endpoint, stream, seq };
        let body = mark.body();
        self.ledger.posts(&mark, sha256(&body));
        let request = Written::request("POST", format!("{}/{mark}", self.endpoint.path))
            .field("Host", self.to.to_string())
            .body(&body);
        let answer = timeout(PATIENCE, self.send(&request)).await;
        if let Ok(Some(answer)) = answer {
            let id = answer.field("content-type").is_some_and(|kind| kind == "application/json");
            let id = id.then(|| answer.json()["id"].as_str().map(str::to_owned)).flatten();
            self.ledger.answered(&mark, answer.status(), id);
        } else {
            self.connection = None;
        }
    }

    async fn send(&mut self, request: &Written) -> Option<Message> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::of(TcpStream::connect(self.to).await.ok()?),
        };
        let sent = connection.try_send(request.bytes()).await;
        let answer = connection.try_answer_to("POST").await.ok()?;
        let closes = answer.field("connection").is_some_and(|value| value == "close");
        self.connection = (sent && !closes).then_some(connection);
        Some(answer)
    }
}
