//! Header maps of the HTTP library ⇄ the wire's fields, without what belongs to one hop only.

use http::header::{CONNECTION, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use relay_protocol::webhook::{Fields, FieldsBuilder, is_end_to_end, tokens};

/// The end-to-end fields of a message, without those that `skip` names: values of one name keep their order.
pub(super) fn end_to_end(headers: &HeaderMap, skip: impl Fn(&HeaderName) -> bool) -> FieldsBuilder {
    let mut fields = Fields::with_capacity(64 * headers.len());
    let keeps_alive = |token: &[u8]| token.eq_ignore_ascii_case(b"keep-alive");
    let mut options = headers.get_all(CONNECTION).iter().flat_map(|value| tokens(value.as_bytes()));
    // Most callers say just that.
    let some_are_named = options.any(|token| !keeps_alive(token));
    let mut takes_trailers = false;
    for (name, value) in headers {
        let bytes = name.as_str().as_bytes();
        let is_named = || some_are_named && named_by_connection(headers, name);
        if !is_end_to_end(bytes) {
            takes_trailers |= *name == TE && asks_for_trailers(value);
        } else if !skip(name) && !is_named() {
            fields.push(bytes, value.as_bytes());
        }
    }
    if takes_trailers {
        fields.push(b"te", b"trailers");
    }
    fields
}

fn asks_for_trailers(te: &HeaderValue) -> bool {
    tokens(te.as_bytes()).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// The header map of a block, with values sharing its memory.
///
/// # Errors
/// The name of the first field that HTTP does not allow (RFC 9110 §5).
pub(super) fn to_headers(fields: &Fields) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(fields.iter().count());
    for (name, value) in fields.iter() {
        let bad = || String::from_utf8_lossy(name).into_owned();
        let key = HeaderName::from_lowercase(name).map_err(|_| bad())?;
        let value = HeaderValue::from_maybe_shared(fields.share(value)).map_err(|_| bad())?;
        headers.try_append(key, value).map_err(|_| bad())?;
    }
    Ok(headers)
}

/// The fields of a trailer section.
pub(super) fn trailers(headers: &HeaderMap) -> Fields {
    end_to_end(headers, |_| false).finish()
}

fn named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let mut named = headers.get_all(CONNECTION).iter().flat_map(|value| tokens(value.as_bytes()));
    named.any(|token| token.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &[u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        map
    }

    #[test]
    fn repeated_fields_and_bytes_beyond_ascii_survive_there_and_back() {
        let sent = map(&[("x-a", b"1"), ("x-b", b"\xe9\xff"), ("x-a", b"2"), ("x-empty", b"")]);
        let back = to_headers(&end_to_end(&sent, |_| false).finish()).unwrap();
        assert_eq!(back, sent);
        assert_eq!(back.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn one_hop_fields_and_what_connection_names_stay_behind() {
        let sent = map(&[
            ("connection", b"close, X-Hop"),
            ("x-hop", b"1"),
            ("keep-alive", b"5"),
            ("upgrade", b"h2c"),
            ("transfer-encoding", b"chunked"),
            ("webhook-relay-event-id", b"forged"),
            ("te", b"deflate, Trailers"),
            ("x-kept", b"yes"),
        ]);
        let fields = end_to_end(&sent, |_| false).finish();
        let kept: Vec<&[u8]> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(kept, [&b"x-kept"[..], b"te"]);
    }

    #[test]
    fn a_name_that_is_no_token_is_told() {
        let fields: Fields = [(&b"bad name"[..], &b"v"[..])].into_iter().collect();
        assert_eq!(to_headers(&fields), Err("bad name".to_owned()));
    }
}
