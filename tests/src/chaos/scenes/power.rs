//! The power fails under load: of what was never synced, nothing, something or most is left.

use std::fs;
use std::time::Instant;

use super::sweep::can_trace;
use super::{LIFE, PAUSE, Report, STREAMS, random_moment};
use crate::chaos::power::cached::CachedDisk;
use crate::chaos::power::trace::Trace;
use crate::chaos::rig::Rig;
use crate::folder::Folder;
use crate::process::{Program, run};

/// How many of the sectors survive that were not synced, from round to round.
const SURVIVE: [f64; 3] = [0.0, 0.5, 0.9];

/// The power of the relay's machine fails.
///
/// # Errors
/// Why this cannot be done here.
pub async fn power_fails(rounds: u32) -> Result<Report, String> {
    can_trace(&["-f", "--seccomp-bpf"])?;
    let begun = Instant::now();
    let mut faults: Vec<String> = made_and_lost().await.into_iter().collect();
    let mut rig = Rig::new(&[], &[]).await;
    rig.start_agent();
    let load = rig.load(STREAMS, PAUSE);
    let large = rig.load_large(PAUSE);
    rig.kill_relay().await;
    let (store, mut gone) = (rig.relay.data.path().join("store"), 0);
    for round in 0..rounds {
        let (mut disk, trace) = (CachedDisk::of(&store), Trace::default());
        rig.relay.under = trace.starter();
        rig.restart_relay().await;
        if round % 2 == 0 {
            rig.served().await;
        }
        random_moment(LIFE).await;
        rig.kill_relay().await;
        trace.acts().await.into_iter().for_each(|act| disk.take(act));
        gone += disk.lose_power(SURVIVE[round as usize % SURVIVE.len()]);
    }
    rig.relay.under.clear();
    rig.restart_relay().await;
    large.stop().await;
    let mut report = Report::of("the power fails", rounds, rig, load, begun).await;
    report.notes.push(format!("{gone} writes and names were gone"));
    if gone == 0 {
        faults.push("no power cut has destroyed anything".into());
    }
    report.faults.append(&mut faults);
    Ok(report)
}

/// The power fails right after a store was made; what is wrong with it then.
async fn made_and_lost() -> Option<String> {
    let folder = Folder::fresh();
    let (mut disk, trace) = (CachedDisk::of(folder.path()), Trace::default());
    let (store, key) = (folder.path().join("store"), folder.path().join("store.key"));
    let made =
        run(Program::Server.command_under(&trace.starter()).arg("init").arg("--data").arg(&store))
            .await;
    let secret = fs::read(&key).ok();
    trace.acts().await.into_iter().for_each(|act| disk.take(act));
    disk.lose_power(0.0);
    let checked = run(Program::Server.command().arg("check").arg("--data").arg(&store)).await;
    if made.code != Some(0) || checked.code != Some(0) {
        return Some(format!(
            "a store that was just made is lost: {}{}",
            made.stderr, checked.stderr
        ));
    }
    let kept = secret.is_some() && fs::read(&key).ok() == secret;
    (!kept).then(|| "the key of a store that was just made is lost".to_owned())
}
