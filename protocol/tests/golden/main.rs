//! Golden frames: what was on the wire once must be written and read like that for ever.
//!
//! `to-agent/` and `to-relay/` hold a frame a file, `refused/` and `skipped/` what is none or of a later version. To add a case, put
//! it into `cases.rs` and run with `RELAY_GOLDEN=write`: files that are missing are made, the others are never touched.

mod cases;
mod hex;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use relay_protocol::codec::{BadFrame, TooLong};
use relay_protocol::frame::{ToAgent, ToRelay};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The text of a case's file, which `written` says it should have.
fn file(folder: &Path, name: &str, written: &str) -> String {
    let path = folder.join(format!("{name}.hex"));
    if std::env::var_os("RELAY_GOLDEN").is_some_and(|value| value == "write") && !path.exists() {
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(&path, written).expect("a file");
    }
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}\n{written}", path.display()))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).expect("a folder");
    files
        .map(|file| {
            file.expect("a file").path().file_stem().expect("a name").to_string_lossy().into()
        })
        .collect()
}

fn check<T: PartialEq + Debug>(
    direction: &str,
    cases: &[(String, T)],
    encode: impl Fn(&T) -> Result<Bytes, TooLong>,
    decode: impl Fn(Bytes) -> Result<Option<T>, BadFrame>,
) {
    let folder = folder(direction);
    for (name, frame) in cases {
        let encoded = encode(frame).expect("a frame that fits");
        let golden = hex::read(&file(&folder, name, &hex::write(&encoded)));
        assert!(encoded == golden, "{direction}/{name} is now written\n{}", hex::write(&encoded));
        let decoded = decode(Bytes::from(golden)).expect("a sound frame");
        assert_eq!(decoded.as_ref(), Some(frame), "{direction}/{name}");
    }
    let expected: BTreeSet<String> = cases.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names(&folder), expected, "a file for each case and a case for each file");
}

#[test]
fn what_the_relay_says_is_written_and_read_as_ever() {
    check("to-agent", &cases::to_agent(), ToAgent::encode, ToAgent::decode);
}

#[test]
fn what_an_agent_says_is_written_and_read_as_ever() {
    check("to-relay", &cases::to_relay(), ToRelay::encode, ToRelay::decode);
}

/// What both decoders make of bytes: `-` is a frame of a later version, the rest is an error's words.
fn verdict(bytes: &[u8]) -> String {
    fn word<T: Debug>(decoded: Result<Option<T>, BadFrame>) -> String {
        match decoded {
            Ok(Some(frame)) => format!("{frame:?}"),
            Ok(None) => "-".into(),
            Err(error) => error.to_string(),
        }
    }
    let bytes = Bytes::copy_from_slice(bytes);
    format!(
        "# agent: {}\n# relay: {}\n",
        word(ToAgent::decode(bytes.clone())),
        word(ToRelay::decode(bytes))
    )
}

#[test]
fn what_is_no_frame_is_refused_with_the_same_words_as_ever() {
    let folder = folder("refused");
    for (name, bytes) in cases::refused() {
        let said = verdict(&bytes);
        let text = file(&folder, name, &(said.clone() + &hex::write(&bytes)));
        assert_eq!(hex::read(&text), bytes, "{name}");
        assert!(text.starts_with(&said), "refused/{name} is now\n{said}");
        assert!(!said.contains("Some(") && !said.contains("stream:"), "{name} is a frame: {said}");
    }
    let expected: BTreeSet<String> =
        cases::refused().iter().map(|(name, _)| (*name).into()).collect();
    assert_eq!(names(&folder), expected);
}

#[test]
fn what_a_later_version_may_say_is_skipped_or_read_without_it() {
    let later = Bytes::from_static(&[0x80, 1, 2, 3]);
    assert_eq!(ToAgent::decode(later.clone()), Ok(None));
    assert_eq!(ToRelay::decode(later), Ok(None));
    // Flag bits that nobody knows yet, in an OPEN that is known.
    let (_, known) =
        cases::to_agent().into_iter().find(|(name, _)| name == "open-small").expect("a case");
    let mut bytes = known.encode().expect("a short frame").to_vec();
    bytes[1] |= 0b1111_1000;
    assert_eq!(ToAgent::decode(bytes.into()), Ok(Some(known)));
    let hello = br#"{"versions":[1,2],"agent":"a","instance":"i","subscriptions":[{"endpoint":"e","new":{}}],"new":[1]}"#;
    let hello = [&[1u8][..], hello].concat();
    assert!(matches!(ToRelay::decode(hello.into()), Ok(Some(ToRelay::Hello(_)))));
}
