//! A target that believes everything, answers by path, and keeps a journal of what it was asked.
//!
//! It is no judge: it takes what it can make sense of, as a careless program would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use relay_tests::raw::{Connection, Message, Written};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{interval, timeout};

/// How long the target's endless answer goes on if nobody leaves.
const ENDLESS: Duration = Duration::from_secs(20);

/// What became of a request at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Only its head has come.
    Begun,
    /// It came whole.
    Whole,
    /// It broke off.
    BrokenOff,
    /// Its caller left in the midst of the answer.
    Left,
}

/// A request as the target saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `X-Case`.
    pub(super) id: String,
    pub(super) message: Message,
    pub(super) end: End,
}

/// Every request, in order.
#[derive(Debug)]
pub(super) struct Journal(watch::Sender<Vec<Seen>>);

impl Journal {
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.0.borrow().clone()
    }

    /// Waits until a request of this case is in the journal with this end; `false` when there is none in time.
    pub(super) async fn has(&self, id: &str, end: End, within: Duration) -> bool {
        let mut seen = self.0.subscribe();
        let found = |all: &Vec<Seen>| all.iter().any(|s| s.id == id && s.end == end);
        timeout(within, seen.wait_for(found)).await.is_ok_and(|found| found.is_ok())
    }

    fn begin(&self, message: &Message) -> usize {
        let id = message.field("x-case").unwrap_or_default();
        let mut place = 0;
        self.0.send_modify(|seen| {
            place = seen.len();
            seen.push(Seen { id, message: message.clone(), end: End::Begun });
        });
        place
    }

    fn end(&self, place: usize, body: Vec<u8>, end: End) {
        self.0.send_modify(|seen| {
            seen[place].message.body = body;
            seen[place].end = end;
        });
    }
}

/// A running target.
pub(super) struct NaiveTarget {
    address: SocketAddr,
    journal: Arc<Journal>,
    accepting: AbortHandle,
}

impl NaiveTarget {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let journal = Arc::new(Journal(watch::Sender::new(Vec::new())));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&journal))).abort_handle();
        Self { address, journal, accepting }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn journal(&self) -> Arc<Journal> {
        Arc::clone(&self.journal)
    }
}

impl Drop for NaiveTarget {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, journal: Arc<Journal>) {
    let mut served = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        served.spawn(serve(Connection::of(socket), Arc::clone(&journal)));
    }
}

async fn serve(mut connection: Connection, journal: Arc<Journal>) {
    while let Ok(mut message) = connection.head().await {
        let place = journal.begin(&message);
        let path = String::from_utf8_lossy(message.path()).into_owned();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        if last == "early" {
            connection
                .try_send(Written::answer(413).field("Connection", "close").body("early").bytes())
                .await;
            return connection.ended().await;
        }
        if message.field("expect").is_some_and(|expect| expect == "100-continue") {
            connection.try_send("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let whole = body(&mut connection, &mut message).await.is_ok();
        let end = if whole { End::Whole } else { End::BrokenOff };
        journal.end(place, message.body.clone(), end);
        if !whole {
            return;
        }
        match last {
            "sse" => events(&mut connection).await,
            "endless" => {
                if endless(&mut connection).await {
                    journal.end(place, message.body, End::Left);
                }
                return;
            }
            _ if connection.try_send(answer(last, &message)).await => {}
            _ => return,
        }
        if matches!(last, "badcl" | "dupcl-resp") {
            return;
        }
    }
}

/// Reads a body by the first field that says how long it is.
async fn body(connection: &mut Connection, message: &mut Message) -> std::io::Result<()> {
    if message.field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        while let Some(bytes) = connection.chunk().await? {
            message.body.extend(bytes);
        }
        connection.exactly(2).await?;
    } else if let Some(length) = message.field("content-length").and_then(|v| v.parse().ok()) {
        message.body = connection.exactly(length).await?;
    }
    Ok(())
}

fn answer(last: &str, asked: &Message) -> Vec<u8> {
    let ok = Written::answer(200);
    match last {
        "304-body" => {
            Written::answer(304).field("Content-Length", "777").field("ETag", "\"a\"").bytes()
        }
        "1xx" => {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
            [&hints[..], &ok.body("after1xx").bytes()].concat()
        }
        // What it says to be gzip is none: whoever unpacks it fails.
        "gzipbomb" => ok.field("Content-Encoding", "gzip").body([0x1f; 10240]).bytes(),
        "bigbody" => ok.body(vec![b'B'; 25 << 20]).bytes(),
        "badcl" => [&ok.field("Content-Length", "100").bytes()[..], b"short"].concat(),
        "trailer-resp" => ok.field("Trailer", "X-T").chunks(&[b"ok"], &[("X-T", "v")]).bytes(),
        "hop-resp" => {
            let hop = ok.field("Connection", "X-Hop").field("X-Hop", "1");
            hop.field("Proxy-Authenticate", "Basic").body("ok").bytes()
        }
        "bighdr-resp" => ok.field("X-Big", "h".repeat(60_000)).body("ok").bytes(),
        "dupcl-resp" => ok.field("Content-Length", "5").body("ok").bytes(),
        _ => ok.body(&asked.body).bytes(),
    }
}

/// Server-sent events: each is to be with the caller before the next one is sent.
async fn events(connection: &mut Connection) {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.try_send(head).await;
    let mut pace = interval(Duration::from_millis(300));
    for n in 0..5 {
        pace.tick().await;
        let event = format!("data: {n}\n\n");
        connection.try_send(relay_tests::raw::chunk(event.as_bytes())).await;
    }
    connection.try_send("0\r\n\r\n").await;
}

/// An answer without an end; `true` when the caller has left.
async fn endless(connection: &mut Connection) -> bool {
    connection.try_send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut pace = interval(Duration::from_millis(10));
    let left = async {
        while connection.try_send(relay_tests::raw::chunk(&[b'e'; 1024])).await {
            pace.tick().await;
        }
    };
    timeout(ENDLESS, left).await.is_ok()
}
