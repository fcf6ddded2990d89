//! Two ends of a line against each other, without sockets and without a clock.

mod credit;
mod life;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Happened, Line, Setup, Violation};
use crate::hello::{Hello, Served, Subscription, Welcome};
use crate::id::{EventId, StreamId};
use crate::limits::{LINE_CREDIT, STREAM_CREDIT, STREAMS_MAX};
use crate::webhook::{Answer, Fields, Request};

/// How long a message is under way.
const TRIP: Duration = Duration::from_millis(10);

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Relay,
    Agent,
}

/// A relay's and an agent's end, and the messages between them.
struct Pair {
    relay: Line,
    agent: Line,
    to_relay: VecDeque<Bytes>,
    to_agent: VecDeque<Bytes>,
    now: Instant,
}

impl Pair {
    /// A line on which HELLO is still under way.
    fn dialled(hello: &Hello) -> Self {
        let now = Instant::now();
        let relay = Line::relay(now, setup(hello));
        let agent = Line::agent(now, hello.clone()).expect("a short hello");
        let (to_relay, to_agent) = (VecDeque::new(), VecDeque::new());
        Self { relay, agent, to_relay, to_agent, now }
    }

    /// A live line; both sides grant what `hello` says.
    fn live(hello: &Hello) -> Self {
        let mut pair = Self::dialled(hello);
        let happened = pair.pass_all();
        assert_eq!(happened, [(End::Relay, Happened::Hello(hello.clone()))]);
        pair.relay.welcome(pair.now, hello, welcome()).expect("a short welcome");
        let happened = pair.pass_all();
        assert!(matches!(happened[..], [(End::Agent, Happened::Welcome(_))]));
        pair
    }

    fn end(&mut self, end: End) -> &mut Line {
        match end {
            End::Relay => &mut self.relay,
            End::Agent => &mut self.agent,
        }
    }

    /// Puts one message of this end onto the wire.
    fn transmit(&mut self, end: End) -> bool {
        let Some(message) = self.end(end).transmit() else { return false };
        match end {
            End::Relay => self.to_agent.push_back(message),
            End::Agent => self.to_relay.push_back(message),
        }
        true
    }

    /// Hands this end the next message from the wire.
    fn deliver(&mut self, end: End) -> Result<Option<Happened>, Violation> {
        let message = match end {
            End::Relay => self.to_relay.pop_front(),
            End::Agent => self.to_agent.pop_front(),
        };
        let Some(message) = message else { return Ok(None) };
        self.now += TRIP;
        let now = self.now;
        self.end(end).receive(now, message)
    }

    /// Passes messages until neither end has any.
    fn pass_all(&mut self) -> Vec<(End, Happened)> {
        let mut all = Vec::new();
        loop {
            let mut quiet = true;
            for end in [End::Relay, End::Agent] {
                while self.transmit(end) {
                    quiet = false;
                }
            }
            for end in [End::Agent, End::Relay] {
                while !(if end == End::Agent { &self.to_agent } else { &self.to_relay }).is_empty()
                {
                    quiet = false;
                    let happened = self.deliver(end).expect("an honest line");
                    all.extend(happened.map(|happened| (end, happened)));
                }
            }
            if quiet {
                return all;
            }
        }
    }

    /// Opens a stream from the relay.
    fn open(&mut self, body: &mut Bytes, end: bool) -> StreamId {
        self.relay.open(self.now, request(), body, end).expect("room for a stream")
    }
}

fn hello() -> Hello {
    Hello {
        versions: vec![1],
        agent: "agent".into(),
        instance: "instance".into(),
        line: 0,
        subscriptions: vec![subscription("endpoint")],
        max_streams: STREAMS_MAX,
        stream_credit: STREAM_CREDIT,
        line_credit: LINE_CREDIT,
    }
}

fn subscription(endpoint: &str) -> Subscription {
    let (endpoint, group) = (endpoint.parse().expect("a name"), crate::id::Name::main());
    Subscription { endpoint, group, tap: false, max_backlog: None, skip_older_than_ms: None }
}

fn welcome() -> Welcome {
    Welcome {
        version: 1,
        session: "ses_1".into(),
        relay: "relay".into(),
        heartbeat_ms: 0,
        dead_after_ms: 0,
        stream_credit: 0,
        line_credit: 0,
        nodes: Vec::new(),
        endpoints: Vec::new(),
        token_expires_in_ms: None,
    }
}

fn served(endpoint: &str, url: String) -> Served {
    let (endpoint, group) = (endpoint.parse().expect("a name"), crate::id::Name::main());
    Served { endpoint, group, url, backlog: 0, oldest_ms: 0, held: false }
}

fn setup(hello: &Hello) -> Setup {
    let (stream_credit, line_credit) = (hello.stream_credit, hello.line_credit);
    Setup { stream_credit, line_credit, ..Setup::default() }
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

fn answer() -> Answer {
    Answer { status: 200, fields: Fields::default() }
}

fn zeros(length: usize) -> Bytes {
    Bytes::from(vec![0; length])
}
