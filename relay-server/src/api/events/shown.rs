//! Events as the API shows them. Bytes that are no text stand in base64, so that nothing is lost.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_protocol::webhook::Fields;
use relay_trust::Reason;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{Api, time};
use crate::endpoint::Endpoint;
use crate::event::Body;
use crate::store::records::{Delivery, Found, ReplayNote, Summary, Tried};

/// An event in a list.
#[derive(Serialize)]
pub(in crate::api) struct Row {
    id: String,
    seq: u64,
    endpoint: String,
    state: &'static str,
    why: Option<String>,
    method: String,
    path: String,
    received_at: String,
    event_type: Option<String>,
    verification: Option<String>,
    verification_reason: Option<String>,
    status: Option<u16>,
    attempts: u32,
    group: String,
    replay: u32,
    note: Option<String>,
    replay_of: Option<String>,
}

/// An event as a line of a list; none when its endpoint has gone meanwhile.
pub(in crate::api) fn row(api: &Api, summary: &Summary) -> Option<Row> {
    let endpoint = api.directory.by_id(summary.endpoint)?;
    Some(Row {
        id: summary.id.to_string(),
        seq: summary.seq,
        endpoint: endpoint.name.to_string(),
        state: summary.state.as_str(),
        why: summary.why.clone(),
        method: summary.method.clone(),
        path: String::from_utf8_lossy(&summary.path).into_owned(),
        received_at: time::show(summary.id.unix_ms()),
        event_type: summary.event_type.clone(),
        verification: summary.verification.clone(),
        verification_reason: summary.unverified_why.clone(),
        status: summary.status,
        attempts: summary.attempts,
        group: summary.group.to_string(),
        replay: summary.replay,
        note: summary.note.clone(),
        replay_of: summary.replay_of.map(|id| id.to_string()),
    })
}

/// An event with all that became of it.
#[derive(Serialize)]
pub(in crate::api) struct Whole {
    id: String,
    seq: u64,
    endpoint: String,
    received_at: String,
    method: String,
    path: Value,
    remote: String,
    https: bool,
    version: &'static str,
    fields: Value,
    trailers: Value,
    body_bytes: u64,
    body_kept: bool,
    event_type: Option<String>,
    verification: Option<&'static str>,
    verification_reason: Option<&'static str>,
    provider: Option<String>,
    note: Option<String>,
    replay_of: Option<String>,
    deliveries: Vec<Value>,
    replays: Vec<Value>,
}

pub(super) fn whole(endpoint: &Endpoint, found: &Found) -> Whole {
    let event = &found.event;
    let (head, body) = (&event.head, &event.body);
    let checked = head.checked.as_deref();
    Whole {
        id: head.id.to_string(),
        seq: found.seq,
        endpoint: endpoint.name.to_string(),
        received_at: time::show(head.id.unix_ms()),
        method: String::from_utf8_lossy(&head.method).into_owned(),
        path: text(&head.path),
        remote: head.origin.remote.as_str().to_owned(),
        https: head.origin.https,
        version: head.origin.version,
        fields: fields(&head.fields),
        trailers: fields(&event.trailers),
        body_bytes: body.len(),
        body_kept: body.is_empty() || !matches!(body, Body::Absent(_)),
        event_type: checked.and_then(|checked| checked.event_type.as_deref().map(str::to_owned)),
        verification: checked.map(|checked| checked.state.as_str()),
        verification_reason: checked.and_then(|checked| checked.reason).map(Reason::as_str),
        provider: checked.map(|checked| checked.provider.to_string()),
        note: found.note.clone(),
        replay_of: found.replay_of.map(|id| id.to_string()),
        deliveries: found.deliveries.iter().map(delivery).collect(),
        replays: found.replays.iter().map(|note| replay(endpoint, note)).collect(),
    }
}

fn delivery(delivery: &Delivery) -> Value {
    json!({
        "group": delivery.group.as_str(),
        "replay": delivery.replay,
        "state": delivery.state.as_str(),
        "why": delivery.why,
        "detail": delivery.detail,
        "due_at": delivery.due_ms.map(time::show),
        "attempts": delivery.tried.iter().map(tried).collect::<Vec<_>>(),
    })
}

fn tried(tried: &Tried) -> Value {
    json!({
        "number": tried.number,
        "started_at": time::show(tried.started_ms),
        "ms": tried.took_ms,
        "status": tried.status,
        "code": tried.code,
        "detail": tried.detail,
        "fields": fields(&tried.fields),
        "body": text(&tried.body),
    })
}

/// A replay as the API shows it.
pub(in crate::api) fn replay(endpoint: &Endpoint, note: &ReplayNote) -> Value {
    json!({
        "replay": note.number,
        "at": time::show(note.at_ms),
        "token": note.token,
        "endpoint": endpoint.name.as_str(),
        "what": note.what,
        "deliveries": note.count,
    })
}

/// Header fields in their order: `[[name, value], ...]`.
fn fields(fields: &Fields) -> Value {
    fields.iter().map(|(name, value)| json!([text(name), text(value)])).collect()
}

/// Bytes as text where they are text, otherwise as `{"base64": ...}`.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"base64": STANDARD.encode(bytes)}),
    }
}
