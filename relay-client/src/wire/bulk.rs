//! Reads a socket in large pieces for a reader that asks for small ones.
//!
//! The WebSocket library asks for a frame's header and then for its payload, a system call each. Here they share one,
//! and an idle line holds no buffer for it: the large one goes from socket to socket of the same thread.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// How much is read at once, in bytes: a batch of small frames, or a large one.
const PIECE: usize = 64 * 1024;

thread_local! {
    /// Room for the next socket that this thread reads.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A socket that reads ahead.
#[derive(Debug)]
pub(super) struct Bulk {
    socket: Socket,
    ahead: Option<Ahead>,
}

/// What was read and not asked for yet: never nothing.
#[derive(Debug)]
struct Ahead {
    room: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Bulk {
    /// A socket of which `ahead` was read already.
    pub(super) fn new(socket: Socket, ahead: &[u8]) -> Self {
        let read = || Ahead { room: ahead.into(), begin: 0, end: ahead.len() };
        Self { socket, ahead: (!ahead.is_empty()).then(read) }
    }

    /// Reads what still comes, for nobody, until the other side has closed.
    pub(super) async fn read_to_nowhere(&mut self) {
        self.ahead = None;
        let mut room = room();
        let mut read = |cx: &mut Context<'_>| {
            let mut piece = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut piece))?;
            Poll::Ready(Ok::<_, io::Error>(piece.filled().len()))
        };
        while matches!(poll_fn(&mut read).await, Ok(1..)) {}
    }

    /// Reads as much as is there.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = room();
        let mut piece = ReadBuf::new(&mut room);
        let read = Pin::new(&mut self.socket).poll_read(cx, &mut piece);
        match piece.filled().len() {
            0 => keep(room),
            end => self.ahead = Some(Ahead { room, begin: 0, end }),
        }
        read
    }
}

impl Ahead {
    fn serve(&mut self, buf: &mut ReadBuf<'_>) {
        let served = (self.end - self.begin).min(buf.remaining());
        buf.put_slice(&self.room[self.begin..][..served]);
        self.begin += served;
    }
}

fn room() -> Box<[u8]> {
    SPARE.take().unwrap_or_else(|| vec![0; PIECE].into())
}

fn keep(room: Box<[u8]>) {
    if room.len() == PIECE {
        SPARE.set(Some(room));
    }
}

impl AsyncRead for Bulk {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_none() {
            ready!(this.poll_ahead(cx))?;
        }
        // Nothing ahead is the end.
        if let Some(mut ahead) = this.ahead.take() {
            ahead.serve(buf);
            match ahead.begin < ahead.end {
                true => this.ahead = Some(ahead),
                false => keep(ahead.room),
            }
        }
        Poll::Ready(Ok(()))
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
