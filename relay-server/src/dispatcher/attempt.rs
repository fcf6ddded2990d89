//! One attempt at one event: find a session, send the request, hear the answer's head.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_client::wire::{Heard, Stream};
use relay_protocol::frame::Reset;
use relay_protocol::id::Name;
use relay_protocol::line::NotOpened;
use relay_protocol::reason::{Broken, Dispatched, Refusal};
use relay_protocol::webhook::{Answer, Fields, Request};
use tokio::time::{Instant, timeout_at};

use super::{Dispatcher, Payload, outbound};
use crate::event::Head;
use crate::problem::Code;
use crate::router::Route;
use crate::session::Session;

/// How much earlier than the relay the agent's patience ends, so that its more exact verdict comes first.
const MARGIN: Duration = Duration::from_millis(100);

/// An answer whose head has come.
#[derive(Debug)]
pub struct Answered {
    /// The head.
    pub answer: Answer,
    /// The first body bytes.
    pub body: Bytes,
    /// Whether they are all of it.
    pub end: bool,
    /// Where the rest comes from.
    pub stream: Arc<Stream>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// What went wrong.
    pub code: Code,
    /// Whether the target may have seen the request.
    pub dispatched: Dispatched,
    /// In words.
    pub detail: String,
}

impl NoAnswer {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, dispatched: code.dispatched(), detail: detail.into() }
    }
}

/// What is to be attempted.
pub(super) struct Order {
    pub(super) head: Arc<Head>,
    pub(super) group: Name,
    pub(super) payload: Payload,
    /// Which attempt it is, from 1.
    pub(super) number: u32,
    /// Which replay it is, from 1; 0 for none.
    pub(super) replay: u32,
    /// An earlier attempt may have been answered unheard.
    pub(super) resent: bool,
    /// Whether it comes from the queue, which not every agent wants.
    pub(super) queued: bool,
    /// Until when the answer's head must be there.
    pub(super) deadline: Instant,
    /// Until when to wait for an agent that is just reconnecting.
    pub(super) hold_until: Instant,
}

impl Dispatcher {
    /// Tries until somebody has dispatched it: what was refused before dispatch is tried elsewhere, the rest is final.
    ///
    /// Dropping the future resets the stream, and with it the request to the target.
    pub(super) async fn attempt(self: Arc<Self>, order: Order) -> Result<Answered, NoAnswer> {
        let fields = outbound::fields(&order.head, &self.pseudonym, order.replay);
        let (mut tried, mut refusal) = (Vec::new(), None);
        loop {
            let (session, subscription) = match self.session(&order, &tried).await {
                Ok(found) => found,
                Err(nobody) => return Err(refusal.unwrap_or(nobody)),
            };
            let guard = match self.open(&order, &session, subscription, fields.clone()) {
                Ok(stream) => Guard(Some(stream)),
                Err(NotOpened::TooLong(_)) => {
                    return Err(NoAnswer::new(
                        Code::HeadersTooLarge,
                        "the head does not fit into a frame",
                    ));
                }
                Err(NotOpened::Full | NotOpened::Leaving) => {
                    tried.push(session);
                    continue;
                }
            };
            match self.hear(&order, guard).await {
                Verdict::Answered(answered) => return Ok(answered),
                Verdict::Final(no_answer) => return Err(no_answer),
                Verdict::Elsewhere(no_answer) => {
                    refusal = no_answer.or(refusal);
                    tried.push(session);
                }
            }
        }
    }

    /// A session that has not refused yet; waits for one if it is likely to come.
    async fn session(
        &self,
        order: &Order,
        tried: &[Arc<Session>],
    ) -> Result<(Arc<Session>, u16), NoAnswer> {
        let endpoint = order.head.endpoint;
        match self.router.route(endpoint, &order.group, tried, order.queued) {
            Route::To(session, subscription) => return Ok((session, subscription)),
            Route::Nobody => return Err(offline()),
            Route::Full | Route::Away => {}
        }
        let changes = self.router.changes(endpoint);
        let until = order.hold_until.min(order.deadline);
        loop {
            let mut changed = std::pin::pin!(changes.notified());
            // Interest first, then the look: whoever comes in between is not missed.
            changed.as_mut().enable();
            match self.router.route(endpoint, &order.group, tried, order.queued) {
                Route::To(session, subscription) => return Ok((session, subscription)),
                Route::Full => {
                    return Err(NoAnswer::new(
                        Code::AgentOverloaded,
                        "every agent has its hands full",
                    ));
                }
                Route::Nobody => return Err(offline()),
                Route::Away => {}
            }
            if timeout_at(until, changed).await.is_err() {
                return Err(offline());
            }
        }
    }

    fn open(
        &self,
        order: &Order,
        session: &Session,
        subscription: u16,
        fields: Fields,
    ) -> Result<Arc<Stream>, NotOpened> {
        let left = order.deadline.saturating_duration_since(Instant::now()).saturating_sub(MARGIN);
        let with_trailers = order.payload.has_trailers();
        let (mut body, end) = match &order.payload {
            Payload::Whole { bytes, .. } => (bytes.clone(), !with_trailers),
            Payload::Growing(..) | Payload::Stored(..) => (Bytes::new(), false),
        };
        let length = order.payload.len().filter(|_| !with_trailers);
        let request = Request {
            event: order.head.id,
            attempt: order.number,
            subscription,
            resent: order.resent,
            deadline_ms: u32::try_from(left.as_millis()).unwrap_or(u32::MAX).max(1),
            method: order.head.method.clone(),
            path: order.head.path.clone(),
            fields,
            // Trailers need the chunked coding (RFC 9112 §7.1.2), so no length is told.
            length,
        };
        let stream = Arc::new(session.carrier.open(request, &mut body, end)?);
        if !body.is_empty() || !end {
            let sent = match &order.payload {
                Payload::Whole { bytes, .. } => bytes.len() - body.len(),
                Payload::Growing(..) | Payload::Stored(..) => 0,
            };
            self.tasks.spawn(order.payload.clone().pump(Arc::clone(&stream), sent));
        }
        Ok(stream)
    }

    async fn hear(&self, order: &Order, mut guard: Guard) -> Verdict {
        let Ok(heard) = timeout_at(order.deadline, guard.stream().heard()).await else {
            let detail = "the agent gave no answer in time";
            return Verdict::Final(NoAnswer::new(Code::AgentTimeout, detail));
        };
        match heard {
            Heard::Answered { answer, body, end } => {
                let stream = guard.0.take().expect("it is taken once");
                Verdict::Answered(Answered { answer, body, end, stream })
            }
            Heard::Refused { reason, detail } => refused(reason, detail),
            Heard::Reset(reset) => Verdict::Final(broken(reset)),
            Heard::Lost => {
                let detail = "the line to the agent broke before its answer";
                Verdict::Final(NoAnswer::new(Code::LinkLost, detail))
            }
        }
    }
}

/// What came of one session's try.
enum Verdict {
    Answered(Answered),
    Final(NoAnswer),
    /// Nothing was dispatched; the reason is told if nobody else takes it.
    Elsewhere(Option<NoAnswer>),
}

/// A stream whose answer nobody has taken over yet: dropped with it, so is the request to the target.
struct Guard(Option<Arc<Stream>>);

impl Guard {
    fn stream(&self) -> &Stream {
        self.0.as_ref().expect("it is taken last")
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            stream.reset(Broken::Cancelled, Dispatched::Maybe, "nobody waits for the answer");
        }
    }
}

fn offline() -> NoAnswer {
    NoAnswer::new(Code::AgentOffline, "no agent is connected for this endpoint")
}

fn refused(reason: Refusal, detail: String) -> Verdict {
    let told = |code| Some(NoAnswer::new(code, detail.clone()));
    match reason {
        Refusal::Overloaded => Verdict::Elsewhere(told(Code::AgentOverloaded)),
        Refusal::Draining | Refusal::UnknownSubscription => Verdict::Elsewhere(None),
        Refusal::TargetRefused => Verdict::Elsewhere(told(Code::TargetRefused)),
        Refusal::TargetDns => Verdict::Elsewhere(told(Code::TargetDns)),
        Refusal::TargetTls => Verdict::Elsewhere(told(Code::TargetTls)),
        Refusal::PathNotAllowed => Verdict::Final(NoAnswer::new(Code::PathNotAllowed, detail)),
    }
}

fn broken(reset: Reset) -> NoAnswer {
    let code = match reset.reason {
        Broken::TargetTimeout => Code::TargetTimeout,
        Broken::TargetBadResponse => Code::TargetBadResponse,
        Broken::Cancelled | Broken::RequestIncomplete | Broken::Stalled | Broken::Internal => {
            Code::LinkLost
        }
    };
    NoAnswer { code, dispatched: reset.dispatched, detail: reset.detail }
}
