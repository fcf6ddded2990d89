//! Reads a socket in large pieces for a reader that asks for small ones.
//!
//! The WebSocket library asks for a frame's header and then for its payload, a system call each. Here they share one,
//! and an idle line holds no buffer for it: the large one belongs to the thread.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// How much is read at once, in bytes: a batch of small frames, or a large one.
const PIECE: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8; PIECE]>> = RefCell::new(Box::new([0; PIECE]));
}

/// A socket that reads ahead.
#[derive(Debug)]
pub(super) struct Bulk {
    socket: Socket,
    ahead: BytesMut,
}

impl Bulk {
    /// A socket of which `ahead` was read already.
    pub(super) fn new(socket: Socket, ahead: &[u8]) -> Self {
        Self { socket, ahead: BytesMut::from(ahead) }
    }

    /// Reads what still comes, for nobody, until the other side has closed.
    pub(super) async fn read_to_nowhere(&mut self) {
        self.ahead = BytesMut::new();
        let mut read = |cx: &mut Context<'_>| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut piece = ReadBuf::new(&mut scratch[..]);
                ready!(Pin::new(&mut self.socket).poll_read(cx, &mut piece))?;
                Poll::Ready(Ok::<_, io::Error>(piece.filled().len()))
            })
        };
        while matches!(poll_fn(&mut read).await, Ok(1..)) {}
    }

    fn serve(&mut self, buf: &mut ReadBuf<'_>) {
        let served = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..served]);
        self.ahead.advance(served);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }
}

impl AsyncRead for Bulk {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut piece = ReadBuf::new(&mut scratch[..]);
                ready!(Pin::new(&mut this.socket).poll_read(cx, &mut piece))?;
                let read = piece.filled();
                let (now, later) = read.split_at(read.len().min(buf.remaining()));
                buf.put_slice(now);
                this.ahead.extend_from_slice(later);
                Poll::Ready(Ok(()))
            })
        } else {
            this.serve(buf);
            Poll::Ready(Ok(()))
        }
    }
}

impl AsyncWrite for Bulk {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
