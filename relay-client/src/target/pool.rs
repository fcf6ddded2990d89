//! Kept connections to one target, the youngest used first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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

    /// A connection that the target has held open until now.
    pub(super) async fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.lock().pop()?;
            if connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose answer is complete.
    pub(super) fn give(&self, mut connection: Connection) {
        if !connection.is_usable() {
            return;
        }
        connection.rest();
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;
    use tokio::task::yield_now;

    use super::*;
    use crate::socket::Socket;

    #[tokio::test]
    async fn only_what_the_target_has_held_open_and_quiet_is_taken() {
        let pool = Pool::new();
        let mut targets = Vec::new();
        for _ in 0..3 {
            let (near, far) = UnixStream::pair().unwrap();
            pool.give(Connection::new(Socket::Unix(near)));
            targets.push(far);
        }
        // The youngest was closed, the next one says what nobody asked for.
        drop(targets.pop());
        targets[1].write_all(b"HTTP/1.1 408 Late\r\n\r\n").await.unwrap();
        // Whatever the runtime has to hear of sockets, it has heard after this.
        yield_now().await;
        assert!(pool.take().await.is_some(), "the oldest");
        assert!(pool.take().await.is_none(), "no other");
    }
}
