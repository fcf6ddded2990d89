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
    /// Of these the first that finds something.
    First(Box<[Self]>),
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
        if let Some(bar) = bars(text).next() {
            let (first, others) = (Self::one(&text[..bar])?, Self::parse(&text[bar + 1..])?);
            let others = match others {
                Self::First(others) => others.into_vec(),
                other => vec![other],
            };
            return Ok(Self::First([vec![first], others].concat().into()));
        }
        Self::one(text)
    }

    /// The selector in this text, which names one place.
    fn one(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) => header(name).map(Self::Header),
            Some(("query", "")) => Err("query: without a name; write query:NAME".into()),
            Some(("query", name)) => Ok(Self::Query(name.into())),
            Some(("json", pointer)) => json_pointer(pointer).map(Self::Json),
            None if text == "path" => Ok(Self::Path),
            None if text == "body" => Ok(Self::Body),
            _ => Err(format!(
                "{text:?} is no selector: write header:NAME, query:NAME, json:/pointer, path or body, or several with | \
                 between them"
            )),
        }
    }

    /// Whether it looks into the body, of which one above [`JSON_MAX`](super::content::JSON_MAX) bytes is not looked at.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        match self {
            Self::Json(_) | Self::Body => true,
            Self::First(all) => all.iter().any(Self::reads_body),
            Self::Header(_) | Self::Query(_) | Self::Path => false,
        }
    }

    /// The event's key; `None` when it has none there.
    #[must_use]
    pub fn key(&self, head: &Head, content: &Content<'_>) -> Option<KeyHash> {
        match self {
            Self::Header(name) => not_empty(head.fields.first(name.as_bytes())?),
            Self::Query(name) => not_empty(parameter(&head.path, name)?),
            Self::Json(pointer) => value(content.json()?.pointer(pointer)?),
            Self::Path => Some(KeyHash::of(path_and_query(&head.path).0)),
            Self::Body => not_empty(content.bytes()?),
            Self::First(all) => {
                let mut found = all.iter().enumerate();
                found.find_map(|(n, selector)| Some(selector.key(head, content)?.in_place(n)))
            }
        }
    }

    /// What a repeat of an event with this key is known by: the key, where it came to, and its kind. A provider may tell
    /// two of its hooks of one event.
    #[must_use]
    pub fn of_repeats(&self, key: KeyHash, head: &Head) -> KeyHash {
        let place = if self.reads_query() { path_and_query(&head.path).0 } else { &head.path };
        KeyHash::of(&[place, b"\0", head.event_type().as_bytes(), b"\0", &key.0].concat())
    }

    fn reads_query(&self) -> bool {
        match self {
            Self::Query(_) => true,
            Self::First(all) => all.iter().any(Self::reads_query),
            Self::Header(_) | Self::Json(_) | Self::Path | Self::Body => false,
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
            Self::First(all) => all.iter().enumerate().try_for_each(|(n, selector)| {
                write!(f, "{}{selector}", if n == 0 { "" } else { "|" })
            }),
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

    /// The same value found by the n-th of several selectors: equal values in different places are different keys.
    fn in_place(self, n: usize) -> Self {
        if n == 0 { self } else { Self::of(&[&n.to_be_bytes()[..], &self.0].concat()) }
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where a `|` stands with another selector behind it: names and pointers may have one as well.
fn bars(text: &str) -> impl Iterator<Item = usize> {
    let kinds = ["header:", "query:", "json:/"];
    let begins = move |rest: &str| {
        let first = rest.split('|').next().unwrap_or_default();
        kinds.iter().any(|kind| rest.starts_with(kind)) || ["path", "body"].contains(&first)
    };
    text.match_indices('|').map(|(at, _)| at).filter(move |at| begins(&text[at + 1..]))
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
