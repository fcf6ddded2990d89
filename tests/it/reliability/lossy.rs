//! A relay that cannot be trusted: promises everything at once, and sins with every tenth event. It shows that the checker
//! sees what it must.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relay_tests::raw::{Connection, Message, Written};
use relay_tests::relay::Endpoint;
use relay_tests::wait::{pass, soon};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vice {
    None,
    /// Forgets an event.
    Drops,
    /// Brings half of a body.
    Cuts,
    /// Changes one bit of a body.
    Flips,
    /// Brings an event to another endpoint's door.
    Misdirects,
    /// Brings an event again.
    Repeats,
    /// Brings an event under another id than it promised.
    Renames,
    /// Brings an event long after those behind it.
    Delays,
}

/// How late what comes late is: many events later.
const LATE: Duration = Duration::from_millis(200);

/// It sins with every event of this number.
const EVERY: u64 = 10;

#[derive(Debug)]
pub(super) struct Lossy {
    pub(super) address: SocketAddr,
    under_way: TaskTracker,
    accepting: AbortHandle,
}

impl Lossy {
    pub(super) async fn start(vice: Vice, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (under_way, count) = (TaskTracker::new(), Arc::new(AtomicU64::new(0)));
        let tracker = under_way.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tracker, count) = (tracker.clone(), Arc::clone(&count));
                tokio::spawn(serve(Connection::of(socket), vice, target, tracker, count));
            }
        });
        Self { address, under_way, accepting: accepting.abort_handle() }
    }

    pub(super) fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |name: &str| {
            let (name, path, key) = (name.to_owned(), format!("/hooks/{name}"), name.to_owned());
            Endpoint { name, path, key }
        };
        ["a", "b"].map(endpoint).to_vec()
    }

    /// Waits until everything has come that ever will.
    pub(super) async fn delivered(&self) {
        self.under_way.close();
        soon("all is delivered", self.under_way.wait()).await;
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    mut provider: Connection,
    vice: Vice,
    target: SocketAddr,
    under_way: TaskTracker,
    count: Arc<AtomicU64>,
) {
    while let Some(asked) = provider.try_request().await {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let promise = format!("{{\"id\":\"event-{n}\"}}");
        let vice = if n % EVERY == 3 { vice } else { Vice::None };
        under_way.spawn(deliver(asked, n, vice, target));
        let answer = Written::answer(202).field("Content-Type", "application/json").body(promise);
        provider.send(answer.bytes()).await;
    }
}

async fn deliver(asked: Message, n: u64, vice: Vice, target: SocketAddr) {
    let path = String::from_utf8(asked.path().to_vec()).unwrap();
    let mut path = path.trim_start_matches("/hooks").to_owned();
    let (mut body, mut id, mut times) = (asked.body, format!("event-{n}"), 1);
    match vice {
        Vice::None => {}
        Vice::Drops => return,
        Vice::Cuts => body.truncate(body.len() / 2),
        Vice::Flips => *body.last_mut().unwrap() ^= 1,
        Vice::Misdirects if path.starts_with("/a/") => path.replace_range(..2, "/b"),
        Vice::Misdirects => path.replace_range(..2, "/a"),
        Vice::Repeats => times = 2,
        Vice::Renames => id.push('x'),
        // To come late is what it is to do.
        Vice::Delays => pass(LATE).await,
    }
    for _ in 0..times {
        let mut connection = Connection::of(TcpStream::connect(target).await.unwrap());
        let request = Written::request("POST", &path).field("Host", "target");
        let request = request.field("Webhook-Relay-Event-Id", &id).body(&body);
        connection.send(request.bytes()).await;
        assert_eq!(connection.answer_to("POST").await.status(), 200);
    }
}
