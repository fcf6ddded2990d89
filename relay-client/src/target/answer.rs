//! The head of a target's answer: its status, its end-to-end fields, and where its body ends (RFC 9112 §6.3). Does no I/O.

use std::mem::MaybeUninit;

use bytes::{Buf, BytesMut};
use httparse::{Header, ParserConfig, Response, Status};
use relay_protocol::limits::FIELD_COUNT_MAX;
use relay_protocol::webhook::{Answer, Fields, is_end_to_end, tokens};

use super::decoder::Decoder;

/// The most header bytes of an answer that are read; more is a bad answer.
pub(super) const HEAD_MAX: usize = 64 * 1024;

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// It is no HTTP/1.
    #[error("the answer is no HTTP: {0}")]
    Head(#[from] httparse::Error),
    /// It has more header bytes than are read.
    #[error("the answer's head is above {HEAD_MAX} bytes")]
    TooLong,
    /// Its status is none.
    #[error("the answer's status is {0:03}")]
    Status(u16),
    /// It would make another protocol of the connection.
    #[error("the target switched protocols, which nobody had asked for")]
    Switched,
    /// It does not say where its body ends.
    #[error("the answer's {0} says nothing certain")]
    Framing(&'static str),
    /// Its body is not in the chunked coding.
    #[error("a chunk of the answer is none")]
    Chunk,
    /// Its trailer section has no end.
    #[error("the answer's trailers are above the bound")]
    Trailers,
    /// There is none: the request broke off on its way.
    #[error("the request broke off: {0}")]
    Request(std::io::Error),
    /// It ended before it was whole.
    #[error("the target closed the connection before its answer was whole")]
    Closed,
    /// The connection failed.
    #[error("the connection to the target failed: {0}")]
    Io(#[from] std::io::Error),
}

/// A final answer's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) answer: Answer,
    /// What comes of its body.
    pub(super) body: Decoder,
    /// Whether the connection may be used again after it (RFC 9112 §9.3).
    pub(super) keeps: bool,
}

impl Head {
    /// Takes a final answer's head off what has come, when it is complete; interim ones are skipped (RFC 9110 §15.2).
    ///
    /// # Errors
    /// When it is no answer, or longer than any.
    pub(super) fn take(buffer: &mut BytesMut, no_body: bool) -> Result<Option<Self>, Bad> {
        loop {
            let mut fields = [const { MaybeUninit::uninit() }; FIELD_COUNT_MAX];
            let mut response = Response::new(&mut []);
            let config = ParserConfig::default();
            match config.parse_response_with_uninit_headers(&mut response, buffer, &mut fields)? {
                Status::Complete(length) if length <= HEAD_MAX => {
                    let head = Self::read(&response, no_body)?;
                    buffer.advance(length);
                    if head.is_some() {
                        return Ok(head);
                    }
                }
                Status::Partial if buffer.len() <= HEAD_MAX => return Ok(None),
                _ => return Err(Bad::TooLong),
            }
        }
    }

    /// None for an interim answer.
    fn read(response: &Response<'_, '_>, no_body: bool) -> Result<Option<Self>, Bad> {
        let status = response.code.unwrap_or_default();
        match status {
            101 => return Err(Bad::Switched),
            100..=199 => return Ok(None),
            0..=99 => return Err(Bad::Status(status)),
            _ => {}
        }
        let (fields, is_new) = (&*response.headers, response.version == Some(1));
        let closes = has_token(fields, b"close");
        let keeps = !closes && (is_new || has_token(fields, b"keep-alive"));
        let has_none = no_body || matches!(status, 204 | 304);
        let (body, certain) =
            if has_none { (Decoder::Length(0), true) } else { body_of(fields, is_new)? };
        let keeps = keeps && certain && body != Decoder::UntilClose;
        // A length that the chunks belie goes no further (RFC 9112 §6.3).
        let fields = end_to_end(fields, |name| certain || name != b"content-length");
        Ok(Some(Self { answer: Answer { status, fields }, body, keeps }))
    }
}

/// Where a body ends, and whether there is no doubt about it.
fn body_of(fields: &[Header<'_>], is_new: bool) -> Result<(Decoder, bool), Bad> {
    let (mut length, mut codings, mut chunked) = (None, 0, false);
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            for told in tokens(field.value) {
                let told = number(told).ok_or(Bad::Framing("Content-Length"))?;
                if length.replace(told).is_some_and(|other| other != told) {
                    return Err(Bad::Framing("Content-Length"));
                }
            }
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            // "identity" was a word for none (RFC 2616 §3.6).
            let none = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"identity");
            for coding in tokens(field.value).filter(|coding| !none(coding)) {
                (codings, chunked) = (codings + 1, coding.eq_ignore_ascii_case(b"chunked"));
            }
        }
    }
    match (codings, length) {
        // Any other coding would have to be taken off, and nobody has asked for one (RFC 9110 §10.1.4). HTTP/1.0 has none.
        (1, _) if chunked && is_new => Ok((Decoder::Chunk, length.is_none())),
        (0, Some(length)) => Ok((Decoder::Length(length), true)),
        (0, None) => Ok((Decoder::UntilClose, true)),
        _ => Err(Bad::Framing("Transfer-Encoding")),
    }
}

/// The end-to-end fields among those of a message that `wanted` wants, in their order, with names in lower case.
pub(super) fn end_to_end(fields: &[Header<'_>], wanted: impl Fn(&[u8]) -> bool) -> Fields {
    let size = fields.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
    let (mut kept, mut name) = (Fields::with_capacity(size), Vec::new());
    // Most targets name nothing there but what stays behind anyway.
    let mut options = fields.iter().filter(is_connection).flat_map(|field| tokens(field.value));
    let some_are_named = options.any(|token| !token.eq_ignore_ascii_case(b"keep-alive"));
    for field in fields {
        name.clear();
        name.extend_from_slice(field.name.as_bytes());
        name.make_ascii_lowercase();
        let is_named = || some_are_named && has_token(fields, &name);
        if is_end_to_end(&name) && wanted(&name) && !is_named() {
            kept.push(&name, field.value);
        }
    }
    kept.finish()
}

/// Whether `Connection` has this token.
fn has_token(fields: &[Header<'_>], token: &[u8]) -> bool {
    let mut tokens = fields.iter().filter(is_connection).flat_map(|field| tokens(field.value));
    tokens.any(|told| told.eq_ignore_ascii_case(token))
}

fn is_connection(field: &&Header<'_>) -> bool {
    field.name.eq_ignore_ascii_case("connection")
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What heads are made of, and what they are not.
    const PARTS: [&str; 16] = [
        "HTTP/1.1 ",
        "HTTP/1.0 ",
        "200",
        "103 ",
        "204 No\r\n",
        "\r\n",
        "\n",
        "Content-Length: ",
        "5",
        "chunked",
        "Transfer-Encoding: ",
        "Connection: ",
        "close",
        ",",
        "\0",
        "x: y\r\n",
    ];

    proptest! {
        #[test]
        fn how_a_head_is_cut_makes_no_difference(
            parts in prop::collection::vec(prop::sample::select(&PARTS[..]), 0..14), end in 0..200usize
        ) {
            let text = format!("HTTP/1.1 {}\r\n\r\n", parts.concat());
            let first = &text[..end.min(text.len())];
            // What is told of the beginning is told of all.
            match head(first) {
                Ok(Some(told)) => prop_assert_eq!(told, head(&text).unwrap().unwrap()),
                Ok(None) => {}
                Err(_) => prop_assert!(head(&text).is_err()),
            }
        }
    }

    fn head(text: &str) -> Result<Option<Head>, Bad> {
        Head::take(&mut text.into(), false)
    }

    fn whole(fields: &str) -> Result<(Decoder, bool), Bad> {
        let head = head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))?.expect("it is complete");
        Ok((head.body, head.keeps))
    }

    #[test]
    fn interim_answers_are_skipped() {
        let text =
            "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\nHTTP/1.1 404 No\r\n\r\nrest";
        let mut buffer = BytesMut::from(text);
        let head = Head::take(&mut buffer, false).unwrap().unwrap();
        assert_eq!((head.answer.status, &buffer[..]), (404, &b"rest"[..]));
        for end in 0..text.len() - "rest".len() {
            assert!(Head::take(&mut text[..end].into(), false).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn fields_keep_their_order_and_what_is_of_one_hop_stays_behind() {
        let text = "HTTP/1.1 299 \r\nX-B: 1\r\nConnection: X-Hop, close\r\nX-Hop: 2\r\nx-a:3 \r\nX-B:\r\n\
            Keep-Alive: 5\r\nWebhook-Relay-Event-Id: forged\r\nContent-Length: 0\r\n\r\n";
        let head = head(text).unwrap().unwrap();
        let fields: Vec<(&[u8], &[u8])> = head.answer.fields.iter().collect();
        let kept = [("x-b", "1"), ("x-a", "3"), ("x-b", ""), ("content-length", "0")];
        assert_eq!(fields, kept.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert!(!head.keeps);
    }

    #[test]
    fn a_body_ends_where_the_head_says() {
        for (fields, body, keeps) in [
            ("Content-Length: 5\r\n", Decoder::Length(5), true),
            ("Content-Length: 5, 5\r\ncontent-length:5\r\n", Decoder::Length(5), true),
            ("Transfer-Encoding: Chunked\r\n", Decoder::Chunk, true),
            ("Transfer-Encoding: chunked\r\nConnection: close\r\n", Decoder::Chunk, false),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Decoder::Chunk, false),
            ("Content-Length: 5\r\nConnection: x, Close\r\n", Decoder::Length(5), false),
            ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Decoder::Length(5), true),
            ("", Decoder::UntilClose, false),
        ] {
            assert_eq!(whole(fields).unwrap(), (body, keeps), "{fields}");
        }
        for fields in [
            "Content-Length: \r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5x\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
        ] {
            assert!(whole(fields).is_err(), "{fields}");
        }
    }

    #[test]
    fn a_length_that_does_not_count_is_not_passed_on() {
        let text =
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n";
        let fields = head(text).unwrap().unwrap().answer.fields;
        assert_eq!(fields.iter().collect::<Vec<_>>(), [(&b"x"[..], &b"y"[..])]);
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let told = |status: u16, no_body| {
            let text = format!("HTTP/1.1 {status} \r\nContent-Length: 5\r\n\r\n");
            let head = Head::take(&mut text.as_str().into(), no_body).unwrap().unwrap();
            (head.body, head.keeps)
        };
        let none = (Decoder::Length(0), true);
        assert_eq!([told(204, false), told(304, false), told(200, true)], [none; 3]);
    }

    #[test]
    fn http_1_0_keeps_a_connection_only_when_it_says_so() {
        let told = |fields: &str| {
            let text = format!("HTTP/1.0 200 OK\r\n{fields}Content-Length: 5\r\n\r\n");
            head(&text).unwrap().unwrap().keeps
        };
        assert!(!told("") && told("Connection: Keep-Alive\r\n"));
        assert!(head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(FIELD_COUNT_MAX + 1));
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(HEAD_MAX));
        for text in [
            "hello\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: \u{0}\r\n\r\n",
            &many,
            &long,
            &format!("{long}\r\n\r\n"),
        ] {
            assert!(head(text).is_err(), "{}", &text[..text.len().min(60)]);
        }
    }
}
