//! One event of a bundle as bytes: all that its three rows would tell.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use relay_trust::Reason;
use serde::{Deserialize, Serialize};

use super::super::super::records::{Acceptance, Attempt, AttemptResult};
use super::super::super::sums::{self, Sums};
use super::super::rows::method;
use crate::endpoint::EndpointId;
use crate::event::{Body, Checked, Event, Head, Origin};

/// About how many bytes the short parts take.
const SHORT_PARTS: usize = 128;

/// What is kept of an event besides its id and its number. Its order is that of the bytes, and is never changed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Packed<'a> {
    sums: u64,
    method: &'a str,
    #[serde(with = "serde_bytes")]
    path: &'a [u8],
    remote: &'a str,
    https: bool,
    version: &'a str,
    checked: Option<Finding<'a>>,
    #[serde(with = "serde_bytes")]
    fields: &'a [u8],
    #[serde(with = "serde_bytes")]
    trailers: &'a [u8],
    body_len: u64,
    #[serde(with = "serde_bytes")]
    body: Option<&'a [u8]>,
    number: u32,
    started_ms: u64,
    took_ms: u64,
    status: u16,
    #[serde(with = "serde_bytes")]
    answer_fields: &'a [u8],
    #[serde(with = "serde_bytes")]
    answer_body: &'a [u8],
}

/// What was found of who sent it.
#[derive(Debug, Serialize, Deserialize)]
struct Finding<'a> {
    provider: &'a str,
    state: &'a str,
    reason: Option<&'a str>,
    event_type: Option<&'a str>,
}

/// An event that has come out of a bundle, and the attempt that delivered it.
#[derive(Debug)]
pub(in super::super) struct Unpacked {
    pub(in super::super) event: Event,
    pub(in super::super) attempt: Attempt,
    /// Whether it is what it was.
    pub(in super::super) sound: bool,
}

impl<'a> Packed<'a> {
    /// An event whose body is in memory or not kept, and the attempt that delivered it; none for others.
    pub(super) fn of(acceptance: &'a Acceptance, attempt: &'a Attempt) -> Option<Self> {
        let Acceptance { event, keep_body, .. } = acceptance;
        let Event { head, body, trailers, .. } = event;
        let AttemptResult::Answered { status, fields, body: answer_body } = &attempt.result else {
            return None;
        };
        let (kept, body_len) = match body {
            Body::Memory(bytes) => (keep_body.then_some(&bytes[..]), bytes.len() as u64),
            Body::Absent(length) => (None, *length),
            Body::Spooled(_) => return None,
        };
        let packed = Self {
            sums: 0,
            method: method(head),
            path: &head.path,
            remote: head.origin.remote.as_str(),
            https: head.origin.https,
            version: head.origin.version,
            checked: head.checked.as_deref().map(Finding::of),
            fields: head.fields.encoded(),
            trailers: trailers.encoded(),
            body_len,
            body: kept,
            number: attempt.number,
            started_ms: attempt.started_ms,
            took_ms: attempt.took_ms,
            status: *status,
            answer_fields: fields.encoded(),
            answer_body,
        };
        Some(Self { sums: packed.sums(), ..packed })
    }

    /// From the bytes that were kept; from what the disk has made unreadable, an event that is not sound.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        postcard::from_bytes(bytes).unwrap_or_default()
    }

    /// The bytes to be kept.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let body = self.body.map_or(0, <[u8]>::len);
        let parts = [self.path, self.fields, self.trailers, self.answer_fields, self.answer_body];
        let long = parts.iter().map(|part| part.len()).sum::<usize>() + body;
        postcard::to_extend(self, Vec::with_capacity(long + SHORT_PARTS)).ok()
    }

    fn sums(&self) -> u64 {
        let body = sums::of_body(self.body.unwrap_or_default());
        let method = self.method.as_bytes();
        Sums::of(method, self.path, self.fields, self.trailers, body).to_number() as u64
    }

    /// The event that this is kept of.
    pub(super) fn unpack(&self, endpoint: EndpointId, id: EventId) -> Unpacked {
        let copy = Bytes::copy_from_slice;
        let fields = |bytes: &[u8]| Fields::parse(copy(bytes)).unwrap_or_default();
        let origin = Origin {
            remote: self.remote.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).into(),
            https: self.https,
            version: match self.version {
                "1.0" => "1.0",
                "2" => "2",
                _ => "1.1",
            },
        };
        let head = Head {
            id,
            endpoint,
            method: copy(self.method.as_bytes()),
            path: copy(self.path),
            fields: fields(self.fields),
            origin,
            checked: self.checked.as_ref().and_then(Finding::checked),
        };
        let body = self.body.map_or(Body::Absent(self.body_len), |body| Body::Memory(copy(body)));
        let result = AttemptResult::Answered {
            status: self.status,
            fields: fields(self.answer_fields),
            body: copy(self.answer_body),
        };
        let (number, started_ms, took_ms) = (self.number, self.started_ms, self.took_ms);
        Unpacked {
            event: Event {
                head: Arc::new(head),
                body,
                trailers: fields(self.trailers),
                held: None,
            },
            attempt: Attempt { number, started_ms, took_ms, result },
            sound: self.sums() == self.sums,
        }
    }
}

impl<'a> Finding<'a> {
    fn of(checked: &'a Checked) -> Self {
        Self {
            provider: &checked.provider,
            state: checked.state.as_str(),
            reason: checked.reason.map(Reason::as_str),
            event_type: checked.event_type.as_deref(),
        }
    }

    fn checked(&self) -> Option<Box<Checked>> {
        Some(Box::new(Checked {
            provider: self.provider.into(),
            state: self.state.parse().ok()?,
            reason: self.reason.and_then(|reason| reason.parse().ok()),
            event_type: self.event_type.map(Into::into),
        }))
    }
}
