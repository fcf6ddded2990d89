//! One delivery from the queue: attempted, heard out, and settled; or given to the caller who waits for it.

use std::sync::Arc;

use relay_protocol::id::Name;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::super::attempt::Order;
use super::super::kept::InLine;
use super::super::outcome::{Trial, after, hear_out};
use super::super::plan::Plan;
use super::super::record::Record;
use super::super::{Arrived, Caller, Dispatcher, NoAnswer, Payload, Reply};
use super::Queue;
use super::memory::Share;
use crate::clock::{now_ms, steady_ms};
use crate::delivery::breaker::Ended;
use crate::delivery::{Content, Pace};
use crate::endpoint::Endpoint;
use crate::event::Body;
use crate::store::records::{Leased, Next, Settlement};
use crate::store::spool::SPOOL_ABOVE;

/// Why a delivery is dead whose body is not there.
pub(super) const BODY_LOST: &str = "body_lost";

/// Why one is dead whose event is not what the store was given: nobody is to get that.
pub(super) const CORRUPT: &str = "corrupt";

/// Whether an event is what the store was given.
pub(super) async fn is_sound(leased: &Leased) -> bool {
    match &leased.event.body {
        _ if !leased.sound => false,
        Body::Spooled(file) => {
            let file = Arc::clone(file);
            spawn_blocking(move || file.is_sound()).await.unwrap_or(false)
        }
        Body::Memory(_) | Body::Absent(_) => true,
    }
}

/// How much of a delivery's body is in memory at once.
fn in_memory(leased: &Leased) -> u64 {
    leased.event.body.len().min(SPOOL_ABOVE as u64)
}

impl Dispatcher {
    /// Begins what was taken, each on a task of its own with its share of the memory.
    pub(super) fn begin_all(
        self: &Arc<Self>,
        (endpoint, queue): (&Arc<Endpoint>, &Arc<Queue>),
        leased: Vec<Leased>,
        mut share: Share,
        pace: &mut Option<Pace>,
        tasks: &mut JoinSet<()>,
    ) {
        if leased.is_empty() {
            return;
        }
        let mut turn = || {
            let _ = pace.as_mut().map(|pace| pace.take(steady_ms()));
        };
        let failed = || if queue.begins_probe() { Ended::ProbeFailed } else { Ended::Failed };
        if endpoint.settings.batch > 1 {
            turn();
            let (dispatcher, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
            tasks.spawn(dispatcher.deliver_batch(endpoint, leased, share, failed()));
            return;
        }
        for one in leased {
            turn();
            let (dispatcher, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
            let (failed, memory) = (failed(), share.part(in_memory(&one)));
            tasks.spawn(async move {
                dispatcher.deliver(endpoint, one, failed).await;
                drop(memory);
            });
        }
    }

    async fn deliver(self: Arc<Self>, endpoint: Arc<Endpoint>, leased: Leased, failed: Ended) {
        if !is_sound(&leased).await {
            return self.give_up(leased, CORRUPT);
        }
        let Some(payload) = Payload::of(&leased.event) else {
            return self.give_up(leased, BODY_LOST);
        };
        let settings = &endpoint.settings;
        let trial = Trial {
            number: leased.attempts + 1,
            spent_ms: leased.spent_ms,
            started: Instant::now(),
            started_ms: now_ms(),
        };
        let deadline = Instant::now() + settings.attempt_timeout;
        let order = Order {
            head: Arc::clone(&leased.event.head),
            group: leased.lease.group.clone(),
            payload: payload.clone(),
            number: trial.number,
            replay: leased.lease.replay,
            resent: leased.resent,
            resigns: settings.resign,
            queued: true,
            deadline,
            hold_until: Instant::now(),
        };
        let ending = self.attempt(order).await;
        let waits = leased.lease.group == Name::main() && leased.lease.replay == 0;
        // Taken off the list only now: until there is an answer, the caller may stop waiting for it.
        let caller = if waits { self.callers.remove(&leased.lease.event) } else { None };
        let conclusion = match (ending, caller) {
            (Ok(answered), Some((_, InLine { tell, going })))
                if settings.counts(answered.answer.status) =>
            {
                let worked = (200..300).contains(&answered.answer.status);
                let ended = if worked { Ended::Worked } else { failed };
                self.report(&endpoint, &leased.lease.group, ended);
                let record = self.record_of(&endpoint, &leased, payload, trial).going(going);
                let reply = Reply::Answer(Box::new(Caller::new(answered, Some(record))));
                return drop(tell.send(Ok(reply)));
            }
            (ending, caller) => {
                if let Some((_, InLine { tell, .. })) = caller {
                    let _ = tell.send(self.told(&endpoint, &leased, payload));
                }
                let ending = match ending {
                    Ok(answered) => hear_out(answered, deadline).await,
                    Err(none) => Err(none),
                };
                after(settings, trial, ending)
            }
        };
        self.conclude(&endpoint, leased.lease, conclusion, failed);
    }

    /// The record of an answer that is given to the caller who waits for it: settled when the answer is through.
    fn record_of(
        &self,
        endpoint: &Arc<Endpoint>,
        leased: &Leased,
        payload: Payload,
        trial: Trial,
    ) -> Record {
        let arrived = self.arrived(endpoint, leased, payload);
        let plan = Plan::of(&endpoint.settings, &arrived.head, &Content::elsewhere(), 0, now_ms());
        let lease = leased.lease.clone();
        Record::of_kept(&self.store, endpoint, &arrived.head, plan, lease, trial)
    }

    fn told(
        &self,
        endpoint: &Arc<Endpoint>,
        leased: &Leased,
        payload: Payload,
    ) -> Result<Reply, NoAnswer> {
        Ok(Reply::taken(&self.arrived(endpoint, leased, payload)))
    }

    fn arrived(&self, endpoint: &Arc<Endpoint>, leased: &Leased, payload: Payload) -> Arrived {
        let (head, endpoint) = (Arc::clone(&leased.event.head), Arc::clone(endpoint));
        Arrived { head, endpoint, payload, since: Instant::now() }
    }

    /// Puts a delivery aside that cannot be attempted.
    pub(super) fn give_up(&self, leased: Leased, why: &'static str) {
        tracing::error!(event = %leased.lease.event, why, "a delivery cannot be attempted");
        self.store.settle(Settlement { lease: leased.lease, attempt: None, next: Next::Dead(why) });
    }
}
