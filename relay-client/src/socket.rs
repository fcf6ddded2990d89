//! A byte stream to somewhere: TCP, TLS over it, or a Unix socket. Knows addresses and certificates, no protocol above.

mod race;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

pub use tls::{Hint, Trust};

/// Up to how many bytes of several pieces are copied together and written as one: for less than a message's usual head and
/// body, that costs less than to have the kernel gather them.
const COPIED_MAX: usize = 2048;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("no address for {host}: {source}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address took the connection in time.
    #[error("no connection to {to}: {source}")]
    Refused {
        /// Host and port, or a path.
        to: String,
        /// What the last address said.
        source: io::Error,
    },
    /// No TLS session: certificate, name or handshake.
    #[error("no TLS with {host}: {source}{}", Hint::to_append(source))]
    Tls {
        /// The name that was expected.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl ConnectError {
    /// Whether only a person can change it: the other side is there, and what it shows is not what it should.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Tls { source, .. } if Hint::of(source).is_some())
    }
}

/// An open byte stream.
#[derive(Debug)]
pub enum Socket {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over another one, from either side: over TCP, or over what a proxy passes on.
    Tls(Box<TlsStream<Self>>),
    /// A Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// Connects to a host, trying its addresses in the manner of RFC 8305; with `trust`, speaks TLS.
    ///
    /// # Errors
    /// [`ConnectError`], also when a step takes longer than `limit`.
    pub async fn connect(
        host: &str,
        port: u16,
        trust: Option<&Trust>,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let to = || format!("{host}:{port}");
        let tcp = match timeout(limit, tcp(host, port)).await {
            Ok(tcp) => Self::Tcp(tcp?),
            Err(_) => return Err(ConnectError::Refused { to: to(), source: late() }),
        };
        match trust {
            Some(trust) => tcp.secured(host, trust, limit).await,
            None => Ok(tcp),
        }
    }

    /// From now on, the runtime that this is called on wakes who waits for it.
    ///
    /// # Errors
    /// When the system gives no further descriptor.
    pub fn come_home(&mut self) -> io::Result<()> {
        // TLS does not let go of what it is spoken over: that gets another descriptor of the same connection.
        match self {
            Self::Tcp(tcp) => {
                *tcp = TcpStream::from_std(tcp.as_fd().try_clone_to_owned()?.into())?;
            }
            Self::Unix(unix) => {
                *unix = UnixStream::from_std(unix.as_fd().try_clone_to_owned()?.into())?;
            }
            Self::Tls(tls) => tls.get_mut().0.come_home()?,
        }
        Ok(())
    }

    /// Speaks TLS over this one with the host at its other end.
    ///
    /// # Errors
    /// [`ConnectError::Tls`], also when it takes longer than `limit`.
    pub async fn secured(
        self,
        host: &str,
        trust: &Trust,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let failed = |source| ConnectError::Tls { host: host.to_owned(), source };
        let name = ServerName::try_from(bare(host).to_owned());
        let name = name.map_err(|e| failed(io::Error::other(e)))?;
        match timeout(limit, trust.connector().connect(name, self)).await {
            Ok(Ok(tls)) => Ok(Self::Tls(Box::new(tls.into()))),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(failed(late())),
        }
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// [`ConnectError::Refused`], also when it takes longer than `limit`.
    pub async fn connect_unix(path: &Path, limit: Duration) -> Result<Self, ConnectError> {
        let refused = |source| ConnectError::Refused { to: path.display().to_string(), source };
        match timeout(limit, UnixStream::connect(path)).await {
            Ok(unix) => unix.map(Self::Unix).map_err(refused),
            Err(_) => Err(refused(late())),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "timed out")
}

/// A host as resolvers and certificates know it: an IPv6 address stands in brackets in URLs only.
#[must_use]
pub fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The addresses of a host, in the order in which to try them.
///
/// # Errors
/// [`ConnectError::Dns`] when there is none.
pub async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = lookup_host((bare(host), port)).await;
    let found = found.map_err(|source| ConnectError::Dns { host: host.to_owned(), source })?;
    Ok(race::interleave(found))
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = addresses(host, port).await?;
    let refused = |source| ConnectError::Refused { to: format!("{host}:{port}"), source };
    let stream = race::first(addresses).await.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}

/// Several pieces as one, if there are several and they have room.
fn together<'a>(pieces: &[io::IoSlice<'_>], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut end = 0;
    for piece in pieces {
        room.get_mut(end..end + piece.len())?.copy_from_slice(piece);
        end += piece.len();
    }
    (pieces.len() > 1).then_some(&room[..end])
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut room = [0; COPIED_MAX];
        if let Some(together) = together(bufs, &mut room) {
            return self.poll_write(cx, together);
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_put_together_in_their_order() {
        let pieces = [&b"head"[..], b"", b"body"].map(io::IoSlice::new);
        assert_eq!(together(&pieces, &mut [0; 8]), Some(&b"headbody"[..]));
        assert_eq!(together(&pieces, &mut [0; 7]), None);
        assert_eq!(together(&pieces[..1], &mut [0; 8]), None);
    }
}
