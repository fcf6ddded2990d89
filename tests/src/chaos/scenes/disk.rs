//! The disk is full, or fails to sync: nothing is promised meanwhile, and service goes on by itself afterwards.

use std::time::{Duration, Instant};

use super::{PAUSE, Report, STREAMS, sweep};
use crate::chaos::disk::SmallDisk;
use crate::chaos::ledger::Ledger;
use crate::chaos::rig::Rig;
use crate::relay::Relay;
use crate::wait::holds_within;

/// The disk's size, in MiB, and what it has for each round besides: more than what is posted in one, all of which stays.
const DISK: u32 = 256;
const DISK_FOR_ROUND: u32 = 8;

/// How many refusals show that the relay has noticed.
const REFUSALS: usize = 20;

/// How many promises show that it serves again.
const PROMISES: usize = 20;

/// How long either may take.
const NOTICE_MAX: Duration = Duration::from_secs(15);

/// The disk is full for a while, again and again.
///
/// # Errors
/// Why this cannot be done here.
pub async fn disk_full(rounds: u32) -> Result<Report, String> {
    let begun = Instant::now();
    let mut relay = Relay::program(&[]).await;
    relay.stop().await;
    let disk = SmallDisk::at(&relay.data.path().join("store"), DISK + DISK_FOR_ROUND * rounds)?;
    relay.resume_program().await;
    let mut rig = Rig::of(relay, &[]).await;
    rig.start_agent();
    rig.served().await;
    let load = rig.load(STREAMS, PAUSE);
    let (mut slowest, mut faults) = (Duration::ZERO, Vec::new());
    for round in 0..rounds {
        disk.fill();
        let refused = rig.ledger.refused(503);
        if grows(&rig.ledger, |ledger| ledger.refused(503), refused + REFUSALS).await.is_none() {
            faults.push(format!("round {round}: the full disk was not noticed"));
        }
        disk.free();
        match grows(&rig.ledger, Ledger::promised, rig.ledger.promised() + PROMISES).await {
            Some(took) => slowest = slowest.max(took),
            None => faults.push(format!("round {round}: it does not serve again")),
        }
    }
    let mut report = Report::of("the disk is full", rounds, rig, load, begun).await;
    drop(disk);
    report.notes.push(format!("served again after {:.1} s at the most", slowest.as_secs_f64()));
    report.faults.append(&mut faults);
    Ok(report)
}

/// The N-th sync of a thread of the relay fails with EIO, for each N; then the relay is killed, so that what it has
/// only in memory is gone.
///
/// # Errors
/// Why this cannot be done here.
pub async fn sync_fails(ns: impl IntoIterator<Item = u32>) -> Result<Report, String> {
    sweep::can_trace(&[])?;
    let begun = Instant::now();
    let mut rig = Rig::new(&[], &[]).await;
    let load = rig.load(STREAMS, PAUSE);
    let large = rig.load_large(PAUSE);
    let (mut rounds, mut slowest, mut faults) = (0, Duration::ZERO, Vec::new());
    for n in ns {
        rounds += 1;
        rig.kill_relay().await;
        let log = sweep::inject(&mut rig.relay, "error=EIO", n);
        if !rig.try_restart_relay().await {
            // It fell on the start: whoever watches over the program starts it again.
            rig.relay.under.clear();
            rig.restart_relay().await;
            continue;
        }
        rig.relay.under.clear();
        rig.served().await;
        if !sweep::was_injected(&log).await {
            faults.push(format!("sync {n} was never reached"));
            continue;
        }
        match grows(&rig.ledger, Ledger::promised, rig.ledger.promised() + PROMISES).await {
            Some(took) => slowest = slowest.max(took),
            None => faults.push(format!("after sync {n} failed it does not serve again")),
        }
    }
    rig.kill_relay().await;
    rig.restart_relay().await;
    large.stop().await;
    let mut report = Report::of("a sync fails with EIO", rounds, rig, load, begun).await;
    report.notes.push(format!("served again after {:.1} s at the most", slowest.as_secs_f64()));
    report.faults.append(&mut faults);
    Ok(report)
}

/// Waits until a count has reached so many, and says how long that took; `None` when it does not in time.
async fn grows(ledger: &Ledger, count: impl Fn(&Ledger) -> usize, to: usize) -> Option<Duration> {
    let begun = Instant::now();
    let grown = holds_within(NOTICE_MAX, async || count(ledger) >= to).await;
    grown.then(|| begun.elapsed())
}
