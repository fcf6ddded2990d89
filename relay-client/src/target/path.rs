//! Joins what stood after the key to a target's base path: byte by byte, never by resolving a reference.
//!
//! The wire carries a path, never a host. So `//evil` stays a path; and below a base path no sub-path may climb out.

use bytes::{BufMut, Bytes, BytesMut};

/// Why a path was not joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// Neither empty nor a path nor a query: a whole URL, perhaps.
    #[error("the path does not begin with / or ?")]
    NotAPath,
    /// A dot segment below a base path, plain or in disguise.
    #[error("the path has a dot segment, which could leave the target's base path")]
    DotSegment,
}

/// The path and query for the target: the base path with `sub` behind it.
///
/// # Errors
/// [`PathRefused`] for what could reach beside the base path.
pub fn join(base: &str, sub: &Bytes) -> Result<Bytes, PathRefused> {
    if !matches!(sub.first(), None | Some(b'/' | b'?')) {
        return Err(PathRefused::NotAPath);
    }
    let base = base.trim_end_matches('/');
    if base.is_empty() {
        return Ok(if sub.first() == Some(&b'/') { sub.clone() } else { prefix(b"/", sub) });
    }
    if has_dot_segment(sub.split(|byte| *byte == b'?').next().unwrap_or_default()) {
        return Err(PathRefused::DotSegment);
    }
    Ok(prefix(base.as_bytes(), sub))
}

fn prefix(base: &[u8], sub: &[u8]) -> Bytes {
    let mut path = BytesMut::with_capacity(base.len() + sub.len());
    path.put_slice(base);
    path.put_slice(sub);
    path.freeze()
}

/// Whether some server might read one of the segments as `.` or `..`: with `%2e` for a dot, with `%2f`, `\` or `%5c`
/// for a slash, with a `;parameter` behind it.
fn has_dot_segment(path: &[u8]) -> bool {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'%' { after.first_chunk::<2>() } else { None };
        let (read, left) = match escaped.map(|hex| hex.to_ascii_lowercase()).as_deref() {
            Some(b"2e") => (b'.', &after[2..]),
            Some(b"2f" | b"5c") => (b'/', &after[2..]),
            _ if byte == b'\\' => (b'/', after),
            _ => (byte, after),
        };
        plain.push(read);
        rest = left;
    }
    plain.split(|byte| *byte == b'/').any(|segment| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, sub: &str) -> Result<String, PathRefused> {
        let path = join(base, &Bytes::copy_from_slice(sub.as_bytes()))?;
        Ok(String::from_utf8(path.to_vec()).unwrap())
    }

    #[test]
    fn bytes_are_kept_as_they_came() {
        for path in ["/a%2Fb//c;d=1?q=%20+&&=&é", "//evil.example/x", "/%zz", "/a?b=/../c"] {
            assert_eq!(joined("", path).unwrap(), path);
            assert_eq!(joined("/", path).unwrap(), path);
            assert_eq!(joined("/base/", path).unwrap(), format!("/base{path}"));
        }
    }

    #[test]
    fn nothing_after_the_key_is_the_base_itself() {
        assert_eq!(joined("", "").unwrap(), "/");
        assert_eq!(joined("", "?a").unwrap(), "/?a");
        assert_eq!(joined("/base", "").unwrap(), "/base");
        assert_eq!(joined("/base", "?a").unwrap(), "/base?a");
    }

    #[test]
    fn below_a_base_no_dot_segment_passes() {
        for path in [
            "/..",
            "/../x",
            "/a/./b",
            "/%2e%2E/x",
            "/.%2e/x",
            "/..%2fx",
            "/a%5c..%5cb",
            "/..\\x",
            "/..;a=b/x",
            "/a/..",
        ] {
            assert_eq!(joined("/base", path), Err(PathRefused::DotSegment), "{path}");
            assert_eq!(joined("", path).unwrap(), path);
        }
        for path in ["/...", "/a..b", "/.well-known/x", "/a%2Fb", "/%252e%252e/x"] {
            assert!(joined("/base", path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_whole_url_is_no_path() {
        for path in ["http://evil/", "evil", "*", "@evil/"] {
            assert_eq!(joined("/base", path), Err(PathRefused::NotAPath), "{path}");
        }
    }
}
