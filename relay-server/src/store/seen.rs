//! What is only looked at: lists, single events, counts. Read beside the writer; a moment old at the most.

use relay_protocol::id::{EventId, Name};

use super::records::{Backlog, Count, EventFilter, Found, KeptAnswer, ReplayNote, Summary};
use super::{Store, StoreError, sqlite};
use crate::endpoint::EndpointId;
use crate::event::Body;

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

    /// The answer that was kept of an event which `main` delivered, for a repeat of it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn outcome(
        &self,
        endpoint: EndpointId,
        id: EventId,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        self.reader.read(move |db| sqlite::show::outcome(db, endpoint, id)).await
    }

    /// The newest replays, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn replays(&self, limit: usize) -> Result<Vec<ReplayNote>, StoreError> {
        self.reader.read(move |db| sqlite::show::replays(db, limit)).await
    }
}
