//! The reliability suite at length: every scene so many rounds, or the scenes that are named. Run by `tests/chaos/run`.

use std::process::ExitCode;

use relay_tests::chaos::scenes::{self, Report};

const USAGE: &str = "usage: tests/chaos/run [--release] [--rounds N] [SCENE...]
scenes: relay, agent, order, target, line, disk, eio, sync, power, clock; all of them if none is named";

/// How many rounds, if nobody says.
const ROUNDS: u32 = 100;

/// The last sync at which the relay is killed.
const SYNCS: u32 = 200;

const SCENES: [&str; 10] =
    ["relay", "agent", "order", "target", "line", "disk", "eio", "sync", "power", "clock"];

#[tokio::main]
async fn main() -> ExitCode {
    let Some((rounds, wanted)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    tokio::select! {
        code = play_all(rounds, &wanted) => code,
        // What was started ends with the scene that is dropped here.
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}

async fn play_all(rounds: u32, wanted: &[String]) -> ExitCode {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for scene in
        SCENES.iter().filter(|scene| wanted.is_empty() || wanted.iter().any(|w| w == *scene))
    {
        match play(scene, rounds).await {
            Ok(report) => {
                println!("{report}");
                if report.is_clean() { passed += 1 } else { failed += 1 }
            }
            Err(why) => {
                println!("skipped, {scene}: {why}");
                skipped += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Option<(u32, Vec<String>)> {
    let (mut rounds, mut wanted) = (ROUNDS, Vec::new());
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        match word.as_str() {
            "--rounds" => rounds = given.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
            scene if SCENES.contains(&scene) => wanted.push(word),
            _ => return None,
        }
    }
    Some((rounds, wanted))
}

/// Some faults last seconds and come in several kinds: one round of them stands for five of the others.
async fn play(scene: &str, rounds: u32) -> Result<Report, String> {
    let fewer = rounds.div_ceil(5);
    match scene {
        "relay" => Ok(scenes::relay_killed(rounds).await),
        "agent" => Ok(scenes::agent_killed(rounds).await),
        "order" => Ok(scenes::relay_killed_in_order(fewer).await),
        "target" => Ok(scenes::target_fails(fewer).await),
        "line" => Ok(scenes::line_breaks(fewer).await),
        "disk" => scenes::disk_full(fewer).await,
        "eio" => scenes::sync_fails(1..=rounds).await,
        "sync" => scenes::killed_at_sync(1..=SYNCS.min(2 * rounds)).await,
        "power" => scenes::power_fails(rounds).await,
        _ => scenes::clock_jumps(rounds.div_ceil(20)).await,
    }
}
