//! Waiting for what is to happen: always for an event or a condition, never for a time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take before the story has failed; far above what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at that nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What the future gives, if that is soon enough.
///
/// # Panics
/// When it is not.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not in {PATIENCE:?}"))
}

/// Looks until the condition holds.
///
/// # Panics
/// When it does not in time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        sleep(LOOK_EVERY).await;
    }
}

/// Looks until the condition holds, for so long at the most; says whether it does.
pub async fn holds_within(time: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if holds().await {
            return true;
        }
        if started.elapsed() >= time {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Lets time pass where time itself is told of: the pace of a load, a spell of bad weather. Nothing is hoped of it.
pub async fn pass(time: Duration) {
    sleep(time).await;
}

/// Whether the slow suite is to run (`RELAY_SLOW=1`); says so when a story is left out.
#[must_use]
pub fn slow(story: &str) -> bool {
    let slow = is_slow();
    if !slow {
        eprintln!("skipped, for the slow suite only: {story}");
    }
    slow
}

/// Whether the slow suite runs, for stories that have a short version.
#[must_use]
pub fn is_slow() -> bool {
    std::env::var_os("RELAY_SLOW").is_some_and(|value| value == "1")
}
