//! A day of a relay in three minutes: warm-up, steady, a burst, the agent away and back, a target that refuses, one slow
//! endpoint of many, a body of 25 MiB; and at the end, whether everything that was promised has been delivered.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use relay_tests::fast_target::{self, Mood};
use relay_tests::raw::{Connection, Written};
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::{cost, wait};
use tokio::net::TcpListener;

use crate::agent;
use crate::open_loop::{Times, bodies, post, post_among};

/// Events a second: to warm up, in quiet times, in a burst.
const WARM: f64 = 20.0;
const STEADY: f64 = 200.0;
const BURST: f64 = 2000.0;

/// How many endpoints there are in the last phase, one of them slow.
const ENDPOINTS: usize = 50;
const SLOW: Duration = Duration::from_secs(2);

/// The largest body that any provider sends, in bytes.
const LARGEST: usize = 25 << 20;

/// How long all that was promised may take to arrive.
const DRAIN_MAX: Duration = Duration::from_secs(600);

fn tell(phase: &str, times: &Times) {
    println!("{phase:<32} {}", times.show());
}

/// One relay through all phases; `share` of their usual length.
pub(crate) async fn measure(share: f64) {
    let seconds = |usual: f64| Duration::from_secs_f64(usual * share);
    let mut relay = Relay::program(&[]).await;
    let acks = relay.endpoint_with("acks", &[("reply", "ack"), ("max_in_flight", "64")]).await;
    let (target, mood) = fast_target::start_moody();
    let (to, path, usual) = (relay.address, acks.path.as_str(), bodies(None));
    println!("\n## the phases of a load, {share} x their usual length\n");
    let first = agent(&relay, &["acks"], target).await;
    tell("warm-up, 20/s", &post(to, path, &usual, WARM, seconds(10.0)).await);
    tell("steady, 200/s", &post(to, path, &usual, STEADY, seconds(60.0)).await);
    tell("burst, 2,000/s", &post(to, path, &usual, BURST, seconds(20.0)).await);
    tell(
        "one body of 25 MiB",
        &post(to, path, &bodies(Some(LARGEST)), 1.0, Duration::from_secs(1)).await,
    );
    drop(first);
    wait::until("the agent has gone", async || relay.agents("acks").await == 0).await;
    tell("200/s, the agent away", &post(to, path, &usual, STEADY, seconds(30.0)).await);
    let second = agent(&relay, &["acks"], target).await;
    let draining = Instant::now();
    tell("200/s, the backlog drains", &post(to, path, &usual, STEADY, seconds(10.0)).await);
    drained(&relay, "acks").await;
    println!("{:<32} {:.1} s", "drained after", draining.elapsed().as_secs_f64());
    for (status, said) in
        [(Mood::TooMany, "200/s, the target answers 429"), (Mood::Unwell, "200/s, it answers 503")]
    {
        mood.store(status as u16, Ordering::Relaxed);
        tell(said, &post(to, path, &usual, STEADY, seconds(10.0)).await);
    }
    mood.store(Mood::Well as u16, Ordering::Relaxed);
    let draining = Instant::now();
    drained(&relay, "acks").await;
    println!("{:<32} {:.1} s", "drained after", draining.elapsed().as_secs_f64());
    drop(second);
    one_slow(&relay, target, seconds(20.0)).await;
    let memory = cost::memory(relay.process().id());
    println!("{:<32} {} MiB", "the relay holds in memory", memory >> 20);
    println!("{:<32} {}", "how the events of acks stand", states(&relay, "acks").await);
}

/// Live events of many endpoints, one of which answers slowly: the others do not feel it.
async fn one_slow(relay: &Relay, target: std::net::SocketAddr, time: Duration) {
    let names: Vec<String> = (0..ENDPOINTS).map(|n| format!("many-{n}")).collect();
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for name in &names {
        endpoints.push(relay.endpoint(name).await);
    }
    let (slow, others) = endpoints.split_at(1);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let _slow = agent(relay, &names[..1], slow_target().await).await;
    let _others = agent(relay, &names[1..], target).await;
    let usual = bodies(None);
    let paths: Vec<String> = others.iter().map(|endpoint| endpoint.path.clone()).collect();
    let among = |share: usize| STEADY * share as f64 / ENDPOINTS as f64;
    let (slow, others) = tokio::join!(
        post(relay.address, &slow[0].path, &usual, among(1), time),
        post_among(relay.address, &paths, &usual, among(ENDPOINTS - 1), time)
    );
    tell("one slow endpoint of 50, live", &slow);
    tell("the other 49 meanwhile, live", &others);
}

/// Waits until nothing waits for an endpoint.
async fn drained(relay: &Relay, endpoint: &str) {
    let begun = Instant::now();
    while backlog(relay, endpoint).await > 0 {
        assert!(begun.elapsed() < DRAIN_MAX, "not everything that was promised is delivered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn backlog(relay: &Relay, endpoint: &str) -> u64 {
    let shown = relay.api().get(&format!("/endpoints/{endpoint}")).await.expect("an endpoint");
    shown["groups"]["main"]["backlog"].as_u64().expect("a number")
}

async fn states(relay: &Relay, endpoint: &str) -> String {
    let shown = relay.api().get(&format!("/endpoints/{endpoint}")).await.expect("an endpoint");
    shown["groups"]["main"]["states"].to_string()
}

/// A target that takes its time.
async fn slow_target() -> std::net::SocketAddr {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = door.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = door.accept().await {
            tokio::spawn(async move {
                let mut connection = Connection::of(socket);
                while connection.request().await.is_some() {
                    tokio::time::sleep(SLOW).await;
                    connection.try_send(Written::answer(200).body("slow").bytes()).await;
                }
            });
        }
    });
    address
}

/// The steady load for so many minutes, a line a minute: what grows shows.
pub(crate) async fn soak(minutes: u32) {
    let mut relay = Relay::program(&[]).await;
    let acks = relay.endpoint_with("acks", &[("reply", "ack"), ("keep_events", "20000")]).await;
    let (target, usual) = (fast_target::start(), bodies(None));
    let _agent = agent(&relay, &["acks"], target).await;
    println!("\n## {STEADY:.0}/s for {minutes} minutes\n");
    for minute in 1..=minutes {
        let times = post(relay.address, &acks.path, &usual, STEADY, Duration::from_secs(60)).await;
        let memory = cost::memory(relay.process().id()) >> 20;
        let (waiting, disk) = (backlog(&relay, "acks").await, on_disk(&relay) >> 20);
        println!(
            "{minute:>4}: {}; {waiting} wait, {memory} MiB in memory, {disk} MiB on disk",
            times.show()
        );
    }
}

/// How large the store's database is, in bytes.
fn on_disk(relay: &Relay) -> u64 {
    std::fs::metadata(relay.data.path().join("store/relay.db")).map_or(0, |file| file.len())
}
