//! The laws of the house, checked by reading the sources: sizes, names, who may know what, what is banned.

use std::path::{Path, PathBuf};

/// The longest file, in lines.
const FILE_MAX: usize = 400;

/// The longest function, in lines.
const FUNCTION_MAX: usize = 70;

/// Where sources are.
const ROOMS: [&str; 9] = [
    "protocol/src",
    "protocol/tests",
    "protocol/trust/src",
    "protocol/trust/tests",
    "relay-client/src",
    "relay-server/src",
    "tests/src",
    "tests/it",
    "tests/benches",
];

/// One source file.
struct Source {
    /// Its path below the repository's root.
    path: String,
    text: String,
}

impl Source {
    /// What is not its unit tests, which stand at its foot.
    fn product(&self) -> &str {
        self.text.split("\n#[cfg(test)]").next().unwrap_or_default()
    }

    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| self.path.starts_with(room))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read_all(folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(root()).unwrap();
            sources.push(Source { path: below.display().to_string(), text });
        }
    }
}

/// Every source file.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    ROOMS.iter().for_each(|room| read_all(&root().join(room), &mut sources));
    assert!(sources.len() > 80, "the sources are found");
    sources
}

/// Reads every source with this eye; it tells what is wrong.
fn law(eye: impl Fn(&Source) -> Vec<String>) {
    let told: Vec<String> = sources()
        .iter()
        .flat_map(|source| eye(source).into_iter().map(|why| format!("{}: {why}", source.path)))
        .collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

/// The lines with any of these words, outside of comments.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(at, line)| format!("line {}: {}", at + 1, line.trim()))
        .collect()
}

/// These words may stand in these rooms only.
fn only_in(words: &[&str], rooms: &[&str]) {
    law(
        |source| if source.is_in(rooms) { Vec::new() } else { lines_with(source.product(), words) },
    );
}

#[test]
fn no_file_is_too_long() {
    law(|source| {
        let lines = source.text.lines().count();
        if lines > FILE_MAX { vec![format!("{lines} lines")] } else { Vec::new() }
    });
}

/// Name and length of every function: from its first line to the brace below it.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let begins = body.split_once("fn ").is_some_and(|(before, _)| {
            before.split_whitespace().all(|word| {
                word.starts_with("pub") || matches!(word, "async" | "const" | "in" | "super)")
            })
        });
        let end = |line: &&str| line.len() == indent + 1 && line.trim_start() == "}";
        if begins && let Some(length) = lines[at..].iter().position(end) {
            found.push((*line, length + 1));
        }
    }
    found
}

#[test]
fn no_function_is_too_long() {
    assert_eq!(functions("fn a() {\n    b();\n}\n").first().map(|f| f.1), Some(3));
    law(|source| {
        let long = functions(&source.text).into_iter().filter(|(_, length)| *length > FUNCTION_MAX);
        long.map(|(line, length)| format!("{}: {length} lines", line.trim())).collect()
    });
}

#[test]
fn every_file_says_what_lives_in_it() {
    law(|source| {
        let told = source.text.starts_with("//! ");
        if told { Vec::new() } else { vec!["it does not open with //!".into()] }
    });
}

#[test]
fn there_are_no_drawers() {
    law(|source| {
        let drawer = |part: &str| {
            let name = part.trim_end_matches(".rs");
            ["util", "utils", "helper", "helpers", "common", "misc"].contains(&name)
        };
        if source.path.split('/').any(drawer) { vec!["a drawer".into()] } else { Vec::new() }
    });
}

#[test]
fn what_is_banned_is_nowhere() {
    // Written in two parts, so that they do not find themselves.
    let banned = [
        concat!("#[", "allow"),
        concat!("#![", "allow"),
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
        concat!("unsafe", " {"),
        concat!("unsafe", " fn"),
    ];
    law(|source| lines_with(&source.text, &banned));
}

#[test]
fn http_ends_at_the_doors() {
    let doors = [
        "relay-server/src/http/",
        "relay-server/src/ingress/",
        "relay-server/src/api/",
        "relay-server/src/session.rs",
        "relay-server/src/session/upgrade.rs",
        "relay-server/src/access/bearer.rs",
        "relay-server/src/problem.rs",     // errors become answers
        "relay-server/src/config/",        // URLs
        "relay-server/src/trust/fetch.rs", // what providers keep on the web
        "relay-server/src/tls/acme/directory.rs",
        "relay-server/src/demo/", // a provider and a receiver of its own
        "relay-client/src/target/",
        "relay-client/src/agent/exchange.rs", // a target's answer becomes frames
        "relay-client/src/api.rs",
        "relay-client/src/dial.rs",
        "relay-client/src/way/",      // CONNECT
        "relay-client/src/fields.rs", // header maps become fields
        "tests/",
    ];
    only_in(&["use axum", "axum::", "hyper::", "use http::", " ::http::"], &doors);
}

#[test]
fn sql_ends_at_the_store() {
    let words = ["rusqlite", "SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "CREATE TABLE"];
    // The ledger reads a store from outside, to hold against it what the relay says.
    let rooms = [
        "relay-server/src/store/",
        "tests/it/tidy.rs",
        // Here a store is damaged by hand, held up, or looked into as a thief would.
        "tests/it/sealed.rs",
        "tests/it/upkeep.rs",
        "tests/it/queue/rot.rs",
        "tests/it/store/bundles.rs",
        "tests/it/store/stall.rs",
        "tests/src/ledger.rs",
        "tests/src/ledger/",
        "tests/benches/",
    ];
    only_in(&words, &rooms);
}

#[test]
fn websockets_end_at_the_line() {
    let rooms = [
        "relay-server/src/session/upgrade.rs",
        "relay-client/src/wire/",
        "relay-client/src/dial.rs",
        "relay-client/src/socket.rs",
        "tests/",
    ];
    only_in(&["tungstenite", "WebSocketStream"], &rooms);
}

#[test]
fn the_protocol_has_no_clock_and_no_sockets() {
    let banned = ["Instant::now", "SystemTime::now", "tokio", "std::net", "std::fs", "std::thread"];
    law(|source| {
        let pure = source.is_in(&["protocol/src/", "protocol/trust/src/"])
            && !source.path.contains("/tests/");
        if pure { lines_with(source.product(), &banned) } else { Vec::new() }
    });
}

#[test]
fn no_story_sleeps_and_hopes() {
    let clockwork = ["tests/src/line.rs", "tests/src/wait.rs"];
    law(|source| {
        let story = source.is_in(&["tests/it/", "tests/src/"]) && !source.is_in(&clockwork);
        if story { lines_with(&source.text, &[concat!("sleep", "(")]) } else { Vec::new() }
    });
}

#[test]
fn every_story_is_told() {
    let told = std::fs::read_to_string(root().join("tests/it/main.rs")).unwrap();
    for entry in std::fs::read_dir(root().join("tests/it")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".rs").to_owned();
        assert!(
            name == "main" || told.contains(&format!("mod {name};")),
            "{name} is not in main.rs"
        );
    }
}
