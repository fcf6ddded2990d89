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
    /// Whether it is signed anew.
    pub(super) resigns: bool,
    /// Whether it comes from the queue, which not every agent wants.
    pub(super) queued: bool,
    /// Until when the answer's head must be there.
    pub(super) deadline: Instant,
    /// Until when to wait for an agent that is just reconnecting; not beyond the deadline.
    pub(super) hold_until: Instant,
}

/// An attempt under way. Dropped, it resets its stream, and with it the request to the target.
pub(super) struct Attempt {
    order: Order,
    /// What goes to the target; none yet for what is signed anew.
    fields: Option<Fields>,
    /// Who has refused it.
    tried: Vec<Arc<Session>>,
    /// What is told if nobody else takes it.
    refusal: Option<NoAnswer>,
    /// Where its answer is waited for.
    open: Option<(Arc<Session>, Guard)>,
}

impl Dispatcher {
    /// Tries until somebody has dispatched it: what was refused before dispatch is tried elsewhere, the rest is final.
    ///
    /// Dropping the future resets the stream, and with it the request to the target.
    pub(super) async fn attempt(&self, order: Order) -> Result<Answered, NoAnswer> {
        let deadline = order.deadline;
        self.begin(order).until(self, deadline).await.unwrap_or_else(|| Err(too_late()))
    }

    /// An attempt that can be waited for in turns.
    pub(super) fn begin(&self, order: Order) -> Attempt {
        let bare = || outbound::fields(&order.head, &self.pseudonym, order.replay, None);
        let fields = (!order.resigns).then(bare);
        Attempt { order, fields, tried: Vec::new(), refusal: None, open: None }
    }

    /// What goes to the target with an event that is signed anew.
    async fn signed(&self, order: &Order) -> Result<Fields, NoAnswer> {
        let signed = self.sign(order.head.endpoint, order.head.id, &order.payload).await;
        let signed = signed.map_err(|error| {
            tracing::error!(event = %order.head.id, %error, "an event is not signed, and does not go out");
            NoAnswer { dispatched: Dispatched::No, ..NoAnswer::new(Code::Internal, "it cannot be signed") }
        })?;
        Ok(outbound::fields(&order.head, &self.pseudonym, order.replay, Some(&signed)))
    }
}

/// What is told when the deadline has passed.
pub(super) fn too_late() -> NoAnswer {
    NoAnswer::new(Code::AgentTimeout, "the agent gave no answer in time")
}

impl Attempt {
    /// Waits for its end, not longer than until then; none if that was not enough, and it can be waited for again.
    pub(super) async fn until(
        &mut self,
        dispatcher: &Dispatcher,
        then: Instant,
    ) -> Option<Result<Answered, NoAnswer>> {
        if self.fields.is_none() {
            match Box::pin(dispatcher.signed(&self.order)).await {
                Ok(fields) => self.fields = Some(fields),
                Err(none) => return Some(Err(none)),
            }
        }
        loop {
            if self.open.is_none() {
                match self.dispatch(dispatcher) {
                    Ok(true) => {}
                    Ok(false) => match Box::pin(self.comes(dispatcher, then)).await? {
                        Ok(()) => continue,
                        Err(nobody) => return Some(Err(self.refusal.take().unwrap_or(nobody))),
                    },
                    Err(none) => return Some(Err(none)),
                }
            }
            let (_, guard) = self.open.as_ref().expect("it was just opened");
            let heard = timeout_at(then, guard.stream().heard()).await.ok()?;
            let (session, guard) = self.open.take().expect("it was just heard");
            match verdict(heard, guard) {
                Verdict::Answered(answered) => return Some(Ok(answered)),
                Verdict::Final(no_answer) => return Some(Err(no_answer)),
                Verdict::Elsewhere(no_answer) => {
                    self.refusal = no_answer.or(self.refusal.take());
                    self.tried.push(session);
                }
            }
        }
    }

    /// Opens a stream on a session that has not refused yet; `false` when there is none, but one may come.
    fn dispatch(&mut self, dispatcher: &Dispatcher) -> Result<bool, NoAnswer> {
        loop {
            let order = &self.order;
            let router = &dispatcher.router;
            let route = router.route(order.head.endpoint, &order.group, &self.tried, order.queued);
            let (session, subscription) = match route {
                Route::To(session, subscription) => (session, subscription),
                Route::Nobody => return Err(self.refusal.take().unwrap_or_else(offline)),
                Route::Full | Route::Away => return Ok(false),
            };
            match self.open(dispatcher, &session, subscription) {
                Ok(guard) => {
                    self.open = Some((session, guard));
                    return Ok(true);
                }
                Err(NotOpened::TooLong(_)) => {
                    let words = "the head does not fit into a frame";
                    return Err(NoAnswer::new(Code::HeadersTooLarge, words));
                }
                Err(NotOpened::Full | NotOpened::Leaving) => self.tried.push(session),
            }
        }
    }

    /// Waits until a session is there that is likely to come; none if it may still come then.
    async fn comes(&self, dispatcher: &Dispatcher, then: Instant) -> Option<Result<(), NoAnswer>> {
        let (order, router) = (&self.order, &dispatcher.router);
        let endpoint = order.head.endpoint;
        let changes = router.changes(endpoint);
        let until = order.hold_until.min(then);
        loop {
            let mut changed = std::pin::pin!(changes.notified());
            // Interest first, then the look: whoever comes in between is not missed.
            changed.as_mut().enable();
            match router.route(endpoint, &order.group, &self.tried, order.queued) {
                Route::To(..) => return Some(Ok(())),
                Route::Full => {
                    let words = "every agent has its hands full";
                    return Some(Err(NoAnswer::new(Code::AgentOverloaded, words)));
                }
                Route::Nobody => return Some(Err(offline())),
                Route::Away => {}
            }
            if timeout_at(until, changed).await.is_err() {
                return (then >= order.hold_until).then(|| Err(offline()));
            }
        }
    }

    fn open(
        &self,
        dispatcher: &Dispatcher,
        session: &Session,
        subscription: u16,
    ) -> Result<Guard, NotOpened> {
        let order = &self.order;
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
            fields: self.fields.clone().unwrap_or_default(),
            // Trailers need the chunked coding (RFC 9112 §7.1.2), so no length is told.
            length,
        };
        let stream = Arc::new(session.carrier.open(request, &mut body, end)?);
        if !body.is_empty() || !end {
            let sent = match &order.payload {
                Payload::Whole { bytes, .. } => bytes.len() - body.len(),
                Payload::Growing(..) | Payload::Stored(..) => 0,
            };
            dispatcher.tasks.spawn(order.payload.clone().pump(Arc::clone(&stream), sent));
        }
        Ok(Guard(Some(stream)))
    }
}

fn verdict(heard: Heard, mut guard: Guard) -> Verdict {
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
        Broken::SignatureInvalid => Code::SignatureInvalid,
        Broken::Cancelled | Broken::RequestIncomplete | Broken::Stalled | Broken::Internal => {
            Code::LinkLost
        }
    };
    NoAnswer { code, dispatched: reset.dispatched, detail: reset.detail }
}
