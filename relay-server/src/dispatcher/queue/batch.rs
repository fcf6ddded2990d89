//! Several events in one request: one JSON document with the events in order and base64 bodies.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use super::super::attempt::Order;
use super::super::outbound::verification;
use super::super::outcome::{Conclusion, Trial, after, hear_out};
use super::super::{Dispatcher, Payload};
use super::deliver::{BODY_LOST, CORRUPT, is_sound};
use super::memory::Share;
use crate::clock::{now_ms, steady_ms};
use crate::delivery::breaker::Ended;
use crate::endpoint::Endpoint;
use crate::event::{Body, Head};
use crate::store::records::{Leased, Next, Settlement};

/// How often the bodies of a batch are in memory: as they are, as base64, and in the document, which grows by doubling.
const COPIES: u64 = 5;

/// How long a batch waits for its memory: less than its leases hold beyond the attempt.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);

/// After how many milliseconds one that got none is taken again.
const GIVEN_BACK_MS: u64 = 1000;

/// The document.
#[derive(Serialize)]
struct Document {
    endpoint: String,
    events: Vec<Item>,
}

/// One event in it.
#[derive(Serialize)]
struct Item {
    id: String,
    attempt: u32,
    replay: u32,
    received_at_ms: u64,
    method: String,
    /// Raw sub-path and query; bytes that are no UTF-8 are percent-encoded by the sender already or replaced here.
    path: String,
    /// Names and values in their order; a value that is no UTF-8 is given in base64 as `{"base64": ...}`.
    headers: Vec<(String, Value)>,
    body_base64: String,
    /// As the header field `Webhook-Relay-Verification` of an event that goes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bytes { base64: String },
}

impl Dispatcher {
    pub(super) async fn deliver_batch(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        leased: Vec<Leased>,
        share: Share,
        failed: Ended,
    ) {
        let Some(_memory) = self.room_for(&leased, share).await else {
            return leased.into_iter().for_each(|one| self.give_back(one));
        };
        let (mut items, mut kept) = (Vec::new(), Vec::new());
        for one in leased {
            if !is_sound(&one).await {
                self.give_up(one, CORRUPT);
                continue;
            }
            match item(&one).await {
                Some(item) => {
                    items.push(item);
                    kept.push(one);
                }
                None => self.give_up(one, BODY_LOST),
            }
        }
        let Some(first) = kept.first() else { return };
        let (count, group) = (items.len(), first.lease.group.clone());
        let document = Document { endpoint: endpoint.name.to_string(), events: items };
        let bytes = Bytes::from(serde_json::to_vec(&document).expect("plain data serializes"));
        let deadline = Instant::now() + endpoint.settings.attempt_timeout;
        let (started, started_ms) = (Instant::now(), now_ms());
        let order = Order {
            head: Arc::new(head(first, count)),
            group: group.clone(),
            payload: Payload::Whole { bytes, trailers: Fields::default(), held: None },
            number: first.attempts + 1,
            replay: 0,
            resent: false,
            resigns: endpoint.settings.resign,
            queued: true,
            deadline,
            hold_until: Instant::now(),
        };
        let ending = match self.attempt(order).await {
            Ok(answered) => hear_out(answered, deadline).await,
            Err(none) => Err(none),
        };
        let (mut worked, mut together) = (None, None);
        let mut settlements = Vec::with_capacity(count);
        for one in kept {
            let (number, spent_ms) = (one.attempts + 1, one.spent_ms);
            let trial = Trial { number, spent_ms, started, started_ms };
            let mut conclusion = after(&endpoint.settings, trial, ending.clone());
            // What failed together is tried again together.
            if let Next::Retry { due_ms, .. } = &mut conclusion.next {
                *due_ms = *together.get_or_insert(*due_ms);
            }
            worked = worked.or(conclusion.worked());
            let Conclusion { attempt, next } = conclusion;
            settlements.push(Settlement { lease: one.lease, attempt, next });
        }
        self.store.settle_together(settlements);
        // One request is one attempt, however many events it carries.
        if let Some(worked) = worked {
            self.report(&endpoint, &group, if worked { Ended::Worked } else { failed });
        }
    }
}

impl Dispatcher {
    /// The memory for a batch; none, if it does not come in time.
    async fn room_for(&self, leased: &[Leased], mut share: Share) -> Option<Share> {
        let bytes: u64 = leased.iter().map(|one| one.event.body.len()).sum();
        let needed = bytes.saturating_mul(COPIES);
        if needed <= share.bytes() {
            return Some(share.part(needed));
        }
        // Given back first: who holds some while waiting for more may wait for another who does.
        drop(share);
        timeout(ROOM_PATIENCE, self.queues.memory.share(needed)).await.ok()
    }

    /// Lets others have a delivery that was not attempted.
    fn give_back(&self, leased: Leased) {
        let due_ms = steady_ms().saturating_add(GIVEN_BACK_MS);
        let next = Next::Retry { due_ms, spent_ms: leased.spent_ms };
        self.store.settle(Settlement { lease: leased.lease, attempt: None, next });
    }
}

/// The head of the one request; its id is the first event's.
fn head(first: &Leased, count: usize) -> Head {
    let like = &first.event.head;
    let count = count.to_string();
    let mut fields = Fields::with_capacity(128);
    if let Some(host) = like.fields.first(b"host") {
        fields.push(b"host", host);
    }
    fields.push(b"content-type", b"application/json");
    fields.push(b"webhook-relay-batch", count.as_bytes());
    Head {
        id: like.id,
        endpoint: like.endpoint,
        method: Bytes::from_static(b"POST"),
        path: Bytes::new(),
        fields: fields.finish(),
        origin: like.origin.clone(),
        checked: None,
    }
}

async fn item(leased: &Leased) -> Option<Item> {
    let head = &leased.event.head;
    let body = match &leased.event.body {
        Body::Memory(bytes) => bytes.clone(),
        Body::Spooled(file) => {
            let most = usize::try_from(file.len()).unwrap_or(usize::MAX);
            file.piece(0, most).await.ok()?
        }
        Body::Absent(_) => return None,
    };
    let id: EventId = head.id;
    Some(Item {
        id: id.to_string(),
        attempt: leased.attempts + 1,
        replay: leased.lease.replay,
        received_at_ms: id.unix_ms(),
        method: String::from_utf8_lossy(&head.method).into_owned(),
        path: String::from_utf8_lossy(&head.path).into_owned(),
        headers: head.fields.iter().map(|(n, v)| (text(n), value(v))).collect(),
        body_base64: STANDARD.encode(&body),
        verification: head.checked.as_ref().map(|checked| verification(head, checked)),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn value(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Bytes { base64: STANDARD.encode(bytes) },
    }
}
