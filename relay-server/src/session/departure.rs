//! The end of a line that its agent is to leave, or has left for a newer one: when nothing is under way on it, at the
//! latest at its deadline. The session itself waits for that.

use std::sync::OnceLock;
use std::time::Duration;

use relay_client::wire::Carrier;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a line may take to end what is under way on it when its agent is to open another.
pub(super) const COME_AGAIN: Duration = Duration::from_secs(30);

/// Whether a line is to end, and by when.
#[derive(Debug, Default)]
pub(super) struct Departure {
    by: OnceLock<Instant>,
    told: Notify,
}

impl Departure {
    /// Has the line end within this time; who says so first sets it.
    pub(super) fn within(&self, time: Duration) {
        if self.by.set(Instant::now() + time).is_ok() {
            self.told.notify_one();
        }
    }

    /// Completes when the line is to be closed.
    pub(super) async fn due(&self, carrier: &Carrier) {
        let by = loop {
            match self.by.get() {
                Some(by) => break *by,
                None => self.told.notified().await,
            }
        };
        // Boxed, as few of the many lines that live have come to this.
        let _ = Box::pin(timeout_at(by, carrier.idle())).await;
    }
}
