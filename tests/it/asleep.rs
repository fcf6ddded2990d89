//! A machine that sleeps: its lines are dead when it wakes, and nobody has told it.

use std::time::{Duration, Instant};

use relay_tests::folder::Folder;
use relay_tests::process::{Process, Program};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;
use relay_tests::wall::Wall;

#[tokio::test]
async fn an_agent_whose_machine_has_slept_opens_its_lines_anew_within_five_seconds() {
    let Some(wall) = Wall::hung("an agent whose machine has slept") else { return };
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let (folder, target) = (Folder::fresh(), Target::echo().await);
    let token = folder.file("agent.token", &relay.token(&["story"]).await);
    let mut forward = Program::Client.command_under(&wall.starter());
    forward.arg("--relay").arg(relay.url()).arg("--token-file").arg(token);
    let mut agent = Process::start(forward.arg("forward").arg(target.url()));
    agent.event("ready").await;
    let opened = |relay: &mut Relay| relay.process().said().matches("line is live").count();
    until("both lines are open", async || opened(&mut relay) == 2).await;
    let slept = Instant::now();
    wall.set("+2h");
    until("both are opened anew", async || opened(&mut relay) == 4).await;
    assert!(slept.elapsed() < Duration::from_secs(5), "{:?}", slept.elapsed());
    let told = |relay: &mut Relay| relay.process().said().matches("the machine has slept").count();
    until("the relay is told of both why they ended", async || told(&mut relay) == 2).await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.text(), "x");
}
