//! Whether the front door drains. Every connection looks whenever it wakes, so a look takes no lock that they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Told once to finish what is under way and take no more.
#[derive(Debug, Clone, Default)]
pub struct Draining {
    begun: Arc<AtomicBool>,
    told: CancellationToken,
}

impl Draining {
    /// Begins it.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.told.cancel();
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Completes when it begins.
    pub async fn begun(&self) {
        self.told.cancelled().await;
    }
}
