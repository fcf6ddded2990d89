//! Events that are to be written, and those that are kept back a moment.
//!
//! An event that nobody waits for is kept back: its outcome is mostly there soon, and then it is written once, as it
//! ended.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use relay_protocol::id::EventId;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::super::records::{
    Acceptance, Attempt, Lease, NewDelivery, Next, Promise, Receipt, Room, Settlement, Start,
};
use super::bundle::Bundled;
use super::rows::MANY;

/// How long an event is kept back for its outcome.
const KEPT_BACK_MAX: Duration = Duration::from_millis(250);

/// Whoever waits for something to be durable.
pub(in super::super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// An event that is not written yet.
pub(super) struct Fresh {
    pub(super) acceptance: Box<Acceptance>,
    /// How its live delivery has ended meanwhile, if it has.
    pub(super) settled: Option<Settled>,
    /// Who waits for it.
    pub(super) answer: Option<Answer<Receipt>>,
}

/// How a delivery ended before it was written.
pub(super) struct Settled {
    pub(super) attempt: Option<Attempt>,
    pub(super) next: Next,
    /// How much may wait, when it is promised.
    pub(super) room: Option<Room>,
}

/// The events that are to be written.
#[derive(Default)]
pub(super) struct Batch {
    /// To be written now, in this order.
    ready: Vec<Fresh>,
    /// Kept back for their outcome.
    kept_back: HashMap<EventId, Box<Acceptance>>,
    /// Those that go into bundles.
    bundled: Vec<Bundled>,
    /// When each of them came, the oldest first; some may be written by now.
    since: VecDeque<(Instant, EventId)>,
}

impl Batch {
    /// Takes an event that somebody waits for.
    pub(super) fn accept(&mut self, acceptance: Box<Acceptance>, answer: Answer<Receipt>) {
        self.ready.push(Fresh { acceptance, settled: None, answer: Some(answer) });
    }

    /// Takes an event that nobody waits for.
    pub(super) fn keep_back(&mut self, acceptance: Box<Acceptance>, now: Instant) {
        let id = acceptance.event.head.id;
        self.since.push_back((now, id));
        self.kept_back.insert(id, acceptance);
    }

    /// Takes an event whose live delivery is over.
    pub(super) fn over(&mut self, acceptance: Box<Acceptance>, settlement: Settlement) {
        let Settlement { attempt, next, .. } = settlement;
        let settled = Some(Settled { attempt, next, room: None });
        self.ready.push(Fresh { acceptance, settled, answer: None });
    }

    /// Takes an event that goes into a bundle.
    pub(super) fn bundle(&mut self, event: Bundled) {
        self.bundled.push(event);
    }

    /// What goes into bundles.
    pub(super) fn bundled(&mut self) -> &mut Vec<Bundled> {
        &mut self.bundled
    }

    /// Settles an event that is kept back; gives the settlement back when it is about another.
    pub(super) fn settle(&mut self, settlement: Settlement) -> Option<Settlement> {
        let Some(acceptance) = self.take(&settlement.lease) else { return Some(settlement) };
        self.over(acceptance, settlement);
        None
    }

    /// Promises an event that is kept back; gives the promise back when it is about another.
    pub(super) fn promise(
        &mut self,
        promise: Promise,
        answer: Answer<Receipt>,
    ) -> Option<(Promise, Answer<Receipt>)> {
        let Some(acceptance) = self.take(&promise.lease) else { return Some((promise, answer)) };
        let Promise { attempt, next, room, .. } = promise;
        let settled = Some(Settled { attempt, next, room: Some(room) });
        self.ready.push(Fresh { acceptance, settled, answer: Some(answer) });
        None
    }

    /// Lets go what was kept back until now, for all events or for those that waited long enough.
    pub(super) fn let_go(&mut self, all: bool, now: Instant) {
        while let Some((since, id)) = self.since.front()
            && (all || *since + KEPT_BACK_MAX <= now || !self.kept_back.contains_key(id))
        {
            let unsettled = |acceptance| Fresh { acceptance, settled: None, answer: None };
            self.ready.extend(self.kept_back.remove(id).map(unsettled));
            self.since.pop_front();
        }
    }

    /// Tells everyone who waits that nothing was written. What was to be promised is live still, and kept back for its end.
    pub(super) fn refuse(&mut self, error: &StoreError, now: Instant) {
        for Fresh { acceptance, settled, answer } in std::mem::take(&mut self.ready) {
            match answer {
                None => self.ready.push(Fresh { acceptance, settled, answer }),
                Some(answer) => {
                    let _ = answer.send(Err(error.clone()));
                    if settled.is_some() {
                        self.keep_back(acceptance, now);
                    }
                }
            }
        }
    }

    /// Whether there is something to write now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() || !self.bundled.is_empty()
    }

    /// What is to be written now: all, or as many as are written best together, while the rest can wait for more.
    pub(super) fn take_ready(&mut self, all: bool) -> Vec<Fresh> {
        let rest = if all { 0 } else { self.ready.len() % MANY };
        let rest = self.ready.split_off(self.ready.len() - rest);
        std::mem::replace(&mut self.ready, rest)
    }

    /// When the oldest event that is kept back is to be let go.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.front().map(|(since, _)| *since + KEPT_BACK_MAX)
    }

    /// The event that is kept back under this lease.
    fn take(&mut self, lease: &Lease) -> Option<Box<Acceptance>> {
        let Entry::Occupied(kept) = self.kept_back.entry(lease.event) else { return None };
        let is_it = |delivery: &NewDelivery| {
            delivery.group == lease.group && delivery.start == Start::Live(lease.token)
        };
        kept.get().deliveries.iter().any(is_it).then(|| kept.remove())
    }
}
