//! `kill -9` at random moments under load.

use std::time::{Duration, Instant};

use super::{LIFE, PAUSE, Report, STREAMS, random_moment};
use crate::chaos::rig::Rig;

/// The relay is killed.
pub async fn relay_killed(rounds: u32) -> Report {
    let rig = Rig::new(&[], &[]).await;
    killed("the relay is killed", rounds, rig).await
}

/// The relay is killed while events must come in the order in which they were posted.
pub async fn relay_killed_in_order(rounds: u32) -> Report {
    let rig = Rig::new(&[], &[("order", "endpoint")]).await;
    let mut report = killed("the relay is killed, strict order", rounds, rig).await;
    report.faults.append(&mut report.verdict.reordered.clone());
    report
}

async fn killed(scene: &'static str, rounds: u32, mut rig: Rig) -> Report {
    let begun = Instant::now();
    rig.start_agent();
    rig.served().await;
    let load = rig.load(STREAMS, PAUSE);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        random_moment(LIFE).await;
        rig.kill_relay().await;
        random_moment(LIFE / 4).await;
        slowest = slowest.max(rig.restart_relay().await);
        // Every second time it is killed again before the agent is surely back.
        if round % 2 == 0 {
            rig.served().await;
        }
    }
    let mut report = Report::of(scene, rounds, rig, load, begun).await;
    report.notes.push(format!("ready again in {:.2} s at the most", slowest.as_secs_f64()));
    report
}

/// The agent is killed.
pub async fn agent_killed(rounds: u32) -> Report {
    let begun = Instant::now();
    let mut rig = Rig::new(&[], &[]).await;
    rig.start_agent();
    rig.served().await;
    let load = rig.load(STREAMS, PAUSE);
    for _ in 0..rounds {
        random_moment(LIFE).await;
        rig.kill_agent().await;
        random_moment(LIFE / 4).await;
        rig.start_agent();
    }
    Report::of("the agent is killed", rounds, rig, load, begun).await
}
