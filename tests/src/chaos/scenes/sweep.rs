//! The exact sweep: the relay is killed as one of its threads begins its N-th sync, for each N.
//!
//! A tracer counts the syncs (`strace`); on the writer's thread these are the commits and the checkpoints, on others the
//! bodies that are kept in files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{PAUSE, Report, STREAMS};
use crate::chaos::rig::Rig;
use crate::relay::Relay;
use crate::wait::holds_within;

/// How long it may take until a sync is reached.
const REACHED_MAX: Duration = Duration::from_secs(20);

/// The relay is killed at these syncs.
///
/// # Errors
/// Why this cannot be done here.
pub async fn killed_at_sync(ns: impl IntoIterator<Item = u32>) -> Result<Report, String> {
    can_trace(&[])?;
    let begun = Instant::now();
    let mut rig = Rig::new(&[], &[]).await;
    rig.start_agent();
    let load = rig.load(STREAMS, PAUSE);
    let large = rig.load_large(PAUSE);
    let (mut rounds, mut starting, mut faults) = (0, 0, Vec::new());
    rig.kill_relay().await;
    for n in ns {
        rounds += 1;
        let _ = inject(&mut rig.relay, "signal=KILL", n);
        if !rig.try_restart_relay().await {
            starting += 1;
            continue;
        }
        if !rig.relay.process().ends_within(REACHED_MAX).await {
            faults.push(format!("sync {n} was never reached"));
            rig.kill_relay().await;
        }
        rig.relay_is_gone();
    }
    rig.relay.under.clear();
    rig.restart_relay().await;
    large.stop().await;
    let mut report =
        Report::of("the relay is killed at its N-th sync", rounds, rig, load, begun).await;
    report.notes.push(format!("{starting} of them while it started"));
    report.faults.append(&mut faults);
    Ok(report)
}

/// Whether programs can be traced here, and like this.
pub(super) fn can_trace(how: &[&str]) -> Result<(), String> {
    let mut strace = Command::new("strace");
    let tried = strace.args(how).args(["-qq", "-e", "trace=none", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("strace: {error}")),
    }
}

/// Has the relay started so that this befalls the N-th sync of each of its threads; says where the tracer's log is.
pub(super) fn inject(relay: &mut Relay, what: &str, n: u32) -> PathBuf {
    let log = relay.data.path().join("syncs.log");
    let _ = std::fs::remove_file(&log);
    let rule = format!("inject=fdatasync,fsync:{what}:when={n}");
    let of = log.display().to_string();
    // -D: the relay stays our child, so that it can be killed by its id.
    let starter = ["strace", "-D", "-f", "-qq", "-o", &of];
    let rules = ["-e", "trace=fdatasync,fsync", "-e", &rule];
    relay.under = starter.iter().chain(&rules).map(|&word| word.to_owned()).collect();
    log
}

/// Waits until the tracer has done what it was to do.
pub(super) async fn was_injected(log: &Path) -> bool {
    let was = || std::fs::read_to_string(log).is_ok_and(|text| text.contains("INJECTED"));
    holds_within(REACHED_MAX, async || was()).await
}
