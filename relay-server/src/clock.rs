//! The clocks: the wall's, in the one form in which it is stored and shown, and a steady one, by which things become due.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds of the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How far the steady clock is ahead of the wall's as it was when this program began, in milliseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);

/// Now, as the wall clock would say if nobody had set it since this program began: in milliseconds of the Unix epoch.
///
/// What is due goes by this one, so a clock that is set by hours neither brings a storm nor stops anything.
#[must_use]
pub fn steady_ms() -> u64 {
    since_start().saturating_add(AHEAD.load(Ordering::Relaxed))
}

/// It has been this time already, whatever the wall clock says now: the steady clock goes on from there. Otherwise what was
/// due in a minute when the program ended would be due in hours, if the clock was set back meanwhile.
pub fn has_been(known_ms: u64) {
    AHEAD.fetch_max(known_ms.saturating_sub(since_start()), Ordering::Relaxed);
}

fn since_start() -> u64 {
    static START: LazyLock<(u64, Instant)> = LazyLock::new(|| (now_ms(), Instant::now()));
    let since = u64::try_from(START.1.elapsed().as_millis()).unwrap_or(u64::MAX);
    START.0.saturating_add(since)
}
