//! The target is away, or ill.

use std::time::{Duration, Instant};

use super::{PAUSE, Report, STREAMS};
use crate::chaos::keeper::Mood;
use crate::chaos::rig::Rig;
use crate::wait::pass;

/// How long the target stays in one mood.
const SPELL: Duration = Duration::from_millis(1200);

/// The target is down, flaps, hangs, cuts its answers off and answers 500, in turn.
pub async fn target_fails(rounds: u32) -> Report {
    const MOODS: [Mood; 5] =
        [Mood::Down, Mood::Flapping, Mood::Hanging, Mood::Cutting, Mood::Failing(500)];
    let begun = Instant::now();
    // With what a provider is promised after a 500 that is the target's own.
    let mut rig = Rig::new(&[], &[("fallback_statuses", "500,503")]).await;
    rig.start_agent();
    rig.served().await;
    let load = rig.load(STREAMS, PAUSE);
    for _ in 0..rounds {
        for mood in MOODS {
            rig.keeper.is(mood);
            // A spell of bad weather is a time by nature.
            pass(SPELL).await;
            rig.keeper.is(Mood::Well);
            pass(SPELL / 4).await;
        }
    }
    let scene = "the target is down, flaps, hangs, breaks off, answers 500";
    Report::of(scene, rounds, rig, load, begun).await
}
