//! Times as the API writes and reads them: RFC 3339 in UTC, to the millisecond.

use crate::clock::{civil, millis};
use crate::endpoint::units::duration;

/// A time in milliseconds of the Unix epoch.
#[must_use]
pub(super) fn show(unix_ms: u64) -> String {
    format!("{}.{:03}Z", civil(unix_ms / 1000), unix_ms % 1000)
}

/// A point in time: RFC 3339, milliseconds of the Unix epoch, or how long ago (`2h`).
///
/// # Errors
/// What was wanted, in words.
pub(super) fn parse(text: &str, now_ms: u64) -> Result<u64, String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        return text.parse().map_err(|_| format!("{text} is too far away"));
    }
    if let Ok(ago) = duration(text) {
        return Ok(now_ms.saturating_sub(millis(ago)));
    }
    rfc3339(text).ok_or_else(|| {
        format!("{text:?} is no time: write 2h, 2026-11-24T10:00:00Z or milliseconds since 1970")
    })
}

fn rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |at: usize, wanted: &[u8]| wanted.contains(text.as_bytes().get(at)?).then_some(());
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    mark(4, b"-")
        .and(mark(7, b"-"))
        .and(mark(10, b"Tt "))
        .and(mark(13, b":"))
        .and(mark(16, b":"))?;
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !sound {
        return None;
    }
    let rest = &text[19..];
    let digits = rest
        .strip_prefix('.')
        .map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = if digits > 0 { rest[1..].split_at(digits) } else { ("", rest) };
    let ms: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let minutes = days(year, month, day) * 1440 + hour * 60 + minute - offset(zone)?;
    u64::try_from((minutes * 60 + second) * 1000 + ms).ok()
}

/// How many minutes a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| sign * (i64::from(hours) * 60 + i64::from(minutes)))
}

/// The days from 1970-01-01 to a civil date. Years begin in March here, so that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for ms in [0, 1, 951_782_399_999, 951_782_400_000, 1_767_225_599_999, 4_102_444_800_123] {
            assert_eq!(parse(&show(ms), 0), Ok(ms), "{}", show(ms));
        }
        assert_eq!(show(951_782_400_007), "2000-02-29T00:00:00.007Z");
    }

    #[test]
    fn times_are_read_in_three_forms() {
        let now = 1_000_000_000_000;
        assert_eq!(parse("2h", now), Ok(now - 7_200_000));
        assert_eq!(parse("1234", now), Ok(1234));
        assert_eq!(parse("1970-01-01T01:00:00+01:00", now), Ok(0));
        assert_eq!(parse("1970-01-01 00:00:01.5-00:00", now), Ok(1500));
        for bad in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+1",
            "1969-01-01T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "99999999999999999999",
        ] {
            assert!(parse(bad, now).is_err(), "{bad}");
        }
    }
}
