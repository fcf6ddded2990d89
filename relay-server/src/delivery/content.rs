//! An event's body as selectors and filters see it: at hand or not, and as JSON, parsed at most once an event. Pure.

use std::cell::OnceCell;

use serde_json::Value;

/// The longest body that is read as JSON, 1 MiB: parsed, it takes some ten times that for a moment.
pub const JSON_MAX: usize = 1 << 20;

/// The body of one event.
#[derive(Debug, Default)]
pub struct Content<'a> {
    bytes: Option<&'a [u8]>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Content<'a> {
    /// A body in memory.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), json: OnceCell::new() }
    }

    /// A body that is not in memory: nothing in it can be looked at.
    #[must_use]
    pub const fn elsewhere() -> Self {
        Self { bytes: None, json: OnceCell::new() }
    }

    /// The bytes, if they are at hand.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }

    /// The body as JSON, if it is at hand, JSON, and at most [`JSON_MAX`] bytes long.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        let parse =
            || serde_json::from_slice(self.bytes.filter(|bytes| bytes.len() <= JSON_MAX)?).ok();
        self.json.get_or_init(parse).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_or_is_not() {
        assert_eq!(Content::new(b"{\"a\":1}").json(), Some(&serde_json::json!({"a": 1})));
        let (deep, long) = ("[".repeat(10_000), format!("[{}1]", "1,".repeat(JSON_MAX / 2)));
        for body in [&b""[..], b"{", b"{} x", b"\"\xff\"", deep.as_bytes(), long.as_bytes()] {
            assert_eq!(Content::new(body).json(), None);
        }
        assert_eq!(Content::elsewhere().json(), None);
    }
}
