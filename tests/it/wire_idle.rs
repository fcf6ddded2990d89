//! What a line costs the relay that has nothing to carry.

use relay_tests::cost::memory;
use relay_tests::relay::Relay;
use relay_tests::wire::{ByHand, hello};

/// How many lines are opened.
const LINES: u64 = 2_000;

/// What one may cost, in bytes.
const MOST: u64 = 14 * 1024;

#[tokio::test]
async fn an_idle_line_costs_the_relay_little() {
    let mut relay = Relay::program(&[]).await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let mut lines = Vec::new();
    // What the first one needs, the relay needs once.
    lines.push(ByHand::live(relay.address, &token, hello("warm", &["story"])).await);
    let before = memory(relay.process().id());
    for n in 0..LINES {
        let hello = hello(&format!("idle-{n}"), &["story"]);
        lines.push(ByHand::live(relay.address, &token, hello).await);
    }
    let each = (memory(relay.process().id()) - before) / LINES;
    eprintln!("an idle line costs the relay {each} bytes");
    assert!(each <= MOST, "an idle line costs {each} bytes");
}
