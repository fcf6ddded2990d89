//! `PROTOCOL.md` says what the code does: its tables, its limits, its JSON members and its example are compared here.

#[path = "golden/hex.rs"]
mod hex;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use relay_protocol::frame::{KINDS, ToAgent, ToRelay};
use relay_protocol::limits as l;
use relay_protocol::reason::{Broken, Dispatched, Leaving, Refusal, close};

const DOCUMENT: &str = include_str!("../PROTOCOL.md");

/// The rows of the table whose first line is `| header |`, cells trimmed and without backticks.
fn table_after(place: &str, header: &str) -> Vec<Vec<String>> {
    let text =
        &DOCUMENT[DOCUMENT.find(place).unwrap_or_else(|| panic!("{place:?} is not there"))..];
    let mut lines = text.lines().skip_while(|line| !line.starts_with(header));
    assert!(lines.next().is_some(), "no table {header:?} after {place:?}");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// The first cells of each row.
fn rows(place: &str, header: &str, cells: usize) -> Vec<Vec<String>> {
    table_after(place, header).into_iter().map(|row| row[..cells].to_vec()).collect()
}

#[test]
fn the_frame_table_is_the_codes() {
    let code = |k: &relay_protocol::frame::Kind| {
        vec![format!("{:#04x}", k.code), k.name.to_owned(), k.sender.to_owned()]
    };
    assert_eq!(rows("## 2.", "| type |", 3), KINDS.iter().map(code).collect::<Vec<_>>());
}

/// Reads a frame by the last column of the table, `name size` for a number and `name` for bytes, which have their length in
/// `name length size` before them or go on to the end; whether that fits.
fn is_laid_out(frame: &[u8], layout: &str) -> bool {
    let (mut lengths, mut rest) = (BTreeMap::new(), &frame[1..]);
    for part in layout.split(", ").map(|part| part.split(" (").next().expect("a name")) {
        let size = part.rsplit_once(' ').and_then(|(name, size)| Some((name, size.parse().ok()?)));
        let (name, size) =
            size.unwrap_or_else(|| (part, lengths.get(part).copied().unwrap_or(rest.len())));
        let Some((value, after)) = rest.split_at_checked(size) else { return false };
        rest = after;
        if let Some(named) = name.strip_suffix(" length") {
            lengths.insert(named, value.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
        }
        // A number that the table forgets would stand before these.
        if matches!(name, "detail" | "token" | "method") && value.iter().any(u8::is_ascii_control) {
            return false;
        }
    }
    rest.is_empty()
}

#[test]
fn the_golden_frames_are_laid_out_as_the_table_says() {
    let table = table_after("## 2.", "| type |");
    for side in ["to-agent", "to-relay"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(side);
        for entry in std::fs::read_dir(folder).expect("golden frames") {
            let path = entry.expect("a file").path();
            let golden = format!("{side}/{}", path.file_stem().expect("a name").display());
            let bytes = frame(&golden);
            let code = format!("{:#04x}", bytes[0]);
            let row = table.iter().find(|row| row[0] == code).expect("its type");
            let sound = row[3].starts_with("JSON") || is_laid_out(&bytes, &row[3]);
            assert!(sound, "{golden} is not: {}", row[3]);
        }
    }
}

#[test]
fn the_code_tables_are_the_codes() {
    fn all<T: Copy>(
        codes: &[T],
        number: fn(T) -> u8,
        name: fn(T) -> &'static str,
    ) -> Vec<Vec<String>> {
        codes.iter().map(|code| vec![number(*code).to_string(), name(*code).to_owned()]).collect()
    }
    let table = |place: &str| rows(place, "| code |", 2);
    assert_eq!(table("\nREFUSE:"), all(Refusal::ALL, Refusal::code, Refusal::as_str));
    assert_eq!(table("\nRESET:"), all(Broken::ALL, Broken::code, Broken::as_str));
    assert_eq!(
        table("\n*dispatched* in"),
        all(Dispatched::ALL, Dispatched::code, Dispatched::as_str)
    );
    assert_eq!(table("\nGOAWAY:"), all(Leaving::ALL, Leaving::code, Leaving::as_str));
    let closes: Vec<Vec<String>> =
        close::ALL.iter().map(|(code, name)| vec![code.to_string(), (*name).to_owned()]).collect();
    assert_eq!(table("\nA line ends with"), closes);
}

#[test]
fn the_limits_are_the_codes() {
    let ms = |time: std::time::Duration| time.as_millis() as u64;
    let limits: [(&str, u64, &str); 23] = [
        ("FRAME_MAX", l::FRAME_MAX as u64, "bytes"),
        ("DATA_MAX", l::DATA_MAX as u64, "bytes"),
        ("INLINE_MAX", l::INLINE_MAX as u64, "bytes"),
        ("FIELDS_MAX", l::FIELDS_MAX as u64, "bytes"),
        ("FIELD_COUNT_MAX", l::FIELD_COUNT_MAX as u64, "fields"),
        ("METHOD_MAX", l::METHOD_MAX as u64, "bytes"),
        ("PATH_MAX", l::PATH_MAX as u64, "bytes"),
        ("DETAIL_MAX", l::DETAIL_MAX as u64, "bytes"),
        ("HELLO_MAX", l::HELLO_MAX as u64, "bytes"),
        ("SUBSCRIPTIONS_MAX", l::SUBSCRIPTIONS_MAX as u64, "subscriptions"),
        ("INSTANCE_MAX", l::INSTANCE_MAX as u64, "bytes"),
        ("TOKEN_MAX", l::TOKEN_MAX as u64, "bytes"),
        ("STREAMS_MAX", l::STREAMS_MAX.into(), "streams"),
        ("STREAM_CREDIT", l::STREAM_CREDIT.into(), "bytes"),
        ("STREAM_CREDIT_MAX", l::STREAM_CREDIT_MAX.into(), "bytes"),
        ("LINE_CREDIT", l::LINE_CREDIT.into(), "bytes"),
        ("CREDIT_LIMIT", l::CREDIT_LIMIT, "bytes"),
        ("OUTBOX_MAX", l::OUTBOX_MAX as u64, "bytes"),
        ("CONTROL_QUEUE_MAX", l::CONTROL_QUEUE_MAX as u64, "frames"),
        ("HELLO_TIMEOUT", ms(l::HELLO_TIMEOUT), "ms"),
        ("HEARTBEAT", ms(l::HEARTBEAT), "ms"),
        ("DEAD_AFTER", ms(l::DEAD_AFTER), "ms"),
        ("DEAD_AFTER_MAX", ms(l::DEAD_AFTER_MAX), "ms"),
    ];
    let said = |(name, value, unit): &(&str, u64, &str)| {
        vec![(*name).to_owned(), value.to_string(), (*unit).to_owned()]
    };
    assert_eq!(rows("## 10.", "| limit |", 3), limits.iter().map(said).collect::<Vec<_>>());
    let declared = include_str!("../src/limits.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':').map(|(name, _)| name));
    let listed: BTreeSet<&str> = limits.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(declared.collect::<BTreeSet<_>>(), listed, "every limit is in the document");
}

/// The members of the JSON in a golden frame, and those of the n-th thing in its list.
fn members(golden: &str, list: &str, nth: usize) -> (BTreeSet<String>, BTreeSet<String>) {
    let json: serde_json::Value = serde_json::from_slice(&frame(golden)[1..]).expect("JSON");
    let keys = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>()
    };
    (keys(&json), keys(&json[list][nth]))
}

#[test]
fn the_members_of_hello_and_welcome_are_the_codes() {
    let table = |place: &str| -> BTreeSet<String> {
        table_after(place, "| member |").into_iter().map(|row| row[0].clone()).collect()
    };
    let (hello, mut subscription) = members("to-relay/hello-full", "subscriptions", 1);
    subscription.extend(members("to-relay/hello-full", "subscriptions", 2).1);
    assert_eq!(table("\nHELLO:"), hello);
    assert_eq!(table("\nA subscription:"), subscription);
    let (welcome, served) = members("to-agent/welcome-full", "endpoints", 1);
    assert_eq!(table("\nWELCOME:"), welcome);
    assert_eq!(table("\nAn entry of"), served);
}

fn frame(golden: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{golden}.hex"));
    hex::read(&std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

#[test]
fn the_example_is_made_of_golden_frames() {
    let blocks: Vec<(&str, &str)> = DOCUMENT
        .split("```hex ")
        .skip(1)
        .map(|block| block.split("```").next().expect("an end").split_once('\n').expect("a name"))
        .collect();
    let shown: BTreeSet<u8> = blocks.iter().map(|(golden, _)| frame(golden)[0]).collect();
    assert_eq!(shown, KINDS.iter().map(|kind| kind.code).collect(), "a frame of each type");
    for (golden, text) in blocks {
        let bytes = frame(golden);
        assert!(hex::read(text) == bytes, "{golden} is\n{}", hex::write(&bytes));
        let bytes = Bytes::from(bytes);
        let sound = match golden.split_once('/') {
            Some(("to-agent", _)) => ToAgent::decode(bytes).is_ok(),
            _ => ToRelay::decode(bytes).is_ok(),
        };
        assert!(sound, "{golden}");
    }
}

#[test]
fn the_words_around_the_tables_name_the_codes_numbers() {
    for words in [
        relay_protocol::CONNECT_PATH,
        "at most 65,536 bytes",
        "(1 to 32,768 bytes)",
        "exceeds 2,147,483,647",
        "array of 1 to 256",
        "More than 16,384",
        "more than 4,096 answers",
        "within 10 seconds",
    ] {
        assert!(DOCUMENT.contains(words), "{words:?}");
    }
    assert_eq!(relay_protocol::VERSIONS, [1]);
}
