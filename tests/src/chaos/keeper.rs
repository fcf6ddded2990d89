//! A target with a ledger: notes every request that came whole, and answers as its mood is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::ledger::{Arrival, Ledger};
use super::mark::sha256;
use crate::place::Place;
use crate::raw::{Connection, Message, Written};

/// How the target is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes everything.
    Well,
    /// It answers everything with this status.
    Failing(u16),
    /// It takes every second request and answers the others with 503.
    Flapping,
    /// It reads requests and never answers.
    Hanging,
    /// It breaks off in the middle of its answer.
    Cutting,
    /// Nobody listens.
    Down,
}

/// A target.
#[derive(Debug)]
pub struct Keeper {
    /// Where it listens.
    pub address: SocketAddr,
    mood: watch::Sender<Mood>,
    keeping: AbortHandle,
}

impl Keeper {
    /// One that is well.
    ///
    /// # Panics
    /// When the system has no port.
    pub async fn start(ledger: &Arc<Ledger>) -> Self {
        let place = Place::fresh();
        let address = place.address();
        let listener = TcpListener::bind(address).await.expect("its own port");
        let (mood, watched) = watch::channel(Mood::Well);
        let desk = Arc::new(Desk { ledger: Arc::clone(ledger), turn: AtomicU64::new(0) });
        let keeping = tokio::spawn(keep(listener, place, desk, watched)).abort_handle();
        Self { address, mood, keeping }
    }

    /// The URL of an endpoint's door.
    #[must_use]
    pub fn door(&self, endpoint: &str) -> String {
        format!("http://{}/{endpoint}", self.address)
    }

    /// Changes its mood.
    pub fn is(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

struct Desk {
    ledger: Arc<Ledger>,
    turn: AtomicU64,
}

async fn keep(
    mut listener: TcpListener,
    place: Place,
    desk: Arc<Desk>,
    mut mood: watch::Receiver<Mood>,
) {
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                served.spawn(serve(Connection::of(socket), Arc::clone(&desk), mood.clone()));
            }
            _ = served.join_next(), if !served.is_empty() => {}
            down = is_down(&mut mood) => {
                if !down {
                    return;
                }
                drop(listener);
                served.shutdown().await;
                if mood.wait_for(|mood| *mood != Mood::Down).await.is_err() {
                    return;
                }
                listener = TcpListener::bind(place.address()).await.expect("its own port");
            }
        }
    }
}

/// Waits until it is down; `false` when it is over.
async fn is_down(mood: &mut watch::Receiver<Mood>) -> bool {
    mood.wait_for(|mood| *mood == Mood::Down).await.is_ok()
}

async fn serve(mut connection: Connection, desk: Arc<Desk>, mut mood: watch::Receiver<Mood>) {
    while let Some(message) = connection.try_request().await {
        let now = *mood.borrow_and_update();
        let status = desk.status(now);
        desk.notes(&message, status);
        match (status, now) {
            (Some(status), _) => {
                let answer = Written::answer(status).body("noted").bytes();
                if !connection.try_send(answer).await {
                    return;
                }
            }
            (None, Mood::Cutting) => {
                let _ = connection
                    .try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                    .await;
                return;
            }
            // Until it is well again, and even then this one gets no answer.
            (None, _) => drop(mood.wait_for(|mood| *mood != Mood::Hanging).await),
        }
    }
}

impl Desk {
    fn status(&self, mood: Mood) -> Option<u16> {
        match mood {
            Mood::Well => Some(200),
            Mood::Failing(status) => Some(status),
            Mood::Flapping if self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                Some(503)
            }
            Mood::Flapping => Some(200),
            Mood::Hanging | Mood::Cutting | Mood::Down => None,
        }
    }

    /// The path says at whose door it is, and what was posted; the body says the latter again.
    fn notes(&self, message: &Message, status: Option<u16>) {
        let path = String::from_utf8_lossy(message.path()).into_owned();
        let (door, said) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let id = message.field("webhook-relay-event-id").unwrap_or_default();
        let first = message.body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let said = if first == said.as_bytes() {
            said.to_owned()
        } else {
            format!("{said} with another's body")
        };
        self.ledger.arrives(&said, Arrival::new(door, sha256(&message.body), &id, status));
    }
}
