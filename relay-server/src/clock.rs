//! The clocks: the wall's, in the one form in which it is stored and shown, and a steady one, by which things become due.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds of the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// In so long, in milliseconds of the Unix epoch.
#[must_use]
pub fn from_now(wait: Duration) -> u64 {
    now_ms().saturating_add(millis(wait))
}

/// A duration in milliseconds; one that is too long for a number is the longest.
#[must_use]
pub fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
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

/// How far the wall clock has been behind the steady one at the most since this program began, in milliseconds.
static BEHIND: AtomicU64 = AtomicU64::new(0);

/// Compares the two clocks: once whenever something is kept whose age matters.
pub fn compare() {
    let steady = steady_ms();
    BEHIND.fetch_max(steady.saturating_sub(now_ms()), Ordering::Relaxed);
}

/// What came before this time, as the wall clock showed it then, is certainly older than this, however often somebody has
/// set the clock since this program began. What came while it was behind only looks older: nothing is old before its time,
/// though it may be so later.
#[must_use]
pub fn before(age: Duration) -> u64 {
    compare();
    let behind = BEHIND.load(Ordering::Relaxed);
    steady_ms().saturating_sub(behind).saturating_sub(millis(age))
}

fn since_start() -> u64 {
    static START: LazyLock<(u64, Instant)> = LazyLock::new(|| (now_ms(), Instant::now()));
    START.0.saturating_add(millis(START.1.elapsed()))
}

/// A time in seconds of the Unix epoch as people write it in UTC: `2026-11-24T10:00:00`.
#[must_use]
pub fn civil(unix_s: u64) -> String {
    let (year, month, day) = date((unix_s / 86_400) as i64);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The civil date of a day since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
