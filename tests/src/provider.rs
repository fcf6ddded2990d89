//! Who sends webhooks: a plain HTTP client that keeps its connection or does not.

use std::io;
use std::net::SocketAddr;

use relay_client::socket::Trust;

use crate::raw::{Connection, Message, Written};
use crate::wait::soon;

/// A provider that knows one URL.
#[derive(Debug)]
pub struct Provider {
    address: SocketAddr,
    host: String,
    prefix: String,
    kept: Option<Connection>,
    keeps: bool,
    trust: Option<Trust>,
}

impl Provider {
    /// One that posts below this path at this address, on a new connection each time.
    #[must_use]
    pub fn of(address: SocketAddr, prefix: &str) -> Self {
        let (host, prefix) = (address.to_string(), prefix.to_owned());
        Self { address, host, prefix, kept: None, keeps: false, trust: None }
    }

    /// The same, keeping its connection.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { keeps: true, ..self }
    }

    /// The same, asking for this host.
    #[must_use]
    pub fn for_host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// The same, over TLS with `localhost`.
    #[must_use]
    pub fn over_tls(self, trust: Trust) -> Self {
        Self { trust: Some(trust), ..self }
    }

    /// A request below its URL, with a `Host`.
    #[must_use]
    pub fn request(&self, method: &str, path: impl AsRef<[u8]>) -> Written {
        let path = [self.prefix.as_bytes(), path.as_ref()].concat();
        Written::request(method, path).field("Host", &self.host)
    }

    /// A fresh connection with this request sent on it.
    pub async fn begin(&self, request: &Written) -> Connection {
        let mut connection = self.connect().await;
        connection.send(request.bytes()).await;
        connection
    }

    async fn connect(&self) -> Connection {
        match &self.trust {
            Some(trust) => Connection::secure(self.address.port(), trust).await,
            None => Connection::to(self.address).await,
        }
    }

    /// Posts a body and gets the answer.
    pub async fn post(&mut self, path: &str, body: impl AsRef<[u8]>) -> Message {
        let request = self.request("POST", path).body(body);
        self.send("POST", &request).await
    }

    /// Gets a path.
    pub async fn get(&mut self, path: &str) -> Message {
        let request = self.request("GET", path);
        self.send("GET", &request).await
    }

    /// Sends a request of this method and gets the answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn send(&mut self, method: &str, request: &Written) -> Message {
        self.try_send(method, request).await.expect("a whole answer")
    }

    /// Sends a request of this method and gets the answer, if there is one.
    ///
    /// # Errors
    /// When the connection ends before the answer is whole.
    pub async fn try_send(&mut self, method: &str, request: &Written) -> io::Result<Message> {
        let mut connection = match self.kept.take() {
            Some(connection) => connection,
            None => self.connect().await,
        };
        connection.send(request.bytes()).await;
        let answer = soon("an answer", connection.try_answer_to(method)).await?;
        let closes = answer.field("connection").is_some_and(|value| value == "close");
        self.kept = (self.keeps && !closes).then_some(connection);
        Ok(answer)
    }
}
