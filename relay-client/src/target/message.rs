//! A request as the bytes that go to a target (RFC 9112 §2): the wire's fields as they came, and what this hop says itself.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use relay_protocol::reason::Refusal;
use relay_protocol::webhook::Request;

use super::Failure;
use super::address::Address;
use super::body::{Framing, RequestBody};
use super::path::join;

/// Room for what this hop adds to the fields that came, in bytes.
const ADDED: usize = 256;

/// A request that is ready to go.
pub(super) struct Message {
    /// Its head, complete.
    pub(super) head: BytesMut,
    /// What follows it.
    pub(super) body: RequestBody,
    /// Whether the answer has no body, whatever it says (RFC 9110 §9.3.2).
    pub(super) asks_for_head_only: bool,
}

impl Message {
    /// The request as it is written to the target; `preserve_host` leaves the `Host` that the provider used.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no HTTP: an honest relay sends none, and nothing of it may reach the target.
    pub(super) fn new(
        request: &Request,
        body: RequestBody,
        address: &Address,
        preserve_host: bool,
    ) -> Result<Self, Failure> {
        let refused = |why: String| Failure::Refused(Refusal::PathNotAllowed, why);
        let Request { method, fields, .. } = request;
        let path = join(&address.base, &request.path).map_err(|e| refused(e.to_string()))?;
        if path.iter().any(|byte| *byte <= b' ' || *byte == b'#') {
            return Err(refused("the path has a byte that no path has".into()));
        }
        // An answer to CONNECT would make a tunnel of the connection (RFC 9110 §9.3.6); no honest relay passes it on.
        if !is_token(method) || **method == *b"CONNECT" {
            return Err(refused(format!("{} is not served", text(method))));
        }
        let none = |name: &[u8]| refused(format!("the header field {:?} is none", text(name)));
        let size = method.len() + path.len() + fields.encoded().len() + ADDED;
        let mut head = BytesMut::with_capacity(size);
        put(&mut head, &[method, b" ", &path, b" HTTP/1.1\r\n"]);
        let provider = if preserve_host { fields.first(b"host") } else { None };
        put_field(&mut head, b"host", provider.unwrap_or(address.host.as_bytes())).map_err(none)?;
        for (name, value) in fields.iter().filter(|(name, _)| !is_of_this_hop(name)) {
            put_field(&mut head, name, value).map_err(none)?;
        }
        put(&mut head, &[b"webhook-relay-event-id: ", &request.event.text(), b"\r\n"]);
        let _ = write!(head, "webhook-relay-attempt: {}\r\n", request.attempt);
        if fields.first(b"te").is_some() {
            head.put_slice(b"connection: te\r\n");
        }
        match body.framing() {
            Framing::Length(0) if !expects_content(method) => {}
            Framing::Length(length) => drop(write!(head, "content-length: {length}\r\n")),
            Framing::Chunked => head.put_slice(b"transfer-encoding: chunked\r\n"),
        }
        head.put_slice(b"\r\n");
        Ok(Self { head, body, asks_for_head_only: **method == *b"HEAD" })
    }
}

/// Writes one field, or names the one that HTTP does not allow (RFC 9110 §5).
///
/// # Errors
/// The field's name.
pub(super) fn put_field<'a>(
    out: &mut BytesMut,
    name: &'a [u8],
    value: &[u8],
) -> Result<(), &'a [u8]> {
    if !is_token(name) || !value.iter().all(|byte| is_in_values(*byte)) {
        return Err(name);
    }
    put(out, &[name, b": ", value, b"\r\n"]);
    Ok(())
}

fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Whether a field is this hop's own to write, `name` in lower case: where the message goes, how far it reaches, what
/// its connection becomes, and which attempt it is.
pub(super) fn is_of_this_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"content-length"
            | b"expect"
            | b"host"
            | b"transfer-encoding"
            | b"upgrade"
            | b"webhook-relay-attempt"
            | b"webhook-relay-event-id"
    )
}

/// Whether a request without content says so: some servers want to know of these (RFC 9110 §8.6).
fn expects_content(method: &[u8]) -> bool {
    matches!(method, b"POST" | b"PUT" | b"PATCH")
}

/// Whether these bytes are a token (RFC 9110 §5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    const TOKEN: [bool; 256] = {
        let (mut table, mut byte) = ([false; 256], 0);
        while byte < 128 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let (others, mut at) = (b"!#$%&'*+-.^_`|~", 0);
        while at < others.len() {
            table[others[at] as usize] = true;
            at += 1;
        }
        table
    };
    !bytes.is_empty() && bytes.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether a byte may stand in a field's value (RFC 9110 §5.5).
const fn is_in_values(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use relay_protocol::id::EventId;

    use super::*;

    fn request(method: &'static str, path: &'static str, fields: &[(&str, &str)]) -> Request {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Request {
            event: EventId::from_bytes([0; 16]),
            attempt: 2,
            subscription: 0,
            resent: false,
            deadline_ms: 1000,
            method: Bytes::from_static(method.as_bytes()),
            path: Bytes::from_static(path.as_bytes()),
            fields: fields.collect(),
            length: None,
        }
    }

    fn head(request: &Request, body: &'static str, preserve_host: bool) -> Result<String, Failure> {
        let address = Address::parse("http://target:1/base").unwrap();
        let body = RequestBody::Whole(Bytes::from_static(body.as_bytes()));
        let message = Message::new(request, body, &address, preserve_host)?;
        Ok(String::from_utf8(message.head.to_vec()).unwrap())
    }

    const ATTEMPT: &str =
        "webhook-relay-event-id: evt_00000000000000000000000000\r\nwebhook-relay-attempt: 2\r\n";

    #[test]
    fn fields_go_as_they_came_with_what_this_hop_says() {
        let fields =
            [("x-b", "1"), ("host", "provider"), ("x-a", "\té"), ("x-b", ""), ("te", "trailers")];
        let asked = request("POST", "/a%2F?b", &fields);
        let line = "POST /base/a%2F?b HTTP/1.1\r\n";
        let rest = format!("x-b: 1\r\nx-a: \té\r\nx-b: \r\nte: trailers\r\n{ATTEMPT}");
        let end = "connection: te\r\ncontent-length: 3\r\n\r\n";
        for (host, preserve) in [("target:1", false), ("provider", true)] {
            let written = head(&asked, "abc", preserve).unwrap();
            assert_eq!(written, format!("{line}host: {host}\r\n{rest}{end}"));
        }
    }

    #[test]
    fn who_expects_content_is_told_that_there_is_none() {
        for (method, told) in [("POST", true), ("PUT", true), ("GET", false), ("DELETE", false)] {
            let written = head(&request(method, "", &[]), "", false).unwrap();
            assert_eq!(written.contains("content-length: 0\r\n"), told, "{method}");
        }
    }

    #[test]
    fn what_says_how_far_a_message_goes_is_not_taken_from_the_wire() {
        let fields = ["connection", "content-length", "expect", "transfer-encoding", "upgrade"];
        let forged = fields.map(|name| (name, "1"));
        let told = [("webhook-relay-attempt", "9"), ("webhook-relay-event-id", "other")];
        let asked = request("GET", "/", &[&forged[..], &told].concat());
        let plain = format!("GET /base/ HTTP/1.1\r\nhost: target:1\r\n{ATTEMPT}\r\n");
        assert_eq!(head(&asked, "", false).unwrap(), plain);
    }

    #[test]
    fn what_is_no_http_never_reaches_a_target() {
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "\0"),
            ("x", "\u{7f}"),
            ("x y", "1"),
            ("x:", "1"),
            ("x\n", "1"),
        ] {
            assert!(head(&request("GET", "/", &[(name, value)]), "", false).is_err(), "{name}");
        }
        assert!(head(&request("GET", "/", &[("host", "a\r\nb: c")]), "", true).is_err());
        for path in ["/ HTTP/1.1", "/\r\n", "/\t", "/#x", "/\0"] {
            assert!(head(&request("GET", path, &[]), "", false).is_err(), "{path:?}");
        }
        for method in ["", "G T", "GET\r\n", "CONNECT"] {
            assert!(head(&request(method, "/", &[]), "", false).is_err(), "{method:?}");
        }
    }
}
