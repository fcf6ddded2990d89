//! Events that are durable before anything is done with them: the relay's own word, order, and repeats.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Answer;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::outcome::{ANSWER_KEPT, Trial};
use super::payload::durable;
use super::plan::Plan;
use super::record::Record;
use super::underway::Going;
use super::{Arrived, Dispatcher, NoAnswer, Payload, Reply, not_stored};
use crate::clock::steady_ms;
use crate::endpoint::settings::{Capture, Fallback, Reply as ReplyMode};
use crate::event::{Body, Event};
use crate::problem::Code;
use crate::router::Route;
use crate::store::StoreError;
use crate::store::records::{Acceptance, Lease, Receipt, Standing, Start};

/// How much longer than its own time a repeat waits: two that came together run out of time together, and what the first
/// one is promised then must become durable before the second can be told.
const PROMISE_GRACE: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Keeps an event, then answers as its endpoint wants it.
    pub(super) async fn keep_first(self: &Arc<Self>, arrived: Arrived) -> Result<Reply, NoAnswer> {
        let plan = arrived.plan().await;
        let settings = &arrived.endpoint.settings;
        let waits_for_nobody = settings.reply == ReplyMode::Ack
            || arrived.endpoint.paused_ms.is_some()
            || plan.main_filtered().is_some();
        if waits_for_nobody {
            if settings.reply == ReplyMode::Live
                && settings.fallback == Fallback::Fail
                && arrived.endpoint.paused_ms.is_some()
            {
                return Err(NoAnswer::paused());
            }
            return self.keep(arrived, plan).await;
        }
        if plan.is_ordered() {
            return self.in_turn(arrived, plan).await;
        }
        let lease = Lease::new(arrived.head.endpoint, arrived.head.id, Name::main());
        let start = Start::Live(lease.token);
        let event = self.acceptance(&arrived, &plan, Some(&start)).await?;
        let going = self.underway.begin(arrived.head.id);
        let (endpoint, head) = (&arrived.endpoint, &arrived.head);
        // Before it is kept: if the caller goes meanwhile, its end settles what the store has taken.
        let record = Record::of_kept(&self.store, endpoint, head, plan, lease, Trial::first());
        let record = record.going(going);
        match self.store.accept(event).await.map_err(not_stored)? {
            Receipt::Repeat(first) => {
                drop(record);
                self.repeated(&arrived, first).await
            }
            Receipt::Kept(_) => {
                let mut live = self.begin_live(&arrived, record);
                let result = live.heard(self).await;
                Box::pin(self.end_live(arrived, live, result)).await
            }
        }
    }

    /// Keeps an event for the queue, and gives the relay's own word.
    pub(super) async fn keep(&self, arrived: Arrived, plan: Plan) -> Result<Reply, NoAnswer> {
        match self.accept(&arrived, &plan, None).await? {
            Receipt::Kept(_) => Ok(Reply::taken(&arrived)),
            Receipt::Repeat(first) => self.repeated(&arrived, first).await,
        }
    }

    /// Keeps an event for the queue, which brings it in its turn, and waits for its answer.
    async fn in_turn(&self, arrived: Arrived, plan: Plan) -> Result<Reply, NoAnswer> {
        let (tell, mut told) = oneshot::channel();
        let waiting = Waiting { dispatcher: self, id: arrived.head.id };
        // Before it is kept: a repeat that comes meanwhile waits as well.
        let going = self.underway.begin(waiting.id);
        self.callers.insert(waiting.id, InLine { tell, going });
        if let Receipt::Repeat(first) = self.accept(&arrived, &plan, None).await? {
            return self.repeated(&arrived, first).await;
        }
        let reply_by = arrived.since + self.patience(&arrived);
        let told = match timeout_at(reply_by, &mut told).await {
            Ok(told) => told.ok(),
            // Whoever takes it off the list answers for it: here, or the queue, which is about to.
            Err(_) if self.callers.remove(&waiting.id).is_some() => None,
            Err(_) => told.await.ok(),
        };
        told.unwrap_or_else(|| Ok(Reply::taken(&arrived)))
    }

    /// How long a caller waits for the queue: not at all, if nothing goes out of it at the moment.
    fn patience(&self, arrived: &Arrived) -> Duration {
        let settings = &arrived.endpoint.settings;
        if self.is_shut(arrived.endpoint.id) {
            return Duration::ZERO;
        }
        match self.router.route(arrived.endpoint.id, &Name::main(), &[], true) {
            Route::To(..) | Route::Full => settings.reply_timeout,
            Route::Away => settings.hold.min(settings.reply_timeout),
            Route::Nobody => Duration::ZERO,
        }
    }

    async fn accept(
        &self,
        arrived: &Arrived,
        plan: &Plan,
        main: Option<&Start>,
    ) -> Result<Receipt, NoAnswer> {
        let acceptance = self.acceptance(arrived, plan, main).await?;
        self.store.accept(acceptance).await.map_err(not_stored)
    }

    async fn acceptance(
        &self,
        arrived: &Arrived,
        plan: &Plan,
        main: Option<&Start>,
    ) -> Result<Acceptance, NoAnswer> {
        let event = whole(arrived).await.map_err(not_stored)?;
        Ok(Acceptance {
            event,
            deliveries: plan.deliveries(main, steady_ms()),
            keep_body: true,
            dedup: plan.dedup,
            room: plan.room,
            note: plan.note.clone(),
            replay_of: None,
        })
    }

    /// What the provider of a repeat is told: what the first one's was told, as far as it is known.
    async fn repeated(&self, arrived: &Arrived, first: EventId) -> Result<Reply, NoAnswer> {
        let settings = &arrived.endpoint.settings;
        if let Some(over) = self.underway.end_of(first) {
            // Nothing was promised for the first one yet, so nothing may be for this one.
            let reply_by = arrived.since + settings.reply_timeout + PROMISE_GRACE;
            if timeout_at(reply_by, over.cancelled()).await.is_err() {
                let words = format!("{first}, which has the same key, has no answer yet");
                return Err(NoAnswer::new(Code::AgentTimeout, words));
            }
        }
        let mut standing = self.standing(arrived, first).await?;
        if standing.is_open() {
            // Its end may be on its way to the store, and what it was told already is not to be guessed.
            self.store.flush().await.map_err(not_stored)?;
            standing = self.standing(arrived, first).await?;
        }
        let live = settings.reply == ReplyMode::Live;
        // An answer of which only the beginning was kept, or only the head, cannot be given again.
        let whole = |body: &Bytes| settings.capture == Capture::Full && body.len() < ANSWER_KEPT;
        match standing {
            Standing::Answered { status, fields, body, .. } if live && whole(&body) => {
                Ok(Reply::Repeated { first, answer: Answer { status, fields }, body })
            }
            Standing::Promised | Standing::Answered { taken: true, .. } => {
                Ok(Reply::taken_as(arrived, first))
            }
            Standing::Answered { taken: false, .. } | Standing::Live | Standing::Over => {
                let words = format!("{first}, which has the same key, could not be delivered");
                Err(NoAnswer::new(Code::LinkLost, words))
            }
        }
    }

    async fn standing(&self, arrived: &Arrived, first: EventId) -> Result<Standing, NoAnswer> {
        self.store.standing(arrived.head.endpoint, first).await.map_err(not_stored)
    }
}

/// What tells a caller who waits for the queue.
#[derive(Debug)]
pub(super) struct InLine {
    pub(super) tell: oneshot::Sender<Result<Reply, NoAnswer>>,
    /// Tells repeats that the event is over, or that it was promised; so it is dropped after that.
    pub(super) going: Going,
}

/// A caller who waits for the queue; off the list when dropped.
struct Waiting<'a> {
    dispatcher: &'a Dispatcher,
    id: EventId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.dispatcher.callers.remove(&self.id);
    }
}

/// The event, its body durable if it is in a file.
pub(super) async fn whole(arrived: &Arrived) -> Result<Event, StoreError> {
    let head = Arc::clone(&arrived.head);
    let (body, trailers, held) = match arrived.payload.clone() {
        Payload::Whole { bytes, trailers, held } => {
            (Body::Memory(Bytes::copy_from_slice(&bytes)), trailers, held)
        }
        Payload::Stored(file, trailers) => (Body::Spooled(file), trailers, None),
        Payload::Growing(intake, _) => {
            let whole = intake.finished().await;
            let (body, trailers, held) = whole.ok_or_else(|| {
                StoreError::Unavailable("the request broke off before it was whole".to_owned())
            })?;
            (body, trailers, held.map(Arc::new))
        }
    };
    Ok(Event { head, body: durable(body).await?, trailers, held })
}
