//! One queue's worker: takes what is due, no more than the target bears, and sleeps until there is something to do.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use relay_protocol::id::Name;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::Dispatcher;
use super::super::live::LEASE_MARGIN;
use super::Queue;
use crate::clock::{before, millis, steady_ms};
use crate::delivery::Pace;
use crate::delivery::pace::Turn;
use crate::endpoint::{Endpoint, EndpointId, Settings};
use crate::store::records::{Gather, Want};
use crate::store::spool::SPOOL_ABOVE;

/// The most deliveries that are taken at once: more would wait in memory for what they could do in the store.
const LEASES_MAX: usize = 64;

/// The most body bytes that are taken at once.
const BYTES_MAX: u64 = 4 << 20;

/// When to look again after the store did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// When to look again for an agent with room: streams end without telling, unless they are this queue's own.
const ROOM_RETRY: Duration = Duration::from_millis(500);

/// The longest sleep: a net below the wake-ups, and what a clock that was set back can cost.
const SLEEP_MAX: Duration = Duration::from_secs(300);

/// What a worker does next.
enum Then {
    /// Look again at once.
    Again,
    /// Wait for a wake-up, or until this has passed.
    Sleep(Duration),
}

impl Dispatcher {
    /// Works on one queue until its endpoint is gone or the relay leaves.
    pub(super) async fn work(self: Arc<Self>, (id, group): (EndpointId, Name), queue: Arc<Queue>) {
        let signal = self.store.due_signal(id, &group);
        let changes = self.router.changes(id);
        let (mut tasks, mut pace) = (JoinSet::new(), None);
        while let Some(endpoint) = self.directory.by_id(id) {
            if !endpoint.settings.groups.contains(&group) || self.draining.is_cancelled() {
                break;
            }
            let mut changed = pin!(changes.notified());
            // Interest first, then the look: an agent that comes in between is not missed.
            changed.as_mut().enable();
            let then = self.look(&endpoint, &group, &queue, &mut pace, &mut tasks).await;
            queue.in_flight.store(tasks.len(), Ordering::Relaxed);
            let Then::Sleep(wait) = then else { continue };
            tokio::select! {
                () = self.draining.cancelled() => break,
                () = signal.notified() => {}
                () = changed => {}
                Some(_) = tasks.join_next() => while tasks.try_join_next().is_some() {},
                () = sleep(wait.min(SLEEP_MAX)) => {}
            }
            queue.in_flight.store(tasks.len(), Ordering::Relaxed);
        }
        self.queues.running.remove(&(id, group));
        while tasks.join_next().await.is_some() {}
    }

    /// Begins what is due and may be begun.
    async fn look(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        group: &Name,
        queue: &Arc<Queue>,
        pace: &mut Option<Pace>,
        tasks: &mut JoinSet<()>,
    ) -> Then {
        const NO_END: Then = Then::Sleep(SLEEP_MAX);
        let settings = &endpoint.settings;
        let free = (settings.max_in_flight as usize).saturating_sub(tasks.len());
        if endpoint.paused_ms.is_some() || free == 0 {
            return NO_END;
        }
        if !settings.breaker && queue.is_open() {
            self.reopen(endpoint);
        }
        let Some(serves) = self.router.serves(endpoint.id, group) else { return NO_END };
        let free = free.min(serves.room);
        if free == 0 {
            return Then::Sleep(ROOM_RETRY);
        }
        if let Some(until_ms) = queue.shut_until() {
            return until(until_ms);
        }
        let may_go = match turns(settings, pace, free.min(LEASES_MAX)) {
            Ok(may_go) => may_go,
            Err(at_ms) => return until(at_ms),
        };
        let most = if queue.is_open() { 1 } else { may_go };
        let mut want = want(endpoint, group, most, serves.skip_older_than);
        let full = want.most;
        let share = tokio::select! {
            share = self.queues.memory.share_up_to(want.bytes) => share,
            () = self.draining.cancelled() => return NO_END,
        };
        want.bytes = share.bytes();
        // Others may have had the memory for long.
        if self.directory.by_id(endpoint.id).is_none_or(|now| !Arc::ptr_eq(&now, endpoint)) {
            return Then::Again;
        }
        let due = match self.store.lease(want).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, endpoint = %endpoint.name, "nothing can be taken from the queue");
                return Then::Sleep(STORE_RETRY);
            }
        };
        let begun = due.leased.len();
        self.begin_all((endpoint, queue), due.leased, share, pace, tasks);
        match due.next_ms {
            _ if begun == full => Then::Again,
            Some(next_ms) => until(next_ms),
            None => NO_END,
        }
    }
}

/// How many may go now at the endpoint's rate, at least one; or when the next one may.
fn turns(settings: &Settings, pace: &mut Option<Pace>, most: usize) -> Result<usize, u64> {
    let Some(rate) = settings.rate else {
        *pace = None;
        return Ok(most);
    };
    let pace = pace.get_or_insert_with(|| Pace::new(rate));
    pace.set(rate);
    // Counted on a copy: only what is really begun takes its turn.
    let (mut trial, mut turns, now) = (pace.clone(), 0, steady_ms());
    while turns < most {
        match trial.take(now) {
            Turn::Now => turns += 1,
            Turn::At(at_ms) if turns == 0 => return Err(at_ms),
            Turn::At(_) => break,
        }
    }
    Ok(turns)
}

fn want(endpoint: &Endpoint, group: &Name, most: usize, skip: Option<Duration>) -> Want {
    let settings = &endpoint.settings;
    let oldest = settings.expire_after.into_iter().chain(skip).min();
    let batch = settings.batch as usize;
    let gather =
        (batch > 1).then(|| Gather { full: batch, within_ms: millis(settings.batch_wait) });
    let now_ms_steady = steady_ms();
    let most = if gather.is_some() { batch } else { most };
    Want {
        endpoint: endpoint.id,
        group: group.clone(),
        now_ms: now_ms_steady,
        until_ms: now_ms_steady.saturating_add(millis(settings.attempt_timeout + LEASE_MARGIN)),
        most,
        bytes: BYTES_MAX.min((most * SPOOL_ABOVE) as u64),
        not_before_ms: oldest.map_or(0, before),
        gather,
    }
}

fn until(at_ms: u64) -> Then {
    match at_ms.saturating_sub(steady_ms()) {
        0 => Then::Again,
        wait => Then::Sleep(Duration::from_millis(wait)),
    }
}
