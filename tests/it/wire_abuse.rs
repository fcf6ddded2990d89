//! Who breaks the protocol is told how and cut off; nobody else notices, and nothing is left behind.

use std::collections::HashSet;

use relay_protocol::CONNECT_PATH;
use relay_protocol::frame::ToRelay;
use relay_protocol::hello::Hello;
use relay_protocol::limits::{CREDIT_LIMIT, DATA_MAX, FRAME_MAX, LINE_CREDIT};
use relay_protocol::reason::close;
use relay_tests::agent::{Agent, Wanted};
use relay_tests::cost::memory;
use relay_tests::process::Process;
use relay_tests::raw::Connection;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::{slow, soon, until};
use relay_tests::wire::hello;
use tokio::task::JoinSet;

/// WebSocket opcodes (RFC 6455 §5.2).
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const RESERVED: u8 = 3;

/// An agent's WebSocket, byte by byte.
struct Socket(Connection);

impl Socket {
    async fn open(relay: &Relay, token: &str) -> Self {
        let mut socket = Connection::to(relay.address).await;
        let request = format!(
            "GET {CONNECT_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.send(request).await;
        assert_eq!(soon("the upgrade", socket.head()).await.expect("an answer").status(), 101);
        Self(socket)
    }

    /// Opens a line and waits for its WELCOME.
    async fn live(relay: &Relay, token: &str, hello: Hello) -> Self {
        let mut socket = Self::open(relay, token).await;
        let frame = ToRelay::Hello(hello).encode().expect("a short hello");
        socket.0.send(message(BINARY, &frame)).await;
        let (opcode, welcome) = socket.message().await.expect("a WELCOME");
        assert_eq!((opcode, welcome.first()), (BINARY, Some(&2)));
        socket
    }

    /// The next message: its opcode and payload; `None` when the socket has ended.
    async fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.bytes(2).await?;
        let length = match head[1] {
            126 => self.bytes(2).await?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            127 => self.bytes(8).await?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
            short => short.into(),
        };
        Some((head[0] & 0x0f, self.bytes(length).await?))
    }

    async fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        soon("the relay says something", self.0.exactly(length)).await.ok()
    }

    /// The close code with which the relay ends the line; 0 when it just breaks.
    async fn closed(&mut self) -> u16 {
        while let Some((opcode, payload)) = self.message().await {
            if opcode == CLOSE {
                // As RFC 6455 §5.5.1 asks: the answer, and then the relay closes.
                self.0.try_send(message(CLOSE, &payload[..2])).await;
                return u16::from_be_bytes([payload[0], payload[1]]);
            }
        }
        0
    }
}

/// One WebSocket message of a client, masked with zeros.
fn message(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u16::try_from(payload.len()) {
        Ok(short @ ..126) => frame.push(0x80 | short as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn on_stream(code: u8, stream: u64, rest: &[u8]) -> Vec<u8> {
    message(BINARY, &[&[code][..], &stream.to_be_bytes(), rest].concat())
}

/// What an attacker sends, and how it ends.
struct Attack {
    name: &'static str,
    /// After WELCOME, or instead of HELLO.
    live: bool,
    bytes: Vec<u8>,
    code: u16,
    /// What the relay's log says of it.
    words: &'static str,
}

/// A message without the mask that a client's has (RFC 6455 §5.1).
fn unmasked() -> Vec<u8> {
    let mut torn = message(BINARY, b"\x0a");
    torn[1] &= 0x7f;
    torn
}

fn attacks() -> Vec<Attack> {
    let hello_for =
        |hello: Hello| message(BINARY, &ToRelay::Hello(hello).encode().expect("a short hello"));
    let at = |live, name, bytes, code, words| Attack { name, live, bytes, code, words };
    let first = |name, bytes, code, words| at(false, name, bytes, code, words);
    let then = |name, bytes, code, words| at(true, name, bytes, code, words);
    let over = u32::try_from(CREDIT_LIMIT + 1 - u64::from(LINE_CREDIT)).expect("32 bits");
    let rich = Hello { line_credit: u32::MAX, ..hello("rich", &["story"]) };
    let modern = Hello { versions: vec![77], ..hello("modern", &["story"]) };
    vec![
        first("no frame at all", message(BINARY, b"\x7fwhat"), 1002, "frame type 0x7f"),
        first("an empty message", message(BINARY, b""), 1002, "an empty frame"),
        first("HELLO that is no JSON", message(BINARY, b"\x01{"), 1002, "HELLO: EOF"),
        first(
            "PING before HELLO",
            message(BINARY, &[10, 0, 0, 0, 0, 0, 0, 0, 1]),
            1002,
            "before WELCOME",
        ),
        first("a text message", message(TEXT, b"hello"), close::UNSUPPORTED, "a text message"),
        first("text that is none", message(TEXT, b"\xff"), close::UNSUPPORTED, "a text message"),
        first("a reserved opcode", message(RESERVED, b"x"), 1002, "not a WebSocket frame"),
        first("an unmasked message", unmasked(), 1002, "not a WebSocket frame"),
        first(
            "a longer message",
            message(BINARY, &vec![1; FRAME_MAX + 1]),
            close::TOO_BIG,
            "above 65536",
        ),
        first(
            "a length of 2^62",
            [&[0x82, 0xff, 0x40][..], &[0; 11]].concat(),
            close::TOO_BIG,
            "above 65536",
        ),
        first(
            "an endpoint of somebody else",
            hello_for(hello("a", &["other"])),
            close::NOT_ALLOWED,
            "not for endpoint other",
        ),
        first(
            "nobody's endpoint",
            hello_for(hello("a", &["gone"])),
            close::UNKNOWN_ENDPOINT,
            "no endpoint gone",
        ),
        first("no endpoint", hello_for(hello("a", &[])), 1002, "between 1 and 256"),
        first("an endpoint twice", hello_for(hello("a", &["story", "story"])), 1002, "named twice"),
        first("another version", hello_for(modern), close::NO_VERSION, "no protocol version"),
        first("credit above the limit", hello_for(rich), 1002, "both credits"),
        then("a second HELLO", hello_for(hello("b", &["story"])), 1002, "a second HELLO"),
        then("DATA on an unknown stream", on_stream(6, 9, b"x"), 1002, "never opened"),
        then("END on an unknown stream", on_stream(7, 9, b""), 1002, "never opened"),
        then("DATA without bytes", on_stream(6, 1, b"").repeat(500), 1002, "the length of DATA"),
        then("DATA too long", on_stream(6, 1, &vec![0; DATA_MAX + 1]), 1002, "the length of DATA"),
        then("a credit of 0", on_stream(8, 0, &[0; 4]), 1002, "a credit of 0"),
        then(
            "credit beyond 2^31-1",
            on_stream(8, 0, &over.to_be_bytes()),
            1002,
            "more than the limit",
        ),
        then("credit of 2^32-1", on_stream(8, 0, &[0xff; 4]), 1002, "more than the limit"),
        then("a frame of the relay", on_stream(3, 1, &[0; 40]), 1002, "cannot come from this side"),
        then("an unknown code", on_stream(4, 1, &[99]), 1002, "a refusal's code"),
        then("a torn frame", message(BINARY, &[9, 0, 0]), 1002, "wrong length"),
    ]
}

/// A relay as a program, with an endpoint that an honest agent serves, and a token for attackers.
struct Scene {
    relay: Relay,
    endpoint: Endpoint,
    token: String,
    _agent: Agent,
    _target: Target,
}

impl Scene {
    async fn set() -> Self {
        let relay = Relay::program(&[]).await;
        let endpoint = relay.endpoint("story").await;
        relay.endpoint("other").await;
        relay.endpoint("gone").await;
        let token = relay.token(&["story", "gone"]).await;
        relay.api().delete("/endpoints/gone").await.expect("it is deleted");
        let target = Target::echo().await;
        let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
        let agent = Agent::start(&wanted).await;
        Self { relay, endpoint, token, _agent: agent, _target: target }
    }

    /// Carries out one attack; the close code it ends with.
    async fn attacked(&self, attack: &Attack) -> u16 {
        let mut socket = if attack.live {
            let instance = format!("attacker-{:x}", fastrand::u64(..));
            Socket::live(&self.relay, &self.token, hello(&instance, &["story"])).await
        } else {
            Socket::open(&self.relay, &self.token).await
        };
        socket.0.try_send(&attack.bytes).await;
        socket.closed().await
    }

    /// Whether events reach the honest agent, and only it is there.
    async fn all_is_well(&self) {
        until("only the honest agent is left", async || self.relay.agents("story").await == 1)
            .await;
        assert_eq!(self.relay.provider(&self.endpoint).post("/", "x").await.status(), 200);
    }
}

/// How many files and sockets a program has open.
fn open_files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).expect("a Linux system").count()
}

#[tokio::test]
async fn every_attack_ends_its_own_line_with_a_code_and_a_word_and_no_other() {
    let mut scene = Scene::set().await;
    for attack in attacks() {
        assert_eq!(scene.attacked(&attack).await, attack.code, "{}", attack.name);
        scene.all_is_well().await;
        let (relay, words) = (&mut scene.relay, attack.words);
        until(attack.name, async || relay.process().said().contains(words)).await;
    }
    let said = scene.relay.process().said();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test]
async fn who_provokes_answers_and_reads_none_is_cut_off() {
    let mut scene = Scene::set().await;
    let flood = message(BINARY, &[10, 0, 0, 0, 0, 0, 0, 0, 1]).repeat(4_000);
    let mut socket = Socket::live(&scene.relay, &scene.token, hello("flood", &["story"])).await;
    let flooded = async { while socket.0.try_send(&flood).await {} };
    soon("the relay does not put up with it", flooded).await;
    scene.all_is_well().await;
    let relay = &mut scene.relay;
    let words = "faster than the answers are read";
    until("it says why", async || relay.process().said().contains(words)).await;
}

#[tokio::test]
async fn a_hello_that_never_comes_is_not_waited_for() {
    if !slow("a HELLO that never comes") {
        return;
    }
    let mut scene = Scene::set().await;
    let mut socket = Socket::open(&scene.relay, &scene.token).await;
    assert_eq!(socket.closed().await, close::HELLO_TIMEOUT);
    scene.all_is_well().await;
    assert!(scene.relay.process().said().contains("no first frame in time"));
}

/// How many rounds the long stories take: `RELAY_ROUNDS` says more.
fn rounds() -> usize {
    let told = std::env::var("RELAY_ROUNDS").ok();
    told.map_or(3_000, |told| told.parse().expect("RELAY_ROUNDS is a number"))
}

/// How much memory may come after the first third of the rounds, in bytes: noise of the allocator.
const GROWTH: u64 = 6 << 20;

/// How many files may be open at the end beyond those after the first third: the store's, and callers just gone.
const FILES: usize = 8;

/// How many attackers there are at a time.
const AT_A_TIME: usize = 8;

#[tokio::test]
async fn nothing_is_left_of_thousands_of_attacks() {
    let mut scene = Scene::set().await;
    let (mut third, mut files) = (0, 0);
    for part in 0..3 {
        attack_for(&scene, rounds() / 3).await;
        scene.all_is_well().await;
        if part == 0 {
            third = memory(scene.relay.process().id());
            files = open_files(scene.relay.process());
        }
    }
    let process = scene.relay.process();
    let growth = memory(process.id()).saturating_sub(third);
    assert!(growth < GROWTH, "{growth} bytes more after {} rounds", rounds());
    until("every file is closed", async || open_files(process) <= files + FILES).await;
}

async fn attack_for(scene: &Scene, rounds: usize) {
    let attacks = attacks();
    let mut seen = HashSet::new();
    for round in (0..rounds).step_by(AT_A_TIME) {
        let some = (round..round + AT_A_TIME).map(|n| &attacks[n % attacks.len()]);
        let all = futures_util::future::join_all(some.clone().map(|a| scene.attacked(a))).await;
        for (attack, code) in some.zip(all) {
            assert_eq!(code, attack.code, "{}", attack.name);
            seen.insert(attack.name);
        }
    }
    assert!(rounds < attacks.len() || seen.len() == attacks.len());
}

#[tokio::test]
async fn nothing_is_left_of_agents_that_go_between_request_and_answer() {
    let mut relay = Relay::program(&[]).await;
    // Nothing is recorded: a hundred thousand events would fill the store's cache, which is no leak.
    let endpoint = relay
        .endpoint_with("story", &[("fallback", "fail"), ("hold", "0ms"), ("capture", "none")])
        .await;
    let token = relay.token(&["story"]).await;
    let (mut third, mut files) = (0, 0);
    for part in 0..3 {
        for _ in 0..rounds() / 3 / AT_A_TIME {
            let mut asked = JoinSet::new();
            let (mut line, _) =
                relay_tests::wire::ByHand::live(relay.address, &token, hello("leaves", &["story"]))
                    .await;
            for _ in 0..AT_A_TIME {
                let mut provider = relay.provider(&endpoint);
                asked.spawn(async move { provider.post("/", "x").await.status() });
            }
            for _ in 0..AT_A_TIME {
                line.opened().await;
            }
            drop(line);
            let all = soon("everybody is told", asked.join_all()).await;
            assert_eq!(all, [502; AT_A_TIME]);
        }
        if part == 0 {
            third = memory(relay.process().id());
            files = open_files(relay.process());
        }
    }
    until("no agent is left", async || relay.agents("story").await == 0).await;
    let process = relay.process();
    let growth = memory(process.id()).saturating_sub(third);
    assert!(growth < GROWTH, "{growth} bytes more after {} rounds", rounds());
    until("every file is closed", async || open_files(process) <= files + FILES).await;
}
