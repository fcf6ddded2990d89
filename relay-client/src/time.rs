//! Points in time as people read and write them: RFC 3339 in UTC.

/// A time in milliseconds of the Unix epoch, to the second.
#[must_use]
pub fn show(unix_ms: u64) -> String {
    let (days, second) = ((unix_ms / 86_400_000) as i64, unix_ms / 1000 % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The time in milliseconds of the Unix epoch that this text says: RFC 3339 in UTC, or seconds since 1970.
///
/// # Errors
/// What was wanted, in words.
pub fn parse(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().or_else(|| in_utc(text));
    seconds.and_then(|seconds: u64| seconds.checked_mul(1000)).ok_or_else(|| {
        format!("{text:?} is no time: write 2026-11-24T10:00:00Z or seconds since 1970")
    })
}

fn in_utc(text: &str) -> Option<u64> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(day.splitn(3, '-'))?;
    let whole = time.split('.').next()?;
    let [hour, minute, second] = numbers(whole.splitn(3, ':'))?;
    let sound = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    sound
        .then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)?
        .try_into()
        .ok()
}

fn numbers<'a>(parts: impl Iterator<Item = &'a str>) -> Option<[i64; 3]> {
    let digits =
        |part: &'a str| part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse().ok())?;
    parts.map(digits).collect::<Option<Vec<i64>>>()?.try_into().ok()
}

/// The days from 1970-01-01 to a civil date. Years begin in March here, so that the leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The civil date of a day since 1970-01-01, in the proleptic Gregorian calendar.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc_and_read_again() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(show(unix_ms + 999), text);
            assert_eq!(parse(text), Ok(unix_ms));
            assert_eq!(parse(&(unix_ms / 1000).to_string()), Ok(unix_ms));
        }
        assert_eq!(parse("2025-12-31T23:59:59.123Z"), Ok(1_767_225_599_000));
    }

    #[test]
    fn what_is_no_time_is_told() {
        for bad in [
            "",
            "now",
            "-1",
            "2025-12-31",
            "2025-13-01T00:00:00Z",
            "2025-12-31T23:59:59",
            "1969-12-31T00:00:00Z",
            "99999999999999999999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
