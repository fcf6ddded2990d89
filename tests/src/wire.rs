//! An agent played by hand: the WebSocket and its frames, nothing that knows what to do with them.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use relay_client::socket::Socket;
use relay_protocol::CONNECT_PATH;
use relay_protocol::frame::{Answered, Both, Open, ToAgent, ToRelay};
use relay_protocol::hello::{Hello, Welcome};
use relay_protocol::id::StreamId;
use relay_protocol::limits::{LINE_CREDIT, STREAM_CREDIT, STREAMS_MAX};
use relay_protocol::webhook::{Answer, Fields};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::agent::subscription;
use crate::wait::soon;

/// A line that the story drives.
#[derive(Debug)]
pub struct ByHand {
    socket: WebSocketStream<Socket>,
}

/// A HELLO for these endpoints, as this instance's first line.
#[must_use]
pub fn hello(instance: &str, endpoints: &[&str]) -> Hello {
    Hello {
        versions: relay_protocol::VERSIONS.to_vec(),
        agent: "by-hand/1".into(),
        instance: instance.into(),
        line: 0,
        subscriptions: endpoints.iter().map(|name| subscription(name)).collect(),
        max_streams: STREAMS_MAX,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
    }
}

impl ByHand {
    /// Opens the WebSocket with this token and says nothing.
    ///
    /// # Errors
    /// The status with which the relay refuses.
    ///
    /// # Panics
    /// When there is no relay.
    pub async fn connect(relay: SocketAddr, token: &str) -> Result<Self, u16> {
        let socket = TcpStream::connect(relay).await.expect("the relay listens");
        socket.set_nodelay(true).expect("a socket");
        Self::connect_over(Socket::Tcp(socket), relay, token).await
    }

    /// The same over bytes that somebody else carries.
    ///
    /// # Errors
    /// The status with which the relay refuses.
    ///
    /// # Panics
    /// When there is no relay.
    pub async fn connect_over(socket: Socket, relay: SocketAddr, token: &str) -> Result<Self, u16> {
        let url = format!("ws://{relay}{CONNECT_PATH}");
        let mut request = url.into_client_request().expect("a request");
        let bearer = format!("Bearer {token}").parse().expect("a header value");
        request.headers_mut().insert("authorization", bearer);
        match soon("the upgrade", client_async(request, socket)).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("no WebSocket: {error}"),
        }
    }

    /// Opens a line and says this HELLO.
    ///
    /// # Panics
    /// When the relay does not welcome it.
    pub async fn live(relay: SocketAddr, token: &str, hello: Hello) -> (Self, Welcome) {
        Self::connect(relay, token).await.expect("it is let in").welcomed(hello).await
    }

    /// The same over bytes that somebody else carries.
    ///
    /// # Panics
    /// When the relay does not welcome it.
    pub async fn live_over(
        socket: Socket,
        relay: SocketAddr,
        token: &str,
        hello: Hello,
    ) -> (Self, Welcome) {
        let line = Self::connect_over(socket, relay, token).await;
        line.expect("it is let in").welcomed(hello).await
    }

    async fn welcomed(self, hello: Hello) -> (Self, Welcome) {
        let mut line = self;
        line.send(ToRelay::Hello(hello)).await;
        match line.next().await {
            Ok(ToAgent::Welcome(welcome)) => (line, welcome),
            other => panic!("no WELCOME: {other:?}"),
        }
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When it is none.
    pub async fn send(&mut self, frame: ToRelay) {
        self.send_bytes(frame.encode().expect("a frame")).await;
    }

    /// Sends any bytes as a binary message.
    pub async fn send_bytes(&mut self, bytes: impl Into<Bytes>) {
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    /// Sends a text message, which has no place on the wire.
    pub async fn send_text(&mut self, text: &str) {
        let _ = self.socket.send(Message::Text(text.into())).await;
    }

    /// The next frame, PINGs answered on the way.
    ///
    /// # Errors
    /// The close code with which the relay ends the line, 0 when it just breaks.
    ///
    /// # Panics
    /// When there is none.
    pub async fn next(&mut self) -> Result<ToAgent, u16> {
        loop {
            match soon("a frame", self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    match ToAgent::decode(bytes).expect("a frame of the wire") {
                        Some(ToAgent::Both(Both::Ping(number))) => {
                            self.send(ToRelay::Both(Both::Pong(number))).await;
                        }
                        Some(frame) => return Ok(frame),
                        None => {}
                    }
                }
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    /// The next OPEN; other frames are let go.
    ///
    /// # Panics
    /// When the line ends instead.
    pub async fn opened(&mut self) -> Open {
        loop {
            if let ToAgent::Open(open) = self.next().await.expect("the line lives") {
                return open;
            }
        }
    }

    /// Answers a stream with this status and a small body.
    pub async fn answer(&mut self, stream: StreamId, status: u16, body: &str) {
        let answer = Answer { status, fields: Fields::default() };
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.send(ToRelay::Answer(Answered { stream, answer, body, end: true })).await;
    }

    /// Whether the line still answers; frames before its answer are let go.
    pub async fn is_live(&mut self) -> bool {
        self.send(ToRelay::Both(Both::Ping(99))).await;
        loop {
            match self.next().await {
                Ok(ToAgent::Both(Both::Pong(99))) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The close code with which the relay ends the line; frames before it are let go.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(&mut self) -> u16 {
        soon("the line is closed", async {
            loop {
                if let Err(code) = self.next().await {
                    return code;
                }
            }
        })
        .await
    }
}
