//! One HTTP/1.1 connection to a target, driven by whoever uses it: no task of its own, so nothing wakes across tasks.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::body::RequestBody;
use crate::socket::Socket;

/// The most header bytes of an answer that are read; more is a bad response.
const ANSWER_HEAD_MAX: usize = 64 * 1024;

/// None when it has come to its end: dropped, it gives back a request that it has not looked at.
type Machine = Option<Pin<Box<http1::Connection<TokioIo<Socket>, RequestBody>>>>;

/// A connection, and the machine that moves its bytes.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    machine: Machine,
    /// Since when nobody uses it.
    pub(super) idle_since: Instant,
}

impl Connection {
    pub(super) async fn new(socket: Socket) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(2 * ANSWER_HEAD_MAX).max_header_size(ANSWER_HEAD_MAX);
        let (sender, machine) = builder.handshake(TokioIo::new(socket)).await?;
        Ok(Self { sender, machine: Some(Box::pin(machine)), idle_since: Instant::now() })
    }

    /// Sends a request and waits for the final answer's head (interim ones are skipped).
    ///
    /// When nothing was sent, because the connection had been closed meanwhile, the request comes back.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, (hyper::Error, Option<Request<RequestBody>>)>>
    {
        let answer = self.sender.try_send_request(request);
        Sending { machine: &mut self.machine, answer }
    }

    /// The next frame of the answer's body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<Frame<Bytes>>> {
        poll_fn(|cx| self.poll_frame(cx, body)).await
    }

    /// The next frame of the answer's body, if it is there already.
    pub(super) async fn ready_frame(
        &mut self,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        poll_fn(|cx| Poll::Ready(self.poll_frame(cx, body))).await
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Incoming,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // Asking first tells the machine that bytes are wanted; asking again gets what it has read then.
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        run(&mut self.machine, cx);
        Pin::new(body).poll_frame(cx)
    }

    /// Whether another request may be sent: the last answer is complete and the target has not closed.
    pub(super) async fn is_usable(&mut self) -> bool {
        // Mostly the machine has come to the answer's end with its last bytes.
        if !self.sender.is_ready() {
            poll_fn(|cx| {
                run(&mut self.machine, cx);
                Poll::Ready(())
            })
            .await;
        }
        self.machine.is_some() && self.sender.is_ready()
    }
}

pin_project_lite::pin_project! {
    /// A request under way, and the machine that moves it. An `async` block would hold the library's future twice.
    struct Sending<'a, F> {
        machine: &'a mut Machine,
        #[pin]
        answer: F,
    }
}

impl<T, M, F> Future for Sending<'_, F>
where
    F: Future<Output = Result<T, TrySendError<M>>>,
{
    type Output = Result<T, (hyper::Error, Option<M>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        run(this.machine, cx);
        this.answer.poll(cx).map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }
}

fn run(machine: &mut Machine, cx: &mut Context<'_>) {
    // Its errors are told to the request or the body that they concern.
    if let Some(running) = machine
        && running.as_mut().poll(cx).is_ready()
    {
        *machine = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn request() -> Request<RequestBody> {
        let request = Request::post("/").header("host", "target");
        request.body(RequestBody::Whole(Bytes::from_static(b"x"))).unwrap()
    }

    #[tokio::test]
    async fn a_request_comes_back_from_a_connection_that_was_closed_after_it_was_looked_at() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let (mut target, _) = listener.accept().await.unwrap();
        let mut connection = Connection::new(Socket::Tcp(socket)).await.unwrap();
        let answered = async {
            assert!(target.read(&mut [0; 1024]).await.unwrap() > 0);
            target.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(connection.send(request()), answered);
        let answer = answer.unwrap_or_else(|(error, _)| panic!("{error}"));
        assert_eq!(answer.status(), 204);
        assert!(connection.is_usable().await);
        drop(target);
        // Whatever the runtime has to hear of sockets, it has heard after this.
        let _ = tokio::join!(TcpStream::connect(address), listener.accept());
        let sent =
            tokio::time::timeout(std::time::Duration::from_secs(10), connection.send(request()));
        let Err((_, Some(unsent))) = sent.await.expect("it does not hang") else {
            panic!("it is not sent");
        };
        assert_eq!(unsent.uri(), "/");
    }
}
