//! A relay that somebody has taken over: what it can make an agent do, and what it cannot.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use relay_protocol::frame::{Both, Open, ToAgent, ToRelay};
use relay_protocol::hello::{Served, Welcome};
use relay_protocol::id::{EventId, Name, StreamId};
use relay_protocol::limits::{LINE_CREDIT, STREAM_CREDIT};
use relay_protocol::webhook::{Fields, Request};
use relay_tests::agent::{Agent, Wanted};
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::wait::soon;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// A relay that says what it likes.
struct Evil {
    socket: WebSocketStream<TcpStream>,
    streams: u64,
}

impl Evil {
    /// Waits for an agent with one endpoint and welcomes it.
    async fn with(target: &str) -> (Self, Agent) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let agent = Agent::begin(&Wanted::for_one(&url, "wr_a_b", "story", target));
        let (socket, _) = soon("the agent dials", listener.accept()).await.expect("it comes");
        let socket = soon("the upgrade", accept_async(socket)).await.expect("a WebSocket");
        let mut evil = Self { socket, streams: 0 };
        assert!(matches!(evil.next().await, Some(ToRelay::Hello(_))));
        evil.send(&ToAgent::Welcome(welcome())).await;
        (evil, agent)
    }

    async fn send(&mut self, frame: &ToAgent) {
        let bytes = frame.encode().expect("a frame");
        self.socket.send(Message::Binary(bytes)).await.expect("the agent reads");
    }

    /// The next frame that is no heartbeat; none when the agent has ended the line.
    async fn next(&mut self) -> Option<ToRelay> {
        loop {
            match soon("a frame", self.socket.next()).await? {
                Ok(Message::Binary(bytes)) => match ToRelay::decode(bytes).expect("a frame") {
                    Some(ToRelay::Both(Both::Ping(number))) => {
                        self.send(&ToAgent::Both(Both::Pong(number))).await;
                    }
                    Some(frame) => return Some(frame),
                    None => {}
                },
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Has the agent ask its target for this; gives the status of the answer, if there is one.
    async fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Option<u16> {
        self.streams += 1;
        let stream = StreamId(self.streams);
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let fields: Fields =
            fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let request = Request {
            event: EventId::now(),
            attempt: 1,
            subscription: 0,
            resent: false,
            deadline_ms: 10_000,
            method: bytes(method),
            path: bytes(path),
            fields,
            length: Some(1),
        };
        let (body, end) = (Bytes::from_static(b"x"), true);
        self.send(&ToAgent::Open(Open { stream, request, body, end })).await;
        loop {
            match self.next().await? {
                ToRelay::Answer(answer) if answer.stream == stream => {
                    return Some(answer.answer.status);
                }
                ToRelay::Refuse(refuse) if refuse.stream == stream => return None,
                ToRelay::Both(Both::Reset(reset)) if reset.stream == stream => return None,
                _ => {}
            }
        }
    }
}

fn welcome() -> Welcome {
    let (endpoint, group) = ("story".parse().expect("a name"), Name::main());
    let (url, backlog, oldest_ms, held) = (String::new(), 0, 0, false);
    Welcome {
        version: 1,
        session: "ses_evil".into(),
        relay: "evil".into(),
        heartbeat_ms: 15_000,
        dead_after_ms: 40_000,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
        nodes: Vec::new(),
        endpoints: vec![Served { endpoint, group, url, backlog, oldest_ms, held }],
        token_expires_in_ms: None,
    }
}

#[tokio::test]
async fn it_asks_the_agents_own_target_and_nobody_else_in_its_network() {
    let (target, neighbour) = (Target::echo().await, Target::echo().await);
    let (mut evil, _agent) = Evil::with(&format!("{}/base", target.url())).await;
    let there = neighbour.address();
    for path in [
        format!("http://{there}/"),
        format!("//{there}/"),
        format!("@{there}/"),
        format!("/@{there}/"),
        format!("\\\\{there}\\"),
        format!("/../../{there}"),
        format!("/x HTTP/1.1\r\nHost: {there}\r\n\r\nGET http://{there}/"),
        format!("?@{there}/"),
        format!("{there}"),
        "*".to_owned(),
        "/%2e%2e/admin".to_owned(),
        "/..;/admin".to_owned(),
    ] {
        for host in
            [&[][..], &[("host", &*there.to_string())], &[("x-forwarded-host", &there.to_string())]]
        {
            let _ = evil.ask("POST", &path, host).await;
        }
    }
    assert!(neighbour.seen().is_empty(), "{:?}", neighbour.seen());
    for seen in target.seen() {
        assert!(seen.path().starts_with(b"/base"), "{seen:?}");
        assert_eq!(seen.all("host"), [target.address().to_string().as_bytes()], "{seen:?}");
        assert!(!String::from_utf8_lossy(seen.path()).contains(".."), "{seen:?}");
    }
    assert_eq!(evil.ask("POST", "/well", &[]).await, Some(200), "the agent lives");
}

#[tokio::test]
async fn it_cannot_have_a_connection_become_something_else() {
    let target = Target::echo().await;
    let (mut evil, _agent) = Evil::with(&target.url()).await;
    for (method, fields) in [
        ("CONNECT", &[][..]),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", &[]),
        ("", &[]),
        ("GET", &[("connection", "upgrade"), ("upgrade", "websocket")]),
        ("POST", &[("transfer-encoding", "chunked"), ("content-length", "0")]),
        ("POST", &[("content-length", "0")]),
        ("POST", &[("x", "a\r\nContent-Length: 0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a")]),
        ("POST", &[("x\r\ny", "a")]),
        ("POST", &[("expect", "100-continue")]),
    ] {
        let _ = evil.ask(method, "/", fields).await;
    }
    for seen in target.seen() {
        assert_eq!(seen.path(), b"/", "{seen:?}");
        assert!(seen.field("upgrade").is_none() && seen.body == b"x", "{seen:?}");
        assert_ne!(seen.method(), "CONNECT");
    }
    assert_eq!(evil.ask("POST", "/", &[]).await, Some(200), "the agent lives");
}

#[tokio::test]
async fn it_is_told_of_a_redirect_and_the_agent_does_not_follow_it() {
    let neighbour = Target::echo().await;
    let there = format!("{}/secret", neighbour.url());
    let target =
        Target::scripted(move |_| Written::answer(307).field("Location", &there).body("").bytes())
            .await;
    let (mut evil, _agent) = Evil::with(&target.url()).await;
    assert_eq!(evil.ask("POST", "/", &[]).await, Some(307));
    assert!(neighbour.seen().is_empty());
}
