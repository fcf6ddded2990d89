//! Signed times: how they are written, and whether they are near enough.

use crate::finding::Reason;
use crate::profile::check::TimeUnit;

const DAY_S: u64 = 24 * 60 * 60;

/// The time in this text, in milliseconds since 1970.
pub(super) fn parse(text: &[u8], unit: TimeUnit) -> Option<u64> {
    match unit {
        TimeUnit::S => digits(text)?.checked_mul(1000),
        TimeUnit::Ms => digits(text),
        TimeUnit::Rfc3339 => rfc3339(text),
    }
}

/// Why a time is not near enough. A difference of exactly the tolerance is; below a second none counts.
pub(super) fn judge(signed_ms: u64, tolerance_s: u32, now_ms: u64) -> Option<Reason> {
    let (signed, now) = (signed_ms / 1000, now_ms / 1000);
    if tolerance_s == 0 || signed.abs_diff(now) <= u64::from(tolerance_s) {
        return None;
    }
    Some(if signed < now { Reason::TimestampTooOld } else { Reason::TimestampInFuture })
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// RFC 3339 §5.6, with any number of digits after the second.
fn rfc3339(text: &[u8]) -> Option<u64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    let is = |at: usize, marks: &[u8]| text.get(at).is_some_and(|c| marks.contains(c));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut millis = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        let length = after.iter().take_while(|c| c.is_ascii_digit()).count();
        let three = after[..length].iter().chain(b"00").take(3);
        millis = three.fold(0, |all, c| all * 10 + u64::from(c - b'0'));
        rest = after.get(length..).filter(|_| length > 0)?;
    }
    let east_s = offset(rest)?;
    let seconds = days(year, month, day)? * DAY_S + hour * 3600 + minute * 60 + second;
    seconds.checked_add_signed(-east_s)?.checked_mul(1000)?.checked_add(millis)
}

/// How far east of Greenwich, in seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, text) = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2] = text else { return None };
    let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
    (hours < 24 && minutes < 60).then_some(sign * seconds)
}

/// The days since 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let february = if leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = months.get(..usize::try_from(month.checked_sub(1)?).ok()?)?;
    let this = months.get(before.len())?;
    if day == 0 || day > *this {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    Some(years + before.iter().sum::<u64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let rfc = |text: &str| parse(text.as_bytes(), TimeUnit::Rfc3339);
        assert_eq!(rfc("2025-11-24T16:00:00Z"), Some(1_764_000_000_000));
        assert_eq!(rfc("2025-11-24T16:00:00.634234626Z"), Some(1_764_000_000_634));
        assert_eq!(rfc("2025-11-24t17:30:00.5+01:30"), Some(1_764_000_000_500));
        assert_eq!(rfc("2024-02-29T00:00:00-00:01"), Some(1_709_164_860_000));
        assert_eq!(parse(b"1764000000", TimeUnit::S), Some(1_764_000_000_000));
        assert_eq!(parse(b"1764000000001", TimeUnit::Ms), Some(1_764_000_000_001));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-1",
            "+1",
            "1.5",
            " 1",
            "1e9",
            "18446744073709551616",
            "18446744073709551615",
            "timestamp",
        ] {
            assert_eq!(parse(text.as_bytes(), TimeUnit::S), None, "{text}");
        }
        for text in [
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:00:00",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00+1:00",
            "1970-01-01T00:00:00+00:01",
            "1969-01-01T00:00:00Z",
            "2025-01-01",
        ] {
            assert_eq!(parse(text.as_bytes(), TimeUnit::Rfc3339), None, "{text}");
        }
    }

    #[test]
    fn the_tolerance_itself_is_near_enough() {
        assert_eq!(judge(1_000_000, 300, 1_300_999), None);
        assert_eq!(judge(1_000_000, 300, 1_301_000), Some(Reason::TimestampTooOld));
        assert_eq!(judge(1_301_000, 300, 1_000_999), Some(Reason::TimestampInFuture));
        assert_eq!(judge(u64::MAX, 300, 0), Some(Reason::TimestampInFuture));
        assert_eq!(judge(0, 0, u64::MAX), None);
    }
}
