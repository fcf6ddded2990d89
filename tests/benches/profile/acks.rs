//! How long a durable acknowledgement takes: steadily, in a burst, while the agent is away, while its backlog drains.

use std::time::Duration;

use relay_tests::fast_target;
use relay_tests::relay::Relay;
use relay_tests::wait::until;

use crate::agent;
use crate::open_loop::{bodies, post};

/// Events a second in quiet times, and in a burst.
const STEADY: f64 = 200.0;
const BURST: f64 = 2000.0;

pub(crate) async fn measure(time: Duration) {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("acks", &[("reply", "ack")]).await;
    let (target, bodies) = (fast_target::start(), bodies(None));
    let (to, path) = (relay.address, endpoint.path);
    println!("\n## durable acknowledgements, {time:?} a phase\n");
    let first = agent(&relay, &["acks"], target).await;
    println!(
        "{STEADY:.0}/s:                    {}",
        post(to, &path, &bodies, STEADY, time).await.show()
    );
    println!(
        "{BURST:.0}/s:                   {}",
        post(to, &path, &bodies, BURST, time).await.show()
    );
    drop(first);
    until("the agent has gone", async || relay.agents("acks").await == 0).await;
    println!(
        "{STEADY:.0}/s, the agent away:    {}",
        post(to, &path, &bodies, STEADY, time).await.show()
    );
    println!(
        "{BURST:.0}/s, the agent away:   {}",
        post(to, &path, &bodies, BURST, time).await.show()
    );
    let back = agent(&relay, &["acks"], target).await;
    println!(
        "{STEADY:.0}/s, the backlog drains: {}",
        post(to, &path, &bodies, STEADY, time).await.show()
    );
    let memory = relay_tests::cost::memory(relay.process().id());
    println!("the relay holds {} MiB in memory", memory >> 20);
    drop(back);
}
