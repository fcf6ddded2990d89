//! What an agent tells whoever watches it: a closed list, so that the screen is the only place that words it.

use std::time::Duration;

use bytes::Bytes;
use relay_protocol::hello::Served;
use relay_protocol::id::EventId;
use tokio::sync::mpsc;

/// Something worth a line on the screen.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An endpoint is served, for the first time.
    Ready {
        /// What the relay says of it.
        served: Served,
        /// Where its requests go.
        target: String,
    },
    /// No line is left.
    Disconnected {
        /// Why the last one ended or could not be opened.
        why: String,
        /// When the next try begins.
        retry_in: Duration,
    },
    /// There is a line again.
    Reconnected,
    /// An attempt has begun.
    Started(Attempt),
    /// An attempt has ended.
    Done {
        /// The attempt.
        attempt: Attempt,
        /// The target's status, or why there is none.
        result: Result<u16, String>,
        /// How long it took.
        took: Duration,
    },
    /// The agent takes no more work and finishes what it has.
    Draining,
}

/// One attempt, as people see it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The event.
    pub event: EventId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The endpoint's name.
    pub endpoint: String,
    /// The method.
    pub method: Bytes,
    /// The path and query for the target.
    pub path: Bytes,
}

/// Where notices go. A watcher that does not keep up misses some; it never holds up the work.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    watcher: Option<mpsc::Sender<Notice>>,
    attempts: bool,
}

/// How many notices may wait for the watcher.
const WAITING_MAX: usize = 4096;

impl Notices {
    /// Notices and where to watch them; single attempts only if they are wanted.
    #[must_use]
    pub fn watched(attempts: bool) -> (Self, mpsc::Receiver<Notice>) {
        let (watcher, notices) = mpsc::channel(WAITING_MAX);
        (Self { watcher: Some(watcher), attempts }, notices)
    }

    /// Notices that nobody watches.
    #[must_use]
    pub const fn unwatched() -> Self {
        Self { watcher: None, attempts: false }
    }

    /// Whether anybody wants to know of single attempts.
    #[must_use]
    pub const fn of_attempts(&self) -> bool {
        self.attempts
    }

    /// Tells one.
    pub fn tell(&self, notice: Notice) {
        if let Some(watcher) = &self.watcher {
            let _ = watcher.try_send(notice);
        }
    }
}
