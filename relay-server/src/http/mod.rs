//! The front door: accepts connections, speaks HTTP/1.1 and, over TLS, HTTP/2, and holds the one list of routes.

mod body;
mod caller;
mod draining;
mod http2;
mod lobby;
mod routes;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_client::socket::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::event::Sender;
use crate::tls::{Secured, Shown, Tls};
use crate::workers::{BACKLOG, hear_no_more};

pub use body::ResponseBody;
pub use caller::{Asking, CallerSocket};
pub use draining::Draining;
pub use lobby::Lobby;
pub use routes::{HOOKS, Routes};

/// What a connection is served over.
pub type ServerIo = TokioIo<CallerSocket>;

/// How long to wait when the process has no file descriptor left for a connection.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// How long after the relay begins to drain a connection without a request is kept: one that was sent before is on its way
/// for so long, and a connection closed under it is reset.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The largest head that is read at all, in bytes; what is above its own bound but below this gets a proper refusal.
const HEAD_BUFFER: usize = 128 * 1024;

/// How many fields a head or a trailer section may have; cookies that come one by one are one.
pub const FIELDS_MAX: usize = 100;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address the connection comes from.
    pub address: SocketAddr,
    sender: Sender,
    /// Whether it speaks TLS with us.
    pub https: bool,
    /// What it has shown of itself there.
    pub shown: Shown,
    asking: caller::Phase,
}

/// Who has sent a request to the API: the address that is behind the trusted proxies.
#[derive(Debug, Clone, Copy)]
pub struct Remote(pub IpAddr);

impl Peer {
    fn in_clear(address: SocketAddr) -> Self {
        let (shown, asking) = (Shown::Nothing, caller::Phase::default());
        let sender = address.ip().to_canonical().into();
        Self { address, sender, https: false, shown, asking }
    }

    /// A sender as it is written; mostly it is the peer itself.
    #[must_use]
    pub fn written(&self, sender: IpAddr) -> Sender {
        if sender == self.sender.ip() { self.sender.clone() } else { sender.into() }
    }

    /// Marks that an answer in pieces begins: it is under way until the guard is dropped.
    pub async fn begin_answer(&self) -> Asking {
        self.asking.begin_answer().await
    }

    /// Marks that the request has come to its end.
    pub fn has_all(&self) {
        self.asking.owes(false);
    }
}

/// What a listener leads to.
#[derive(Debug, Clone)]
pub enum Door {
    /// The relay.
    Relay(Arc<Routes>),
    /// The way to the relay.
    Lobby(Arc<Lobby>),
}

impl Door {
    async fn serve(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        asking: Asking,
    ) -> Result<Response<ResponseBody>, Infallible> {
        match self {
            Self::Relay(routes) => routes.serve(request, peer, asking).await,
            Self::Lobby(lobby) => Ok(lobby.serve(&request, peer)),
        }
    }
}

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Front {
    /// What is served.
    pub door: Door,
    /// How TLS is spoken, where it is.
    pub tls: Option<Arc<Tls>>,
    /// How long a request's head may take, and an idle connection be kept.
    pub header_timeout: Duration,
    /// Every connection under way.
    pub connections: TaskTracker,
    /// Told to finish what is under way and take no more.
    pub draining: Draining,
}

impl Front {
    /// One without connections.
    #[must_use]
    pub fn new(door: Door, tls: Option<Arc<Tls>>, header_timeout: Duration) -> Self {
        let (connections, draining) = (TaskTracker::new(), Draining::default());
        Self { door, tls, header_timeout, connections, draining }
    }

    /// Accepts connections until the relay drains.
    pub async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.draining.begun() => return self.accept_the_rest(listener),
            };
            match accepted {
                Ok((socket, address)) => self.begin(socket, address),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(OUT_OF_FILES).await;
                }
            }
        }
    }

    /// Closes the door behind those who have come: whoever still waits in the kernel's queue is reset with its listener.
    fn accept_the_rest(&self, listener: TcpListener) {
        hear_no_more(&listener);
        let Ok(listener) = listener.into_std() else { return };
        for _ in 0..BACKLOG {
            let Ok((socket, address)) = listener.accept() else { return };
            let socket = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket));
            match socket {
                Ok(socket) => self.begin(socket, address),
                Err(error) => tracing::warn!(%error, "a connection was not accepted"),
            }
        }
    }

    fn begin(&self, socket: TcpStream, address: SocketAddr) {
        let _ = socket.set_nodelay(true);
        // Two kinds of tasks: who speaks in clear does not pay for the size of the other.
        match self.tls.clone() {
            Some(tls) => self.connections.spawn(self.clone().shake_hands(tls, socket, address)),
            None => {
                let peer = Peer::in_clear(address);
                self.connections.spawn(self.clone().serve(Socket::Tcp(socket), peer))
            }
        };
    }

    /// Completes when the relay drains and a request that was sent before has had the time to come.
    async fn last_call(draining: Draining) {
        draining.begun().await;
        // Boxed, as it is only now that it is needed.
        Box::pin(tokio::time::sleep(LAST_CALL)).await;
    }

    async fn shake_hands(self, tls: Arc<Tls>, socket: TcpStream, address: SocketAddr) {
        let shaken = tokio::select! {
            shaken = tls.accept(socket, self.header_timeout) => shaken,
            () = Self::last_call(self.draining.clone()) => return,
        };
        let Secured { socket, http2, shown } = match shaken {
            Ok(secured) => secured,
            Err(error) => return tracing::debug!(%address, %error, "no TLS with a caller"),
        };
        let peer = Peer { https: true, shown, ..Peer::in_clear(address) };
        if http2 {
            Box::pin(http2::serve(self, socket, peer)).await;
        } else {
            Box::pin(self.serve(socket, peer)).await;
        }
    }

    async fn serve(self, socket: Socket, peer: Peer) {
        let socket = CallerSocket::new(socket, self.header_timeout, peer.asking.clone());
        let (address, phase) = (peer.address, peer.asking.clone());
        // One counter of the connection's own, instead of those of what all connections share.
        let served = Arc::new((self.door.clone(), peer));
        let service = service_fn(move |request| {
            // From here on, not from the first poll: the end of the caller's sending side may be read before that.
            let (asking, served) = (served.1.asking.asking(), Arc::clone(&served));
            async move {
                let (door, peer) = &*served;
                door.serve(request, peer, asking).await
            }
        });
        let mut builder = http1::Builder::new();
        // The socket itself is impatient with slow heads: the library's own timer costs one timer a request.
        builder.header_read_timeout(None).max_headers(FIELDS_MAX);
        builder.max_buf_size(HEAD_BUFFER).max_header_size(HEAD_BUFFER);
        let connection = builder.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let draining = self.draining.clone();
        let mut last_call = std::pin::pin!(Self::last_call(self.draining));
        let (mut watched, mut told) = (false, false);
        let ended = poll_fn(|cx| {
            // First of all what has come: the library closes a connection on which it has read nothing yet.
            let ended = connection.as_mut().poll(cx);
            // Its waker stays where it is until it is used: after the first time a look at the token is enough.
            if ended.is_ready() || told || watched && !draining.has_begun() {
                return ended;
            }
            watched = true;
            let called = last_call.as_mut().poll(cx).is_ready();
            told = called || draining.has_begun() && !phase.is_idle();
            if !told {
                return ended;
            }
            connection.as_mut().graceful_shutdown();
            connection.as_mut().poll(cx)
        });
        let ended = ended.await;
        if let Err(error) = ended {
            tracing::debug!(%address, %error, "a connection has ended");
        }
    }
}
