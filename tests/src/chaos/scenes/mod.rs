//! What is done to the rig. Every scene breaks one thing, so many rounds long, and reports what the ledger says then.

mod disk;
mod kill;
mod line;
mod power;
mod sweep;
mod target;
mod time;

use std::fmt;
use std::time::{Duration, Instant};

use super::ledger::Verdict;
use super::rig::Rig;
use super::senders::Senders;

pub use disk::{disk_full, sync_fails};
pub use kill::{agent_killed, relay_killed, relay_killed_in_order};
pub use line::line_breaks;
pub use power::power_fails;
pub use sweep::killed_at_sync;
pub use target::target_fails;
pub use time::clock_jumps;

/// How many streams are posted to each endpoint at a time.
const STREAMS: u32 = 4;

/// How long a provider rests after each answer.
const PAUSE: Duration = Duration::from_millis(10);

/// How many deliveries to one endpoint may be under way: the setting's default.
const IN_FLIGHT_MAX: usize = 16;

/// What came of a scene.
#[derive(Debug)]
pub struct Report {
    /// What was done.
    pub scene: &'static str,
    /// How often.
    pub rounds: u32,
    /// What the ledger says.
    pub verdict: Verdict,
    /// How many duplicates there may be: what was under way whenever something was broken.
    pub duplicates_max: usize,
    /// How long after the last fault everything promised had arrived.
    pub recovery: Duration,
    /// How long it all took.
    pub took: Duration,
    /// What else is worth knowing.
    pub notes: Vec<String>,
    /// What else went wrong.
    pub faults: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { verdict, duplicates_max, faults, .. } = self;
        verdict.is_clean()
            && verdict.promised > 0
            && verdict.duplicates <= *duplicates_max
            && faults.is_empty()
    }

    /// Ends a scene: everything is well again, and all that was promised arrives, or is lost; and the store is whole.
    async fn of(
        scene: &'static str,
        rounds: u32,
        mut rig: Rig,
        load: Senders,
        begun: Instant,
    ) -> Self {
        load.stop().await;
        let recovery = rig.drained().await;
        let (verdict, took) = (rig.ledger.check(), begun.elapsed());
        // At each fault what was under way, and what the callers waited for, may come once more.
        let at_once = ENDPOINTS_COUNT * (IN_FLIGHT_MAX + STREAMS as usize);
        let duplicates_max = rounds as usize * at_once;
        let (notes, faults) = (Vec::new(), rig.damages().await);
        Self { scene, rounds, verdict, duplicates_max, recovery, took, notes, faults }
    }
}

const ENDPOINTS_COUNT: usize = super::rig::ENDPOINTS.len();

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scene, rounds, verdict, recovery, took, .. } = self;
        let end = if self.is_clean() { "ok  " } else { "FAIL" };
        write!(f, "{end} {scene}, {rounds} rounds: {verdict} (at most {}); ", self.duplicates_max)?;
        write!(
            f,
            "all there {:.1} s after the last, {:.0} s in all",
            recovery.as_secs_f64(),
            took.as_secs_f64()
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n     {fault}"))
    }
}

/// How long something lives before it is broken, at the most.
const LIFE: Duration = Duration::from_millis(700);

/// A moment that nobody chose, up to this long.
async fn random_moment(most: Duration) {
    // Chance is the point: faults are to fall between any two steps of the relay.
    crate::wait::pass(most.mul_f64(fastrand::f64())).await;
}
