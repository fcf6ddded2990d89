//! What the way through the relay costs, beside nginx (a reverse proxy) and rathole (a TCP tunnel) in the same run.
//!
//!     cargo bench -p relay-tests --bench relay
//!
//! Everything runs on this machine as release programs and takes turns, so that whatever else the machine does falls on
//! all alike; what counts are the ratios, of which the median, the least and the most over the rounds are shown. The
//! agent runs as in production, `relay-client run --quiet`. Nothing is asserted: times are for people to judge.
//!
//! - `BENCH_ROUNDS` (5) rounds of `BENCH_SECONDS` (2) for each of them; `BENCH_SHAPES` picks some by a part of their name,
//!   and `BENCH_PEERS` some of those who are measured, by their whole names with semicolons between
//! - nginx: Debian's `nginx-light`; `BENCH_NGINX` is its path if it is not on `PATH`
//! - rathole: `cargo install rathole@0.5.0 --no-default-features --features server,client`; `BENCH_RATHOLE` likewise
//! - `BENCH_SETTINGS` are further settings of the relay, such as `workers=2`

mod idle;
mod peers;
mod table;

use std::time::Duration;

use relay_tests::cost;
use relay_tests::load::{Load, post};

use peers::{Peer, Peers};
use table::{Row, Table};

/// How long all are left alone before each turn: what one has still to do does not fall on the next.
const PAUSE: Duration = Duration::from_millis(400);

/// The body of each request, in bytes.
const BODY: usize = 1024;

/// How requests come.
struct Shape {
    name: &'static str,
    senders: usize,
    fresh: bool,
}

const SHAPES: [Shape; 4] = [
    Shape { name: "a new connection for each request, 32 senders", senders: 32, fresh: true },
    Shape { name: "32 kept connections", senders: 32, fresh: false },
    Shape { name: "256 kept connections", senders: 256, fresh: false },
    Shape { name: "1 kept connection", senders: 1, fresh: false },
];

fn number(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if std::env::var_os(idle::BARE).is_some() {
        return idle::serve_bare().await;
    }
    let rounds = number("BENCH_ROUNDS", 5.0).clamp(1.0, 100.0) as usize;
    let time = Duration::from_secs_f64(number("BENCH_SECONDS", 2.0).clamp(0.2, 60.0));
    let wanted = std::env::var("BENCH_SHAPES").unwrap_or_default();
    let mut peers = Peers::start().await;
    if let Ok(picked) = std::env::var("BENCH_PEERS") {
        peers.all.retain(|peer| picked.split(';').any(|name| name == peer.name));
    }
    println!("{rounds} rounds of {time:?}, bodies of {BODY} bytes");
    for shape in SHAPES.iter().filter(|shape| shape.name.contains(&wanted)) {
        let mut table = Table::default();
        for round in 0..rounds {
            // Whoever comes first in one round comes later in the next.
            for turn in 0..peers.all.len() {
                let peer = &peers.all[(turn + round) % peers.all.len()];
                tokio::time::sleep(PAUSE).await;
                table.add(peer.name, measure(peer, shape, time).await);
            }
        }
        println!("\n## {}\n", shape.name);
        table.print(peers.all.iter().map(|peer| peer.name));
    }
    drop(peers);
    idle::compare().await;
}

async fn measure(peer: &Peer, shape: &Shape, time: Duration) -> Row {
    let request = post(peer.to, &peer.path, BODY, shape.fresh);
    let load = Load { to: peer.to, request, senders: shape.senders, fresh: shape.fresh, time };
    let before: Vec<Duration> = peer.processes.iter().map(|id| cost::cpu(*id)).collect();
    let (own, machine) = (cost::cpu(std::process::id()), cost::cpu_of_the_machine());
    let measured = tokio::task::spawn_blocking(move || load.run()).await.expect("no panic");
    let cpu: Vec<Duration> =
        peer.processes.iter().zip(before).map(|(id, before)| cost::cpu(*id) - before).collect();
    let ours = (cost::cpu(std::process::id()) - own) + cpu_of_others(&cpu, peer);
    let others = (cost::cpu_of_the_machine() - machine).saturating_sub(ours);
    Row { measured, cpu, others: others.as_secs_f64() / time.as_secs_f64() }
}

/// CPU time of a peer that is not counted with this process's own children already: of its grandchildren.
fn cpu_of_others(cpu: &[Duration], peer: &Peer) -> Duration {
    if peer.has_children { cpu.iter().sum() } else { Duration::ZERO }
}
