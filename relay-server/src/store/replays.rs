//! Replays: written down, then made due again in steps, so that nobody waits long behind one.

use std::sync::Arc;

use relay_protocol::id::{EventId, Name};

use super::records::{Act, EventFilter, ReplayOrder, ReplayStep, Replayable, Replayed};
use super::tokens::told;
use super::{Store, StoreError, sqlite};
use crate::endpoint::EndpointId;

/// The most events of one [`ReplayStep`].
pub const REPLAY_STEP_MAX: usize = 200;

impl Store {
    /// Writes down who replays what, and gives the replay its number.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write.
    pub async fn begin_replay(&self, order: ReplayOrder) -> Result<u32, StoreError> {
        let profiles = Arc::clone(&self.profiles);
        let write = move |db: &_, _: &mut _| {
            let found = sqlite::endpoints::by_id(db, order.endpoint, &profiles)?;
            let name = found.as_ref().map_or("", |endpoint| endpoint.name.as_str());
            let act = Act::new(order.by.clone(), "event.replayed", name)
                .with("what", Some(order.what.clone()));
            told(db, sqlite::replay::begin(db, &order)?, &act)
        };
        self.writer.write(write).await
    }

    /// Makes deliveries of these events due again; they are durable when this returns.
    ///
    /// # Errors
    /// When the store is unavailable or has too much to write.
    pub async fn replay(&self, step: ReplayStep) -> Result<Replayed, StoreError> {
        self.writer.write(move |db, books| sqlite::replay::step(db, books, &step)).await
    }

    /// The oldest events of an endpoint that the filter takes, at most `limit`; with a group, only its deliveries count.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn matching(
        &self,
        endpoint: EndpointId,
        filter: EventFilter,
        group: Option<Name>,
        limit: usize,
    ) -> Result<Vec<EventId>, StoreError> {
        let find =
            move |db: &_| sqlite::replay::matching(db, endpoint, &filter, group.as_ref(), limit);
        self.reader.read(find).await
    }

    /// What the replay of these events would come to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_replayable(
        &self,
        endpoint: EndpointId,
        events: Vec<EventId>,
        which: Replayable,
    ) -> Result<Replayed, StoreError> {
        self.reader.read(move |db| sqlite::replay::count(db, endpoint, &events, &which)).await
    }
}
