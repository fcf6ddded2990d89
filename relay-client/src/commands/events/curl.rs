//! One event as a script that sends it again, byte for byte, with nothing but a shell, base64 and curl.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::exported::Exported;
use super::{bytes, fields};
use crate::commands::Failure;
use crate::screen::clean;

/// What curl says itself of the connection and the body.
const CURLS_OWN: [&[u8]; 4] = [b"host", b"content-length", b"te", b"expect"];

/// What curl adds unasked, and is told not to.
const UNASKED: [&str; 4] = ["Accept", "User-Agent", "Content-Type", "Expect"];

/// Base64 in lines of this many bytes.
const LINE: usize = 57;

/// The script.
pub(super) fn script(exported: &Exported) -> Result<Vec<u8>, Failure> {
    let Exported { event, body } = exported;
    let text = |key: &str| clean(event[key].as_str().unwrap_or_default());
    let lost = || Failure::Failed(format!("the body of {} was not kept", text("id")));
    let body = body.as_ref().ok_or_else(lost)?;
    let mut script = format!(
        "#!/bin/sh\n# {} of {}, received {}.\n# Sends it again: sh FILE [URL of the target, http://localhost:3000]\n\
         set -eu\nurl=${{1:-http://localhost:3000}}\nurl=${{url%/}}\n",
        text("id"),
        text("endpoint"),
        text("received_at"),
    )
    .into_bytes();
    let method = text("method");
    let carries = !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH");
    if carries {
        script.extend_from_slice(
            b"body=$(mktemp)\ntrap 'rm -f \"$body\"' EXIT\nbase64 -d > \"$body\" <<'BODY'\n",
        );
        for line in body.chunks(LINE) {
            script.extend_from_slice(STANDARD.encode(line).as_bytes());
            script.push(b'\n');
        }
        script.extend_from_slice(b"BODY\n");
    }
    script.extend_from_slice(
        b"curl --silent --show-error --include --http1.1 --globoff --path-as-is \\\n",
    );
    match method.as_str() {
        "HEAD" => script.extend_from_slice(b"  --head \\\n"),
        _ => option(&mut script, "--request", method.as_bytes()),
    }
    headers(&mut script, &fields(&event["fields"]));
    if carries {
        script.extend_from_slice(b"  --data-binary @\"$body\" \\\n");
    }
    script.extend_from_slice(b"  \"$url\"");
    quote(&mut script, &bytes(&event["path"]));
    script.push(b'\n');
    Ok(script)
}

fn headers(script: &mut Vec<u8>, fields: &[(Vec<u8>, Vec<u8>)]) {
    let has =
        |wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
    for name in UNASKED.into_iter().filter(|name| !has(name)) {
        option(script, "--header", format!("{name}:").as_bytes());
    }
    for (name, value) in fields.iter().filter(|(name, _)| !CURLS_OWN.contains(&&name[..])) {
        // An empty value is told from the wish to leave a header out by its semicolon.
        let line = if value.is_empty() {
            [&name[..], b";"].concat()
        } else {
            [&name[..], b": ", value].concat()
        };
        option(script, "--header", &line);
    }
}

fn option(script: &mut Vec<u8>, name: &str, value: &[u8]) {
    script.extend_from_slice(b"  ");
    script.extend_from_slice(name.as_bytes());
    script.push(b' ');
    quote(script, value);
    script.extend_from_slice(b" \\\n");
}

/// Bytes as one word of the shell, whatever they are.
fn quote(script: &mut Vec<u8>, bytes: &[u8]) {
    script.push(b'\'');
    for byte in bytes {
        match byte {
            b'\'' => script.extend_from_slice(b"'\\''"),
            byte => script.push(*byte),
        }
    }
    script.push(b'\'');
}
