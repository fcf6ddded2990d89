//! Names and numbers that cross the wire, each its own type: parsed once at the edge, trusted within.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{NoContext, Timestamp, Uuid};

/// The id of an event: a UUIDv7 (RFC 9562 §5.7), so ids sort by the time the relay took the event.
///
/// Shown as `evt_` and 26 characters of Crockford base32, which sort like the ids themselves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

/// Crockford's base32 alphabet, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX: &str = "evt_";
const DIGITS: usize = 26;

impl EventId {
    /// How long an id is when it is shown, in bytes.
    pub const TEXT: usize = PREFIX.len() + DIGITS;

    /// A new id; among those of one millisecond its place is random.
    #[must_use]
    pub fn now() -> Self {
        // Without the counter that the library's own clock has: it is one for all threads, and whoever wants order among
        // ids of one millisecond takes the `successor`.
        Self(Uuid::new_v7(Timestamp::now(NoContext)).into_bytes())
    }

    /// A new id; in the millisecond after the one of `newest` when that is ahead of the clock.
    #[must_use]
    pub fn now_or_after(newest: Self) -> Self {
        let now = Self::now();
        if now > newest {
            return now;
        }
        let random = u128::from_be_bytes(now.0) & (u128::MAX >> 48);
        Self((u128::from(newest.unix_ms() + 1) << 80 | random).to_be_bytes())
    }

    /// The next id of the same millisecond; the first of the next one if there is none.
    #[must_use]
    pub fn successor(self) -> Self {
        // What is counted up: the 62 bits after the variant (RFC 9562 §5.7).
        const COUNTED: u128 = u128::MAX >> 66;
        const VERSION_AND_VARIANT: u128 = 7 << 76 | 2 << 62;
        let number = u128::from_be_bytes(self.0);
        let next = if number & COUNTED < COUNTED {
            number + 1
        } else {
            u128::from(self.unix_ms() + 1) << 80 | VERSION_AND_VARIANT
        };
        Self(next.to_be_bytes())
    }

    /// The smallest id an event taken at this millisecond of the Unix epoch can have: a bound for range queries.
    #[must_use]
    pub fn first_at(unix_ms: u64) -> Self {
        Self(((u128::from(unix_ms)) << 80).to_be_bytes())
    }

    /// The id with these bytes; any 16 bytes are an id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, in the order in which ids sort.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// When the id was made, in milliseconds of the Unix epoch.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        (u128::from_be_bytes(self.0) >> 80) as u64
    }

    /// The id as it is shown, in ASCII.
    #[must_use]
    pub fn text(&self) -> [u8; Self::TEXT] {
        let mut number = u128::from_be_bytes(self.0);
        let mut text = [0; Self::TEXT];
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[number as usize & 31];
            number >>= 5;
        }
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no event id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event id: expected evt_ and 26 characters of 0-9 a-z without i l o u")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        let digits = text.strip_prefix(PREFIX).ok_or(NotAnEventId)?.as_bytes();
        if digits.len() != DIGITS || digits[0] > b'7' {
            return Err(NotAnEventId);
        }
        let mut number = 0u128;
        for digit in digits {
            let value = ALPHABET.iter().position(|a| a == digit).ok_or(NotAnEventId)?;
            number = number << 5 | value as u128;
        }
        Ok(Self(number.to_be_bytes()))
    }
}

/// A stream of one line: one attempt at one event. Numbers only grow; 0 is the line itself.
///
/// 64 bits, because a busy line would use up 32 in two days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an endpoint or a group: 1 to 46 characters of `a-z 0-9 -`, beginning and ending with none of `-`.
///
/// 46, so that the name with its 17 characters of key fits into one DNS label (RFC 1035 §2.3.4).
///
/// Kept in place and not behind a counter that all threads share: every event names an endpoint or a group several times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name {
    /// Filled up with zeros, which come before every character: so names sort as their texts do.
    text: [u8; Self::MAX],
    length: u8,
}

impl Name {
    /// The longest name, in characters.
    pub const MAX: usize = 46;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..usize::from(self.length)]).expect("it is ASCII")
    }

    /// The group that answers providers: `main`.
    #[must_use]
    pub fn main() -> Self {
        Self::of(b"main")
    }

    /// At most [`Name::MAX`] characters that were looked at.
    fn of(name: &[u8]) -> Self {
        let mut text = [0; Self::MAX];
        text[..name.len()].copy_from_slice(name);
        Self { text, length: name.len() as u8 }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.as_str()).finish()
    }
}

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: 1 to 46 characters of a-z, 0-9 and -, neither first nor last a -")]
pub struct NotAName(pub String);

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let plain = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
        if ends && bytes.len() <= Self::MAX && bytes.iter().all(|c| plain(c) || *c == b'-') {
            Ok(Self::of(bytes))
        } else {
            Err(NotAName(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_event_id_survives_its_text_and_sorts_like_it(a in any::<[u8; 16]>(), b in any::<[u8; 16]>()) {
            let (a, b) = (EventId::from_bytes(a), EventId::from_bytes(b));
            prop_assert_eq!(a.to_string().parse::<EventId>(), Ok(a));
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,40}") {
            let _ = text.parse::<EventId>();
            let _ = text.parse::<Name>();
        }
    }

    #[test]
    fn ids_tell_their_time_and_none_is_made_twice() {
        let mut ids: Vec<EventId> = (0..10_000).map(|_| EventId::now()).collect();
        assert!(ids.windows(2).all(|pair| pair[0].unix_ms() <= pair[1].unix_ms()));
        ids.sort();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(EventId::first_at(ids[0].unix_ms()) <= ids[0]);
        assert!(EventId::first_at(ids[0].unix_ms() + 1) > ids[0]);
    }

    #[test]
    fn the_next_id_is_a_uuid_of_version_7_as_well() {
        let full = u128::from_be_bytes(EventId::now().0) | u128::MAX >> 66;
        for id in [EventId::now(), EventId::from_bytes(full.to_be_bytes())] {
            for next in [id.successor(), EventId::now_or_after(id)] {
                assert!(id < next, "{id} {next}");
                let uuid = Uuid::from_bytes(next.0);
                assert_eq!(uuid.get_version_num(), 7);
                assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
                assert!(next.unix_ms() - id.unix_ms() <= 1);
            }
        }
    }

    #[test]
    fn names_sort_as_their_texts_do_and_come_out_as_they_went_in() {
        let longest = "z".repeat(Name::MAX);
        let texts = ["a", "a-a", "a0", "aa", "ab", "b", "main", "maina", &longest];
        let names: Vec<Name> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(names.is_sorted());
        assert!(names.iter().map(Name::as_str).eq(texts));
        assert_eq!(Name::main(), names[6]);
    }

    #[test]
    fn an_id_too_large_or_too_short_is_refused() {
        for text in
            ["evt_8zzzzzzzzzzzzzzzzzzzzzzzzz", "evt_0", "01h455vb4pex5vsknk084sn02q", "evt_"]
        {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEventId), "{text}");
        }
    }

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "github", "a-b-9", "0"] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a*", "ä", &"x".repeat(47)] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }
}
