//! Selectors: where in a request a value stands. `hdr:NAME`, `json:a.b`, `query:NAME`, ...

use std::str::FromStr;

use serde::Deserialize;

use crate::json;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Selector {
    /// `hdr:NAME`: a header field; the name in lower case.
    Header(Box<str>),
    /// `query:NAME`: a parameter of the query, decoded.
    Query(Box<str>),
    /// `json:a.b.0`: a place in the JSON body.
    Json(json::Path),
    /// `json-keys:!a`: the first key of the JSON body that is not this one.
    JsonKeyBut(Box<str>),
    /// `form:NAME`: a field of the form in the body, decoded.
    Form(Box<str>),
    /// `form-json:NAME.a.b`: a place in the JSON in a field of the form.
    FormJson(Box<str>, json::Path),
    /// `param:NAME`: a parameter of the endpoint (`verify_param.NAME`).
    Param(Box<str>),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no selector: write hdr:NAME, query:NAME, json:a.b, json-keys:!NAME, form:NAME, \
                 form-json:NAME.a or param:NAME"
            )
        };
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        match kind {
            "hdr" | "header" => header(name).map(Self::Header),
            "query" => Ok(Self::Query(name.into())),
            "json" => json::Path::parse(name).map(Self::Json),
            "json-keys" => {
                name.strip_prefix('!').map(|name| Self::JsonKeyBut(name.into())).ok_or_else(wrong)
            }
            "form" => Ok(Self::Form(name.into())),
            "form-json" => {
                let (field, path) = name.split_once('.').ok_or_else(wrong)?;
                Ok(Self::FormJson(field.into(), json::Path::parse(path)?))
            }
            "param" => Ok(Self::Param(name.into())),
            _ => Err(wrong()),
        }
    }
}

/// The name of a header field, in lower case.
pub(crate) fn header(name: &str) -> Result<Box<str>, String> {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no name of a header field"));
    }
    Ok(name.to_ascii_lowercase().into())
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Selector {
    /// The same place in the words of the endpoint's `dedup` setting, where they can say it.
    ///
    /// What is one of many in its body is no key: two batches may begin alike.
    pub(crate) fn for_dedup(&self) -> Option<String> {
        match self {
            Self::Header(name) => Some(format!("header:{name}")),
            Self::Json(path) if !path.is_into_a_list() => Some(format!("json:{}", path.pointer())),
            _ => None,
        }
    }
}

/// A key that repeats are known by, in the words of the endpoint's `dedup` setting.
pub(crate) fn dedup_key(text: &str) -> Result<String, String> {
    if text == "body" {
        return Ok(text.to_owned());
    }
    text.parse::<Selector>()?.for_dedup().ok_or_else(|| {
        format!("{text:?} tells no repeats: write body, hdr:NAME or json:a.b, not into a list")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_read_and_told_again() {
        let dedup = |text: &str| text.parse::<Selector>().expect("a selector").for_dedup();
        assert_eq!(dedup("hdr:X-Id"), Some("header:x-id".into()));
        assert_eq!(dedup("json:event-data.id"), Some("json:/event-data/id".into()));
        assert_eq!(dedup("json:0.id"), None);
        assert_eq!(dedup("form:EventType"), None);
    }

    #[test]
    fn a_key_of_repeats_is_the_body_or_can_be_said_as_a_setting() {
        assert_eq!(dedup_key("body"), Ok("body".into()));
        assert_eq!(dedup_key("json:id"), Ok("json:/id".into()));
        for text in ["json:0.id", "form:id", "id", ""] {
            assert!(dedup_key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_one_is_refused() {
        for text in ["", "hdr", "hdr:", "hdr:a b", "json:a..b", "json-keys:a", "form-json:a", "x:y"]
        {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
