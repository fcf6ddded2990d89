//! The signatures that a request brings: found where the profile says, and decoded.

use std::borrow::Cow;

use super::Wrong;
use crate::encoding::Encoding;
use crate::finding::Reason;
use crate::profile::check::{Format, Signature, Source};
use crate::reading::Reading;

/// The most signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 100;

/// What stands where signatures are.
pub(super) struct Signatures<'r> {
    /// The text of the field, with all that is beside the signatures.
    field: Cow<'r, [u8]>,
    /// Each as it is written.
    found: Vec<Vec<u8>>,
}

/// The signatures of this request.
pub(super) fn find<'r>(
    reading: &Reading<'r>,
    signature: &Signature,
) -> Result<Signatures<'r>, Wrong> {
    let field = match &signature.from {
        Source::Header(name) => {
            if let Format::Numbered { max } = signature.format {
                return numbered(reading, name, max);
            }
            let value = reading.header(name)?.ok_or(Wrong::Absent(Reason::HeaderMissing))?;
            Cow::Borrowed(value)
        }
        Source::Body(selector) => {
            reading.value(selector)?.ok_or(Wrong::Absent(Reason::SignatureMissing))?
        }
    };
    let found = read(&field, &signature.format)?;
    Ok(Signatures { field, found })
}

fn numbered<'r>(reading: &Reading<'r>, name: &str, max: u16) -> Result<Signatures<'r>, Wrong> {
    let mut found = Vec::new();
    for number in 1..=max {
        found.extend(reading.header(&format!("{name}{number}"))?.map(<[u8]>::to_vec));
    }
    if found.is_empty() {
        return Err(Wrong::Absent(Reason::HeaderMissing));
    }
    Ok(Signatures { field: Cow::Borrowed(b""), found })
}

fn read(field: &[u8], format: &Format) -> Result<Vec<Vec<u8>>, Reason> {
    let found: Vec<&[u8]> = match format {
        Format::Plain { prefix } => {
            vec![field.strip_prefix(prefix.as_bytes()).ok_or(Reason::MalformedSignature)?]
        }
        Format::List { separator, prefix } => split(field, separator)
            .map(<[u8]>::trim_ascii)
            .filter_map(|entry| entry.strip_prefix(prefix.as_bytes()))
            .collect(),
        Format::KeyValue { key, .. } => pairs(field, format, key).collect(),
        Format::Tagged { separator, tag } => split(field, separator)
            .filter_map(|entry| entry.strip_prefix(tag.as_bytes())?.strip_prefix(b","))
            .collect(),
        Format::Numbered { .. } => vec![field],
    };
    if found.is_empty() {
        return Err(Reason::SignatureMissing);
    }
    Ok(found.into_iter().map(<[u8]>::to_vec).collect())
}

/// The parts between separators.
fn split<'t>(text: &'t [u8], separator: &'t str) -> impl Iterator<Item = &'t [u8]> {
    let separator = separator.as_bytes();
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let at = text.windows(separator.len()).position(|window| window == separator);
        let (part, after) = match at {
            Some(at) => (&text[..at], Some(&text[at + separator.len()..])),
            None => (text, None),
        };
        rest = after;
        Some(part)
    })
}

/// The values of the pairs with this key.
fn pairs<'t>(field: &'t [u8], format: &'t Format, key: &'t str) -> impl Iterator<Item = &'t [u8]> {
    let (separator, trim) = match format {
        Format::KeyValue { separator, trim, .. } => (separator.as_str(), *trim),
        _ => (",", false),
    };
    split(field, separator)
        .map(move |pair| if trim { pair.trim_ascii() } else { pair })
        .filter_map(move |pair| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

impl Signatures<'_> {
    /// The signed time among the pairs of the field; two that differ are none.
    pub(super) fn pair(&self, format: &Format, key: &str) -> Result<Option<Vec<u8>>, Reason> {
        let mut values = pairs(&self.field, format, key);
        let first = values.next();
        if first.is_some_and(|first| values.any(|value| value != first)) {
            return Err(Reason::MalformedTimestamp);
        }
        Ok(first.map(<[u8]>::to_vec))
    }

    /// The bytes of each; those that do not decode, or are none by their length, are left out unless all are.
    pub(super) fn decode(
        &self,
        encoding: Encoding,
        fits: impl Fn(usize) -> bool,
    ) -> Result<Vec<Vec<u8>>, Reason> {
        if self.found.len() > SIGNATURES_MAX {
            return Err(Reason::MalformedSignature);
        }
        let decoded = self.found.iter().filter_map(|text| encoding.decode(text));
        let decoded: Vec<_> = decoded.filter(|bytes| fits(bytes.len())).collect();
        if decoded.is_empty() { Err(Reason::MalformedSignature) } else { Ok(decoded) }
    }
}
