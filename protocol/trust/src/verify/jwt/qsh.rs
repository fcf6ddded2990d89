//! Atlassian's "query string hash": method, path and query in one canonical form, of which a token has the SHA-256.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use ring::digest::{SHA256, digest};

use crate::finding::Reason;
use crate::reading::Reading;

/// All but what RFC 3986 §2.3 leaves as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The most steps of a path that are tried.
const STEPS_MAX: usize = 32;

/// The hash of this request, for each place in its path where the app's base URL may end.
///
/// The path is signed without the base URL that the app has at Atlassian; where that ends is not said here.
pub(super) fn hashes(reading: &Reading<'_>) -> Result<Vec<[u8; 32]>, Reason> {
    let (method, query) = (reading.request.method.to_ascii_uppercase(), query(reading)?);
    let whole = reading.path_and_query();
    let path = &whole[..whole.iter().position(|c| *c == b'?').unwrap_or(whole.len())];
    let steps = path.iter().enumerate().filter(|(_, c)| **c == b'/').map(|(at, _)| &path[at..]);
    let paths = steps.chain([&b""[..]]).take(STEPS_MAX);
    let hash = |path: &[u8]| {
        let canonical = [method.as_bytes(), b"&", &shortened(path), b"&", query.as_bytes()];
        digest(&SHA256, &canonical.concat()).as_ref().try_into().expect("a SHA-256 has 32 bytes")
    };
    Ok(paths.map(hash).collect())
}

/// A path without the slash at its end, and without what parts it from the query.
fn shortened(path: &[u8]) -> Vec<u8> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() {
        return b"/".to_vec();
    }
    path.iter()
        .flat_map(|c| if *c == b'&' { &b"%26"[..] } else { std::slice::from_ref(c) })
        .copied()
        .collect()
}

/// The parameters by name, each once: the values of one that is there several times are put together. That of the token
/// itself is left out.
fn query(reading: &Reading<'_>) -> Result<String, Reason> {
    let mut pairs: Vec<_> = reading.query()?.iter().filter(|(name, _)| **name != *b"jwt").collect();
    pairs.sort();
    let escaped = |text: &[u8]| percent_encode(text, ESCAPED).to_string();
    let parts = pairs.chunk_by(|a, b| a.0 == b.0).map(|same| {
        let values: Vec<String> = same.iter().map(|(_, value)| escaped(value)).collect();
        format!("{}={}", escaped(&same[0].0), values.join(","))
    });
    Ok(parts.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::encoding::Encoding;
    use crate::request::Request;

    /// Whether one of the hashes of this request is that of this canonical form.
    fn is(method: &str, url: &str, canonical: &str) -> bool {
        let params = BTreeMap::new();
        let request = Request { method, url: url.as_bytes(), headers: &[], body: b"" };
        let all = hashes(&Reading::new(&request, &params)).expect("a URL");
        all.iter().any(|hash| hash == digest(&SHA256, canonical.as_bytes()).as_ref())
    }

    #[test]
    fn a_request_is_written_as_atlassian_has_it() {
        let base = "https://relay.example.com/hooks/jira-abc";
        for (method, rest, canonical) in [
            ("post", "/issue", "POST&/issue&"),
            ("POST", "/a/b/?b=2&a=1&jwt=x", "POST&/a/b&a=1&b=2"),
            ("GET", "", "GET&/&"),
            ("GET", "/", "GET&/&"),
            ("GET", "/a&b?c=d", "GET&/a%26b&c=d"),
            ("GET", "/a?x=c&x=b&y=%2c+%7E%2A!", "GET&/a&x=b,c&y=%2C%20~%2A%21"),
            ("GET", "/a?e&f=", "GET&/a&e=&f="),
        ] {
            assert!(is(method, &format!("{base}{rest}"), canonical), "{rest}");
        }
        assert!(!is("POST", &format!("{base}/issue"), "POST&/issu&"));
        assert!(!is("POST", &format!("{base}/issue"), "GET&/issue&"));
        assert!(!is("POST", &format!("{base}/issue?x=1"), "POST&/issue&"));
    }

    #[test]
    fn the_known_hash_is_found() {
        let params = BTreeMap::new();
        let url = b"https://a/rest/api/2/issue";
        let request = Request { method: "GET", url, headers: &[], body: b"" };
        let all = hashes(&Reading::new(&request, &params)).expect("a URL");
        let known = "86b803b109338286ccafd963279ad7c7c8aa6b62397acb179faf24a5323b218f";
        assert!(all.iter().any(|hash| Encoding::Hex.encode(hash) == known));
    }
}
