//! An address that is dead: whoever connects to it hears nothing, as with an IPv6 that leads nowhere.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a connection may take that is taken at all.
const TAKEN_WITHIN: Duration = Duration::from_millis(300);

/// The most connections that are made to fill it.
const FILLED_BY: usize = 64;

/// A listener that takes nobody, and whose queue is full.
#[derive(Debug)]
pub struct BlackHole {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl BlackHole {
    /// One at this address; none if that is not free, or if there is no such thing here.
    ///
    /// # Panics
    /// When it takes everybody.
    pub async fn at(address: SocketAddr) -> Option<Self> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
        let socket = socket.ok()?;
        socket.bind(address).ok()?;
        let listener = socket.listen(0).ok()?;
        let mut waiting = Vec::new();
        for _ in 0..FILLED_BY {
            match timeout(TAKEN_WITHIN, TcpStream::connect(address)).await {
                Ok(taken) => waiting.push(taken.ok()?),
                Err(_) => return Some(Self { _listener: listener, _waiting: waiting }),
            }
        }
        panic!("{address} takes everybody")
    }
}
