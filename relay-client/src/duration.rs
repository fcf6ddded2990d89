//! Durations as people write them, on the command line and in the configuration: `500ms`, `10s`, `5m`, `2h`, `3d`.

use std::time::Duration;

/// The longest one: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The duration in this text.
///
/// # Errors
/// What was wanted, in words.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 500ms, 10s, 5m, 2h or 3d");
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let wait = number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)?;
    if wait > LONGEST { Err(format!("{text} is longer than ten years")) } else { Ok(wait) }
}

/// A duration as the wire has it.
#[must_use]
pub fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)));
        }
        for bad in ["", "10", "s", "1.5s", "-1s", "10 s", "99999d", "5w"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
