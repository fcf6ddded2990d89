//! One place in a JSON body, read without keeping the rest: a body of many megabytes costs no memory beyond itself.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most places that a `*` may find.
const FOUND_MAX: usize = 10_000;

/// A path into a document: `event.type`, `value.*.clientState`, `0.id`, or a pointer (RFC 6901) `/a.b/c`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Box<[Box<str>]>);

/// The body is no JSON, or has one of the keys twice, or too many places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// What stands at a place, as it is written there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a>(&'a RawValue);

impl Path {
    /// The path in this text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let steps: Vec<Box<str>> = match text.strip_prefix('/') {
            Some(pointer) => pointer
                .split('/')
                .map(|step| step.replace("~1", "/").replace("~0", "~").into())
                .collect(),
            None => text.split('.').map(Into::into).collect(),
        };
        if steps.iter().any(|step| step.is_empty()) {
            return Err(format!("{text:?} is no path into JSON: write a.b.0 or /a/b/0"));
        }
        Ok(Self(steps.into()))
    }

    /// The path of one key of the outermost object, whatever its name.
    pub(crate) fn name(name: &str) -> Self {
        Self(Box::new([name.into()]))
    }

    /// What stands there: one entry, or one for each that a `*` finds; `None` where there is nothing.
    pub(crate) fn find<'a>(&self, body: &'a [u8]) -> Result<Vec<Option<Found<'a>>>, Unreadable> {
        let mut found = Vec::new();
        let mut reader = reader(body);
        let seed = Seek { steps: &self.0, found: &mut found };
        seed.deserialize(&mut reader).map_err(|_| Unreadable)?;
        reader.end().map_err(|_| Unreadable)?;
        Ok(found)
    }

    /// The same path as a pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let escaped = self.0.iter().map(|step| step.replace('~', "~0").replace('/', "~1"));
        escaped.fold(String::new(), |path, step| path + "/" + &step)
    }

    /// Whether it leads into a list: what it finds is one of many.
    pub(crate) fn is_into_a_list(&self) -> bool {
        self.0.iter().any(|step| &**step == "*" || step.parse::<usize>().is_ok())
    }
}

fn reader(body: &[u8]) -> serde_json::Deserializer<serde_json::de::SliceRead<'_>> {
    serde_json::Deserializer::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))
}

/// The keys of the outermost object.
pub(crate) fn keys(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    struct Keys;

    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut keys = Vec::new();
            while let Some(key) = map.next_key()? {
                if keys.len() == FOUND_MAX {
                    return Err(de::Error::custom("too many keys"));
                }
                keys.push(key);
                map.next_value::<IgnoredAny>()?;
            }
            Ok(keys)
        }
    }

    let mut reader = reader(body);
    let keys = reader.deserialize_map(Keys).map_err(|_| Unreadable)?;
    reader.end().map_err(|_| Unreadable)?;
    Ok(keys)
}

impl<'a> Found<'a> {
    /// The text of a string, or a number or boolean as it is written.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let raw = self.raw();
        match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<Text<'_>>(raw).ok().map(|text| text.0),
            b'{' | b'[' | b'n' => None,
            _ => Some(Cow::Borrowed(raw)),
        }
    }

    /// Whether it is a string.
    pub(crate) fn is_string(self) -> bool {
        self.raw().starts_with('"')
    }

    /// Whether it is a list without entries.
    pub(crate) fn is_empty_list(self) -> bool {
        let inner = self.raw().strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
        inner.is_some_and(|inner| inner.trim_ascii().is_empty())
    }

    /// As it is written.
    pub(crate) fn raw(self) -> &'a str {
        self.0.get()
    }
}

/// A string, borrowed from the document where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Follows the steps that are left.
struct Seek<'s, 'de> {
    steps: &'s [Box<str>],
    found: &'s mut Vec<Option<Found<'de>>>,
}

impl<'de> Seek<'_, 'de> {
    fn push<E: de::Error>(&mut self, found: Option<Found<'de>>) -> Result<(), E> {
        if self.found.len() == FOUND_MAX {
            return Err(E::custom("too many places"));
        }
        self.found.push(found);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Seek<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, reader: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            let found = <&RawValue>::deserialize(reader)?;
            return self.push(Some(Found(found)));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let [step, rest @ ..] = self.steps else { return Ok(()) };
        let mut met = false;
        while let Some(is_it) = map.next_key_seed(Is(step))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            // Readers differ in which of two they take: what one checks, another would not use.
            if std::mem::replace(&mut met, true) {
                return Err(de::Error::custom("a key is there twice"));
            }
            map.next_value_seed(Seek { steps: rest, found: self.found })?;
        }
        if met { Ok(()) } else { self.push(None) }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let [step, rest @ ..] = self.steps else { return Ok(()) };
        let index = step.parse::<usize>().ok();
        let mut met = &**step == "*";
        for at in 0_usize.. {
            let more = if index == Some(at) || &**step == "*" {
                met = true;
                let before = self.found.len();
                let more = list.next_element_seed(Seek { steps: rest, found: self.found })?;
                if more.is_none() && index == Some(at) {
                    met = self.found.len() > before;
                }
                more.is_some()
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        if met { Ok(()) } else { self.push(None) }
    }

    fn visit_bool<E: de::Error>(mut self, _: bool) -> Result<(), E> {
        self.push(None)
    }

    fn visit_i64<E: de::Error>(mut self, _: i64) -> Result<(), E> {
        self.push(None)
    }

    fn visit_u64<E: de::Error>(mut self, _: u64) -> Result<(), E> {
        self.push(None)
    }

    fn visit_f64<E: de::Error>(mut self, _: f64) -> Result<(), E> {
        self.push(None)
    }

    fn visit_str<E: de::Error>(mut self, _: &str) -> Result<(), E> {
        self.push(None)
    }

    fn visit_unit<E: de::Error>(mut self) -> Result<(), E> {
        self.push(None)
    }
}

/// Whether a key is this one.
struct Is<'s>(&'s str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, body: &str) -> Result<Vec<Option<String>>, Unreadable> {
        let found = Path::parse(path).expect("a path").find(body.as_bytes())?;
        Ok(found.into_iter().map(|f| f.and_then(Found::text).map(Cow::into_owned)).collect())
    }

    fn one(text: &str) -> Result<Vec<Option<String>>, Unreadable> {
        Ok(vec![Some(text.to_owned())])
    }

    #[test]
    fn a_path_finds_what_it_names() {
        assert_eq!(find("a.b", r#"{"x":[1],"a":{"b":"\u00fcx"},"y":2}"#), one("üx"));
        assert_eq!(
            find("0.id", r#"[{"id":12345678901234567890123},{}]"#),
            one("12345678901234567890123")
        );
        assert_eq!(find("1", "[1.0,1.50,2]"), one("1.50"));
        assert_eq!(find("/a.b/~1", r#"{"a.b":{"/":true}}"#), one("true"));
        assert_eq!(find("a", "\u{feff}{\"a\":1}"), one("1"));
    }

    #[test]
    fn what_is_not_there_is_told() {
        for body in ["{}", "[]", "1", "-1", "1.5", "\"a\"", "null", "true", r#"{"a":null}"#] {
            assert_eq!(find("a", body), Ok(vec![None]), "{body}");
        }
        assert_eq!(find("2", "[1,2]"), Ok(vec![None]));
        assert_eq!(find("v.*.c", r#"{"v":[{"c":1},{}]}"#), Ok(vec![Some("1".into()), None]));
        assert_eq!(find("v.*.c", r#"{"v":[]}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for body in [r#"{"a":1,"a":2}"#, r#"{"a":1"#, r#"{"a":1}x"#, "", "a=1"] {
            assert_eq!(find("a", body), Err(Unreadable), "{body}");
        }
        assert_eq!(find("*", &format!("[{}1]", "1,".repeat(FOUND_MAX))), Err(Unreadable));
        assert_eq!(find("a", &"[".repeat(100_000)), Err(Unreadable));
    }

    #[test]
    fn kinds_are_told_apart() {
        let body = br#"{"e":[ ],"n":1,"s":"1"}"#;
        let at = |path: &str| Path::parse(path).expect("a path").find(body).expect("JSON")[0];
        assert!(at("e").is_some_and(Found::is_empty_list));
        assert!(at("s").is_some_and(Found::is_string));
        assert!(at("n").is_some_and(|found| !found.is_string() && !found.is_empty_list()));
        assert_eq!(keys(body), Ok(vec!["e".into(), "n".into(), "s".into()]));
    }
}
