//! Durations, sizes and rates as people write them: `500ms`, `10s`, `26MiB`, `50/s`.

use std::time::Duration;

pub use relay_client::duration::parse as duration;

/// A duration as [`duration`] reads it, in the largest unit that fits.
#[must_use]
pub fn show_duration(wait: Duration) -> String {
    let ms = wait.as_millis();
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if ms > 0 && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// A number of bytes: a whole number, alone or with `KB MB GB KiB MiB GiB`.
///
/// # Errors
/// What was wanted, in words.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write a number of bytes, or 64KiB, 26MiB, 10GiB");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[split..].trim_start() {
        "" | "B" => 1,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(wrong)
}

/// A number of bytes as [`bytes()`] reads it.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for text in ["500ms", "10s", "5m", "2h", "3d", "0ms"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        for bad in ["", "s", "10", "1.5s", "-1s", "10 s", "99999d", "18446744073709551615d", "5w"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_and_written() {
        for text in ["26MiB", "64KiB", "10GiB", "1001", "0"] {
            assert_eq!(show_bytes(bytes(text).unwrap()), text);
        }
        assert_eq!(bytes("2 MB").unwrap(), 2_000_000);
        for bad in ["", "MiB", "-1", "1.5MiB", "9223372036854775808", "99999999999GiB", "5X"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
