//! What is kept of a live event: noted when it goes out, settled when its outcome is known, whoever still listens.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use relay_protocol::id::Name;
use relay_protocol::webhook::{Answer, Fields};
use tokio::task::JoinHandle;

use super::NoAnswer;
use crate::clock::now_ms;
use crate::endpoint::settings::Capture;
use crate::event::{Body, Event, Head};
use crate::ingress::intake::Intake;
use crate::store::records::{
    Acceptance, Attempt, AttemptResult, Lease, NewDelivery, Next, Room, Settlement, Start,
};
use crate::store::{Store, StoreError};

/// How much of an answer's body is kept, in bytes.
const ANSWER_KEPT: usize = 64 * 1024;

/// The record of one live event. Dropped before an outcome was told, it settles as cancelled.
#[derive(Debug)]
pub struct Recording {
    store: Arc<Store>,
    lease: Lease,
    capture: Capture,
    started: Instant,
    started_ms: u64,
    answer: Option<(Answer, BytesMut)>,
    /// For a body that grows: whether the event could be noted, once that is known.
    noting: Option<JoinHandle<Noted>>,
    settled: bool,
}

/// What became of an event whose body grew.
#[derive(Debug)]
enum Noted {
    Yes,
    /// Its body broke off; only an answer that came nevertheless makes it worth a record.
    Incomplete(Arc<Head>, u64),
}

impl Recording {
    pub(super) fn begin(store: &Arc<Store>, head: &Head, capture: Capture) -> Self {
        Self {
            store: Arc::clone(store),
            lease: Lease::new(head.endpoint, head.id, Name::main()),
            capture,
            started: Instant::now(),
            started_ms: now_ms(),
            answer: None,
            noting: None,
            settled: false,
        }
    }

    /// Notes an event that is whole.
    ///
    /// # Errors
    /// When the store does not take it.
    pub fn note(&self, event: Event) -> Result<(), StoreError> {
        let (event, lease) = (Arc::new(event), self.lease.clone());
        self.store.note(live(event, lease, self.capture == Capture::Full))
    }

    /// Notes an event whose body still grows, once it is whole.
    pub fn note_when_whole(&mut self, head: Arc<Head>, intake: Arc<Intake>) {
        let (store, lease) = (Arc::clone(&self.store), self.lease.clone());
        let keep_body = self.capture == Capture::Full;
        self.noting = Some(tokio::spawn(async move {
            let Some((body, trailers, held)) = intake.finished().await else {
                return Noted::Incomplete(head, intake.len());
            };
            let body = if keep_body { kept(body).await } else { body };
            let event = Arc::new(Event { head, body, trailers, held });
            if let Err(error) = store.note(live(event, lease, keep_body)) {
                tracing::warn!(%error, "a live event is not recorded");
            }
            Noted::Yes
        }));
    }

    /// Takes down the head of the answer.
    pub fn answered(&mut self, answer: &Answer) {
        self.answer = Some((answer.clone(), BytesMut::new()));
    }

    /// Takes down a piece of the answer's body, as far as it is kept.
    pub fn answer_body(&mut self, bytes: &Bytes) {
        if let Some((_, kept)) = &mut self.answer
            && self.capture == Capture::Full
        {
            let room = ANSWER_KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Settles with the answer that was taken down; the provider got it, whatever it was.
    pub fn passed_on(mut self) {
        self.settle_answer();
    }

    /// Settles without an answer.
    pub fn failed(mut self, no_answer: &NoAnswer) {
        self.settle_failure(no_answer.code.as_str(), no_answer.detail.clone());
    }

    fn settle_answer(&mut self) {
        let Some((answer, body)) = self.answer.take() else { return };
        let success = (200..300).contains(&answer.status);
        let next = if success { Next::Delivered } else { Next::Failed };
        let fields = Fields::clone(&answer.fields);
        let result = AttemptResult::Answered { status: answer.status, fields, body: body.freeze() };
        self.settle(result, next);
    }

    fn settle_failure(&mut self, code: &'static str, detail: String) {
        self.settle(AttemptResult::Failed { code, detail }, Next::Failed);
    }

    fn settle(&mut self, result: AttemptResult, next: Next) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let took_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = Attempt { number: 1, started_ms: self.started_ms, took_ms, result };
        let settlement = Settlement { lease: self.lease.clone(), attempt: Some(attempt), next };
        let Some(noting) = self.noting.take() else { return self.store.settle(settlement) };
        // The outcome may not overtake the event on the way into the store.
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            match noting.await {
                Ok(Noted::Yes) => store.settle(settlement),
                Ok(Noted::Incomplete(head, length)) => {
                    settle_incomplete(&store, head, length, settlement);
                }
                Err(error) => tracing::error!(%error, "a live event is not recorded"),
            }
        });
    }
}

/// A live event of one group.
fn live(event: Arc<Event>, lease: Lease, keep_body: bool) -> Acceptance {
    let (start, order_key, collapse_key) = (Start::Live(lease.token), None, None);
    let main = NewDelivery { group: lease.group, start, order_key, collapse_key };
    let room = Room { events: u64::MAX, bytes: u64::MAX };
    let (dedup, note, replay_of) = (None, None, None);
    Acceptance { event, deliveries: vec![main], keep_body, dedup, room, note, replay_of }
}

/// An answer to a request that never was whole: kept without its body.
fn settle_incomplete(store: &Store, head: Arc<Head>, length: u64, settlement: Settlement) {
    if matches!(&settlement.attempt, Some(Attempt { result: AttemptResult::Failed { .. }, .. })) {
        return;
    }
    let (trailers, held) = (Fields::default(), None);
    let event = Arc::new(Event { head, body: Body::Absent(length), trailers, held });
    match store.note(live(event, settlement.lease.clone(), false)) {
        Ok(()) => store.settle(settlement),
        Err(error) => tracing::warn!(%error, "a live event is not recorded"),
    }
}

/// Makes a spooled body durable before a row speaks of it.
async fn kept(body: Body) -> Body {
    let Body::Spooled(file) = &body else { return body };
    let file = Arc::clone(file);
    let synced = tokio::task::spawn_blocking(move || file.keep()).await;
    match synced.map_err(std::io::Error::other).and_then(|kept| kept) {
        Ok(()) => body,
        Err(error) => {
            tracing::error!(%error, "a spooled body is not kept");
            Body::Absent(body.len())
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.answer.is_some() {
            self.settle_answer();
        } else {
            self.settle_failure("cancelled", "the caller has gone before the answer came".into());
        }
    }
}
