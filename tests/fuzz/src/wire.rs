//! The targets of the wire: its decoders and its lines.

use std::time::{Duration, Instant};

use bytes::Bytes;
use relay_protocol::Line;
use relay_protocol::frame::{GoAway, ToAgent, ToRelay};
use relay_protocol::hello::{Hello, Subscription, Welcome};
use relay_protocol::id::{EventId, Name, StreamId};
use relay_protocol::limits::{CONTROL_QUEUE_MAX, DATA_MAX, LINE_CREDIT, STREAM_CREDIT};
use relay_protocol::line::{Happened, Setup};
use relay_protocol::reason::{Broken, Dispatched, Leaving, Refusal};
use relay_protocol::webhook::{Answer, Fields, Request};

/// How many streams the fuzzed lines allow at a time.
const STREAMS: u32 = 8;

/// How many frames one act of an owner can queue at most: a body of 100 KB in DATA frames, and what ends it.
const FRAMES_OF_AN_ACT: usize = 5;

/// What an agent decodes is what the relay would have encoded.
pub fn to_agent(data: &[u8]) {
    if let Ok(Some(frame)) = ToAgent::decode(Bytes::copy_from_slice(data))
        && let Ok(encoded) = frame.encode()
    {
        assert_eq!(ToAgent::decode(encoded), Ok(Some(frame)));
    }
}

/// What the relay decodes is what an agent would have encoded.
pub fn to_relay(data: &[u8]) {
    if let Ok(Some(frame)) = ToRelay::decode(Bytes::copy_from_slice(data))
        && let Ok(encoded) = frame.encode()
    {
        assert_eq!(ToRelay::decode(encoded), Ok(Some(frame)));
    }
}

/// A field block that parses has the fields that make it.
pub fn fields(data: &[u8]) {
    if let Ok(block) = Fields::parse(Bytes::copy_from_slice(data)) {
        let again: Fields = block.iter().collect();
        assert_eq!(again, block);
    }
}

/// The relay's line under any frames and any behaviour of its owners.
pub fn line_of_relay(data: &[u8]) {
    let now = Instant::now();
    let setup = Setup { max_streams: STREAMS, ..Setup::default() };
    let mut play = Play::new(Line::relay(now, setup), false, now, data);
    if play.byte().is_some_and(|byte| byte == 0) {
        let frame = ToRelay::Hello(hello()).encode().expect("a short frame");
        assert!(play.line.receive(now, frame).is_ok_and(|happened| happened.is_some()));
        play.line.welcome(now, &hello(), welcome()).expect("a short frame");
    }
    play.play_out();
}

/// The agent's line under any frames and any behaviour of its owners.
pub fn line_of_agent(data: &[u8]) {
    let now = Instant::now();
    let line = Line::agent(now, hello()).expect("a short frame");
    let mut play = Play::new(line, true, now, data);
    if play.byte().is_some_and(|byte| byte == 0) {
        let frame = ToAgent::Welcome(welcome()).encode().expect("a short frame");
        assert!(play.line.receive(now, frame).is_ok_and(|happened| happened.is_some()));
    }
    play.play_out();
}

/// A line and the bytes that say what is done to it: an operation (1), a length (2), and that many bytes for it.
struct Play<'a> {
    line: Line,
    is_agent: bool,
    now: Instant,
    script: &'a [u8],
    /// Received and not consumed.
    held: Vec<(StreamId, usize)>,
    /// How many frames its owners may have queued.
    own: usize,
    /// Of streams that this end has heard of or opened, the last.
    last: StreamId,
}

impl<'a> Play<'a> {
    fn new(line: Line, is_agent: bool, now: Instant, script: &'a [u8]) -> Self {
        Self {
            line,
            is_agent,
            now,
            script,
            held: Vec::new(),
            own: 1 + STREAMS as usize,
            last: StreamId(0),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.script.split_first()?;
        self.script = rest;
        Some(*first)
    }

    /// The next operation with its bytes; a length beyond the end means all that is left.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let operation = self.byte()?;
        let length = usize::from(self.byte()?) << 8 | usize::from(self.byte()?);
        let (bytes, rest) = self.script.split_at(length.min(self.script.len()));
        self.script = rest;
        Some((operation, bytes))
    }

    fn play_out(&mut self) {
        while let Some((operation, bytes)) = self.next() {
            let going_on = match operation % 12 {
                0..=3 => self.receive(bytes),
                operation => self.act(operation, bytes),
            };
            if !going_on {
                return;
            }
            self.check();
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> bool {
        let Ok(happened) = self.line.receive(self.now, Bytes::copy_from_slice(bytes)) else {
            return false;
        };
        match happened {
            Some(Happened::Opened { stream, body, .. }) => {
                self.last = stream;
                self.held.push((stream, body.len()));
            }
            Some(Happened::Answered { stream, body, .. }) => self.held.push((stream, body.len())),
            Some(Happened::Data { stream, bytes }) => self.held.push((stream, bytes.len())),
            Some(Happened::Hello(hello)) => {
                return self.line.welcome(self.now, &hello, welcome()).is_ok();
            }
            _ => {}
        }
        true
    }

    /// What an owner does; the first byte chooses the stream, the second how much.
    fn act(&mut self, operation: u8, bytes: &[u8]) -> bool {
        self.own += FRAMES_OF_AN_ACT;
        let of = u64::from(bytes.first().copied().unwrap_or_default());
        let size = usize::from(bytes.get(1).copied().unwrap_or_default()) * 400;
        let stream = StreamId(self.last.0.saturating_sub(of % 16));
        let mut body = Bytes::from(vec![0; size]);
        match operation {
            4 => {
                self.now += Duration::from_millis(of * 200);
                return self.line.timeout(self.now).is_ok();
            }
            5 => drop(self.line.transmit()),
            6 => drop(self.line.send(stream, &mut body)),
            7 => self.line.end(stream, Fields::default()),
            8 => self.line.reset(stream, Broken::Cancelled, Dispatched::Maybe, ""),
            9 => self.begin(stream, &mut body, of >= 128),
            10 => {
                if let Some((stream, bytes)) = self.held.pop() {
                    self.line.consume(self.now, stream, bytes);
                }
            }
            _ if of >= 240 => self.line.go_away(GoAway {
                reason: Leaving::Shutdown,
                deadline_ms: 1,
                reconnect_after_ms: 1,
                detail: String::new(),
            }),
            _ if self.is_agent => self.line.refuse(stream, Refusal::Overloaded, ""),
            _ => {}
        }
        true
    }

    /// Opens a stream; at the agent's end, answers one.
    fn begin(&mut self, stream: StreamId, body: &mut Bytes, end: bool) {
        if self.is_agent {
            let answer = Answer { status: 200, fields: Fields::default() };
            let _ = self.line.answer(stream, answer, body, end);
        } else if let Ok(opened) = self.line.open(self.now, request(), body, end) {
            self.last = opened;
        }
    }

    fn check(&mut self) {
        while self.line.writable().is_some() {}
        let held: usize = self.held.iter().map(|(_, bytes)| bytes).sum();
        assert!(
            held <= LINE_CREDIT as usize,
            "the other side was let send more than the line's credit"
        );
        assert!(self.line.stream_count() <= STREAMS as usize);
        assert!(self.line.queued() <= CONTROL_QUEUE_MAX + self.own, "what waits is bounded");
    }
}

fn request() -> Request {
    Request {
        event: EventId::from_bytes([7; 16]),
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

fn hello() -> Hello {
    let subscription = Subscription {
        endpoint: "app".parse().expect("a name"),
        group: Name::main(),
        tap: false,
        max_backlog: None,
        skip_older_than_ms: None,
    };
    Hello {
        versions: vec![1],
        agent: "agent".into(),
        instance: "instance".into(),
        line: 0,
        subscriptions: vec![subscription],
        max_streams: STREAMS,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        session: "ses_1".into(),
        relay: "relay".into(),
        heartbeat_ms: 15_000,
        dead_after_ms: 40_000,
        stream_credit: DATA_MAX as u32,
        line_credit: LINE_CREDIT,
        nodes: Vec::new(),
        endpoints: Vec::new(),
        token_expires_in_ms: None,
    }
}
