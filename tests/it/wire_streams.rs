//! Many streams on one line: none is in another's way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_client::socket::Socket;
use relay_client::wire::{Carrier, Ended, Event, Heard, Pipe, drive};
use relay_protocol::Line;
use relay_protocol::frame::{Answered, Both, Refuse, Reset, ToAgent, ToRelay};
use relay_protocol::hello::{Hello, Served, Welcome};
use relay_protocol::id::{EventId, Name, StreamId};
use relay_protocol::limits::DATA_MAX;
use relay_protocol::line::Setup;
use relay_protocol::reason::{Broken, Dispatched, Refusal};
use relay_protocol::webhook::{Answer, Fields, Request};
use relay_tests::agent::{Agent, Wanted};
use relay_tests::line::Line as Network;
use relay_tests::provider::Provider;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{slow, soon};
use relay_tests::wire::{ByHand, hello};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::protocol::Role;

/// An agent's line by hand whose relay may send little before it is granted more.
async fn poor_line(relay: &Relay) -> ByHand {
    let token = relay.token(&["story"]).await;
    let hello = Hello { stream_credit: DATA_MAX as u32, ..hello("poor", &["story"]) };
    ByHand::live(relay.address, &token, hello).await.0
}

async fn grant(line: &mut ByHand, stream: StreamId, bytes: usize) {
    let bytes = bytes as u32;
    for stream in [StreamId(0), stream] {
        line.send(ToRelay::Both(Both::Credit { stream, bytes })).await;
    }
}

#[tokio::test]
async fn control_frames_and_small_events_pass_a_stream_that_is_stuck() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let mut line = poor_line(&relay).await;
    let body = vec![7u8; 200_000];
    let mut large = relay.provider(&endpoint);
    let (sent, small) = (body.clone(), relay.provider(&endpoint));
    let large = tokio::spawn(async move { large.post("/large", sent).await });
    let stuck = line.opened().await;
    let mut received = stuck.body.to_vec();
    while received.len() < DATA_MAX {
        received.extend(data(&mut line, stuck.stream).await.expect("the first credit is used up"));
    }
    line.send(ToRelay::Both(Both::Ping(77))).await;
    assert_eq!(line.next().await, Ok(ToAgent::Both(Both::Pong(77))));
    let mut small = small;
    let small = tokio::spawn(async move { small.post("/small", "x").await });
    let opened = line.opened().await;
    line.answer(opened.stream, 200, "small").await;
    assert_eq!(small.await.expect("no panic").text(), "small");
    grant(&mut line, stuck.stream, body.len()).await;
    while let Some(bytes) = data(&mut line, stuck.stream).await {
        received.extend(bytes);
    }
    assert!(received == body, "{} of {}", received.len(), body.len());
    line.answer(stuck.stream, 200, "large").await;
    assert_eq!(large.await.expect("no panic").text(), "large");
}

#[tokio::test]
async fn the_head_of_an_answer_that_breaks_off_at_once_comes_all_the_same() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let mut line = poor_line(&relay).await;
    let provider = relay.provider(&endpoint);
    for _ in 0..20 {
        let mut caller = provider.begin(&provider.request("GET", "/")).await;
        let stream = line.opened().await.stream;
        let answer = Answer { status: 200, fields: Fields::default() };
        let (body, end) = (Bytes::from_static(b"first"), false);
        line.send(ToRelay::Answer(Answered { stream, answer, body, end })).await;
        let (reason, dispatched) = (Broken::TargetBadResponse, Dispatched::Yes);
        let reset = Reset { stream, reason, dispatched, detail: String::new() };
        line.send(ToRelay::Both(Both::Reset(reset))).await;
        assert_eq!(soon("the head", caller.head()).await.unwrap().status(), 200);
        assert_eq!(soon("the first bytes", caller.chunk()).await.unwrap().unwrap(), b"first");
        assert!(soon("the end", caller.chunk()).await.is_err(), "it does not look whole");
    }
}

/// The next DATA of a stream; `None` at its END.
async fn data(line: &mut ByHand, of: StreamId) -> Option<Bytes> {
    loop {
        match line.next().await.expect("the line lives") {
            ToAgent::Both(Both::Data { stream, bytes }) if stream == of => return Some(bytes),
            ToAgent::Both(Both::End { stream, .. }) if stream == of => return None,
            _ => {}
        }
    }
}

#[tokio::test]
async fn an_agent_that_answers_early_leaves_nothing_of_the_request_behind() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let mut line = poor_line(&relay).await;
    for round in 0..20 {
        let mut provider = relay.provider(&endpoint);
        let asked = tokio::spawn(async move { provider.post("/", vec![7u8; 100_000]).await });
        let opened = line.opened().await;
        // While the rest of the request waits for credit that never comes.
        if round % 2 == 0 {
            line.answer(opened.stream, 413, "too much").await;
            assert_eq!(asked.await.expect("no panic").status(), 413);
        } else {
            let (stream, detail) = (opened.stream, String::new());
            let reason = Refusal::PathNotAllowed;
            line.send(ToRelay::Refuse(Refuse { stream, reason, detail })).await;
            assert!((400..500).contains(&asked.await.expect("no panic").status()));
        }
    }
    relay_tests::wait::until("no request is held", async || relay.in_flight() == 0).await;
}

#[tokio::test]
async fn one_stream_fills_a_long_line() {
    if !slow("one stream fills a line of 200 ms") {
        return;
    }
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("reply_timeout", "60s")]).await;
    let token = relay.token(&["story"]).await;
    let target = Target::answering(200, "taken").await;
    let body = vec![7u8; 24 << 20];
    let (far_agent, far_target) =
        (Network::to(relay.address).await, Network::to(target.address()).await);
    for network in [&far_agent, &far_target] {
        network.delay(Duration::from_millis(100));
        network.slow(4 << 20);
    }
    let wanted = Wanted::for_one(&far_agent.url(), &token, "story", &target.url());
    let _agent = Agent::start(&wanted).await;
    let started = Instant::now();
    assert_eq!(Provider::of(far_target.address(), "").post("/", &body).await.status(), 200);
    let direct = started.elapsed();
    let started = Instant::now();
    assert_eq!(relay.provider(&endpoint).post("/", &body).await.status(), 200);
    let through = started.elapsed();
    eprintln!("24 MiB over 200 ms: {direct:?} direct, {through:?} through");
    assert!(direct.as_secs_f64() / through.as_secs_f64() >= 0.8, "{direct:?} and {through:?}");
}

/// One end of a line that no relay and no agent owns.
struct End {
    carrier: Arc<Carrier>,
    events: mpsc::UnboundedReceiver<Event>,
    driver: JoinHandle<Ended>,
}

impl End {
    fn of(line: Line, pipe: Pipe) -> Self {
        let carrier = Carrier::new(line);
        let (told, events) = mpsc::unbounded_channel();
        let on = move |event| {
            if matches!(&event, Event::GoingAway(goaway) if goaway.detail == "panic") {
                panic!("as asked for");
            }
            drop(told.send(event));
        };
        let driver = tokio::spawn(drive(pipe, Arc::clone(&carrier), on));
        Self { carrier, events, driver }
    }

    async fn event(&mut self) -> Event {
        soon("an event", self.events.recv()).await.expect("the line lives")
    }
}

/// Both ends of a live line.
async fn pair() -> (End, End) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = tokio::net::TcpStream::connect(listener.local_addr().expect("an address"));
    let (near, far) =
        (near.await.expect("it connects"), listener.accept().await.expect("it comes").0);
    let near = Pipe::new(Socket::Tcp(near), &[], Role::Client).await;
    let far = Pipe::new(Socket::Tcp(far), &[], Role::Server).await;
    let line = Line::agent(Instant::now(), hello("pair", &["story"])).expect("a short hello");
    let mut agent = End::of(line, near);
    let mut relay = End::of(Line::relay(Instant::now(), Setup::default()), far);
    let Event::Hello(hello) = relay.event().await else { panic!("no HELLO") };
    relay.carrier.welcome(&hello, welcome()).expect("a short welcome");
    assert!(matches!(agent.event().await, Event::Welcome(_)));
    (relay, agent)
}

fn welcome() -> Welcome {
    let (endpoint, group) = ("story".parse().expect("a name"), Name::main());
    let (url, backlog, oldest_ms, held) = (String::new(), 0, 0, false);
    Welcome {
        version: 1,
        session: "ses_pair".into(),
        relay: "relay".into(),
        heartbeat_ms: 0,
        dead_after_ms: 0,
        stream_credit: 0,
        line_credit: 0,
        nodes: Vec::new(),
        endpoints: vec![Served { endpoint, group, url, backlog, oldest_ms, held }],
        token_expires_in_ms: None,
    }
}

fn request(subscription: u16) -> Request {
    Request {
        event: EventId::now(),
        attempt: 1,
        subscription,
        resent: false,
        deadline_ms: 10_000,
        method: Bytes::from_static(b"POST"),
        path: Bytes::from_static(b"/"),
        fields: Fields::default(),
        length: Some(0),
    }
}

#[tokio::test]
async fn a_panic_in_a_streams_owner_resets_its_stream_and_no_other() {
    let (relay, mut agent) = pair().await;
    let asked = relay.carrier.open(request(0), &mut Bytes::new(), true).expect("room");
    let other = relay.carrier.open(request(0), &mut Bytes::new(), true).expect("room");
    let Event::Opened { stream, .. } = agent.event().await else { panic!("no OPEN") };
    let owner = tokio::spawn(async move {
        let _stream = stream;
        panic!("as asked for");
    });
    assert!(owner.await.is_err());
    let heard = soon("the relay hears of it", asked.heard()).await;
    assert!(matches!(heard, Heard::Reset(reset) if reset.reason == Broken::Internal));
    let Event::Opened { stream, .. } = agent.event().await else { panic!("no OPEN") };
    let answer = Answer { status: 200, fields: Fields::default() };
    assert_eq!(stream.answer(answer, &mut Bytes::from_static(b"still here"), true), Ok(true));
    let heard = soon("the other answer", other.heard()).await;
    assert!(matches!(heard, Heard::Answered { body, .. } if body == "still here"));
}

#[tokio::test]
async fn a_panic_in_a_lines_driver_loses_its_streams_and_both_ends_learn_it() {
    let (relay, mut agent) = pair().await;
    let asked = relay.carrier.open(request(0), &mut Bytes::new(), true).expect("room");
    let Event::Opened { stream, .. } = agent.event().await else { panic!("no OPEN") };
    relay.carrier.go_away(relay_protocol::frame::GoAway {
        reason: relay_protocol::reason::Leaving::Shutdown,
        deadline_ms: 1,
        reconnect_after_ms: 1,
        detail: "panic".into(),
    });
    assert!(agent.driver.await.is_err_and(|error| error.is_panic()));
    assert!(matches!(soon("it is lost", asked.heard()).await, Heard::Lost));
    soon("its owner learns it", stream.over()).await;
    assert!(!matches!(soon("the other end", relay.driver).await, Err(error) if error.is_panic()));
}

#[tokio::test]
async fn a_stream_given_up_before_it_was_sent_does_not_end_the_line() {
    let (relay, mut agent) = pair().await;
    for _ in 0..200 {
        let stream = relay.carrier.open(request(0), &mut Bytes::new(), true).expect("room");
        stream.reset(Broken::Cancelled, Dispatched::Maybe, "at once");
    }
    let asked =
        relay.carrier.open(request(0), &mut Bytes::from_static(b"last"), true).expect("room");
    loop {
        let Event::Opened { stream, body, .. } = agent.event().await else { panic!("no OPEN") };
        if body == "last" {
            stream.refuse(Refusal::Draining, "");
            break;
        }
    }
    assert!(matches!(soon("the line lives", asked.heard()).await, Heard::Refused { .. }));
    assert_eq!(relay.carrier.stream_count(), 0);
}

#[tokio::test]
async fn a_sender_whose_stream_ends_under_it_is_told() {
    let (relay, mut agent) = pair().await;
    let asked = Arc::new(relay.carrier.open(request(0), &mut Bytes::new(), false).expect("room"));
    let sender = Arc::clone(&asked);
    let sending = tokio::spawn(async move { sender.send(Bytes::from(vec![0; 1 << 20])).await });
    let Event::Opened { stream, .. } = agent.event().await else { panic!("no OPEN") };
    let answer = Answer { status: 200, fields: Fields::default() };
    assert_eq!(stream.answer(answer, &mut Bytes::new(), true), Ok(true));
    assert!(matches!(soon("the answer", asked.heard()).await, Heard::Answered { end: true, .. }));
    assert!(soon("the sender is told", sending).await.expect("no panic").is_err());
}

#[tokio::test]
async fn an_agent_refuses_what_it_has_not_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let target = Target::echo().await;
    let _agent = Agent::begin(&Wanted::for_one(&url, "wr_a_b", "story", &target.url()));
    let (socket, _) = soon("the agent dials", listener.accept()).await.expect("it comes");
    let socket = soon("the upgrade", accept_async(socket)).await.expect("a WebSocket");
    let pipe = Pipe::new(Socket::Tcp(socket.into_inner()), &[], Role::Server).await;
    let mut relay = End::of(Line::relay(Instant::now(), Setup::default()), pipe);
    let Event::Hello(hello) = relay.event().await else { panic!("no HELLO") };
    relay.carrier.welcome(&hello, welcome()).expect("a short welcome");
    let wrong = relay.carrier.open(request(1), &mut Bytes::new(), true).expect("room");
    let heard = soon("a refusal", wrong.heard()).await;
    let refused = Refusal::UnknownSubscription;
    assert!(matches!(heard, Heard::Refused { reason, .. } if reason == refused));
    let right = relay.carrier.open(request(0), &mut Bytes::new(), true).expect("room");
    assert!(matches!(soon("an answer", right.heard()).await, Heard::Answered { .. }));
    assert_eq!(target.seen().len(), 1);
}

#[tokio::test]
async fn a_line_that_is_to_be_closed_is_closed_though_its_peer_does_not_read() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let made = relay.make_token(&serde_json::json!({"endpoints": ["story"]})).await;
    let token = made["token"].as_str().expect("a token");
    let (mut line, _) = ByHand::live(relay.address, token, hello("deaf", &["story"])).await;
    // More than the socket takes, granted and never read.
    let mut provider = relay.provider(&endpoint);
    let asked = tokio::spawn(async move { provider.post("/", vec![0; 12 << 20]).await });
    let opened = line.opened().await;
    grant(&mut line, opened.stream, 100 << 20).await;
    let answer = Answer { status: 200, fields: Fields::default() };
    let (stream, body, end) = (opened.stream, Bytes::from_static(b"early"), false);
    line.send(ToRelay::Answer(Answered { stream, answer, body, end })).await;
    let path = format!("/tokens/{}", made["id"].as_str().expect("an id"));
    relay.api().delete(&path).await.expect("it is revoked");
    relay_tests::wait::until("it is gone", async || relay.agents("story").await == 0).await;
    asked.abort();
}
