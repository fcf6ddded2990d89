//! What is only looked at: lists, single events, counts. Read beside the writer; a moment old at the most.

use relay_protocol::id::{EventId, Name};

use tokio::sync::broadcast;

use super::records::{Backlog, Count, EventFilter, Found, ReplayNote, Summary};
use super::{Store, StoreError, sqlite};
use crate::endpoint::EndpointId;
use crate::event::Body;

/// Events as they become durable.
pub type Feed = broadcast::Receiver<(EndpointId, EventId)>;

impl Store {
    /// The newest of these events, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read; with all of these verbs.
    pub async fn page(
        &self,
        filter: EventFilter,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        self.reader.read(move |db| sqlite::list::page(db, &filter, limit)).await
    }

    /// These events, in this order; those that are gone are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn summaries(
        &self,
        ids: Vec<(EndpointId, EventId)>,
    ) -> Result<Vec<Summary>, StoreError> {
        self.reader.read(move |db| sqlite::list::of_ids(db, &ids)).await
    }

    /// The oldest events of these endpoints after this one, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn after(
        &self,
        endpoints: Vec<EndpointId>,
        after: EventId,
        limit: usize,
    ) -> Result<Vec<(EndpointId, EventId)>, StoreError> {
        self.reader.read(move |db| sqlite::list::after(db, &endpoints, after, limit)).await
    }

    /// Every event from now on, once it is durable. Who is too slow for it is told that it missed some.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.writer.wakes().feed()
    }

    /// One event with everything that became of it; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn event(&self, id: EventId) -> Result<Option<Found>, StoreError> {
        let spool = self.spool.clone();
        self.reader.read(move |db| sqlite::show::event(db, &spool, id)).await
    }

    /// The body of an event, and whose it is; `None` when there is no such event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn body(&self, id: EventId) -> Result<Option<(EndpointId, Body)>, StoreError> {
        let spool = self.spool.clone();
        self.reader.read(move |db| sqlite::show::body(db, &spool, id)).await
    }

    /// How much waits for a group.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn backlog(&self, endpoint: EndpointId, group: Name) -> Result<Backlog, StoreError> {
        self.reader.read(move |db| sqlite::list::backlog(db, endpoint, &group)).await
    }

    /// How many deliveries of an endpoint are in each state, by group.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counts(&self, endpoint: EndpointId) -> Result<Vec<Count>, StoreError> {
        self.reader.read(move |db| sqlite::list::counts(db, endpoint)).await
    }

    /// The newest replays, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn replays(&self, limit: usize) -> Result<Vec<ReplayNote>, StoreError> {
        self.reader.read(move |db| sqlite::show::replays(db, limit)).await
    }
}
