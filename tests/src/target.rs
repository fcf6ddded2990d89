//! A local target: answers by a script, or lets the story answer by hand; remembers every request as it came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Mutex as Turn, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use crate::raw::{Connection, Message, Written};
use crate::wait::{soon, until};

/// How many connections may wait for the story to take them.
const WAITING_MAX: usize = 4096;

/// A target on a port of its own.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Message>>>,
    connections: Turn<mpsc::Receiver<Connection>>,
    accepting: AbortHandle,
}

impl Target {
    /// Answers each request with what the script makes of it, on connections that are kept.
    pub async fn scripted(script: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(Some(Arc::new(script))).await
    }

    /// Answers everything with this status and body.
    pub async fn answering(status: u16, body: &'static str) -> Self {
        Self::scripted(move |_| Written::answer(status).body(body).bytes()).await
    }

    /// Answers with the request's own body.
    pub async fn echo() -> Self {
        Self::scripted(|asked| Written::answer(200).body(&asked.body).bytes()).await
    }

    /// Leaves every connection to the story: see [`asked`](Self::asked).
    pub async fn by_hand() -> Self {
        Self::start(None).await
    }

    async fn start(script: Option<Arc<Script>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (waiting, connections) = mpsc::channel(WAITING_MAX);
        let seen = Arc::<Mutex<Vec<Message>>>::default();
        let accepting = tokio::spawn(accept(listener, script, Arc::clone(&seen), waiting));
        let accepting = accepting.abort_handle();
        Self { address, seen, connections: Turn::new(connections), accepting }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next connection, of a target that is played by hand.
    pub async fn connection(&self) -> Connection {
        let mut connections = self.connections.lock().await;
        soon("the target is connected to", connections.recv()).await.expect("it listens")
    }

    /// The next request on a new connection, and the connection to answer it on.
    ///
    /// # Panics
    /// When nobody asks.
    pub async fn asked(&self) -> (Message, Connection) {
        let mut connection = self.connection().await;
        let message = soon("the target is asked", connection.request()).await.expect("a request");
        (message, connection)
    }

    /// Every request so far, as a scripted target has seen it.
    #[must_use]
    pub fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests have come, and gives them.
    ///
    /// # Panics
    /// When they do not come, or more of them.
    pub async fn has_seen(&self, wanted: usize) -> Vec<Message> {
        until(&format!("{wanted} requests come"), async || self.seen().len() >= wanted).await;
        let seen = self.seen();
        assert_eq!(seen.len(), wanted, "no more than that: {seen:?}");
        seen
    }

    /// The only request so far.
    ///
    /// # Panics
    /// When there is none, or more than one.
    #[must_use]
    pub fn only(&self) -> Message {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "one request: {seen:?}");
        seen.remove(0)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Script = dyn Fn(&Message) -> Vec<u8> + Send + Sync;

async fn accept(
    listener: TcpListener,
    script: Option<Arc<Script>>,
    seen: Arc<Mutex<Vec<Message>>>,
    waiting: mpsc::Sender<Connection>,
) {
    let mut served = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let connection = Connection::of(socket);
        match &script {
            Some(script) => {
                drop(served.spawn(serve(connection, Arc::clone(script), Arc::clone(&seen))));
            }
            None => drop(waiting.send(connection).await),
        }
    }
}

async fn serve(mut connection: Connection, script: Arc<Script>, seen: Arc<Mutex<Vec<Message>>>) {
    while let Some(message) = connection.request().await {
        let answer = script(&message);
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        if !connection.try_send(answer).await {
            return;
        }
    }
}
