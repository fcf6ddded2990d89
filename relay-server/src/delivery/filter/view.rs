//! An event as a filter sees it: the names an expression knows, and their values.

use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde_json::Value as Json;

use super::super::content::Content;
use super::super::selector::path_and_query;
use crate::event::Head;

/// The names an expression knows.
pub(super) const NAMES: [&str; 8] =
    ["method", "path", "query", "raw_query", "headers", "event_type", "body", "size"];

/// An event, before a filter.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Everything but its body.
    pub head: &'a Head,
    /// What the provider calls its kind; empty when that is not known.
    pub event_type: &'a str,
    /// The length of its body in bytes.
    pub size: u64,
    /// The body, read at most once for all filters and selectors.
    pub content: &'a Content<'a>,
}

impl View<'_> {
    /// The value of one of [`NAMES`].
    pub(super) fn value(&self, name: &str) -> Value {
        let (path, query) = path_and_query(&self.head.path);
        match name {
            "method" => text(&self.head.method),
            "path" => text(path),
            "query" => {
                map(form_urlencoded::parse(query)
                    .map(|(n, v)| (n.into_owned(), v.into_owned().into())))
            }
            "raw_query" => text(query),
            "headers" => map(self.head.fields.iter().map(|(n, v)| (lossy(n), text(v)))),
            "event_type" => Value::from(self.event_type),
            "body" => self.content.json().map_or(Value::Null, json),
            "size" => Value::Int(i64::try_from(self.size).unwrap_or(i64::MAX)),
            _ => Value::Null,
        }
    }
}

/// A map in which the first value of a name stands.
fn map(pairs: impl Iterator<Item = (String, Value)>) -> Value {
    let mut map = HashMap::new();
    for (name, value) in pairs {
        map.entry(Key::String(Arc::new(name))).or_insert(value);
    }
    Value::Map(Map { map: Arc::new(map) })
}

/// JSON as CEL sees it; whole numbers stay whole. Its depth is bounded by the parser (128).
fn json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(*is),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(whole)) => Value::UInt(whole),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(json).collect())),
        Json::Object(members) => {
            map(members.iter().map(|(name, value)| (name.clone(), json(value))))
        }
    }
}

fn text(bytes: &[u8]) -> Value {
    Value::from(lossy(bytes))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
