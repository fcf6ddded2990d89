//! The front door: accepts connections, speaks HTTP/1.1 and, over TLS, HTTP/2, and holds the one list of routes.

mod body;
mod caller;
mod http2;
mod lobby;
mod routes;

use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use relay_client::socket::Socket;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::Sender;
use crate::tls::{Secured, Shown, Tls};

pub use body::ResponseBody;
pub use caller::{Asking, CallerSocket};
pub use lobby::Lobby;
pub use routes::{HOOKS, Routes};

/// What a connection is served over.
pub type ServerIo = TokioIo<CallerSocket>;

/// How long to wait when the process has no file descriptor left for a connection.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

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

    /// Marks that an answer is under way, until the guard is dropped.
    #[must_use]
    pub fn answering(&self) -> Asking {
        self.asking.answering()
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
    fn serve(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        asking: Asking,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
        match self {
            Self::Relay(routes) => Either::Left(Arc::clone(routes).serve(request, peer, asking)),
            Self::Lobby(lobby) => Either::Right(ready(Ok(lobby.serve(&request, &peer)))),
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
    pub draining: CancellationToken,
}

impl Front {
    /// One without connections.
    #[must_use]
    pub fn new(door: Door, tls: Option<Arc<Tls>>, header_timeout: Duration) -> Self {
        let (connections, draining) = (TaskTracker::new(), CancellationToken::new());
        Self { door, tls, header_timeout, connections, draining }
    }

    /// Accepts connections until the relay drains.
    pub async fn accept(self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.draining.cancelled() => return,
            };
            match accepted {
                Ok((socket, address)) => {
                    let _ = socket.set_nodelay(true);
                    // Two kinds of tasks: who speaks in clear does not pay for the size of the other.
                    match self.tls.clone() {
                        Some(tls) => {
                            self.connections.spawn(self.clone().shake_hands(tls, socket, address))
                        }
                        None => {
                            let peer = Peer::in_clear(address);
                            self.connections.spawn(self.clone().serve(Socket::Tcp(socket), peer))
                        }
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(OUT_OF_FILES).await;
                }
            }
        }
    }

    async fn shake_hands(self, tls: Arc<Tls>, socket: TcpStream, address: SocketAddr) {
        let shaken = tokio::select! {
            shaken = tls.accept(socket, self.header_timeout) => shaken,
            () = self.draining.cancelled() => return,
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
        let address = peer.address;
        let door = self.door.clone();
        let service = service_fn(move |request| {
            // From here on, not from the first poll: the end of the caller's sending side may be read before that.
            let asking = peer.asking.asking();
            door.serve(request, peer.clone(), asking)
        });
        let mut builder = http1::Builder::new();
        // The socket itself is impatient with slow heads: the library's own timer costs one timer a request.
        builder.header_read_timeout(None).max_headers(FIELDS_MAX);
        builder.max_buf_size(HEAD_BUFFER).max_header_size(HEAD_BUFFER);
        let connection = builder.serve_connection(TokioIo::new(socket), service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let mut drains = std::pin::pin!(self.draining.cancelled());
        let (mut watched, mut told) = (false, false);
        let ended = poll_fn(|cx| {
            // Its waker stays where it is until it is used: after the first time a look at the token is enough.
            if !told && (!watched || self.draining.is_cancelled()) {
                (watched, told) = (true, drains.as_mut().poll(cx).is_ready());
                if told {
                    connection.as_mut().graceful_shutdown();
                }
            }
            connection.as_mut().poll(cx)
        });
        let ended = ended.await;
        if let Err(error) = ended {
            tracing::debug!(%address, %error, "a connection has ended");
        }
    }
}
