//! Reads a request's head: checks what HTTP asks of it, bounds it, and keeps what goes from end to end.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, FORWARDED, HOST, HeaderName, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Version};
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;

use super::fields::end_to_end;
use crate::address::{Networks, hop};
use crate::endpoint::EndpointId;
use crate::event::{Head, Origin};
use crate::http::{FIELDS_MAX, Peer};
use crate::problem::{Code, Problem};

/// How often a request may come through this relay: an app may post from one endpoint to another, a loop goes on for ever.
const PASSES_MAX: usize = 3;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The bounds of a request's head.
#[derive(Debug, Clone, Copy)]
pub struct HeadBounds {
    /// The longest header section, in bytes of names and values.
    pub fields_max: usize,
    /// The longest request target, in bytes.
    pub uri_max: usize,
}

/// The proxies in front of the relay, whose `X-Forwarded-*` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Networks);

impl TrustedProxies {
    /// Who sent the request: the peer, or whom it names if it is a trusted proxy.
    #[must_use]
    pub fn sender(&self, headers: &HeaderMap, peer: &Peer) -> IpAddr {
        let mut sender = peer.address.ip().to_canonical();
        if !self.0.contains(sender) {
            return sender;
        }
        let values = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
        // From the right, up to the first one that is no proxy of ours: what stands left of it anybody may have written.
        // So may whoever made a proxy of ours write down what is no address.
        while self.0.contains(sender) {
            let named = hops.next().and_then(|text| hop(std::str::from_utf8(text).ok()?));
            let Some(named) = named else { break };
            sender = named;
        }
        sender
    }

    /// Whether it came over TLS: the peer's word counts only if it is a trusted proxy.
    fn is_https(&self, headers: &HeaderMap, peer: &Peer) -> bool {
        let named = headers.get(FORWARDED_PROTO).map(|proto| proto == "https");
        let believed = named.filter(|_| self.0.contains(peer.address.ip()));
        believed.unwrap_or(peer.https)
    }
}

/// Reads the head of a request.
///
/// # Errors
/// A [`Problem`] for what is malformed, beyond the bounds, or in a loop.
pub(super) fn read(
    (id, endpoint): (EventId, EndpointId),
    parts: &Parts,
    path: Bytes,
    (remote, peer): (IpAddr, &Peer),
    trusted: &TrustedProxies,
    bounds: &HeadBounds,
    pseudonym: &str,
) -> Result<Head, Problem> {
    refuse_malformed(parts)?;
    if parts.uri.path_and_query().is_some_and(|path| path.as_str().len() > bounds.uri_max) {
        let words = format!("the request target is above {} bytes", bounds.uri_max);
        return Err(Problem::new(Code::UriTooLong, words).closing());
    }
    let size: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let cookies = parts.headers.get_all(COOKIE).into_iter().skip(1).count();
    if parts.headers.len() - cookies > FIELDS_MAX {
        let words = format!("there are more than {FIELDS_MAX} header fields");
        return Err(Problem::new(Code::HeadersTooLarge, words).closing());
    }
    if size > bounds.fields_max {
        let words = format!("the header fields are above {} bytes", bounds.fields_max);
        return Err(Problem::new(Code::HeadersTooLarge, words).closing());
    }
    if passes(&parts.headers, pseudonym) >= PASSES_MAX {
        let words = format!("the request has come through this relay {PASSES_MAX} times");
        return Err(Problem::new(Code::LoopDetected, words).closing());
    }
    let version = match parts.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    Ok(Head {
        id,
        endpoint,
        method: method(&parts.method),
        path,
        fields: fields(parts),
        origin: Origin {
            remote: peer.written(remote),
            https: trusted.is_https(&parts.headers, peer),
            version,
        },
        checked: None,
    })
}

/// What goes from end to end, as HTTP/1.1 has it.
fn fields(parts: &Parts) -> Fields {
    let ours = [&CONTENT_LENGTH, &FORWARDED, &FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED_HOST];
    if parts.version != Version::HTTP_2 {
        return end_to_end(&parts.headers, |name| ours.contains(&name)).finish();
    }
    // The host is a part of the target (RFC 9113 §8.3.1), and cookies may come one by one (§8.2.3).
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let apart = |name: &HeaderName| *name == COOKIE || (*name == HOST && authority.is_some());
    let mut fields = end_to_end(&parts.headers, |name| ours.contains(&name) || apart(name));
    if let Some(authority) = authority {
        fields.push(b"host", authority);
    }
    let cookies = parts.headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    let cookies: Vec<&[u8]> = cookies.collect();
    if !cookies.is_empty() {
        fields.push(b"cookie", &cookies.join(&b"; "[..]));
    }
    fields.finish()
}

/// What the HTTP library lets through and a gateway must not (RFC 9110 §9.3.6, RFC 9112 §6.1).
fn refuse_malformed(parts: &Parts) -> Result<(), Problem> {
    let bad = |words: &str| Err(Problem::new(Code::BadRequest, words).closing());
    if parts.method == Method::CONNECT {
        return bad("CONNECT is not served");
    }
    if parts.uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return bad("a user in the target");
    }
    if parts.headers.get_all(TRANSFER_ENCODING).into_iter().nth(1).is_some() {
        return bad("more than one Transfer-Encoding");
    }
    Ok(())
}

fn method(method: &Method) -> Bytes {
    match *method {
        Method::POST => Bytes::from_static(b"POST"),
        Method::GET => Bytes::from_static(b"GET"),
        Method::PUT => Bytes::from_static(b"PUT"),
        _ => Bytes::copy_from_slice(method.as_str().as_bytes()),
    }
}

/// How often the request has come through this relay before, by `Via`.
fn passes(headers: &HeaderMap, pseudonym: &str) -> usize {
    let values = headers.get_all(VIA).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter(|hop| hop.contains(pseudonym)).count()
}
