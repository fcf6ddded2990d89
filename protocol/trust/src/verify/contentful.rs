//! Contentful: an HMAC over a canonical request, with the header fields that the request itself lists.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::{Case, Good, Proof, Wrong, key, time};
use crate::encoding::{Digest, Encoding};
use crate::finding::Reason;
use crate::profile::check::{Check, KeyForm, TimeUnit};
use crate::reading::Reading;

const SIGNATURE: &str = "x-contentful-signature";
const SIGNED: &str = "x-contentful-signed-headers";
const TIMESTAMP: &str = "x-contentful-timestamp";

/// The most fields that are signed.
const FIELDS_MAX: usize = 100;

/// What JavaScript's `encodeURI` escapes.
const URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What Node's `querystring.escape` escapes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

pub(super) fn check(case: &Case<'_, '_>, check: &Check, tolerance_s: u32) -> Proof {
    let reading = case.reading;
    let given = reading.header(SIGNATURE)?.ok_or(Wrong::Absent(Reason::HeaderMissing))?;
    let given = Encoding::Hex.decode(given).filter(|bytes| bytes.len() == Digest::Sha256.len());
    let given = given.ok_or(Reason::MalformedSignature)?;
    let at = reading.header(TIMESTAMP)?.ok_or(Reason::TimestampMissing)?;
    let at = time::parse(at, TimeUnit::Ms).ok_or(Reason::MalformedTimestamp)?;
    let fields = fields(reading)?;
    let path = reading.path_and_query();
    let paths = [path.to_vec(), escaped(path)];
    let secret = case.any_secret(check, |secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret, KeyForm::Utf8)?);
        Some(paths.iter().any(|path| {
            let method = reading.request.method.as_bytes();
            let mut context = hmac::Context::with_key(&key);
            for part in [method, b"\n", path, b"\n", &fields, b"\n", reading.request.body] {
                context.update(part);
            }
            context.sign().as_ref().ct_eq(&given).into()
        }))
    })?;
    let tolerance_s = case.keys.tolerance_s.unwrap_or(tolerance_s);
    // Here, what has the age of the tolerance is too old.
    if tolerance_s > 0 && case.now_ms.saturating_sub(at) >= u64::from(tolerance_s) * 1000 {
        return Err(Reason::TimestampTooOld.into());
    }
    case.is_timely(at, tolerance_s)?;
    Ok(Good { secret: Some(secret), bound: true })
}

/// The listed fields by name, `name:value` with a semicolon between two.
fn fields(reading: &Reading<'_>) -> Result<Vec<u8>, Wrong> {
    let list = reading.header(SIGNED)?.ok_or(Reason::HeaderMissing)?;
    let list = std::str::from_utf8(list).map_err(|_| Reason::ComponentNotSigned)?;
    let mut names: Vec<String> =
        list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    names.sort();
    names.dedup();
    // A time that is not signed could be any.
    if names.len() > FIELDS_MAX
        || [SIGNED, TIMESTAMP].iter().any(|own| !names.iter().any(|n| n == own))
    {
        return Err(Reason::ComponentNotSigned.into());
    }
    let mut fields = Vec::new();
    for name in names {
        let value = reading.header(&name)?.ok_or(Reason::HeaderMissing)?;
        if !fields.is_empty() {
            fields.push(b';');
        }
        fields.extend_from_slice(name.as_bytes());
        fields.push(b':');
        fields.extend_from_slice(value);
    }
    Ok(fields)
}

/// Path and query as the provider's own library writes them: the query is escaped twice.
fn escaped(raw: &[u8]) -> Vec<u8> {
    let mut halves = raw.split(|c| *c == b'?');
    let mut path = halves.next().unwrap_or_default().to_vec();
    if let Some(query) = halves.next().filter(|query| !query.is_empty()) {
        path.push(b'?');
        path.extend(percent_encode(query, COMPONENT).flat_map(str::bytes));
    }
    percent_encode(&path, URI).flat_map(str::bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_twice() {
        assert_eq!(escaped(b"/a b/c?x=1&y=%20"), b"/a%20b/c?x%253D1%2526y%253D%252520");
        assert_eq!(escaped(b"/a?"), b"/a");
    }
}
