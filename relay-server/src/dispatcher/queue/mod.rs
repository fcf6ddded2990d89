//! The queues: one worker for each group of each endpoint brings what waits to the target, at the pace it bears.

mod batch;
mod deliver;
mod memory;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use relay_protocol::id::Name;

use super::Dispatcher;
use crate::clock::steady_ms;
use crate::delivery::Breaker;
use crate::delivery::breaker::{Change, Ended, Gate, Open};
use crate::endpoint::{Endpoint, EndpointId};
use memory::Memory;

/// All queues that are worked on.
#[derive(Debug)]
pub(super) struct Queues {
    running: DashMap<(EndpointId, Name), Arc<Queue>>,
    /// What the bodies that are taken from them may take.
    memory: Memory,
    /// How many breakers are open: mostly none, and then live answers need not look.
    open: AtomicUsize,
}

/// What is known of one queue beside what waits in it.
#[derive(Debug, Default)]
pub(super) struct Queue {
    breaker: Mutex<Breaker>,
    in_flight: AtomicUsize,
}

/// A queue as people see it.
#[derive(Debug, Clone)]
pub struct QueueState {
    /// The group.
    pub group: Name,
    /// How many attempts are under way.
    pub in_flight: usize,
    /// Since when it has paused itself, and when it tries again.
    pub breaker: Option<Open>,
}

impl Queues {
    /// None yet; their bodies take at most so many bytes of memory.
    pub(super) fn new(memory: usize) -> Self {
        Self { running: DashMap::new(), memory: Memory::new(memory), open: AtomicUsize::new(0) }
    }
}

impl Queue {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when nothing is to be begun, if the endpoint has paused itself.
    fn shut_until(&self) -> Option<u64> {
        let open = self.breaker().open()?;
        (steady_ms() < open.probe_ms).then_some(open.probe_ms)
    }

    fn is_open(&self) -> bool {
        self.breaker().open().is_some()
    }

    /// Whether the attempt that is about to begin is a probe.
    fn begins_probe(&self) -> bool {
        self.breaker().gate(steady_ms()) == Gate::Probe
    }
}

impl Dispatcher {
    /// Sees to it that every group of an endpoint has its worker, and that each looks at its settings anew.
    pub fn watch(self: &Arc<Self>, endpoint: &Endpoint) {
        for group in &endpoint.settings.groups {
            let key = (endpoint.id, group.clone());
            let mut fresh = None;
            self.queues
                .running
                .entry(key.clone())
                .or_insert_with(|| Arc::clone(fresh.insert(Arc::new(Queue::default()))));
            if let Some(queue) = fresh {
                self.tasks.spawn(Arc::clone(self).work(key, queue));
            }
            self.store.due_signal(endpoint.id, group).notify_one();
        }
    }

    /// Has the workers of an endpoint that was deleted see it.
    pub fn forget(&self, endpoint: &Endpoint) {
        for group in &endpoint.settings.groups {
            self.store.due_signal(endpoint.id, group).notify_one();
        }
    }

    /// Begins to work on the queues of every endpoint.
    pub fn watch_all(self: &Arc<Self>) {
        for endpoint in self.directory.all() {
            self.watch(&endpoint);
        }
    }

    /// The queues of an endpoint.
    #[must_use]
    pub fn queues(&self, endpoint: &Endpoint) -> Vec<QueueState> {
        let of = |group: &Name| {
            let queue = self.queues.running.get(&(endpoint.id, group.clone()))?;
            let (in_flight, breaker) =
                (queue.in_flight.load(Ordering::Relaxed), queue.breaker().open());
            Some(QueueState { group: group.clone(), in_flight, breaker })
        };
        endpoint.settings.groups.iter().filter_map(of).collect()
    }

    /// Whether the queue of `main` has paused itself.
    pub(super) fn is_shut(&self, endpoint: EndpointId) -> bool {
        let queue = self.queues.running.get(&(endpoint, Name::main()));
        self.queues.open.load(Ordering::Relaxed) > 0
            && queue.is_some_and(|queue| queue.shut_until().is_some())
    }

    /// Has every queue of an endpoint that has paused itself go on, as somebody wants it.
    pub fn reopen(&self, endpoint: &Endpoint) {
        for group in &endpoint.settings.groups {
            self.report(endpoint, group, Ended::Worked);
        }
    }

    /// A live attempt has ended: one that worked shows that the target works again.
    pub(super) fn report_live(&self, endpoint: &Endpoint, worked: bool) {
        if worked && self.queues.open.load(Ordering::Relaxed) > 0 {
            self.report(endpoint, &Name::main(), Ended::Worked);
        }
    }

    /// An attempt from the queue has ended.
    pub(super) fn report(&self, endpoint: &Endpoint, group: &Name, how: Ended) {
        if !endpoint.settings.breaker && how != Ended::Worked {
            return;
        }
        let key = (endpoint.id, group.clone());
        let Some(queue) = self.queues.running.get(&key).map(|queue| Arc::clone(&queue)) else {
            return;
        };
        let name = &endpoint.name;
        match queue.breaker().ended(steady_ms(), how) {
            Change::None => {}
            Change::Opened => {
                self.queues.open.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(endpoint = %name, %group, "the endpoint has paused itself: nearly every attempt fails");
            }
            Change::Closed => {
                self.queues.open.fetch_sub(1, Ordering::Relaxed);
                tracing::info!(endpoint = %name, %group, "the endpoint works again");
                self.store.due_signal(endpoint.id, group).notify_one();
            }
        }
    }
}
