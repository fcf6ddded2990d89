//! What a target says about when to come back: the value of `Retry-After` (RFC 9110 §10.2.3). Pure.

use std::time::{Duration, UNIX_EPOCH};

/// How long the value asks to wait, as seconds or as a date; `None` when it is neither. A date gone by asks for nothing.
#[must_use]
pub fn parse(value: &[u8], now_ms: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        // More seconds than fit are as good as the most that fit: whoever asks has a cap.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1994-11-06 08:49:37 UTC, the date of RFC 9110's examples.
    const THEN_MS: u64 = 784_111_777_000;

    #[test]
    fn seconds_and_dates_are_read() {
        for (value, wait_s) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("+5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ] {
            let found = parse(value.as_bytes(), THEN_MS - 60_000);
            assert_eq!(found, wait_s.map(Duration::from_secs), "{value:?}");
        }
        assert!(parse(&[b'9'; 40], THEN_MS).is_some());
        assert_eq!(parse(b"\xff", THEN_MS), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not_without_a_panic(
            value in prop::collection::vec(any::<u8>(), 0..40),
            now in any::<u64>(),
        ) {
            let _ = parse(&value, now);
        }
    }
}
