//! What is carried: one request towards a target and its answer, as the bytes they were. Knows no HTTP library.

use bytes::{Bytes, BytesMut};

use crate::id::EventId;
use crate::limits::{FIELD_COUNT_MAX, FIELDS_MAX};

/// One attempt at one event, as OPEN carries it; the body follows in the frame and in DATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The event that is delivered; the same on every attempt.
    pub event: EventId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Which of the agent's subscriptions it is for: the place in HELLO's list, from 0.
    pub subscription: u16,
    /// An earlier attempt of this delivery may have been answered unheard: a remembered success may be given again.
    pub resent: bool,
    /// How long the agent has for the whole attempt, in milliseconds from receipt.
    pub deadline_ms: u32,
    /// The method as it was sent, a token (RFC 9110 §9.1).
    pub method: Bytes,
    /// What stood after the key: raw sub-path and raw query, possibly empty, never decoded.
    pub path: Bytes,
    /// The header fields for the target.
    pub fields: Fields,
    /// The length of the whole body in bytes, where it is known.
    pub length: Option<u64>,
}

/// The head of a target's answer, as ANSWER carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The final status, 200 to 999 (interim ones stay at the agent; 101 cannot happen).
    pub status: u16,
    /// The header fields from the target.
    pub fields: Fields,
}

/// Header or trailer fields in their order, as bytes: names in lower case, values as they were sent.
///
/// Encoded as a run of `name length (2) name, value length (2) value`; a value of this type is always well-formed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Bytes);

/// Why bytes are no field block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldsError {
    /// A length points past the end.
    #[error("a header field reaches past the end of its block")]
    Truncated,
    /// A name has no characters.
    #[error("a header field without a name")]
    NoName,
    /// More than [`FIELD_COUNT_MAX`] fields, or more than [`FIELDS_MAX`] bytes.
    #[error("header fields beyond the bound")]
    TooMany,
}

impl Fields {
    /// The block in these bytes.
    ///
    /// # Errors
    /// When the bytes are no well-formed run of fields, or beyond the bounds.
    pub fn parse(encoded: Bytes) -> Result<Self, FieldsError> {
        if encoded.len() > FIELDS_MAX {
            return Err(FieldsError::TooMany);
        }
        let (mut rest, mut count) = (&encoded[..], 0);
        while !rest.is_empty() {
            let (name, after) = split(rest).ok_or(FieldsError::Truncated)?;
            let (_, after) = split(after).ok_or(FieldsError::Truncated)?;
            if name.is_empty() {
                return Err(FieldsError::NoName);
            }
            (rest, count) = (after, count + 1);
            if count > FIELD_COUNT_MAX {
                return Err(FieldsError::TooMany);
            }
        }
        Ok(Self(encoded))
    }

    /// Collects fields; room for `bytes` encoded bytes is made at once.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> FieldsBuilder {
        FieldsBuilder(BytesMut::with_capacity(bytes))
    }

    /// The encoded block.
    #[must_use]
    pub const fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// Whether there is no field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (name, after) = split(rest)?;
            let (value, after) = split(after)?;
            rest = after;
            Some((name, value))
        })
    }

    /// A part that [`iter`](Self::iter) gave, sharing the block's memory.
    #[must_use]
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.0.slice_ref(part)
    }

    /// The values of one field in their order; `name` in lower case.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The first value of one field; `name` in lower case.
    #[must_use]
    pub fn first<'a>(&'a self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

impl<'a> FromIterator<(&'a [u8], &'a [u8])> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a [u8], &'a [u8])>>(fields: T) -> Self {
        let mut block = Self::with_capacity(256);
        fields.into_iter().for_each(|(name, value)| block.push(name, value));
        block.finish()
    }
}

/// Header names of one hop only (RFC 9110 §7.6.1), and those that would lead the next hop astray. In lower case.
///
/// `Proxy-Authorization` is not among them: it is for the proxy that asked for it (§11.7.2), and the relay never does.
/// `te` is here as well; a `trailers` in it is put back by whoever forwards trailers.
const ONE_HOP: [&[u8]; 9] = [
    b"connection",
    b"expect",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"te",
    b"transfer-encoding",
    b"upgrade",
];

/// What the relay's own header names begin with, in lower case; none of them is believed from outside.
pub const OURS: &[u8] = b"webhook-relay-";

/// Whether a field is carried from end to end; `name` in lower case. What `Connection` names is for the caller to drop.
#[must_use]
pub fn is_end_to_end(name: &[u8]) -> bool {
    !ONE_HOP.contains(&name) && !is_ours(name)
}

/// Whether some target might read the name as one of ours: CGI and its heirs hold `_` and `-` to be the same (RFC 3875
/// §4.1.18).
fn is_ours(name: &[u8]) -> bool {
    let same = |(ours, byte): (&u8, &u8)| ours == byte || (*ours == b'-' && *byte == b'_');
    name.len() >= OURS.len() && OURS.iter().zip(name).all(same)
}

/// The comma-separated tokens of a field's value, such as that of `Connection` (RFC 9110 §5.6.1).
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Fields under construction.
#[derive(Debug, Default)]
pub struct FieldsBuilder(BytesMut);

impl FieldsBuilder {
    /// Adds one field at the end; `name` in lower case and not empty.
    ///
    /// # Panics
    /// When a part is longer than 65,535 bytes: the caller has bounded its header block long before.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_joined(name, &[value]);
    }

    /// The same, with a value in pieces.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_joined(&mut self, name: &[u8], value: &[&[u8]]) {
        for part in [&[name][..], value] {
            let length = part.iter().map(|piece| piece.len()).sum::<usize>();
            let length = u16::try_from(length).expect("a header part is bounded at the edge");
            self.0.extend_from_slice(&length.to_be_bytes());
            part.iter().for_each(|piece| self.0.extend_from_slice(piece));
        }
    }

    /// Adds all fields of a block at the end.
    pub fn extend(&mut self, fields: &Fields) {
        self.0.extend_from_slice(&fields.0);
    }

    /// How many encoded bytes there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no field yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The finished block.
    #[must_use]
    pub fn finish(self) -> Fields {
        Fields(self.0.freeze())
    }
}

/// Takes one length-prefixed part off the front.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_pushed_comes_out_in_order(
            fields in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..20), prop::collection::vec(any::<u8>(), 0..40)), 0..30)
        ) {
            let block: Fields = fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            let parsed = Fields::parse(block.encoded().clone()).unwrap();
            let out: Vec<(Vec<u8>, Vec<u8>)> = parsed.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(out, fields);
        }

        #[test]
        fn any_bytes_parse_or_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(block) = Fields::parse(Bytes::from(bytes)) {
                prop_assert!(block.iter().count() <= FIELD_COUNT_MAX);
            }
        }
    }

    #[test]
    fn the_bounds_hold() {
        let many: Fields =
            std::iter::repeat_n((&b"a"[..], &b""[..]), FIELD_COUNT_MAX + 1).collect();
        assert_eq!(Fields::parse(many.0), Err(FieldsError::TooMany));
        assert_eq!(Fields::parse(Bytes::from_static(&[0, 0, 0, 0])), Err(FieldsError::NoName));
        assert_eq!(Fields::parse(Bytes::from_static(&[0, 1, b'a'])), Err(FieldsError::Truncated));
    }
}
