//! What HTTP/2 asks of a request (RFC 9113 §8) and its library does not.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderValue, Method};

use crate::problem::{Code, Problem};

/// The port that may be left out behind a host: HTTP/2 is spoken over TLS only.
const PORT: &[u8] = b":443";

/// Refuses what is malformed.
pub(super) fn refuse(parts: &Parts) -> Result<(), Problem> {
    let bad = |words: &str| Err(Problem::new(Code::BadRequest, words));
    let uri = &parts.uri;
    if parts.method == Method::CONNECT {
        return bad("CONNECT is not served");
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "https" && scheme != "http") {
        return bad("another :scheme than https");
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    let all = path == "*" && parts.method == Method::OPTIONS;
    if uri.path().is_empty() || !(path.starts_with('/') || all) {
        return bad("a :path that is none");
    }
    match (uri.authority(), parts.headers.get(HOST)) {
        (None, None) => return bad("neither :authority nor Host"),
        (Some(authority), Some(host)) if !are_one(authority.as_str().as_bytes(), host) => {
            return bad("a Host that is not the :authority");
        }
        _ => {}
    }
    if parts.headers.values().any(is_padded) {
        return bad("a field value with white space around it");
    }
    Ok(())
}

/// Whether both name one host (RFC 9113 §8.3.1).
fn are_one(authority: &[u8], host: &HeaderValue) -> bool {
    let bare = |name: &[u8]| name.strip_suffix(PORT).unwrap_or(name).to_ascii_lowercase();
    bare(authority) == bare(host.as_bytes())
}

/// Whether a value begins or ends with white space (RFC 9113 §8.2.1).
fn is_padded(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_host_that_is_the_authority_is_no_contradiction() {
        for (authority, host, sound) in [
            ("a.example", "A.example", true),
            ("a.example", "a.example:443", true),
            ("a.example:443", "a.example", true),
            ("a.example:8443", "a.example:8443", true),
            ("a.example", "b.example", false),
            ("a.example:8443", "a.example", false),
        ] {
            let request = Request::post(format!("https://{authority}/")).header(HOST, host);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(refuse(&parts).is_ok(), sound, "{authority} {host}");
        }
    }

    #[test]
    fn an_asterisk_asks_for_options_only() {
        for (method, sound) in [("OPTIONS", true), ("POST", false)] {
            let request = Request::builder().method(method).uri("*").header(HOST, "a");
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(refuse(&parts).is_ok(), sound, "{method}");
        }
    }
}
