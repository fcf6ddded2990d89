//! HTTP/2 on one connection (RFC 9113): its bounds, and the patience that each of its streams is owed.
//!
//! On HTTP/1.1 the socket itself sees who is slow, for there is one request at a time. Here, many share one, so it is
//! counted: a connection without requests is let go, and so is one whose caller takes nothing of an answer, or begins
//! requests only to give them up.

mod empty;
mod malformed;

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use relay_client::socket::Socket;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caller::{CallerSocket, Phase, STALLED};
use empty::Counted;

use super::{Front, HEAD_BUFFER, Peer, ResponseBody};
use crate::problem::request_id;

/// How many requests at a time a caller may have on one connection.
const STREAMS_MAX: u32 = 100;

/// How much of one body may be on its way, in bytes.
const STREAM_WINDOW: u32 = 512 * 1024;

/// How much of all bodies of a connection may be on its way, in bytes: the most that it may fill of our memory.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How much of one answer waits to be sent, in bytes.
const SEND_BUFFER: usize = 128 * 1024;

/// How often a caller is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// How many requests of a connection may be reset by their caller before they are answered; above it, most of them must
/// not be, or it is a flood that costs its sender nothing (CVE-2023-44487).
const GIVEN_UP_MAX: u32 = 100;

/// How often it is looked whether something stands still.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Serves one connection to its end.
pub(super) async fn serve(front: Front, socket: Socket, peer: Peer) {
    let socket = CallerSocket::new(socket, front.header_timeout, peer.asking.clone());
    // The socket itself is not to be impatient.
    let _never_idle = peer.asking.answering();
    let streams = Arc::new(Streams::default());
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let peer = Peer { asking: Phase::default(), ..peer.clone() };
        let (asking, stream) = (peer.asking.asking(), streams.begin());
        let door = front.door.clone();
        let bodiless = request.method() == Method::HEAD;
        async move {
            let (parts, body) = request.into_parts();
            let response = match malformed::refuse(&parts) {
                Ok(()) => door.serve(http::Request::from_parts(parts, body), &peer, asking).await?,
                Err(problem) => problem.response(&request_id()).map(ResponseBody::whole),
            };
            Ok::<_, Infallible>(stream.answered(response, bodiless))
        }
    });
    let mut builder = http2::Builder::new(Tracked(front.connections.clone()));
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEAD_BUFFER as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    let mut connection = pin!(
        builder.serve_connection(TokioIo::new(Counted::new(socket, Arc::clone(&streams))), service)
    );
    let mut patience = pin!(streams.patience(front.header_timeout));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        why = patience.as_mut() => return tracing::debug!(address = %peer.address, why, "a connection was cut"),
        () = front.draining.begun() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                why = patience => return tracing::debug!(address = %peer.address, why, "a connection was cut"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(address = %peer.address, %error, "a connection has ended");
    }
}

/// Spawns the streams of a connection where the connection itself is waited for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tracked {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// What is under way on one connection.
#[derive(Debug, Default)]
struct Streams {
    begun: AtomicU32,
    under_way: AtomicU32,
    given_up: AtomicU32,
    /// The answers whose first piece was taken since it was last asked; it is not once the caller has reset them.
    taken: AtomicU32,
    /// The answers whose next piece waits for the caller, and since when.
    waiting: Mutex<HashMap<u32, Instant>>,
    flooded: CancellationToken,
}

impl Streams {
    fn begin(self: &Arc<Self>) -> Stream {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        Stream { streams: Arc::clone(self), number, answered: false }
    }

    /// Completes when there is no patience left with the connection, with the reason.
    async fn patience(&self, idle_max: Duration) -> &'static str {
        let every = LOOK_EVERY.min(idle_max);
        let (mut begun, mut idle_since) = (0, Instant::now());
        loop {
            tokio::select! {
                () = self.flooded.cancelled() => return "requests begun only to be given up",
                () = sleep(every) => {}
            }
            let now = self.begun.load(Ordering::Relaxed);
            if now != begun || self.under_way.load(Ordering::Relaxed) > 0 {
                (begun, idle_since) = (now, Instant::now());
            } else if idle_since.elapsed() >= idle_max {
                return "no request in time";
            }
            if self.waiting().values().any(|since| since.elapsed() >= STALLED) {
                return "the caller takes nothing of an answer";
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many answers were begun to be taken since the last call.
    fn taken(&self) -> u32 {
        self.taken.swap(0, Ordering::Relaxed)
    }

    fn was_given_up(&self) {
        let given_up = self.given_up.fetch_add(1, Ordering::Relaxed) + 1;
        if given_up > GIVEN_UP_MAX && given_up > self.begun.load(Ordering::Relaxed) / 2 {
            self.flooded.cancel();
        }
    }
}

/// One request, until its answer is sent.
#[derive(Debug)]
struct Stream {
    streams: Arc<Streams>,
    number: u32,
    answered: bool,
}

impl Stream {
    /// The answer, as HTTP/2 has it: here nobody else takes the body off one that has none (RFC 9110 §6.4.1).
    fn answered(mut self, response: Response<ResponseBody>, to_head: bool) -> Response<Sent> {
        self.answered = true;
        let status = response.status();
        let bodiless =
            to_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        response.map(|body| {
            let body = if bodiless { ResponseBody::Whole(None) } else { body };
            let sent = Sent { body, stream: self, taken: false };
            sent.waits(!sent.is_end_stream());
            sent
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.under_way.fetch_sub(1, Ordering::Relaxed);
        self.streams.waiting().remove(&self.number);
        if !self.answered {
            self.streams.was_given_up();
        }
    }
}

/// An answer's body on its way.
#[derive(Debug)]
struct Sent {
    body: ResponseBody,
    stream: Stream,
    /// Whether its first piece was taken.
    taken: bool,
}

impl Sent {
    /// Whether the next piece waits for the caller; otherwise it is the caller who waits.
    fn waits(&self, waits: bool) {
        let mut waiting = self.stream.streams.waiting();
        if waits {
            waiting.insert(self.stream.number, Instant::now());
        } else {
            waiting.remove(&self.stream.number);
        }
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if !std::mem::replace(&mut self.taken, true) {
            self.stream.streams.taken.fetch_add(1, Ordering::Relaxed);
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.waits(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
