//! A live event: the caller waits for the target's own answer, and is told that the event was taken if none comes in time.

use std::sync::Arc;
use std::time::Duration;

use relay_protocol::id::Name;
use relay_protocol::reason::Dispatched;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::attempt::{Attempt, Order, too_late};
use super::outcome::{Conclusion, Trial, after, after_no_answer, hear_out};
use super::record::Record;
use super::{Answered, Arrived, Caller, Dispatcher, NoAnswer, Reply, not_stored};
use crate::clock::steady_ms;
use crate::delivery::breaker::Ended;
use crate::endpoint::settings::Fallback;
use crate::problem::Code;
use crate::store::StoreError;
use crate::store::records::{Lease, Next, Settlement};

/// How long after its deadline an attempt keeps its lease: until whoever made it has surely settled it.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// How long a live event may be under way before the store is told of it: mostly it is over by then, and is written once.
const NOTED_AFTER: Duration = Duration::from_millis(100);

/// A live event under way. Dropped, because the caller has gone, it cancels the request to the target.
pub(super) struct Live {
    pub(super) attempt: Attempt,
    /// From when on the store has it, if it is to be seen.
    noted_by: Instant,
    /// Until when the caller waits for the head of an answer.
    reply_by: Instant,
    /// Until when the attempt may go on.
    deadline: Instant,
    trial: Trial,
    record: Record,
}

impl Live {
    /// Waits for an answer's head until the caller's patience ends. An event that takes a while is noted meanwhile: whoever
    /// looks sees it under way.
    pub(super) async fn heard(
        &mut self,
        dispatcher: &Dispatcher,
    ) -> Option<Result<Answered, NoAnswer>> {
        if self.record.is_to_note() && self.noted_by < self.reply_by {
            let heard = self.attempt.until(dispatcher, self.noted_by).await;
            if heard.is_some() {
                return heard;
            }
            self.record.note();
        }
        self.attempt.until(dispatcher, self.reply_by).await
    }
}

impl Dispatcher {
    /// Begins to bring a live event to its target.
    pub(super) fn begin_live(&self, arrived: &Arrived, record: Record) -> Live {
        let settings = &arrived.endpoint.settings;
        let (noted_by, reply_by) =
            (arrived.since + NOTED_AFTER, arrived.since + settings.reply_timeout);
        let deadline = match settings.fallback {
            Fallback::Queue => arrived.since + settings.reply_timeout.max(settings.attempt_timeout),
            Fallback::Fail => reply_by,
        };
        let attempt = self.begin(Order {
            head: Arc::clone(&arrived.head),
            group: Name::main(),
            payload: arrived.payload.clone(),
            number: 1,
            replay: 0,
            resent: false,
            resigns: settings.resign,
            queued: false,
            deadline,
            hold_until: reply_by.min(arrived.since + settings.hold),
        });
        Live { attempt, noted_by, reply_by, deadline, trial: record.trial(), record }
    }

    /// The target's own answer, for the caller.
    pub(super) fn answered(&self, arrived: &Arrived, live: Live, answered: Answered) -> Reply {
        self.report_live(&arrived.endpoint, (200..300).contains(&answered.answer.status));
        Reply::Answer(Box::new(Caller::new(answered, Some(live.record))))
    }

    /// What the caller is told when the wait is over.
    pub(super) async fn end_live(
        self: &Arc<Self>,
        arrived: Arrived,
        live: Live,
        result: Option<Result<Answered, NoAnswer>>,
    ) -> Result<Reply, NoAnswer> {
        let settings = &arrived.endpoint.settings;
        let queues = settings.fallback == Fallback::Queue;
        let result = match result {
            Some(Ok(answered)) if settings.counts(answered.answer.status) => {
                return Ok(self.answered(&arrived, live, answered));
            }
            other => other,
        };
        let Live { attempt, deadline, trial, record, .. } = live;
        match result {
            None if queues => self.go_on(&arrived, record, trial, attempt, deadline).await,
            None => {
                record.failed(&too_late());
                Err(too_late())
            }
            Some(Ok(answered)) => {
                self.answer_counts_as_none(&arrived, record, trial, answered, deadline).await
            }
            Some(Err(none)) if queues && may_be_tried_again(none.code) => {
                let conclusion = after_no_answer(&arrived.endpoint.settings, trial, none);
                self.queue(&arrived, record, conclusion).await
            }
            Some(Err(none)) => {
                record.failed(&none);
                Err(none)
            }
        }
    }

    /// An answer whose status the endpoint does not take for one.
    async fn answer_counts_as_none(
        self: &Arc<Self>,
        arrived: &Arrived,
        record: Record,
        trial: Trial,
        answered: Answered,
        deadline: Instant,
    ) -> Result<Reply, NoAnswer> {
        let status = answered.answer.status;
        let settings = &arrived.endpoint.settings;
        let result = hear_out(answered, deadline).await;
        if settings.fallback == Fallback::Queue {
            return self.queue(arrived, record, after(settings, trial, result)).await;
        }
        let words = format!("the target answered {status}, which counts as no answer here");
        let none = NoAnswer::new(Code::TargetBadResponse, words);
        record.failed(&none);
        Err(none)
    }

    /// Puts a live event into the queue; the caller is told when that is durable.
    async fn queue(
        &self,
        arrived: &Arrived,
        record: Record,
        conclusion: Conclusion,
    ) -> Result<Reply, NoAnswer> {
        let Conclusion { attempt, next } = conclusion;
        // What never left is due at once: it goes as soon as there is an agent.
        let next = match (next, &attempt) {
            (Next::Retry { spent_ms, .. }, None) => Next::Retry { due_ms: steady_ms(), spent_ms },
            (next, _) => next,
        };
        // A task of its own: if the caller goes meanwhile, what is half promised does not stay so.
        let asked = attempt.is_some();
        let promise = self.tasks.spawn(async move { record.promise(attempt, next).await });
        let promised = promise.await.unwrap_or(Err(StoreError::Overloaded));
        promised.map_err(|error| not_promised(error, asked))?;
        Ok(Reply::taken(arrived))
    }

    /// Tells the caller that the event was taken, and lets its attempt go on: the late answer settles it.
    async fn go_on(
        self: &Arc<Self>,
        arrived: &Arrived,
        record: Record,
        trial: Trial,
        mut attempt: Attempt,
        deadline: Instant,
    ) -> Result<Reply, NoAnswer> {
        let left = deadline.saturating_duration_since(Instant::now()) + LEASE_MARGIN;
        let until_ms = steady_ms() + u64::try_from(left.as_millis()).unwrap_or(0);
        let (dispatcher, endpoint) = (Arc::clone(self), Arc::clone(&arrived.endpoint));
        let (tell, told) = oneshot::channel();
        // A task of its own: if the caller goes meanwhile, the promise and the attempt go on all the same.
        self.tasks.spawn(async move {
            let lease = match record.promise(None, Next::Held(until_ms)).await {
                Ok(lease) => lease,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(()));
            let ending = match attempt.until(&dispatcher, deadline).await {
                Some(Ok(answered)) => hear_out(answered, deadline).await,
                Some(Err(none)) => Err(none),
                None => Err(too_late()),
            };
            let conclusion = after(&endpoint.settings, trial, ending);
            dispatcher.conclude(&endpoint, lease, conclusion, Ended::Failed);
        });
        let promised = told.await.unwrap_or(Err(StoreError::Overloaded));
        promised.map_err(|error| not_promised(error, true))?;
        Ok(Reply::taken(arrived))
    }

    /// Settles a delivery, and lets the endpoint's breaker know.
    pub(super) fn conclude(
        &self,
        endpoint: &crate::endpoint::Endpoint,
        lease: Lease,
        conclusion: Conclusion,
        failed: Ended,
    ) {
        if let Some(worked) = conclusion.worked() {
            self.report(endpoint, &lease.group, if worked { Ended::Worked } else { failed });
        }
        let Conclusion { attempt, next } = conclusion;
        self.store.settle(Settlement { lease, attempt, next });
    }
}

/// What a caller is told whose event could not be promised; `asked`: the target may have seen it.
fn not_promised(error: StoreError, asked: bool) -> NoAnswer {
    let none = not_stored(error);
    if asked { NoAnswer { dispatched: Dispatched::Maybe, ..none } } else { none }
}

/// Whether another try could go better: nothing is wrong with the request itself.
fn may_be_tried_again(code: Code) -> bool {
    !matches!(
        code,
        Code::PathNotAllowed | Code::HeadersTooLarge | Code::BadRequest | Code::SignatureInvalid
    )
}

impl NoAnswer {
    /// What the caller is told whose event could be given to nobody now.
    pub(super) fn paused() -> Self {
        let detail = "the endpoint is paused".to_owned();
        Self { code: Code::AgentOffline, dispatched: Dispatched::No, detail }
    }
}
