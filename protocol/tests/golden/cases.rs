//! The values of the golden frames, by name: every frame of both directions, with its edges.

use bytes::Bytes;
use relay_protocol::frame::{Answered, Both, GoAway, Open, Refuse, Reset, ToAgent, ToRelay};
use relay_protocol::hello::{Hello, Served, Subscription, Welcome};
use relay_protocol::id::{EventId, Name, StreamId};
use relay_protocol::limits::{
    DATA_MAX, DETAIL_MAX, FIELD_COUNT_MAX, FIELDS_MAX, FRAME_MAX, LINE_CREDIT, METHOD_MAX,
    PATH_MAX, STREAM_CREDIT, STREAMS_MAX, TOKEN_MAX,
};
use relay_protocol::reason::{Broken, Dispatched, Leaving, Refusal};
use relay_protocol::webhook::{Answer, Fields, Request};

/// What the relay says.
pub(crate) fn to_agent() -> Vec<(String, ToAgent)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, frame: ToAgent| cases.push((name.to_owned(), frame));
    add("welcome-short", ToAgent::Welcome(welcome()));
    add("welcome-full", ToAgent::Welcome(welcome_full()));
    add("open-small", ToAgent::Open(open_small()));
    add("open-begins", ToAgent::Open(open_begins()));
    add("open-empty", ToAgent::Open(open_empty()));
    add("open-extremes", ToAgent::Open(open_extremes()));
    add("open-longest", ToAgent::Open(open_longest()));
    cases.extend(both().into_iter().map(|(name, both)| (name, ToAgent::Both(both))));
    cases
}

/// What an agent says.
pub(crate) fn to_relay() -> Vec<(String, ToRelay)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, frame: ToRelay| cases.push((name.to_owned(), frame));
    add("hello-short", ToRelay::Hello(hello()));
    add("hello-full", ToRelay::Hello(hello_full()));
    for reason in Refusal::ALL {
        let (stream, detail) = (StreamId(2), "connection refused".to_owned());
        let name = format!("refuse-{}", reason.as_str().replace('_', "-"));
        add(&name, ToRelay::Refuse(Refuse { stream, reason: *reason, detail }));
    }
    let (fields, body) = (fields(&[("content-type", b"text/plain")]), Bytes::from_static(b"ok"));
    add("answer-small", ToRelay::Answer(answered(1, 200, fields, body, true)));
    add("answer-empty", ToRelay::Answer(answered(1, 204, Fields::default(), Bytes::new(), true)));
    add("answer-begins", ToRelay::Answer(answered(1, 200, Fields::default(), Bytes::new(), false)));
    let many = std::iter::repeat_n((&b"a"[..], &b""[..]), FIELD_COUNT_MAX).collect();
    add("answer-many-fields", ToRelay::Answer(answered(u64::MAX, 999, many, Bytes::new(), false)));
    let (long, room) = (long_fields(), FRAME_MAX - 14 - FIELDS_MAX);
    add("answer-longest", ToRelay::Answer(answered(1, 500, long, zeros(room), true)));
    add("renew", ToRelay::Renew("wr_0123456789_secret".into()));
    add("renew-longest", ToRelay::Renew("x".repeat(TOKEN_MAX)));
    cases.extend(both().into_iter().map(|(name, both)| (name, ToRelay::Both(both))));
    cases
}

/// What is no frame, for neither side.
pub(crate) fn refused() -> Vec<(&'static str, Vec<u8>)> {
    let stream = [0, 0, 0, 0, 0, 0, 0, 1];
    let on_stream = |code: u8, rest: &[u8]| [&[code][..], &stream[..], rest].concat();
    let open = ToAgent::Open(open_small()).encode().expect("a short frame").to_vec();
    let changed = |at: usize, byte: u8| {
        let mut bytes = open.clone();
        bytes[at] = byte;
        bytes
    };
    let many: Vec<u8> = [0, 1, b'a', 0, 0].repeat(FIELD_COUNT_MAX + 1);
    vec![
        ("nothing", vec![]),
        ("too-long", vec![6; FRAME_MAX + 1]),
        ("unknown-type", vec![0x0e, 1, 2]),
        ("type-0", vec![0]),
        ("hello-no-json", b"\x01{".to_vec()),
        ("hello-name", [&[1u8][..], br#"{"versions":[1],"agent":"a","instance":"i","subscriptions":[{"endpoint":"A"}]}"#].concat()),
        ("open-stream-0", changed(9, 0)),
        ("open-cut", open[..40].to_vec()),
        ("open-method-past-the-end", changed(44, 0xff)),
        ("open-path-past-the-end", changed(49, 0xff)),
        ("answer-status-100", [&[5u8, 0][..], &stream, &[0, 100, 0, 0]].concat()),
        ("refuse-code-0", on_stream(4, &[0])),
        ("refuse-code-8", on_stream(4, &[8])),
        ("refuse-not-utf-8", on_stream(4, &[1, 0xff])),
        ("refuse-detail-long", on_stream(4, &[&[1][..], &[b'x'; DETAIL_MAX + 1]].concat())),
        ("data-empty", on_stream(6, &[])),
        ("data-too-long", on_stream(6, &[0; DATA_MAX + 1])),
        ("data-stream-0", [&[6u8][..], &[0; 8], b"x"].concat()),
        ("end-field-past-the-end", on_stream(7, &[0, 5, b'a'])),
        ("end-field-without-a-name", on_stream(7, &[0, 0, 0, 0])),
        ("end-too-many-fields", on_stream(7, &many)),
        ("credit-0", on_stream(8, &[0, 0, 0, 0])),
        ("credit-cut", on_stream(8, &[0, 0, 1])),
        ("credit-goes-on", on_stream(8, &[0, 0, 0, 1, 0])),
        ("reset-code-0", on_stream(9, &[0, 0])),
        ("reset-code-8", on_stream(9, &[8, 0])),
        ("reset-dispatched-3", on_stream(9, &[1, 3])),
        ("ping-cut", vec![0x0a, 1]),
        ("pong-goes-on", [&[0x0b][..], &[0; 9]].concat()),
        ("goaway-code-0", [&[0x0c, 0][..], &[0; 8]].concat()),
        ("goaway-cut", vec![0x0c, 1, 0, 0]),
        ("renew-too-long", [&[0x0d][..], &[b'x'; TOKEN_MAX + 1]].concat()),
    ]
}

fn both() -> Vec<(String, Both)> {
    let mut cases = Vec::new();
    let mut add = |name: &str, both: Both| cases.push((name.to_owned(), both));
    let data = |stream, bytes: Bytes| Both::Data { stream: StreamId(stream), bytes };
    add("data", data(2, Bytes::from_static(b"the body goes on")));
    add("data-shortest", data(u64::MAX, Bytes::from_static(&[0xff])));
    add("data-longest", data(1, zeros(DATA_MAX)));
    let end = |trailers| Both::End { stream: StreamId(2), trailers };
    add("end", end(Fields::default()));
    add("end-trailers", end(fields(&[("grpc-status", b"0"), ("x-sum", b"\xfe"), ("x-sum", b"")])));
    let credit = |stream, bytes| Both::Credit { stream: StreamId(stream), bytes };
    add("credit-line", credit(0, 131_072));
    add("credit-stream", credit(2, 1));
    add("credit-largest", credit(u64::MAX, u32::MAX));
    for reason in Broken::ALL {
        for dispatched in Dispatched::ALL {
            let (reason, dispatched, detail) = (*reason, *dispatched, String::new());
            let name = format!("reset-{reason}-{dispatched}").replace('_', "-");
            add(&name, Both::Reset(Reset { stream: StreamId(3), reason, dispatched, detail }));
        }
    }
    let (reason, dispatched, detail) =
        (Broken::Internal, Dispatched::Yes, "ü".repeat(DETAIL_MAX / 2));
    add("reset-longest", Both::Reset(Reset { stream: StreamId(3), reason, dispatched, detail }));
    add("ping", Both::Ping(7));
    add("ping-largest", Both::Ping(u64::MAX));
    add("pong", Both::Pong(7));
    for reason in Leaving::ALL {
        let (reason, detail) = (*reason, "see you".to_owned());
        let goaway = GoAway { reason, deadline_ms: 30_000, reconnect_after_ms: 2_000, detail };
        add(&format!("goaway-{reason}"), Both::GoAway(goaway));
    }
    cases
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        agent: "my-agent/1.0".into(),
        instance: "5f1c".into(),
        line: 0,
        subscriptions: vec![subscription("app")],
        max_streams: STREAMS_MAX,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
    }
}

fn hello_full() -> Hello {
    let tap = Subscription { tap: true, ..subscription("app") };
    let staging = Subscription {
        group: name("staging"),
        max_backlog: Some(1000),
        skip_older_than_ms: Some(3_600_000),
        ..subscription("other-app")
    };
    let subscriptions = vec![subscription("app"), staging, tap];
    let (versions, instance) = (vec![1, 2], "i".repeat(64));
    Hello { versions, instance, line: 255, subscriptions, max_streams: 1, ..hello() }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        session: "ses_1".into(),
        relay: "relay-server/0.1.0".into(),
        heartbeat_ms: 15_000,
        dead_after_ms: 40_000,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
        nodes: vec![],
        endpoints: vec![served("app")],
        token_expires_in_ms: None,
    }
}

fn welcome_full() -> Welcome {
    let waiting = Served { backlog: 17, oldest_ms: 90_000, held: true, ..served("other-app") };
    Welcome {
        nodes: vec!["https://b.relay.example".into(), "https://c.relay.example".into()],
        endpoints: vec![served("app"), waiting],
        token_expires_in_ms: Some(86_400_000),
        ..welcome()
    }
}

fn open_small() -> Open {
    let fields = fields(&[("content-type", b"application/json"), ("x-github-event", b"push")]);
    let request =
        Request { path: Bytes::from_static(b"/push?x=%20"), fields, length: Some(9), ..request() };
    Open { stream: StreamId(1), request, body: Bytes::from_static(b"{\"zen\":1}"), end: true }
}

fn open_begins() -> Open {
    let request = Request { length: Some(40_000), ..request() };
    Open { stream: StreamId(2), request, body: Bytes::new(), end: false }
}

fn open_empty() -> Open {
    let request = Request { method: Bytes::from_static(b"GET"), ..request() };
    Open { stream: StreamId(3), request, body: Bytes::new(), end: true }
}

fn open_extremes() -> Open {
    let repeated = fields(&[("x-a", b"\xff\x00"), ("x-b", b""), ("x-a", b"second")]);
    let request = Request {
        event: EventId::from_bytes([0xff; 16]),
        attempt: u32::MAX,
        subscription: u16::MAX,
        resent: true,
        deadline_ms: u32::MAX,
        method: Bytes::from(vec![b'M'; METHOD_MAX]),
        path: Bytes::from_static(b"//evil/../%2e%2e/\xff?a=1&&b"),
        fields: repeated,
        length: Some(u64::MAX),
    };
    Open { stream: StreamId(u64::MAX), request, body: Bytes::from_static(b"\0"), end: false }
}

fn open_longest() -> Open {
    let path = Bytes::from(vec![b'p'; PATH_MAX]);
    let request = Request { path, ..request() };
    let body = zeros(FRAME_MAX - 49 - 4 - PATH_MAX);
    Open { stream: StreamId(4), request, body, end: true }
}

fn request() -> Request {
    Request {
        event: EventId::from_bytes(*b"\x01\x97\x0b\x6c\x5a\x00\x70\0\x80\0\0\0\0\0\0\x01"),
        attempt: 1,
        subscription: 0,
        resent: false,
        deadline_ms: 10_000,
        method: Bytes::from_static(b"POST"),
        path: Bytes::new(),
        fields: Fields::default(),
        length: None,
    }
}

fn answered(stream: u64, status: u16, fields: Fields, body: Bytes, end: bool) -> Answered {
    Answered { stream: StreamId(stream), answer: Answer { status, fields }, body, end }
}

fn subscription(endpoint: &str) -> Subscription {
    let (endpoint, group) = (name(endpoint), Name::main());
    Subscription { endpoint, group, tap: false, max_backlog: None, skip_older_than_ms: None }
}

fn served(endpoint: &str) -> Served {
    let url = format!("https://relay.example/hooks/{endpoint}-abcdefghij234567");
    let (endpoint, group) = (name(endpoint), Name::main());
    Served { endpoint, group, url, backlog: 0, oldest_ms: 0, held: false }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn fields(list: &[(&str, &[u8])]) -> Fields {
    list.iter().map(|(name, value)| (name.as_bytes(), *value)).collect()
}

/// A field block of the greatest length.
fn long_fields() -> Fields {
    [(&b"x"[..], &vec![b'v'; FIELDS_MAX - 5][..])].into_iter().collect()
}

fn zeros(length: usize) -> Bytes {
    Bytes::from(vec![0; length])
}
