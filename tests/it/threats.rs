//! The threat model is held up: every claim in it names tests, and all of them are there.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The tests that a line names: what stands in backquotes and has a file and a name.
fn named(line: &str) -> Vec<(&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once(".rs::")).collect()
}

/// Whether a source has a test of this name: a function right below its attribute.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let is_test = pair[0] == "#[test]" || pair[0].starts_with("#[tokio::test");
        is_test
            && pair[1].split_once("fn ").is_some_and(|(_, rest)| {
                rest.strip_prefix(name).is_some_and(|rest| rest.starts_with("()"))
            })
    })
}

/// The rows of the tables whose heading is claim and test.
fn claims(text: &str) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        inside = (inside && line.starts_with('|')) || line == "| claim | test |";
        if inside && line != "| claim | test |" && !line.starts_with("|---") {
            rows.push(line);
        }
    }
    rows
}

#[test]
fn every_claim_of_the_threat_model_names_tests_that_there_are() {
    let text = std::fs::read_to_string(root().join("relay-server/THREATS.md")).unwrap();
    let claims = claims(&text);
    assert!(claims.len() >= 30, "{} claims", claims.len());
    let mut wrong = Vec::new();
    for claim in claims {
        let tests = named(claim);
        if tests.is_empty() {
            wrong.push(format!("no test: {claim}"));
        }
        for (file, name) in tests {
            let source = std::fs::read_to_string(root().join(format!("{file}.rs")));
            if !source.is_ok_and(|source| has_test(&source, name)) {
                wrong.push(format!("there is no test {file}.rs::{name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    let source =
        "#[tokio::test]\nasync fn one() {\n}\n    #[test]\n    fn two() {}\nfn three() {}\n";
    let there = ["one", "two", "three", "on", "four"].map(|name| has_test(source, name));
    assert_eq!(there, [true, true, false, false, false]);
    assert_eq!(named("| a | `x/y.rs::z` and `plain` `w.rs::v` |"), [("x/y", "z"), ("w", "v")]);
}
