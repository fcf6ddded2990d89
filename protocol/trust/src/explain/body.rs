//! What happens to bodies on their way: a line break more or less, JSON that was read and written again.

/// Each body that may have been signed in the place of this one, with what is wrong then.
pub(super) fn variants(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    let mut found = Vec::new();
    let mut add = |other: Vec<u8>, why| {
        if other != body {
            found.push((other, why));
        }
    };
    let cut = |end: &[u8]| body.strip_suffix(end).unwrap_or(body).to_vec();
    add(cut(b"\r\n"), "The body has a line break (CR LF) at its end that was not signed.");
    add(cut(b"\n"), "The body has a line break at its end that was not signed.");
    add([body, b"\n"].concat(), "The line break at the end of the body is lost.");
    add([body, b"\r\n"].concat(), "The line break (CR LF) at the end of the body is lost.");
    add(body.trim_ascii().to_vec(), "The body has white space around it that was not signed.");
    let bom = b"\xef\xbb\xbf";
    add(
        body.strip_prefix(bom).unwrap_or(body).to_vec(),
        "The body has a byte order mark that was not signed.",
    );
    add([bom, body].concat(), "The byte order mark at the beginning of the body is lost.");
    let unix = replace(body, b"\r\n", b"\n");
    add(
        replace(&unix, b"\n", b"\r\n"),
        "The line breaks of the body were changed from CR LF to LF.",
    );
    add(unix, "The line breaks of the body were changed from LF to CR LF.");
    let decoded = percent_encoding::percent_decode(body).collect();
    add(decoded, "The body is percent-encoded, and it was signed without that.");
    if let Ok(text) = std::str::from_utf8(body) {
        let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
        if let Some(latin) = latin {
            add(latin, "The body was changed from ISO 8859-1 to UTF-8.");
        }
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            rewritten(text, &mut add);
        }
    }
    found
}

/// JSON as the usual writers write it.
fn rewritten(text: &str, add: &mut impl FnMut(Vec<u8>, &'static str)) {
    let why = "The body is JSON that was read and written again: its white space or its escapes differ from what was \
               signed. Sign and check the bytes as they were sent.";
    let others = [
        spaced(text, "", "", None),
        spaced(text, " ", " ", None),
        spaced(text, "", " ", Some("  ")),
        spaced(text, "", " ", Some("    ")),
        spaced(text, "", " ", Some("\t")),
    ];
    for other in others {
        let raw = unescaped(&other);
        for other in
            [other.replace("\\/", "/"), escaped_slashes(&other), escaped(&other), raw, other]
        {
            add([other.as_bytes(), b"\n"].concat(), why);
            add(other.into_bytes(), why);
        }
    }
}

/// The same JSON with this white space after commas and colons, or on lines with this indent.
fn spaced(text: &str, comma: &str, colon: &str, indent: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    let mut quoted = false;
    let mut escaped = false;
    let mut chars = text.chars().filter(|c| *c != '\u{feff}').peekable();
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if !matches!(chars.peek(), Some('}' | ']')) {
                    depth += 1;
                    line(&mut out, depth);
                    continue;
                }
                out.extend(chars.next());
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                out.push_str(comma);
                line(&mut out, depth);
            }
            ':' => {
                out.push(c);
                out.push_str(colon);
            }
            _ => {
                quoted = c == '"';
                out.push(c);
            }
        }
    }
    out
}

/// Each slash with a backslash before it, as PHP writes it.
fn escaped_slashes(text: &str) -> String {
    text.replace("\\/", "/").replace('/', "\\/")
}

/// What is not ASCII as `\u` escapes, as Python and PHP write it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

/// `\u` escapes of what is not ASCII as the characters themselves.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\u") {
        out.push_str(&rest[..at]);
        let code = |text: &str| u16::from_str_radix(text.get(2..6)?, 16).ok();
        let from = &rest[at..];
        let units =
            [code(from), from.get(6..).filter(|next| next.starts_with("\\u")).and_then(code)];
        let pair: Vec<u16> = units.into_iter().flatten().collect();
        let first = char::decode_utf16(pair).next().and_then(Result::ok).filter(|c| !c.is_ascii());
        let taken = match first {
            Some(c) => {
                out.push(c);
                6 * c.len_utf16()
            }
            None => {
                out.push_str("\\u");
                2
            }
        };
        rest = &from[taken..];
    }
    out.push_str(rest);
    out
}

fn replace(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_others_write_it() {
        let text = r#"{"a" : [1, {}, [ ], "x, y: \"{"],"b":{"c":null}}"#;
        assert_eq!(spaced(text, "", "", None), r#"{"a":[1,{},[],"x, y: \"{"],"b":{"c":null}}"#);
        assert_eq!(
            spaced(text, " ", " ", None),
            r#"{"a": [1, {}, [], "x, y: \"{"], "b": {"c": null}}"#
        );
        let pretty = "{\n  \"a\": [\n    1,\n    {},\n    [],\n    \"x, y: \\\"{\"\n  ],\n  \"b\": {\n    \"c\": null\n  }\n}";
        assert_eq!(spaced(text, "", " ", Some("  ")), pretty);
    }

    #[test]
    fn escapes_come_and_go() {
        let raw = "\"ü😀/\"";
        assert_eq!(escaped(raw), "\"\\u00fc\\ud83d\\ude00/\"");
        assert_eq!(unescaped(&escaped(raw)), raw);
        assert_eq!(unescaped("\\u0041\\ud83d x \\u12"), "\\u0041\\ud83d x \\u12");
        assert_eq!(escaped_slashes("a/b\\/c"), "a\\/b\\/c");
    }
}
