//! A raw HTTP request in a file, as people save it: with the end of a line that their editor prefers.

use relay_trust::Request;

/// The name and the value of a header field.
pub type Field = (Vec<u8>, Vec<u8>);

/// A saved request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The method.
    pub method: String,
    /// The whole URL as the provider knows it.
    pub url: String,
    /// Whether the URL was put together from `Host`, which may not be what the provider knows.
    pub url_is_guessed: bool,
    /// Names and values.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Vec<u8>,
    /// What was strange about the file, in words.
    pub notes: Vec<String>,
}

impl Saved {
    /// The request in these bytes. `public_url` is where the provider sends it: only scheme and host, to which the
    /// request's own path is put, or the whole URL.
    ///
    /// # Errors
    /// Why this is no request, in words.
    pub fn read(bytes: &[u8], public_url: Option<&str>) -> Result<Self, String> {
        let mut rest = bytes;
        let line = line(&mut rest).ok_or("it ends before its first line does")?;
        let start = String::from_utf8_lossy(line).into_owned();
        let mut parts = start.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("{start:?} does not begin a request: METHOD TARGET HTTP/1.1 does"));
        };
        if !version.starts_with("HTTP/") || method.is_empty() {
            return Err(format!("{start:?} does not begin a request: METHOD TARGET HTTP/1.1 does"));
        }
        let headers = fields(&mut rest)?;
        let mut saved = Self {
            method: method.to_owned(),
            url: String::new(),
            url_is_guessed: false,
            headers,
            body: Vec::new(),
            notes: Vec::new(),
        };
        saved.locate(target, public_url)?;
        saved.take_body(rest)?;
        Ok(saved)
    }

    /// The value of a field, if it is there and text.
    fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        let (_, value) = fields.find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
        std::str::from_utf8(value).ok()
    }

    fn locate(&mut self, target: &str, public_url: Option<&str>) -> Result<(), String> {
        self.url = match public_url {
            Some(given) => {
                let (scheme, rest) =
                    given.split_once("://").ok_or("public-url: it has no scheme")?;
                match rest.split_once('/') {
                    Some((_, path)) if !path.is_empty() => given.to_owned(),
                    _ => format!("{scheme}://{}{target}", rest.trim_end_matches('/')),
                }
            }
            None if target.contains("://") => target.to_owned(),
            None => {
                self.url_is_guessed = true;
                format!("https://{}{target}", self.field("host").unwrap_or("localhost"))
            }
        };
        Ok(())
    }

    fn take_body(&mut self, rest: &[u8]) -> Result<(), String> {
        let chunked =
            self.field("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
        let length = self.field("content-length").map(|v| v.trim().parse::<usize>());
        self.body = match length {
            _ if chunked => unchunked(rest).unwrap_or_else(|| rest.to_vec()),
            Some(Err(_)) => return Err("its Content-Length is no number".into()),
            Some(Ok(length)) if length < rest.len() => {
                let more = rest.len() - length;
                self.notes
                    .push(format!("{more} bytes after the end of the body were not looked at"));
                rest[..length].to_vec()
            }
            Some(Ok(length)) => {
                if length > rest.len() {
                    let there = rest.len();
                    self.notes.push(format!(
                        "the body is not as it was sent: it had {length} bytes, and {there} are here"
                    ));
                }
                rest.to_vec()
            }
            None => rest.to_vec(),
        };
        Ok(())
    }

    /// Does something with it as the verifier wants it.
    pub fn with_request<T>(&self, act: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&[u8], &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        act(&Request {
            method: &self.method,
            url: self.url.as_bytes(),
            headers: &headers,
            body: &self.body,
        })
    }
}

/// The next line without its end; none when there is no end.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// The fields up to the empty line, or to the end.
fn fields(rest: &mut &[u8]) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        // The last line of a file may have no end.
        let line = line(rest).unwrap_or_else(|| std::mem::take(rest));
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').filter(|at| *at > 0);
        let told = || format!("{:?} is no header field", String::from_utf8_lossy(line));
        let (name, value) = line.split_at(colon.ok_or_else(told)?);
        fields.push((name.to_vec(), value[1..].trim_ascii().to_vec()));
    }
    Ok(fields)
}

/// The body in a chunked one, if it is one (RFC 9112 §7.1).
fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = std::str::from_utf8(line(&mut rest)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?;
        line(&mut rest).filter(|end| end.is_empty())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Saved {
        Saved::read(text.as_bytes(), None).unwrap()
    }

    #[test]
    fn a_request_is_read_whatever_ends_its_lines() {
        for end in ["\n", "\r\n"] {
            let text = ["POST /a?b HTTP/1.1", "Host: h", "X-A:  1 ", "", "{\n}\n"].join(end);
            let saved = read(&text);
            assert_eq!((saved.method.as_str(), saved.url.as_str()), ("POST", "https://h/a?b"));
            assert_eq!(saved.headers[1], (b"X-A".to_vec(), b"1".to_vec()));
            assert_eq!((saved.body.as_slice(), saved.url_is_guessed), (&b"{\n}\n"[..], true));
        }
        assert_eq!(read("GET / HTTP/1.1\nhost: h").body, b"");
    }

    #[test]
    fn the_body_ends_where_its_length_says() {
        let longer = read("POST / HTTP/1.1\nContent-Length: 2\n\n{}\n");
        assert_eq!((longer.body.as_slice(), longer.notes.len()), (&b"{}"[..], 1));
        let shorter = read("POST / HTTP/1.1\nContent-Length: 9\n\n{}");
        assert!(shorter.notes[0].contains("9 bytes, and 2"), "{:?}", shorter.notes);
        let chunked = read("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n");
        assert_eq!(chunked.body, b"{}");
        assert_eq!(read("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n{}").body, b"{}");
    }

    #[test]
    fn the_url_is_what_the_provider_knows() {
        let url = |public_url| {
            Saved::read(b"POST /hooks/k?q=1 HTTP/1.1\nHost: inside\n\n", Some(public_url))
                .unwrap()
                .url
        };
        assert_eq!(url("https://h.example"), "https://h.example/hooks/k?q=1");
        assert_eq!(url("https://h.example/"), "https://h.example/hooks/k?q=1");
        assert_eq!(url("https://h.example/other?x"), "https://h.example/other?x");
        assert_eq!(read("POST https://a.example/x HTTP/1.1\n\n").url, "https://a.example/x");
    }

    #[test]
    fn what_is_no_request_is_told() {
        for bad in [
            "",
            "\n\n",
            "POST /\n\n",
            "{\"a\": 1}\n",
            "POST / HTTP/1.1\nno field\n\n",
            "POST / HTTP/1.1\nContent-Length: x\n\n",
        ] {
            assert!(Saved::read(bad.as_bytes(), None).is_err(), "{bad:?}");
        }
    }
}
