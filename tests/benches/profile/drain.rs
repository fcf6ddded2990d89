//! A backlog drains at the rate that was set, in bounded memory, and live events of another endpoint do not feel it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relay_tests::relay::Relay;
use relay_tests::{cost, fast_target};
use tokio::time::sleep;

use crate::agent;
use crate::open_loop::{bodies, post};

/// The rate that is set for the backlog, in events a second.
const RATE: u32 = 2000;

/// Live events of the other endpoint, a second.
const LIVE: f64 = 100.0;

/// How fast the backlog is posted, in events a second: below what a small machine takes.
const POSTED: f64 = 4000.0;

/// How often the backlog is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn measure(backlog: u32) {
    let mut relay = Relay::program(&[]).await;
    let rate = format!("{RATE}/s");
    let settings = [("reply", "ack"), ("rate", rate.as_str()), ("max_in_flight", "64")];
    let behind = relay.endpoint_with("behind", &settings).await;
    let live = relay.endpoint("live").await;
    let (to, target, bodies) = (relay.address, fast_target::start(), bodies(Some(1024)));
    println!("\n## a backlog of {backlog} events of 1 KiB drains at {RATE}/s\n");
    let time = Duration::from_secs_f64(f64::from(backlog) / POSTED);
    println!(
        "posted:                  {}",
        post(to, &behind.path, &bodies, POSTED, time).await.show()
    );
    let _agent = agent(&relay, &["behind", "live"], target).await;
    let memory = Arc::new(AtomicBool::new(true));
    let watching = tokio::spawn(most_memory(relay.process().id(), Arc::clone(&memory)));
    let (begun, first) = (Instant::now(), waiting(&relay).await);
    let during = tokio::spawn({
        let (path, bodies) = (live.path.clone(), Arc::clone(&bodies));
        let time = Duration::from_secs_f64(0.8 * f64::from(backlog) / f64::from(RATE));
        async move { post(to, &path, &bodies, LIVE, time).await }
    });
    while waiting(&relay).await > 0 {
        sleep(LOOK_EVERY).await;
    }
    let (took, drained) = (begun.elapsed().as_secs_f64(), first as f64);
    println!(
        "drained:                 {drained:.0} in {took:.1} s, {:.0}/s, {:.3} x the set rate",
        drained / took,
        drained / took / f64::from(RATE)
    );
    println!("live events meanwhile:   {}", during.await.expect("no panic").show());
    let quiet = post(to, &live.path, &bodies, LIVE, Duration::from_secs(10)).await;
    println!("live events without it:  {}", quiet.show());
    memory.store(false, Ordering::Relaxed);
    println!(
        "the relay held {} MiB in memory at the most",
        watching.await.expect("no panic") >> 20
    );
}

async fn waiting(relay: &Relay) -> u64 {
    let shown = relay.api().get("/endpoints/behind").await.expect("an endpoint");
    shown["groups"]["main"]["backlog"].as_u64().expect("a number")
}

async fn most_memory(process: u32, goes_on: Arc<AtomicBool>) -> u64 {
    let mut most = 0;
    while goes_on.load(Ordering::Relaxed) {
        most = most.max(cost::memory(process));
        sleep(LOOK_EVERY).await;
    }
    most
}
