//! What becomes of a live event in the store: noted as it ended, or before that if it takes a while; promised when there is
//! no outcome in time; whoever still listens.

mod growing;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use relay_protocol::id::Name;
use relay_protocol::webhook::{Answer, Fields};

use super::outcome::{ANSWER_KEPT, Trial, why_rejected};
use super::plan::Plan;
use super::underway::Going;
use super::{Arrived, NoAnswer, Payload};
use crate::clock::steady_ms;
use crate::endpoint::Endpoint;
use crate::endpoint::settings::{Capture, Fallback};
use crate::event::{Body, Event, Head};
use crate::problem::Code;
use crate::store::records::{
    Acceptance, Attempt, AttemptResult, Lease, Next, Promise, Receipt, Settlement, Start,
};
use crate::store::{Store, StoreError};
use growing::Growing;

/// The record of one live event. Dropped before an outcome was told, it settles as cancelled.
#[derive(Debug)]
pub(super) struct Record {
    store: Arc<Store>,
    endpoint: Arc<Endpoint>,
    head: Arc<Head>,
    plan: Plan,
    lease: Lease,
    trial: Trial,
    source: Source,
    answer: Option<(Answer, BytesMut)>,
    settled: bool,
    /// Tells repeats of the event that it is over; last, so that they are told when the store was.
    going: Option<Going>,
}

/// Where the event is.
#[derive(Debug)]
enum Source {
    /// The store has it, or will have it before what follows.
    Noted,
    /// Here, whole.
    Here(Payload),
    /// Still coming.
    Growing(Growing),
}

impl Record {
    /// Waits until the store has room for the record of a live event, if there will be one.
    ///
    /// # Errors
    /// When the store is too far behind for too long.
    pub(super) async fn room(
        store: &Store,
        endpoint: &Endpoint,
        plan: &Plan,
    ) -> Result<(), StoreError> {
        if endpoint.settings.capture == Capture::None && !plan.has_others() {
            return Ok(());
        }
        store.room().await
    }

    /// Begins the record of a live event, and notes it if somebody else gets it too.
    ///
    /// # Errors
    /// When the store does not take it.
    pub(super) fn begin(
        store: &Arc<Store>,
        arrived: &Arrived,
        plan: Plan,
    ) -> Result<Self, StoreError> {
        let Arrived { head, endpoint, payload, .. } = arrived;
        let lease = Lease::new(head.endpoint, head.id, Name::main());
        let mut record = Self::of_kept(store, endpoint, head, plan, lease, Trial::first());
        // Refused, it leaves nothing to settle.
        record.settled = true;
        let whole = record.keeps_whole();
        let may_queue = endpoint.settings.fallback == Fallback::Queue
            && endpoint.settings.capture != Capture::None;
        match payload {
            Payload::Growing(intake, _) => {
                if whole || may_queue {
                    store.health()?;
                }
                let keep = whole.then(|| record.acceptance_of(&record.live()));
                record.source = Source::Growing(Growing::begin(store, head, intake, keep));
            }
            payload if record.plan.has_others() => {
                let event = record.event(payload);
                store.note(record.acceptance(event, &record.live(), true))?;
            }
            payload => {
                if whole || may_queue {
                    store.health()?;
                }
                record.source = Source::Here(payload.clone());
            }
        }
        record.settled = false;
        Ok(record)
    }

    /// The record of an event that is durable already, under this lease.
    pub(super) fn of_kept(
        store: &Arc<Store>,
        endpoint: &Arc<Endpoint>,
        head: &Arc<Head>,
        plan: Plan,
        lease: Lease,
        trial: Trial,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            endpoint: Arc::clone(endpoint),
            head: Arc::clone(head),
            plan,
            lease,
            trial,
            source: Source::Noted,
            answer: None,
            settled: false,
            going: None,
        }
    }

    /// The same, with a guard that tells repeats of the event when it is over.
    pub(super) fn going(mut self, going: Going) -> Self {
        self.going = Some(going);
        self
    }

    /// Whether the event is to be seen while it is under way, and is here only.
    pub(super) fn is_to_note(&self) -> bool {
        matches!(self.source, Source::Here(_)) && self.keeps_whole()
    }

    /// Notes an event that takes a while; one that the store does not take now is noted when it is over.
    pub(super) fn note(&mut self) {
        if let Source::Here(payload) = &self.source
            && self.is_to_note()
        {
            let noted = self.acceptance(self.event(payload), &self.live(), true);
            if self.store.note(noted).is_ok() {
                self.source = Source::Noted;
            }
        }
    }

    /// The attempt that it records.
    pub(super) fn trial(&self) -> Trial {
        self.trial
    }

    /// Whether all of the event is kept whatever comes of it: somebody wants to see it, or another group gets it.
    fn keeps_whole(&self) -> bool {
        self.endpoint.settings.capture == Capture::Full || self.plan.has_others()
    }

    /// Takes down the head of the answer.
    pub(super) fn answered(&mut self, answer: &Answer) {
        self.answer = Some((answer.clone(), BytesMut::new()));
    }

    /// Takes down a piece of the answer's body, as far as it is kept.
    pub(super) fn answer_body(&mut self, bytes: &Bytes) {
        if let Some((_, kept)) = &mut self.answer
            && self.endpoint.settings.capture == Capture::Full
        {
            let room = ANSWER_KEPT.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Settles with the answer that was taken down; the provider got it, whatever it was.
    pub(super) fn passed_on(mut self) {
        self.settle_answer();
    }

    /// Settles without an answer.
    pub(super) fn failed(mut self, no_answer: &NoAnswer) {
        self.settle_failure(no_answer.code.as_str(), no_answer.detail.clone());
    }

    /// The attempt as it stands, with this result.
    pub(super) fn attempt(&self, result: AttemptResult) -> Attempt {
        let Trial { number, started_ms, .. } = self.trial;
        Attempt { number, started_ms, took_ms: self.trial.took_ms(), result }
    }

    /// Promises the event: it is in the queue, durably, when this returns; gives back the lease that it had.
    ///
    /// # Errors
    /// When the store does not take it, or the request broke off before it was whole.
    pub(super) async fn promise(
        mut self,
        attempt: Option<Attempt>,
        next: Next,
    ) -> Result<Lease, StoreError> {
        let lease = self.lease.clone();
        let promised = self.promise_it(attempt, next).await;
        self.settled = promised.is_ok();
        if let Err(error) = &promised {
            // Nothing was promised: if the store has it as live, it is over.
            self.settle_failure(Code::StoreUnavailable.as_str(), error.to_string());
        }
        promised.map(|_| lease)
    }

    async fn promise_it(
        &mut self,
        attempt: Option<Attempt>,
        next: Next,
    ) -> Result<Receipt, StoreError> {
        let (lease, room) = (self.lease.clone(), self.plan.room);
        let event = match std::mem::replace(&mut self.source, Source::Noted) {
            Source::Noted => None,
            Source::Here(payload) => Some(self.event(&payload)),
            Source::Growing(growing) => growing.whole(&self.head).await?,
        };
        if let Some(event) = event {
            self.store.note(self.acceptance(event, &self.live(), true))?;
        }
        self.store.promise(Promise { lease, attempt, next, room }).await
    }

    fn live(&self) -> Start {
        Start::Live(self.lease.token)
    }

    /// The event for a store that keeps it a while: a copy, for a slice would keep the HTTP library's whole read buffer from
    /// being used again.
    fn event(&self, payload: &Payload) -> Event {
        let mut event = self.event_as_it_is(payload);
        event.body.detach();
        event
    }

    fn event_as_it_is(&self, payload: &Payload) -> Event {
        let head = Arc::clone(&self.head);
        match payload {
            Payload::Whole { bytes, trailers, held } => {
                let body = Body::Memory(bytes.clone());
                Event { head, body, trailers: trailers.clone(), held: held.clone() }
            }
            Payload::Stored(file, trailers) => {
                let body = Body::Spooled(Arc::clone(file));
                Event { head, body, trailers: trailers.clone(), held: None }
            }
            Payload::Growing(..) => self.without_body(payload),
        }
    }

    fn without_body(&self, payload: &Payload) -> Event {
        let (length, trailers) = match payload {
            Payload::Whole { bytes, trailers, .. } => (bytes.len() as u64, trailers.clone()),
            Payload::Stored(file, trailers) => (file.len(), trailers.clone()),
            Payload::Growing(intake, _) => (intake.len(), Fields::default()),
        };
        Event { head: Arc::clone(&self.head), body: Body::Absent(length), trailers, held: None }
    }

    fn acceptance(&self, event: Event, start: &Start, keep_body: bool) -> Acceptance {
        let accept = self.acceptance_of(start);
        accept(event, keep_body)
    }

    /// What is accepted once the event is whole.
    fn acceptance_of(
        &self,
        start: &Start,
    ) -> impl FnOnce(Event, bool) -> Acceptance + Send + use<> {
        let deliveries = self.plan.deliveries(Some(start), steady_ms());
        let (room, note) = (self.plan.room, self.plan.note.clone());
        move |event, keep_body| {
            let (dedup, replay_of) = (None, None);
            Acceptance { event, deliveries, keep_body, dedup, room, note, replay_of }
        }
    }

    fn settle_answer(&mut self) {
        let Some((answer, body)) = self.answer.take() else { return };
        let success = (200..300).contains(&answer.status);
        let next = if success { Next::Delivered } else { Next::Failed };
        let (status, fields, body) = (answer.status, answer.fields, body.freeze());
        self.settle(AttemptResult::Answered { status, fields, body }, next);
    }

    fn settle_failure(&mut self, code: &'static str, detail: String) {
        let result = AttemptResult::Failed { code, detail };
        let rejected = code == Code::SignatureInvalid.as_str();
        let next = if rejected { Next::Rejected(why_rejected(&result)) } else { Next::Failed };
        self.settle(result, next);
    }

    fn settle(&mut self, result: AttemptResult, next: Next) {
        let unseen = self.endpoint.settings.capture == Capture::None;
        if std::mem::replace(&mut self.settled, true)
            || unseen && matches!(self.source, Source::Here(_))
        {
            return;
        }
        let attempt = Some(self.attempt(result));
        let settlement = Settlement { lease: self.lease.clone(), attempt, next };
        match std::mem::replace(&mut self.source, Source::Noted) {
            Source::Noted => self.store.settle(settlement),
            Source::Here(payload) => self.note_over(&payload, settlement),
            Source::Growing(growing) => {
                let bare = self.without_body(&growing.payload());
                let keeps_head = self.endpoint.settings.capture != Capture::None;
                let late = self.acceptance(bare, &self.live(), false);
                growing.settle(&self.store, settlement, late, keeps_head);
            }
        }
    }

    /// Notes what the endpoint wants of an event that is over: all of it, or its head.
    fn note_over(&self, payload: &Payload, settlement: Settlement) {
        let whole = self.keeps_whole();
        let event = if whole { self.event_as_it_is(payload) } else { self.without_body(payload) };
        let noted = self.acceptance(event, &self.live(), whole);
        if let Err(error) = self.store.note_over(noted, settlement) {
            tracing::warn!(%error, "a live event is not recorded");
        }
    }
}

impl Drop for Record {
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
