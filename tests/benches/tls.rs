//! What TLS costs: the memory of an agent's idle line, and the latency of webhooks while strangers shake hands.
//!
//!     cargo bench -p relay-tests --bench tls [-- PART...]
//!
//! Parts: `idle`, `storm`; both if none is named. What counts are the ratios to the same without TLS, and without the
//! strangers, in turns on one machine; nothing is asserted. `BENCH_HANDSHAKES` (500) a second for `BENCH_SECONDS` (3) in
//! each of `BENCH_ROUNDS` (5).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use relay_client::socket::Socket;
use relay_tests::agent::command;
use relay_tests::authority::Authority;
use relay_tests::cost;
use relay_tests::fast_target;
use relay_tests::http2::Caller;
use relay_tests::process::Process;
use relay_tests::provider::Provider;
use relay_tests::relay::Relay;
use relay_tests::wire::{ByHand, hello};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How many idle lines there are.
const LINES: usize = 2000;

/// How many lines there are before the first look: what the first ones need is needed once.
const FIRST: usize = 100;

/// How long the relay is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(500);

/// How long there is between one webhook and the next.
const EVERY: Duration = Duration::from_millis(5);

/// How many handshakes may be under way at a time.
const SHAKING_MAX: usize = 256;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    if wants("idle") {
        idle().await;
    }
    if wants("storm") {
        storm().await;
    }
}

async fn idle() {
    println!("\n## memory of an idle line, {LINES} of them\n");
    let clear = a_line(Relay::program(&[]).await, None).await;
    let authority = Arc::new(Authority::fresh());
    let relay = Relay::secure_program(&authority, &[]).await;
    let tls = a_line(relay, Some(Caller::of(&authority, &[]).forgetful())).await;
    println!("in the clear  {clear:>6.0} bytes");
    println!("over TLS      {tls:>6.0} bytes, {:.2} x", tls / clear);
}

/// The memory of one line of many, in bytes.
async fn a_line(mut relay: Relay, caller: Option<Caller>) -> f64 {
    relay.endpoint("idle").await;
    let token = relay.token(&["idle"]).await;
    let (mut lines, process) = (Vec::new(), relay.process().id());
    let mut memory = 0;
    for n in 0..FIRST + LINES {
        if n == FIRST {
            sleep(SETTLE).await;
            memory = cost::memory(process);
        }
        let socket = match &caller {
            Some(caller) => {
                let stream = caller.connect(relay.address).await.expect("TLS");
                Socket::Tls(Box::new(stream.into()))
            }
            None => Socket::Tcp(TcpStream::connect(relay.address).await.expect("it listens")),
        };
        let hello = hello(&format!("idle-{n}"), &["idle"]);
        lines.push(ByHand::live_over(socket, relay.address, &token, hello).await.0);
    }
    sleep(SETTLE).await;
    (cost::memory(process).saturating_sub(memory)) as f64 / LINES as f64
}

async fn storm() {
    let authority = Arc::new(Authority::fresh());
    let relay = Relay::secure_program(&authority, &[]).await;
    let endpoint = relay.endpoint("storm").await;
    let token = relay.token(&["storm"]).await;
    let mut agent = command(&relay.data, &relay.url().replacen("https", "wss", 1), &token);
    agent.arg("--ca-file").arg(authority.ca_file());
    let target = format!("http://{}", fast_target::start());
    let mut agent =
        Process::start(agent.args(["forward", &target, "--endpoint", "storm", "--quiet"]));
    agent.event("ready").await;
    let mut provider = relay.provider(&endpoint).keeping();
    let (rate, time) = (number("BENCH_HANDSHAKES", 500), number("BENCH_SECONDS", 3).into());
    let time = Duration::from_secs(time);
    println!("\n## latency of webhooks beside {rate} handshakes a second\n");
    println!("{:>12}{:>12}{:>10}{:>10}{:>8}", "shaken /s", "calm p50", "storm", "x p50", "x p99");
    for _ in 0..number("BENCH_ROUNDS", 5) {
        let calm = latencies(&mut provider, time).await;
        let strangers = Strangers::come(relay.address, &authority, rate);
        let stormy = latencies(&mut provider, time).await;
        let shaken = f64::from(strangers.leave()) / time.as_secs_f64();
        let at = |times: &[Duration], share: f64| {
            times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3
        };
        println!(
            "{shaken:>12.0}{:>9.2} ms{:>7.2} ms{:>10.2}{:>8.2}",
            at(&calm, 0.5),
            at(&stormy, 0.5),
            at(&stormy, 0.5) / at(&calm, 0.5),
            at(&stormy, 0.99) / at(&calm, 0.99),
        );
    }
}

/// How long webhooks take, one after the other, in order of length.
async fn latencies(provider: &mut Provider, time: Duration) -> Vec<Duration> {
    let (mut times, mut turns) = (Vec::new(), interval(EVERY));
    let started = Instant::now();
    while started.elapsed() < time {
        turns.tick().await;
        let asked = Instant::now();
        assert_eq!(provider.post("/", [b'x'; 1024]).await.status(), 200);
        times.push(asked.elapsed());
    }
    times.sort();
    times
}

/// Strangers on a thread of their own, who shake hands and leave.
struct Strangers {
    shaken: Arc<AtomicU32>,
    gone: CancellationToken,
}

impl Strangers {
    fn come(to: SocketAddr, authority: &Authority, rate: u32) -> Self {
        let (shaken, gone) = (Arc::<AtomicU32>::default(), CancellationToken::new());
        let caller = Caller::of(authority, &["h2", "http/1.1"]).forgetful();
        let (counted, until) = (Arc::clone(&shaken), gone.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .expect("a runtime")
                .block_on(until.run_until_cancelled(shake(caller, to, rate, counted)));
        });
        Self { shaken, gone }
    }

    fn leave(self) -> u32 {
        self.gone.cancel();
        self.shaken.load(Ordering::Relaxed)
    }
}

async fn shake(caller: Caller, to: SocketAddr, rate: u32, shaken: Arc<AtomicU32>) {
    let (mut shaking, mut turns) = (JoinSet::new(), interval(Duration::from_secs(1) / rate));
    loop {
        turns.tick().await;
        while shaking.try_join_next().is_some() {}
        if shaking.len() >= SHAKING_MAX {
            shaking.join_next().await;
        }
        let (caller, shaken) = (caller.clone(), Arc::clone(&shaken));
        shaking.spawn(async move {
            if caller.connect(to).await.is_ok() {
                shaken.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}
