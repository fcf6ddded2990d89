//! How the values of settings are read and shown: bounded durations, counts and sizes, lists, and what may be left out.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use relay_protocol::id::Name;

use crate::endpoint::units::{bytes, duration, show_bytes, show_duration};

/// The most groups of one endpoint: each has a delivery of its own for every event.
const GROUPS_MAX: usize = 16;
/// The most statuses in a list.
const STATUSES_MAX: usize = 32;
/// The longest text, in bytes.
const TEXT_MAX: usize = 4 << 10;

/// A duration between two bounds, in milliseconds.
pub(super) fn wait(value: &str, bounds_ms: RangeInclusive<u64>) -> Result<Duration, String> {
    let wait = duration(value)?;
    let ends = [bounds_ms.start(), bounds_ms.end()].map(|ms| Duration::from_millis(*ms));
    if (ends[0]..=ends[1]).contains(&wait) {
        Ok(wait)
    } else {
        Err(format!("between {} and {}", show_duration(ends[0]), show_duration(ends[1])))
    }
}

/// A whole number between two bounds.
pub(super) fn count(value: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let digits = !value.is_empty() && value.bytes().all(|c| c.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| format!("a whole number between {} and {}", bounds.start(), bounds.end()))
}

/// A whole number between two bounds.
pub(super) fn count32(value: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    let number = count(value, u64::from(*bounds.start())..=u64::from(*bounds.end()))?;
    u32::try_from(number).map_err(|e| e.to_string())
}

/// A size between two bounds, in bytes.
pub(super) fn size(value: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let size = bytes(value)?;
    if bounds.contains(&size) {
        Ok(size)
    } else {
        Err(format!("between {} and {}", show_bytes(*bounds.start()), show_bytes(*bounds.end())))
    }
}

/// A value, or the word for having none.
pub(super) fn unless<T>(
    none: &str,
    value: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if value == none { Ok(None) } else { read(value).map(Some) }
}

/// A value as text, or the word for having none.
pub(super) fn show_or<T: ?Sized>(
    none: &str,
    value: Option<&T>,
    show: impl FnOnce(&T) -> String,
) -> String {
    value.map_or_else(|| none.to_owned(), show)
}

/// A text of bounded length.
pub(super) fn text(value: &str) -> Result<Arc<str>, String> {
    if value.len() <= TEXT_MAX {
        Ok(value.into())
    } else {
        Err(format!("at most {TEXT_MAX} bytes"))
    }
}

/// An absolute URL of the web without a query: what follows the endpoint's key is put behind it.
pub(super) fn url(value: &str) -> Result<Arc<str>, String> {
    let bad = || format!("{value:?} is no URL such as https://hooks.example.com/in");
    let uri: http::Uri = text(value)?.parse().map_err(|_| bad())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if web && uri.authority().is_some() && !value.contains(['?', '#']) {
        Ok(value.trim_end_matches('/').into())
    } else {
        Err(bad())
    }
}

/// Statuses of failures, in ascending order, or `none`.
pub(super) fn statuses(value: &str) -> Result<Arc<[u16]>, String> {
    if value == "none" {
        return Ok(Arc::default());
    }
    let mut list = Vec::new();
    for status in value.split(',').map(str::trim) {
        let read = count(status, 300..=599).ok().and_then(|status| u16::try_from(status).ok());
        list.push(read.ok_or_else(|| format!("{status:?} is no status between 300 and 599"))?);
    }
    list.sort_unstable();
    list.dedup();
    if list.len() <= STATUSES_MAX {
        Ok(list.into())
    } else {
        Err(format!("at most {STATUSES_MAX} statuses"))
    }
}

/// Statuses as [`statuses`] reads them.
pub(super) fn show_statuses(statuses: &[u16]) -> String {
    if statuses.is_empty() {
        return "none".into();
    }
    statuses.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

/// Names of groups; `main` is always there, and first.
pub(super) fn groups(value: &str) -> Result<Vec<Name>, String> {
    let mut groups = vec![Name::main()];
    for name in value.split(',').map(str::trim) {
        let name: Name = name.parse().map_err(|e: relay_protocol::id::NotAName| e.to_string())?;
        if !groups.contains(&name) {
            groups.push(name);
        }
    }
    if groups.len() <= GROUPS_MAX {
        Ok(groups)
    } else {
        Err(format!("at most {GROUPS_MAX} groups"))
    }
}

/// Names as [`groups`] reads them.
pub(super) fn show_groups(groups: &[Name]) -> String {
    groups.iter().map(Name::as_str).collect::<Vec<_>>().join(",")
}
