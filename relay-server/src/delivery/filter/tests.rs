//! Filters as people write them, what each says of an event, and that none does harm.

use proptest::prelude::*;

use super::*;
use crate::delivery::content::Content;
use crate::delivery::sample::head;

const PUSH: &str = r#"{
    "ref": "refs/heads/main", "number": 7, "big": 18446744073709551615, "share": 0.5, "draft": false, "none": null,
    "commits": [{"id": "a", "modified": ["src/lib.rs", "README.md"]}, {"id": "b", "modified": []}]
}"#;

fn verdict(filter: &str, body: &str) -> Verdict {
    let head = head(
        "/deep/path?env=prod&env=test&q=a%20b",
        &[("x-github-event", "push"), ("x-two", "1"), ("x-two", "2"), ("x-raw", "\u{e9}")],
    );
    let content = Content::new(body.as_bytes());
    let view = View { head: &head, event_type: "push", size: body.len() as u64, content: &content };
    Filter::parse(filter).unwrap_or_else(|why| panic!("{filter}: {why}")).takes(&view)
}

#[test]
fn an_event_is_looked_at_from_every_side() {
    for filter in [
        "true",
        r#"method == "POST" && path == "/deep/path""#,
        r#"path.startsWith("/deep") && path.endsWith("th") && path.contains("ep/")"#,
        r#"path.matches("^/deep/[a-z]+$")"#,
        r#"query.env == "prod" && query["q"] == "a b" && raw_query == "env=prod&env=test&q=a%20b""#,
        r#"headers["x-github-event"] == "push" && headers["x-two"] == "1" && headers["x-raw"] == "é""#,
        r#"event_type in ["push", "pull_request"] && !(event_type == "star")"#,
        r#"body.ref == "refs/heads/main" && body.number == 7 && body.number + 1 > 7"#,
        r#"body.big > 9223372036854775807u && body.share < 1.0 && body.none == null && !body.draft"#,
        r#"has(body.ref) && !has(body.nothing) && "ref" in body"#,
        r#"body.commits.exists(c, c.modified.exists(m, m.startsWith("src/")))"#,
        r#"body.commits.exists(c, ["README.md", "LICENSE"].exists(name, name in c.modified))"#,
        r#"body.commits.map(c, c.id) == ["a", "b"] && size(body.commits.filter(c, c.id == "a")) == 1"#,
        r#"body.commits[0].id == "a" && body["commits"][1]["id"] == "b""#,
        r#"size > 10 && size("abc") == 3 && string(body.number) == "7" && int("7") == body.number"#,
        r#"(body.number > 5 ? "big" : "small") == "big""#,
    ] {
        assert_eq!(verdict(filter, PUSH), Verdict::Taken, "{filter}");
        assert_eq!(verdict(&format!("!({filter})"), PUSH), Verdict::NotTaken, "{filter}");
    }
}

#[test]
fn an_event_that_makes_no_sense_to_a_filter_is_not_taken_and_says_why() {
    for (filter, body, words) in [
        ("body.nothing == 1", PUSH, "there is no \"nothing\" in this event"),
        ("headers[\"x-none\"] == \"\"", PUSH, "x-none"),
        ("body.ref == \"x\"", "no json", "no matching overload"),
        ("body.ref > 7", PUSH, "string"),
        ("body.commits[9].id == \"a\"", PUSH, "9"),
        ("body.number", PUSH, "it gives a int, neither true nor false"),
        ("1 / 0 == 1", PUSH, "zero"),
        ("9223372036854775807 + 1 > 0", PUSH, "verflow"),
    ] {
        let Verdict::Error(why) = verdict(filter, body) else { panic!("{filter} has a verdict") };
        assert!(why.contains(words), "{filter}: {why}");
    }
    assert_eq!(verdict("body == null", "no json"), Verdict::Taken);
}

#[test]
fn what_makes_no_sense_is_refused_when_it_is_set_with_its_place() {
    for (filter, words) in [
        ("", "line 1, column 1: "),
        ("method = \"POST\"", "line 1, column 8: "),
        ("method == ", "line 1, column 11: "),
        ("path.startsWith(\"/a\"", "column"),
        ("headerz.a == 1", "column 1: headerz: no such name"),
        ("size > 1 && now() > 2", "column 13: now: no such function"),
        ("path.reverse() == \"\"", "column 6: reverse: no such function"),
        ("path.matches(\"a(\")", "a("),
        ("path.matches(body.pattern)", "column 6: matches: its pattern"),
        ("Thing{a: 1} == 1", "there are no types"),
        ("body.a.exists(x, body.a.exists(y, x == y))", "a loop in a loop"),
        ("[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))", "more than 3 loops"),
    ] {
        let why = Filter::parse(filter).expect_err(filter);
        assert!(why.contains(words), "{filter}: {why}");
    }
}

#[test]
fn every_function_of_the_list_is_there() {
    for filter in [
        r#"bool("true") && bytes("a") == b"a" && double("0.5") == 0.5 && dyn(1) == 1 && uint(1) == 1u"#,
        r#""abc".contains("b") && "abc".endsWith("c") && "abc".startsWith("a") && "abc".matches("b")"#,
        r#"int("1") == 1 && string(1) == "1" && type(1) == type(2) && size([1]) == 1"#,
    ] {
        assert_eq!(verdict(filter, ""), Verdict::Taken, "{filter}");
    }
}

#[test]
fn a_filter_tells_whether_it_reads_the_body() {
    for (filter, reads) in [("size > 1", false), ("path == \"body\"", false), ("has(body.a)", true)]
    {
        assert_eq!(Filter::parse(filter).unwrap().reads_body(), reads, "{filter}");
    }
}

/// Texts of the greatest length and depth, each on a stack as small as a worker's.
#[test]
fn no_nesting_is_too_deep_for_a_workers_stack() {
    let deep = |open: &str, core: &str, close: &str| {
        let most = TEXT_MAX / (open.len() + close.len());
        [8, 12, 20, 24, 25, 100, most - 1]
            .map(|n| format!("{}{core}{}", open.repeat(n), close.repeat(n)))
    };
    let texts = [
        deep("!", "true", ""),
        deep("-", "1", ""),
        deep("(", "true", ")"),
        deep("(", "", ""),
        deep("true?true:", "true", ""),
        deep("true?", "true", ":true"),
        deep("1+", "1", ""),
        deep("1<", "1", ""),
        deep("true||", "true", ""),
        deep("true&&", "true", ""),
        deep("[", "1", "]"),
        deep("{1:", "1", "}"),
        deep("body", "", ".a"),
        deep("", "body", ".a"),
        deep("", "body", "[0]"),
        deep("", "body", ".size()"),
        deep("size(", "body", ")"),
        deep("body.size(", "body", ")"),
        deep("[1].all(x,", "true", ")"),
        deep("body[", "1", "]"),
    ];
    for text in texts.into_iter().flatten() {
        let run = move || drop(Filter::parse(&text).map(|filter| filter.takes_nothing()));
        std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
    }
}

impl Filter {
    fn takes_nothing(&self) -> Verdict {
        let (head, content) = (head("", &[]), Content::new(b"{}"));
        self.takes(&View { head: &head, event_type: "", size: 2, content: &content })
    }
}

/// Expressions made of the language's own words, mostly wrong.
fn babble() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "body",
        "path",
        "headers",
        "size",
        "x",
        "has",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        "?",
        "!",
        "-",
        "&&",
        "||",
        "==",
        "<",
        "in",
        "+",
        "%",
        "/",
        "\"a\"",
        "'",
        "b'x'",
        "r\"\\\"",
        "1",
        "0",
        "-9223372036854775808",
        "1u",
        "0x",
        "1e999",
        "true",
        "null",
        ".all(x,",
        ".exists(x,",
        ".map(x,",
        ".matches(",
        "size(",
        "int(",
        "\\",
        "`a`",
        "//",
    ]);
    prop::collection::vec(word, 0..25).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_refused(text in "\\PC{0,80}") {
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.takes_nothing();
            prop_assert_eq!(filter.to_string(), text);
        }
    }

    #[test]
    fn any_babble_is_a_filter_or_refused(text in babble()) {
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_ne!(filter.takes_nothing(), Verdict::Error("it cannot be evaluated".into()));
        }
    }
}
