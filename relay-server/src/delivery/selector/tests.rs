//! Selectors as text, and what each finds in an event.

use proptest::prelude::*;

use super::*;
use crate::delivery::sample::head;

fn key(selector: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Option<KeyHash> {
    Selector::parse(selector).unwrap().key(&head(path, fields), &Content::new(body))
}

#[test]
fn what_is_shown_is_read_again() {
    for text in ["header:x-id", "query:id", "json:/a/0/~1b~0", "json:/", "path", "body"]
        .into_iter()
        .chain(["header:a|header:b", "json:/a|b|query:c|d|path", "header:a|json:/b|body"])
    {
        assert_eq!(Selector::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Selector::parse("header:X-Id").unwrap().to_string(), "header:x-id");
    let long = format!("query:{}", "x".repeat(300));
    for bad in [
        "",
        "key",
        "header:",
        "header:a b",
        "header:connection",
        "header:webhook-relay-attempt",
        "header:a|header:",
        "header:a|json:",
        "path:/x|body",
        "query:",
        "json:",
        "json:a",
        "json:/~",
        "json:/~2",
        "json:/a~",
        "Path",
        "path:/x",
        &long,
    ] {
        assert!(Selector::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn each_finds_its_part_of_an_event() {
    let of = |text: &str| Some(KeyHash::of(text.as_bytes()));
    let body = br#"{"id": "7", "n": 7, "deep": {"list": [1, {"a/b": true}]}}"#;
    let fields = [("x-id", "one"), ("x-id", "two"), ("x-empty", "")];
    for (selector, wanted) in [
        ("header:X-ID", of("one")),
        ("header:x-other", None),
        ("header:x-empty", None),
        ("query:id", of("a%20b")),
        ("query:two words", of("2")),
        ("query:empty", None),
        ("query:bare", None),
        ("query:none", None),
        ("json:/id", of("7")),
        ("json:/n", of("7")),
        ("json:/deep/list/1/a~1b", of("true")),
        ("json:/deep/list/9", None),
        ("path", of("/push/%41")),
        ("body", Some(KeyHash::of(body))),
        ("header:x-id|json:/id", of("one")),
        ("header:x-none|json:/none", None),
    ] {
        let found = key(selector, "/push/%41?id=a%20b&two+words=2&empty=&bare&id=c", &fields, body);
        assert_eq!(found, wanted, "{selector}");
    }
}

#[test]
fn of_several_the_first_that_finds_something_counts_and_where_it_was_found() {
    let found = |selector, fields: &[(&str, &str)]| key(selector, "/p", fields, b"{\"c\":\"1\"}");
    let several = "header:a|header:b|json:/c";
    assert_eq!(found(several, &[("a", "1")]), found("header:a", &[("a", "1")]));
    let keys = [&[("a", "1")][..], &[("b", "1")], &[]].map(|fields| found(several, fields));
    assert!(keys.iter().all(Option::is_some));
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:?}");
    assert_eq!(found(several, &[("a", ""), ("b", "1")]), keys[1]);
    assert!(Selector::parse(several).unwrap().reads_body());
    assert!(!Selector::parse("header:a|path").unwrap().reads_body());
}

#[test]
fn a_doubtful_value_is_no_key() {
    for body in [
        r#"{"id": null}"#,
        r#"{"id": ""}"#,
        r#"{"id": 1.5}"#,
        r#"{"id": 12345678901234567890123}"#,
        r#"{"other": 1}"#,
        "no json",
        "",
    ] {
        assert_eq!(key("json:/id", "", &[], body.as_bytes()), None, "{body}");
    }
    assert_eq!(key("body", "", &[], b""), None);
    let away = Content::elsewhere();
    assert_eq!(Selector::Body.key(&head("", &[]), &away), None);
    assert_eq!(Selector::Json("/id".into()).key(&head("", &[]), &away), None);
}

#[test]
fn the_order_of_an_objects_members_makes_no_other_key() {
    let (one, other) = (br#"{"id": {"a": 1, "b": 2}}"#, br#"{"id":{"b":2,"a":1}}"#);
    assert_eq!(key("json:/id", "", &[], one), key("json:/id", "", &[], other));
}

proptest! {
    #[test]
    fn any_text_and_any_path_are_taken_without_a_panic(text in "\\PC{0,30}", path in "\\PC{0,60}") {
        for kind in ["", "header:", "query:", "json:", "json:/"] {
            if let Ok(selector) = Selector::parse(&format!("{kind}{text}")) {
                let _ = selector.key(&head(&path, &[]), &Content::new(path.as_bytes()));
                prop_assert_eq!(Selector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
