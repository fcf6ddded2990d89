//! The header fields that the relay adds for the target: who really sent the request, what was found of that, through whom
//! it came, and the endpoint's own signature.

use std::borrow::Cow;
use std::net::IpAddr;

use relay_protocol::webhook::{Fields, FieldsBuilder};

use super::resign::{FIELDS, Signed};
use crate::clock::civil;
use crate::event::{Checked, Head, Sender};

/// What stands before the name of a provider's field whose name is taken by the endpoint's own signature.
const ORIGINAL: &[u8] = b"webhook-relay-original-";

/// The fields of an event as they go to the target: those that came, then `X-Forwarded-*`, `Forwarded` (RFC 7239) and
/// `Via` (RFC 9110 §7.6.3), the mark of a replay, what was found of who sent it, and the signature.
pub(super) fn fields(head: &Head, pseudonym: &str, replay: u32, signed: Option<&Signed>) -> Fields {
    let mut fields = Fields::with_capacity(head.fields.encoded().len() + 384);
    match signed {
        None => fields.extend(&head.fields),
        Some(signed) => sign(&mut fields, &head.fields, signed),
    }
    let remote = &head.origin.remote;
    let proto: &[u8] = if head.origin.https { b"https" } else { b"http" };
    fields.push(b"x-forwarded-for", remote.as_str().as_bytes());
    fields.push(b"x-forwarded-proto", proto);
    let host = head.fields.first(b"host");
    if let Some(host) = host {
        fields.push(b"x-forwarded-host", host);
    }
    forwarded(&mut fields, remote, proto, host);
    fields.push_joined(b"via", &[head.origin.version.as_bytes(), b" ", pseudonym.as_bytes()]);
    if replay > 0 {
        fields.push(b"webhook-relay-replay", replay.to_string().as_bytes());
    }
    if let Some(checked) = &head.checked {
        fields.push(b"webhook-relay-verification", verification(head, checked).as_bytes());
    }
    fields.finish()
}

/// The fields that came, those of the signature moved aside, and the signature.
fn sign(fields: &mut FieldsBuilder, came: &Fields, Signed(values): &Signed) {
    for (name, value) in came.iter() {
        if FIELDS.contains(&name) {
            fields.push(&[ORIGINAL, name].concat(), value);
        } else {
            fields.push(name, value);
        }
    }
    for (name, value) in FIELDS.iter().zip(values) {
        fields.push(name, value.as_bytes());
    }
}

/// What was found when the event came: its state, by which provider's scheme, when, and why it is no better.
pub(super) fn verification(head: &Head, checked: &Checked) -> String {
    let Checked { provider, state, reason, .. } = checked;
    let at = civil(head.id.unix_ms() / 1000);
    let reason = reason.map(|reason| format!("; reason={reason}")).unwrap_or_default();
    format!("state={state}; provider={provider}; at={at}Z{reason}")
}

fn forwarded(fields: &mut FieldsBuilder, remote: &Sender, proto: &[u8], host: Option<&[u8]>) {
    let (open, close): (&[u8], &[u8]) = match remote.ip() {
        IpAddr::V4(_) => (b"", b""),
        // An IPv6 address has colons, so it is quoted and in brackets (RFC 7239 §6).
        IpAddr::V6(_) => (b"\"[", b"]\""),
    };
    let shown = remote.as_str().as_bytes();
    let host = host.map(quotable);
    let [before, host, after]: [&[u8]; 3] =
        host.as_deref().map_or([b""; 3], |host| [b";host=\"", host, b"\""]);
    let value = [b"for=", open, shown, close, b";proto=", proto, before, host, after];
    fields.push_joined(b"forwarded", &value);
}

/// What of a host can stand between quotes: of an honest one, all.
fn quotable(host: &[u8]) -> Cow<'_, [u8]> {
    let stays = |byte: &u8| !matches!(byte, b'"' | b'\\');
    match host.iter().all(stays) {
        true => host.into(),
        false => host.iter().copied().filter(stays).collect::<Vec<u8>>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use relay_protocol::id::EventId;

    use crate::endpoint::EndpointId;
    use crate::event::Origin;

    fn sent(remote: &str, https: bool) -> Vec<(String, String)> {
        let head = Head {
            id: EventId::now(),
            endpoint: EndpointId(1),
            method: Bytes::from_static(b"POST"),
            path: Bytes::new(),
            fields: [(&b"host"[..], &b"relay.example:8443"[..])].into_iter().collect(),
            origin: Origin {
                remote: remote.parse::<IpAddr>().unwrap().into(),
                https,
                version: "1.1",
            },
            checked: None,
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields(&head, "webhook-relay-1", 0, None).iter().map(|(n, v)| (text(n), text(v))).collect()
    }

    #[test]
    fn the_target_learns_who_sent_it() {
        let expected = [
            ("host", "relay.example:8443"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "relay.example:8443"),
            ("forwarded", "for=192.0.2.7;proto=https;host=\"relay.example:8443\""),
            ("via", "1.1 webhook-relay-1"),
        ];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(sent("192.0.2.7", true), expected);
        assert_eq!(quotable(b"a\"b\\c"), &b"abc"[..]);
        assert!(sent("2001:db8::1", false).contains(&(
            "forwarded".into(),
            "for=\"[2001:db8::1]\";proto=http;host=\"relay.example:8443\"".into()
        )));
    }
}
