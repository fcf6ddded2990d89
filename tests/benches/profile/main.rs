//! What webhook traffic looks like, and how the relay bears it: acknowledgements, backlogs, a million kept events.
//!
//!     cargo bench -p relay-tests --bench profile [-- PART...]
//!
//! Parts: `phases` (a whole load: 20/s, 60 s at 200/s, a burst of 2,000/s, a body of 25 MiB, the agent away and back, a
//! target that answers 429 and 503, one slow endpoint of 50; `BENCH_SHARE` (1.0) of its three minutes), `soak` (200/s for
//! `BENCH_MINUTES` (10), only if it is named), `live` (what recording costs a live answer), `acks` (200/s, bursts of
//! 2,000/s, the agent away and back), `drain` (a backlog at a set rate), `start` (after a `kill -9` with many events kept);
//! all of them if none is named. Bodies are as large as webhooks' are: half below 2 KB, 1 % above 60 KB. `BENCH_SECONDS`
//! (20) for each phase, `BENCH_BACKLOG` (100000), `BENCH_KEPT` (1000000).

mod acks;
mod drain;
mod live;
mod open_loop;
mod phases;
mod start;

use std::process::Stdio;
use std::time::Duration;

use relay_tests::agent::command;
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use tokio::process::Child;

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    if wants("phases") {
        let share = std::env::var("BENCH_SHARE").ok().and_then(|text| text.parse().ok());
        phases::measure(share.unwrap_or(1.0)).await;
    }
    if wanted.iter().any(|word| word == "soak") {
        phases::soak(number("BENCH_MINUTES", 10)).await;
    }
    if wants("live") {
        live::measure().await;
    }
    if wants("acks") {
        acks::measure(Duration::from_secs(number("BENCH_SECONDS", 20).into())).await;
    }
    if wants("drain") {
        drain::measure(number("BENCH_BACKLOG", 100_000)).await;
    }
    if wants("start") {
        start::measure(number("BENCH_KEPT", 1_000_000)).await;
    }
}

/// An agent as the real program that serves these endpoints.
async fn agent(relay: &Relay, endpoints: &[&str], target: std::net::SocketAddr) -> Child {
    let token = relay.token(endpoints).await;
    let route =
        |name: &&str| format!("[[endpoint]]\nname = \"{name}\"\ntarget = \"http://{target}\"\n");
    let config = relay.data.file("agent.toml", &endpoints.iter().map(route).collect::<String>());
    let mut command = command(&relay.data, &relay.url(), &token);
    command.arg("run").arg("--quiet").arg("--config").arg(config);
    let agent = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    for endpoint in endpoints {
        until("the agent serves", async || relay.agents(endpoint).await > 0).await;
    }
    agent
}
