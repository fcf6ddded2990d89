//! Selectors: which part of an event is its key, for order, dedup and collapse. Pure.
//!
//! Two events of one key count as one (a repeat, an older state), so a doubtful value is no key rather than a shared
//! one: an empty value, a JSON null, a number that JSON readers round.

use std::fmt;

use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::content::Content;
use crate::event::Head;

/// The longest selector, in bytes.
const TEXT_MAX: usize = 256;

/// Which part of an event is its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The first value of a header field; the name in lower case.
    Header(Box<str>),
    /// The first value of a query parameter, as it was sent.
    Query(Box<str>),
    /// What a JSON pointer (RFC 6901) finds in the body.
    Json(Box<str>),
    /// The raw path after the endpoint's key, without the query.
    Path,
    /// The whole body.
    Body,
}

/// A key's value: the first half of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub [u8; 16]);

impl Selector {
    /// The selector in this text.
    ///
    /// # Errors
    /// What was wanted, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > TEXT_MAX {
            return Err(format!("at most {TEXT_MAX} bytes"));
        }
        match text.split_once(':') {
            Some(("header", name)) => header(name).map(Self::Header),
            Some(("query", "")) => Err("query: without a name; write query:NAME".into()),
            Some(("query", name)) => Ok(Self::Query(name.into())),
            Some(("json", pointer)) => json_pointer(pointer).map(Self::Json),
            None if text == "path" => Ok(Self::Path),
            None if text == "body" => Ok(Self::Body),
            _ => Err(format!(
                "{text:?} is no selector: write header:NAME, query:NAME, json:/pointer, path or body"
            )),
        }
    }

    /// Whether it looks into the body, of which one above [`JSON_MAX`](super::content::JSON_MAX) bytes is not looked at.
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Body)
    }

    /// The event's key; `None` when it has none there.
    #[must_use]
    pub fn key(&self, head: &Head, content: &Content<'_>) -> Option<KeyHash> {
        match self {
            Self::Header(name) => not_empty(head.fields.first(name.as_bytes())?),
            Self::Query(name) => not_empty(parameter(&head.path, name)?),
            Self::Json(pointer) => value(content.json()?.pointer(pointer)?),
            Self::Path => Some(KeyHash::of(path_and_query(&head.path).0)),
            Self::Body => content.bytes().map(KeyHash::of),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Path => f.write_str("path"),
            Self::Body => f.write_str("body"),
        }
    }
}

impl KeyHash {
    /// The hash of this value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let whole = digest(&SHA256, value);
        Self(*whole.as_ref().first_chunk().expect("SHA-256 has 32 bytes"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The raw path and the raw query (without its `?`) of what stood after the key.
pub(super) fn path_and_query(raw: &[u8]) -> (&[u8], &[u8]) {
    match raw.iter().position(|c| *c == b'?') {
        Some(mark) => (&raw[..mark], &raw[mark + 1..]),
        None => (raw, &[]),
    }
}

/// The first value of this parameter, undecoded: decoding would make one of values that differ.
fn parameter<'a>(raw: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let pairs = path_and_query(raw).1.split(|c| *c == b'&');
    let named = |pair: &&[u8]| form_urlencoded::parse(pair).next().is_some_and(|(n, _)| n == name);
    let pair = pairs.into_iter().find(named)?;
    Some(pair.iter().position(|c| *c == b'=').map_or(&[][..], |mark| &pair[mark + 1..]))
}

fn value(found: &Value) -> Option<KeyHash> {
    match found {
        Value::Null => None,
        // Integers beyond 64 bits are read as floats too: two of them may round to one.
        Value::Number(number) if number.is_f64() => None,
        Value::String(text) => not_empty(text.as_bytes()),
        other => Some(KeyHash::of(other.to_string().as_bytes())),
    }
}

fn not_empty(value: &[u8]) -> Option<KeyHash> {
    (!value.is_empty()).then(|| KeyHash::of(value))
}

fn header(name: &str) -> Result<Box<str>, String> {
    let lower = name.to_ascii_lowercase();
    match http::HeaderName::from_bytes(lower.as_bytes()) {
        Err(_) => Err(format!("{name:?} is no header name; write header:NAME")),
        Ok(_) if relay_protocol::webhook::is_end_to_end(lower.as_bytes()) => Ok(lower.into()),
        Ok(_) => Err(format!("{lower} is never kept of what comes in")),
    }
}

fn json_pointer(pointer: &str) -> Result<Box<str>, String> {
    if !pointer.starts_with('/') {
        return Err(format!("{pointer:?} is no JSON pointer; write json:/place/in/the/body"));
    }
    // RFC 6901 §3: a `~` is only the beginning of `~0` or `~1`.
    match pointer.split('~').skip(1).all(|after| after.starts_with(['0', '1'])) {
        true => Ok(pointer.into()),
        false => Err(format!("{pointer:?} has a ~ that is neither ~0 nor ~1")),
    }
}

#[cfg(test)]
mod tests;
