//! The message that was signed, put together from the parts of the request.

use std::borrow::Cow;

use super::Wrong;
use crate::finding::Reason;
use crate::profile::check::{Scheme, UrlVariant};
use crate::reading::{Reading, Value};
use crate::selector::Selector;
use crate::template::MessagePart;

/// The escapes that are undone in a decoded URL; all others stay.
const UNDONE: [(&[u8; 3], u8); 12] = [
    (b"%3A", b':'),
    (b"%2F", b'/'),
    (b"%3F", b'?'),
    (b"%40", b'@'),
    (b"%21", b'!'),
    (b"%24", b'$'),
    (b"%27", b'\''),
    (b"%28", b'('),
    (b"%29", b')'),
    (b"%2A", b'*'),
    (b"%2C", b','),
    (b"%3B", b';'),
];

/// Each way in which the URL may have been written where it was signed.
pub(super) fn urls<'r>(url: &'r [u8], scheme: &Scheme) -> Vec<Cow<'r, [u8]>> {
    let mut urls = vec![Cow::Borrowed(url)];
    let decodes = scheme.message.has(&MessagePart::UrlDecoded);
    let variants = scheme.url_variants.iter().copied();
    for variant in variants.chain(decodes.then_some(UrlVariant::Decoded)) {
        let other = match variant {
            UrlVariant::Port => with_port(url),
            UrlVariant::Noport => without_port(url),
            UrlVariant::Decoded => Some(undo(url)),
        };
        if let Some(other) = other
            && !urls.iter().any(|known| **known == *other)
        {
            urls.push(Cow::Owned(other));
        }
    }
    urls
}

/// Where the authority ends, and where its port begins (with the colon).
fn authority(url: &[u8]) -> Option<(usize, Option<usize>)> {
    let begin = url.windows(3).position(|w| w == b"://")? + 3;
    let rest = url.get(begin..)?;
    let end = begin + rest.iter().position(|c| b"/?#".contains(c)).unwrap_or(rest.len());
    let host = url[begin..end].iter().rposition(|c| *c == b':' || *c == b']');
    let port = host.filter(|at| url[begin + at] == b':').map(|at| begin + at);
    Some((end, port))
}

fn with_port(url: &[u8]) -> Option<Vec<u8>> {
    let (end, None) = authority(url)? else { return None };
    let port: &[u8] = if url.starts_with(b"https:") { b":443" } else { b":80" };
    Some([&url[..end], port, &url[end..]].concat())
}

fn without_port(url: &[u8]) -> Option<Vec<u8>> {
    let (end, Some(port)) = authority(url)? else { return None };
    Some([&url[..port], &url[end..]].concat())
}

fn undo(url: &[u8]) -> Vec<u8> {
    let mut undone = Vec::with_capacity(url.len());
    let mut rest = url;
    while let Some((first, after)) = rest.split_first() {
        let escape = rest.first_chunk::<3>().and_then(|three| {
            UNDONE.iter().find(|(escape, _)| three.eq_ignore_ascii_case(*escape))
        });
        if let Some((_, c)) = escape {
            undone.push(*c);
            rest = &rest[3..];
        } else {
            undone.push(*first);
            rest = after;
        }
    }
    undone
}

/// The parts of the message with this URL, one for each of the template; that of the secret is empty.
pub(super) fn parts<'m>(
    reading: &'m Reading<'_>,
    scheme: &'m Scheme,
    url: &'m [u8],
    time: &'m [u8],
) -> Result<Vec<Value<'m>>, Wrong> {
    let mut parts = Vec::new();
    for part in &scheme.message.0 {
        parts.push(match part {
            MessagePart::Literal(text) => Cow::Borrowed(text.as_bytes()),
            MessagePart::Body => Cow::Borrowed(reading.request.body),
            MessagePart::Time => Cow::Borrowed(time),
            MessagePart::Method => Cow::Borrowed(reading.request.method.as_bytes()),
            MessagePart::Url | MessagePart::UrlDecoded => Cow::Borrowed(url),
            MessagePart::Path => Cow::Borrowed(reading.path_and_query()),
            MessagePart::FormSorted => Cow::Owned(form_sorted(reading, scheme.form_dedup)?),
            MessagePart::Crc32 => Cow::Owned(crc32(reading.request.body).to_string().into_bytes()),
            MessagePart::Secret => Cow::Borrowed(Default::default()),
            MessagePart::Value(selector) => {
                reading.value(selector)?.ok_or_else(|| missing(selector))?
            }
        });
    }
    Ok(parts)
}

const fn missing(selector: &Selector) -> Wrong {
    Wrong::Bad(match selector {
        Selector::Header(_) => Reason::HeaderMissing,
        Selector::Param(_) => Reason::ParameterMissing,
        _ => Reason::FieldMissing,
    })
}

/// Name and value of each field of the form, by name; nothing if the body is no form.
fn form_sorted(reading: &Reading<'_>, dedup: bool) -> Result<Vec<u8>, Reason> {
    if !reading.is_form() {
        return Ok(Vec::new());
    }
    let mut pairs: Vec<_> = reading.form()?.iter().collect();
    if dedup {
        pairs.sort();
        pairs.dedup();
    } else {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(pairs
        .into_iter()
        .flat_map(|(name, value)| [name.as_ref(), value.as_ref()].concat())
        .collect())
}

/// CRC-32 as in Ethernet and gzip (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let mut rest = at as u32;
            let mut bit = 0;
            while bit < 8 {
                rest = if rest & 1 == 1 { (rest >> 1) ^ 0xedb8_8320 } else { rest >> 1 };
                bit += 1;
            }
            table[at] = rest;
            at += 1;
        }
        table
    };
    let step = |sum: u32, byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_and_go() {
        let with =
            |url: &str| with_port(url.as_bytes()).map(|url| String::from_utf8(url).expect("a URL"));
        let without = |url: &str| {
            without_port(url.as_bytes()).map(|url| String::from_utf8(url).expect("a URL"))
        };
        assert_eq!(with("https://a/b?c"), Some("https://a:443/b?c".into()));
        assert_eq!(with("http://a?c"), Some("http://a:80?c".into()));
        assert_eq!(with("https://[::1]/"), Some("https://[::1]:443/".into()));
        assert_eq!(with("https://a:1/"), None);
        assert_eq!(without("https://a:1234/b:1"), Some("https://a/b:1".into()));
        assert_eq!(without("https://[::1]/"), None);
        assert_eq!(without("nowhere"), None);
    }

    #[test]
    fn some_escapes_are_undone() {
        assert_eq!(undo(b"/a%2fb%3A%20%41%2"), b"/a/b:%20%41%2");
    }

    #[test]
    fn a_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
