//! Kept connections to one target, the youngest used first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connection::Connection;

/// How long a connection is kept unused. Many servers close theirs after 5 s; a close is noticed before reuse.
const IDLE_MAX: Duration = Duration::from_secs(15);

/// How many unused connections are kept.
const KEPT_MAX: usize = 256;

/// The unused connections of one target.
pub(super) struct Pool {
    kept: Arc<Mutex<Vec<Connection>>>,
    filled: Arc<Notify>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Self { kept: Arc::default(), filled: Arc::default() }
    }

    /// A connection that the target held open when it was last looked at. If it has closed it meanwhile, that is met
    /// before anything is written, and the request comes back.
    pub(super) fn take(&self) -> Option<Connection> {
        self.lock().pop()
    }

    /// Keeps a connection whose answer is complete.
    pub(super) async fn give(&self, mut connection: Connection) {
        if !connection.is_usable().await {
            return;
        }
        connection.idle_since = Instant::now();
        let mut kept = self.lock();
        if kept.len() < KEPT_MAX {
            kept.push(connection);
            if kept.len() == 1 {
                self.filled.notify_one();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what stays unused too long; ends with the pool.
    pub(super) fn sweep(&self) -> impl Future<Output = ()> + use<> {
        let (kept, filled) = (Arc::downgrade(&self.kept), Arc::clone(&self.filled));
        async move {
            loop {
                filled.notified().await;
                loop {
                    tokio::time::sleep(IDLE_MAX).await;
                    let Some(kept) = kept.upgrade() else { return };
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.retain(|connection| connection.idle_since.elapsed() < IDLE_MAX);
                    if kept.is_empty() {
                        break;
                    }
                }
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.filled.notify_one();
    }
}
