//! A case as it stands in the file: what is sent, and what HTTP lets come of it.

use std::net::SocketAddr;

use relay_tests::raw::chunk;
use serde::Deserialize;

/// One case. Texts hold bytes: each character is one byte (Latin-1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Its name, which is also how the target knows its requests: `X-Case`.
    pub(super) name: String,
    /// What it is about.
    #[expect(dead_code, reason = "for those who read the file")]
    group: String,
    /// Where it is written.
    pub(super) rfc: String,
    /// What is at stake.
    #[expect(dead_code, reason = "for those who read the file")]
    why: String,
    send: String,
    /// Sent after it, in the chunked coding.
    #[serde(default)]
    chunks: Vec<String>,
    /// Sent after the first interim answer.
    then: Option<String>,
    /// Sent again and again after it.
    pub(super) drip: Option<Drip>,
    /// The sending side is ended after it.
    #[serde(default)]
    pub(super) half_close: bool,
    /// The caller hangs up after it.
    #[serde(default)]
    pub(super) abort: bool,
    /// It takes some seconds, until somebody's patience ends.
    #[serde(default)]
    pub(super) slow: bool,
    /// What may come of it.
    pub(super) expect: Expect,
}

/// Bytes that come one piece at a time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drip {
    pub(super) send: String,
    pub(super) every_ms: u64,
}

/// What may come of a case. What is not said is not asked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    /// One of these.
    pub(super) status: Vec<Status>,
    /// Closing the connection without a word will do as well.
    pub(super) or_closes: bool,
    /// The connection is closed after the answer.
    pub(super) closes: bool,
    pub(super) closes_within_s: Option<u64>,
    pub(super) answers_within_s: Option<u64>,
    /// Interim answers that come first.
    pub(super) interim: Vec<u16>,
    /// Whether the target sees anything of it.
    pub(super) forwarded: Option<bool>,
    /// The target does not take it for a whole message.
    pub(super) never_whole: bool,
    /// If the target sees it: its method, its path, its fields, its body.
    pub(super) method: Option<String>,
    pub(super) path_ends: Option<String>,
    pub(super) path_lacks: Option<String>,
    pub(super) path_as_sent: bool,
    pub(super) field: Option<(String, String)>,
    pub(super) lacks_fields: Vec<String>,
    pub(super) lacks_values: Vec<(String, String)>,
    pub(super) body: Option<String>,
    /// What the answer is, if it is no error.
    pub(super) answer: ExpectAnswer,
}

/// What an answer is to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExpectAnswer {
    pub(super) body: Option<String>,
    pub(super) contains: Option<String>,
    pub(super) length: Option<usize>,
    pub(super) field: Option<(String, String)>,
    pub(super) lacks_fields: Vec<String>,
    /// When the first byte of the body is there.
    pub(super) begins_within_ms: Option<u64>,
    /// It is visibly cut short.
    pub(super) not_whole: bool,
    /// The caller hangs up in the midst of it, and the target is told so.
    pub(super) leave_early: bool,
    /// The caller takes 1 KiB every 50 ms for so long.
    pub(super) read_slowly_ms: Option<u64>,
}

/// A status, or a class of them such as `4xx`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Status {
    One(u16),
    Class(String),
}

impl Status {
    pub(super) fn covers(&self, status: u16) -> bool {
        match self {
            Self::One(one) => *one == status,
            Self::Class(class) => *class == format!("{}xx", status / 100),
        }
    }
}

/// Where a case is sent.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// What stands before the path that the target sees.
    pub(super) prefix: String,
}

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../hostile/cases.json")).expect("cases")
}

impl Case {
    /// What is sent first.
    pub(super) fn bytes(&self, place: &Place) -> Vec<u8> {
        let mut bytes = latin1(&self.fill(&self.send, place));
        for text in &self.chunks {
            bytes.extend(chunk(&latin1(&self.fill(text, place))));
        }
        if !self.chunks.is_empty() {
            bytes.extend(b"0\r\n\r\n");
        }
        bytes
    }

    /// What is sent after the first interim answer.
    pub(super) fn then(&self) -> Option<Vec<u8>> {
        self.then.as_deref().map(latin1)
    }

    /// The path that the target is to see, as raw as it is sent.
    pub(super) fn path(&self) -> Vec<u8> {
        let word = self.send.split(' ').nth(1).unwrap_or_default();
        latin1(word.trim_start_matches("{PREFIX}"))
    }

    fn fill(&self, text: &str, place: &Place) -> String {
        let host = place.address.to_string();
        let mut filled = text.replace("{PREFIX}", &place.prefix).replace("{HOST}", &host);
        filled = filled.replace("{ID}", &self.name);
        while let Some((before, rest)) = filled.split_once("{FILL:") {
            let (what, after) = rest.split_once('}').expect("{FILL:<character>:<times>}");
            let (character, times) = what.split_once(':').expect("a character and a number");
            filled = [before, &character.repeat(times.parse().expect("a number")), after].concat();
        }
        if let Some((before, rest)) = filled.split_once("{FIELDS:") {
            let (times, after) = rest.split_once('}').expect("{FIELDS:<number>}");
            let fields = 0..times.parse::<u32>().expect("a number");
            let fields: String = fields.map(|n| format!("X-N{n}: {n}\r\n")).collect();
            filled = [before, &fields, after].concat();
        }
        filled
    }
}

/// The bytes that a text stands for.
pub(super) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).expect("a byte")).collect()
}
