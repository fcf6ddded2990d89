//! A regular expression of the table. It takes time in proportion to what it reads, whatever that is.

use regex_lite::Regex;
use serde::Deserialize;

/// A regular expression, checked when the table is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let regex =
            Regex::new(&text).map_err(|e| format!("{text:?} is no regular expression: {e}"))?;
        Ok(Self(regex))
    }
}

impl Pattern {
    /// Whether it finds itself in this text.
    pub(crate) fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}
