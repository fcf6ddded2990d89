//! The wall clock, in the one form in which it is stored and shown.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds of the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
