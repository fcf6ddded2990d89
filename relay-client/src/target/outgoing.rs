//! A request on its way to a target: writes its head and its body as the body comes.

use std::fmt::Write;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use relay_protocol::webhook::Fields;
use tokio::io::AsyncWrite;

use super::body::{Framing, Piece, RequestBody};
use super::message::{Message, is_of_this_hop, put_field};
use crate::socket::Socket;

/// Why a request does not go on.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Its rest will not come, or is not what was told: the target must not take it for whole.
    Body(io::Error),
    /// The target takes no more. It may have answered all the same.
    Socket(io::Error),
}

/// A request, as far as it has not been written yet.
pub(super) struct Outgoing {
    /// What is written before the data: the head, the line of a chunk, trailers.
    before: BytesMut,
    /// Bytes of the body.
    data: Bytes,
    /// What is written after the data: the end of a chunk.
    after: &'static [u8],
    /// Where more comes from; none when all of it is here.
    body: Option<RequestBody>,
    framing: Framing,
    /// Whether the socket holds back nothing of what was written.
    flushed: bool,
}

impl Outgoing {
    pub(super) fn new(message: Message) -> Self {
        let framing = message.body.framing();
        let (before, body) = (message.head, Some(message.body));
        Self { before, data: Bytes::new(), after: b"", body, framing, flushed: true }
    }

    /// Nothing.
    pub(super) fn done() -> Self {
        let (before, data, framing) = (BytesMut::new(), Bytes::new(), Framing::Length(0));
        Self { before, data, after: b"", body: None, framing, flushed: true }
    }

    /// Whether all has been written.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_none() && self.is_written() && self.flushed
    }

    fn is_written(&self) -> bool {
        self.before.is_empty() && self.data.is_empty() && self.after.is_empty()
    }

    /// Writes what there is; ready when that was all.
    ///
    /// # Errors
    /// [`Stopped`], and nothing more is to be written.
    pub(super) fn poll(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stopped>> {
        loop {
            let waits = self.poll_body(cx).map_err(Stopped::Body)?.is_pending();
            ready!(self.poll_write(socket, cx)).map_err(Stopped::Socket)?;
            if waits || self.body.is_none() {
                ready!(self.poll_flush(socket, cx)).map_err(Stopped::Socket)?;
                return if waits { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
        }
    }

    /// Takes the next piece of the body, when there is room for it: so a head leaves with the beginning of its body.
    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while self.data.is_empty() && self.after.is_empty() {
            let Some(body) = &mut self.body else { break };
            match ready!(body.poll_piece(cx))? {
                Piece::Data(bytes) => self.put(bytes)?,
                Piece::End(trailers) => self.put_end(&trailers)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, bytes: Bytes) -> io::Result<()> {
        match &mut self.framing {
            Framing::Length(left) => {
                let rest = left.checked_sub(bytes.len() as u64);
                *left = rest.ok_or_else(|| io::Error::other("the body is longer than was told"))?;
            }
            Framing::Chunked if bytes.is_empty() => {}
            Framing::Chunked => {
                let _ = write!(self.before, "{:x}\r\n", bytes.len());
                self.after = b"\r\n";
            }
        }
        self.data = bytes;
        Ok(())
    }

    fn put_end(&mut self, trailers: &Fields) -> io::Result<()> {
        self.body = None;
        match self.framing {
            Framing::Length(0) => {}
            Framing::Length(_) => {
                return Err(io::Error::other("the body is shorter than was told"));
            }
            Framing::Chunked => {
                self.before.put_slice(b"0\r\n");
                // What frames or routes a message has no place behind its body (RFC 9110 §6.5.1).
                for (name, value) in trailers.iter().filter(|(name, _)| !is_of_this_hop(name)) {
                    put_field(&mut self.before, name, value)
                        .map_err(|_| io::Error::other("a trailer field is none"))?;
                }
                self.before.put_slice(b"\r\n");
            }
        }
        Ok(())
    }

    fn poll_write(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_written() {
            self.flushed = false;
            let parts = [&self.before[..], &self.data, self.after].map(IoSlice::new);
            match ready!(Pin::new(&mut *socket).poll_write_vectored(cx, &parts))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let before = written.min(self.before.len());
        let data = (written - before).min(self.data.len());
        self.before.advance(before);
        self.data.advance(data);
        if self.data.is_empty() {
            // Its memory is not kept for as long as the target takes to answer.
            self.data = Bytes::new();
        }
        self.after = &self.after[written - before - data..];
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::*;

    fn outgoing(body: RequestBody, framing: Framing) -> Outgoing {
        let before = BytesMut::from("head ");
        Outgoing {
            before,
            data: Bytes::new(),
            after: b"",
            body: Some(body),
            framing,
            flushed: true,
        }
    }

    /// What the target reads of it, and whether it was all.
    async fn written(mut outgoing: Outgoing) -> (String, Result<(), Stopped>) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Socket::Unix(near);
        let sent = poll_fn(|cx| outgoing.poll(&mut near, cx)).await;
        assert_eq!(outgoing.is_done(), sent.is_ok());
        drop(near);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        (heard, sent)
    }

    fn body(text: &'static str) -> RequestBody {
        RequestBody::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn a_body_is_written_as_it_is_framed() {
        let trailers: Fields =
            [(&b"x-t"[..], &b"1"[..]), (b"content-length", b"9"), (b"host", b"h")]
                .into_iter()
                .collect();
        let gathered = |text| RequestBody::Gathered(Bytes::from_static(text), trailers.clone());
        for (body, framing, wanted) in [
            (body("abc"), Framing::Length(3), "head abc"),
            (body(""), Framing::Length(0), "head "),
            (
                body("0123456789abcdef"),
                Framing::Chunked,
                "head 10\r\n0123456789abcdef\r\n0\r\n\r\n",
            ),
            (gathered(b"abc"), Framing::Chunked, "head 3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n"),
            (gathered(b""), Framing::Chunked, "head 0\r\nx-t: 1\r\n\r\n"),
        ] {
            let (heard, sent) = written(outgoing(body, framing)).await;
            assert_eq!(heard, wanted);
            sent.unwrap();
        }
    }

    #[tokio::test]
    async fn a_body_that_is_not_as_long_as_was_told_never_looks_whole() {
        for told in [2, 4] {
            let (heard, sent) = written(outgoing(body("abc"), Framing::Length(told))).await;
            assert!(matches!(sent, Err(Stopped::Body(_))), "{told}");
            assert!(heard.len() < "head ".len() + told as usize, "{told} {heard}");
        }
    }

    #[tokio::test]
    async fn a_trailer_that_is_no_field_is_not_written() {
        let trailers = [(&b"x-t"[..], &b"1\r\nx: y"[..])].into_iter().collect();
        let body = RequestBody::Gathered(Bytes::from_static(b"abc"), trailers);
        let (heard, sent) = written(outgoing(body, Framing::Chunked)).await;
        assert!(matches!(sent, Err(Stopped::Body(_))) && !heard.contains("x: y"), "{heard}");
    }
}
