//! Frames that ask for nothing: PING, SETTINGS, PRIORITY, empty DATA and the like cost who gets them more than who sends
//! them (RFC 9113 §10.5), and the HTTP library takes as many as come.
//!
//! They are counted where they come in. What requests and answers bring along, such as window updates, is earned by their
//! bytes; a few a second are anybody's; above that, the connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Streams;
use crate::http::CallerSocket;

/// How many empty frames may come at once.
const BURST: u64 = 5_000;

/// How many a second are always in order.
const A_SECOND: u64 = 10;

/// How many bytes of requests and answers earn one.
const EARNED_BY: u64 = 256;

/// How many RST_STREAM costs: what it gives up was worked on, whatever has become of it since (CVE-2023-44487).
const RESET_COSTS: u64 = 20;

/// What comes before the first frame (RFC 9113 §3.4), in bytes.
const PREFACE: usize = 24;

/// The head of a frame (RFC 9113 §4.1), in bytes.
const HEAD: usize = 9;

/// Frame types (RFC 9113 §6): those that carry something, and the one that takes it back.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

/// The flag of the last DATA.
const END_STREAM: u8 = 1;

/// A caller's socket whose empty frames are counted.
#[derive(Debug)]
pub(super) struct Counted {
    socket: CallerSocket,
    frames: Frames,
    counted_at: Instant,
    streams: Arc<Streams>,
}

/// What has come, frame by frame.
#[derive(Debug)]
struct Frames {
    /// How many bytes go by until the next head.
    passing: usize,
    /// The next head as far as it is there.
    head: [u8; HEAD],
    there: usize,
    /// Empty frames that nothing has earned yet.
    empty: u64,
    /// Bytes that have not earned one yet.
    bytes: u64,
}

impl Counted {
    pub(super) fn new(socket: CallerSocket, streams: Arc<Streams>) -> Self {
        Self { socket, frames: Frames::new(), counted_at: Instant::now(), streams }
    }

    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.frames.pass(bytes);
        // Who resets a stream whose answer it has taken, or begun to, gives nothing up.
        self.frames.earn(u64::from(self.streams.taken()) * RESET_COSTS * EARNED_BY);
        let seconds = self.counted_at.elapsed().as_secs();
        if seconds > 0 {
            self.counted_at = Instant::now();
            self.frames.earn(seconds * A_SECOND * EARNED_BY);
        }
        if self.frames.empty > BURST {
            return Err(io::Error::other("a flood of frames that ask for nothing"));
        }
        Ok(())
    }
}

impl Frames {
    fn new() -> Self {
        Self { passing: PREFACE, head: [0; HEAD], there: 0, empty: 0, bytes: 0 }
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = self.passing.min(bytes.len());
            self.passing -= passed;
            bytes = &bytes[passed..];
            let more = (HEAD - self.there).min(bytes.len());
            self.head[self.there..self.there + more].copy_from_slice(&bytes[..more]);
            self.there += more;
            bytes = &bytes[more..];
            if self.there == HEAD {
                self.begin();
            }
        }
    }

    /// A head is whole.
    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        (self.there, self.passing) = (0, length as usize);
        let carries = match kind {
            DATA => length > 0 || flags & END_STREAM != 0,
            HEADERS => true,
            CONTINUATION => length > 0,
            _ => false,
        };
        if carries {
            self.earn(length.into());
        } else {
            self.empty += if kind == RST_STREAM { RESET_COSTS } else { 1 };
        }
    }

    fn earn(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.empty = self.empty.saturating_sub(self.bytes / EARNED_BY);
        self.bytes %= EARNED_BY;
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        Poll::Ready(this.count(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, buf))?;
        this.frames.earn(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(cx, bufs))?;
        this.frames.earn(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_told_apart_however_their_bytes_come() {
        let (ping, data) = (frame(6, 0, &[0; 8]), frame(DATA, 0, &[6; 200]));
        let sent = [
            &[0; PREFACE][..],
            &frame(4, 0, &[]),
            &ping,
            &frame(HEADERS, 4, &[6; 30]),
            &data,
            &frame(DATA, 0, &[]),
            &frame(DATA, END_STREAM, &[]),
            &ping,
        ]
        .concat();
        for piece in [1, 2, 7, 9, 100, sent.len()] {
            let mut frames = Frames::new();
            sent.chunks(piece).for_each(|bytes| frames.pass(bytes));
            assert_eq!((frames.empty, frames.bytes), (4, 230), "{piece} bytes at a time");
        }
    }

    #[test]
    fn what_carries_something_earns_what_comes_along_with_it() {
        let mut frames = Frames::new();
        frames.pass(&[0; PREFACE]);
        let update = frame(8, 0, &[0; 4]);
        for _ in 0..100_000 {
            frames.pass(&update);
            frames.earn(EARNED_BY);
        }
        assert_eq!(frames.empty, 0);
    }
}
