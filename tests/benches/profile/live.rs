//! What it costs the caller of a live event that it is recorded: at the rates of the load, and at one far above them. In
//! turns, so that whatever else the machine does falls on both alike.

use std::time::Duration;

use relay_tests::fast_target;
use relay_tests::relay::Relay;

use crate::agent;
use crate::open_loop::{bodies, post};

/// Events a second.
const RATES: [f64; 3] = [200.0, 2000.0, 10_000.0];

const ROUNDS: usize = 5;

/// The body of each event, in bytes: what most providers send is about so long.
const BODY: usize = 1400;

/// How long each turn takes.
const TURN: Duration = Duration::from_secs(3);

pub(crate) async fn measure() {
    let relay = Relay::program(&[]).await;
    let off = relay.endpoint_with("off", &[("capture", "none")]).await;
    let on = relay.endpoint_with("on", &[("capture", "full")]).await;
    let _agent = agent(&relay, &["off", "on"], fast_target::start()).await;
    let usual = bodies(Some(BODY));
    println!("\n## p50 of a live answer, recorded and not, {ROUNDS} rounds of {TURN:?}\n");
    for rate in RATES {
        let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let bare = post(relay.address, &off.path, &usual, rate, TURN).await;
            let kept = post(relay.address, &on.path, &usual, rate, TURN).await;
            assert_eq!((bare.failed, kept.failed), (0, 0), "all are answered");
            without.push(bare.median_from_sent());
            with.push(kept.median_from_sent());
            ratios.push(kept.median_from_sent() / bare.median_from_sent());
        }
        let middle = |values: &mut Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "{rate:>6.0}/s: {:.3} ms without, {:.3} ms with: {:.2} ({:.2}-{:.2})",
            middle(&mut without),
            middle(&mut with),
            middle(&mut ratios),
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}
