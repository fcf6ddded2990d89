//! What a line costs the relay that has nothing to carry.

use relay_tests::process::Process;
use relay_tests::relay::Relay;
use relay_tests::wire::{ByHand, hello};

/// How many lines are opened.
const LINES: u64 = 2_000;

/// What one may cost, in bytes.
const MOST: u64 = 14 * 1024;

/// The memory that a program has at the moment, in bytes.
pub(crate) fn memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.expect("a Linux system");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kib: u64 =
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
    kib * 1024
}

#[tokio::test]
async fn an_idle_line_costs_the_relay_little() {
    let mut relay = Relay::program(&[]).await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let mut lines = Vec::new();
    // What the first one needs, the relay needs once.
    lines.push(ByHand::live(relay.address, &token, hello("warm", &["story"])).await);
    let before = memory(relay.process());
    for n in 0..LINES {
        let hello = hello(&format!("idle-{n}"), &["story"]);
        lines.push(ByHand::live(relay.address, &token, hello).await);
    }
    let each = (memory(relay.process()) - before) / LINES;
    eprintln!("an idle line costs the relay {each} bytes");
    assert!(each <= MOST, "an idle line costs {each} bytes");
}
