//! The wall clock is set by hours while the relay runs, and while it is away.

use std::time::{Duration, Instant};

use super::{PAUSE, Report, STREAMS};
use crate::chaos::keeper::Mood;
use crate::chaos::rig::Rig;
use crate::clock::WallClock;
use crate::relay::Relay;
use crate::wait::pass;

/// Where the clock is set to, and whether the relay is away meanwhile.
const JUMPS: [(&str, bool); 6] =
    [("+2h", false), ("+0", false), ("-2h", false), ("+0", true), ("-2h", true), ("+2h", true)];

/// How long is looked for a storm.
const LOOK: Duration = Duration::from_secs(1);

/// Fewer tries than this, more than before, are none.
const STORM_MIN: u64 = 100;

/// How long what has failed may take to arrive when the target is well again: its longest wait is half a second.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// The clock is set by two hours, forth and back; a target that refuses everything shows whether retries storm.
///
/// # Errors
/// Why this cannot be done here.
pub async fn clock_jumps(rounds: u32) -> Result<Report, String> {
    let begun = Instant::now();
    let mut relay = Relay::program(&[]).await;
    let clock = WallClock::of(&mut relay).await?;
    let mut rig = Rig::of(relay, &[]).await;
    rig.start_agent();
    rig.served().await;
    let mut faults = Vec::new();
    for round in 0..rounds {
        for (to, restarts) in JUMPS {
            if let Err(fault) = jump(&mut rig, &clock, to, restarts).await {
                faults.push(format!("round {round}, to {to}: {fault}"));
            }
        }
    }
    let load = rig.load(STREAMS, PAUSE);
    let rounds = rounds * JUMPS.len() as u32;
    let mut report = Report::of("the clock is set by two hours", rounds, rig, load, begun).await;
    report.faults.append(&mut faults);
    Ok(report)
}

/// One jump, while everything fails and waits to be tried again.
async fn jump(rig: &mut Rig, clock: &WallClock, to: &str, restarts: bool) -> Result<(), String> {
    rig.keeper.is(Mood::Failing(500));
    let load = rig.load(STREAMS, PAUSE);
    pass(LOOK).await;
    load.stop().await;
    let calm = arrivals(rig).await;
    clock.set(to);
    if restarts {
        rig.kill_relay().await;
        rig.restart_relay().await;
        rig.served().await;
    }
    let after = arrivals(rig).await;
    let recovery = rig.drained().await;
    match rig.ledger.outstanding() {
        _ if after > 2 * calm + STORM_MIN => {
            Err(format!("a storm: {calm} tries before, {after} after"))
        }
        0 if recovery > RECOVERY_MAX => Err(format!("all was there only after {recovery:?}")),
        0 => Ok(()),
        left => Err(format!("{left} of what was promised do not come")),
    }
}

/// How many tries there are in a while.
async fn arrivals(rig: &Rig) -> u64 {
    let before = rig.ledger.arrived();
    pass(LOOK).await;
    rig.ledger.arrived() - before
}
