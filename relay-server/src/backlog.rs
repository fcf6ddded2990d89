//! How far behind a group is: what an agent is told when it comes. All that sessions know of the store.

use std::sync::Arc;

use relay_protocol::id::Name;

use crate::clock::now_ms;
use crate::endpoint::EndpointId;
use crate::store::Store;

/// How far behind a group is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many deliveries wait.
    pub count: u64,
    /// How long ago the oldest of them came, in milliseconds.
    pub oldest_ms: u64,
}

/// Tells how far behind groups are.
#[derive(Debug, Clone)]
pub struct Backlogs(Arc<Store>);

impl Backlogs {
    /// The backlogs of this store.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// How far behind this group is; nothing, if the store cannot tell.
    pub async fn of(&self, endpoint: EndpointId, group: &Name) -> Backlog {
        match self.0.backlog(endpoint, group.clone()).await {
            Ok(waiting) => {
                let age = waiting.oldest.map_or(0, |id| now_ms().saturating_sub(id.unix_ms()));
                Backlog { count: waiting.count, oldest_ms: age }
            }
            Err(error) => {
                tracing::warn!(%error, "a backlog is not known");
                Backlog::default()
            }
        }
    }
}
