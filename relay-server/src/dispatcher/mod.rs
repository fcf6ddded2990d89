//! Brings events to targets: route, send, hear, settle. The only room that knows both the store and the router.
//!
//! An event comes by [`Dispatcher::take`]: it is tried while the caller waits (`live`), or kept first (`kept`) and
//! brought by its endpoint's `queue`.

mod attempt;
mod caller;
mod kept;
mod live;
mod outbound;
mod outcome;
mod payload;
mod plan;
mod queue;
mod record;
mod rejected;
mod resign;
mod tap;
mod underway;

use std::sync::Arc;

use dashmap::DashMap;
use relay_protocol::id::EventId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::endpoint::settings::{Fallback, Reply as ReplyMode};
use crate::endpoint::{Directory, Endpoint};
use crate::event::Head;
use crate::problem::Code;
use crate::router::Router;
use crate::store::{Store, StoreError};
use crate::vault::Vault;
use kept::InLine;
use queue::Queues;
use record::Record;
use underway::Underway;

pub use attempt::{Answered, NoAnswer};
pub use caller::{AnswerPiece, Caller, Reply, Taken};
pub use payload::Payload;
pub use queue::QueueState;

/// The dispatcher.
#[derive(Debug)]
pub struct Dispatcher {
    store: Arc<Store>,
    router: Arc<Router>,
    directory: Arc<Directory>,
    vault: Arc<Vault>,
    /// The relay's name in `Via`.
    pseudonym: String,
    /// What goes on behind the callers' backs.
    tasks: TaskTracker,
    queues: Queues,
    /// Callers who wait for an event that the queue brings.
    callers: DashMap<EventId, InLine>,
    /// Live events that others may be repeats of.
    underway: Underway,
    /// Set when nothing more is to be begun.
    draining: CancellationToken,
}

/// One request that has come in.
#[derive(Debug)]
pub struct Arrived {
    /// The event, but for its body.
    pub head: Arc<Head>,
    /// Its endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its body.
    pub payload: Payload,
    /// When it came.
    pub since: Instant,
}

impl Dispatcher {
    /// A dispatcher over this store and this router, for these endpoints with these secrets; what it takes from queues takes
    /// at most so many bytes of memory.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        router: Arc<Router>,
        directory: Arc<Directory>,
        vault: Arc<Vault>,
        memory: usize,
    ) -> Self {
        let pseudonym = format!("webhook-relay-{}", store.instance());
        Self {
            store,
            router,
            directory,
            vault,
            pseudonym,
            tasks: TaskTracker::new(),
            queues: Queues::new(memory),
            callers: DashMap::new(),
            underway: Underway::default(),
            draining: CancellationToken::new(),
        }
    }

    /// The relay's name in `Via`.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Whether an event of this endpoint must be whole before anything is done with it.
    #[must_use]
    pub fn wants_whole(&self, endpoint: &Endpoint) -> bool {
        let settings = &endpoint.settings;
        let trusts = settings.verify.is_some() || settings.resign;
        trusts || settings.keeps_first() || settings.filters_by_body()
    }

    /// Takes an event, and says what its provider is to be told.
    ///
    /// Dropping the future, because the caller has gone, cancels a live attempt; what was promised stays promised.
    ///
    /// # Errors
    /// [`NoAnswer`]: the event was not taken, or could be given to nobody in time.
    pub async fn take(self: &Arc<Self>, arrived: Arrived) -> Result<Reply, NoAnswer> {
        self.tap(&arrived);
        let settings = &arrived.endpoint.settings;
        if settings.keeps_first() {
            return Box::pin(self.keep_first(arrived)).await;
        }
        let plan = arrived.plan().await;
        let paused = arrived.endpoint.paused_ms.is_some();
        if plan.main_filtered().is_some() || (paused && settings.fallback == Fallback::Queue) {
            return Box::pin(self.keep(arrived, plan)).await;
        }
        if paused {
            return Err(NoAnswer::paused());
        }
        Record::room(&self.store, &arrived.endpoint, &plan).await.map_err(not_stored)?;
        let record = Record::begin(&self.store, &arrived, plan).map_err(not_stored)?;
        let mut live = self.begin_live(&arrived, record);
        match live.heard(self).await {
            Some(Ok(answered)) if arrived.endpoint.settings.counts(answered.answer.status) => {
                Ok(self.answered(&arrived, live, answered))
            }
            // Boxed: what is rare would weigh on every request otherwise.
            other => Box::pin(self.end_live(arrived, live, other)).await,
        }
    }

    /// Begins nothing more; what is under way goes on.
    pub fn stop(&self) {
        self.draining.cancel();
    }

    /// Waits until nothing goes on behind the callers' backs any more.
    pub async fn drain(&self) {
        self.stop();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What a caller is told when the store did not take an event.
fn not_stored(error: StoreError) -> NoAnswer {
    match error {
        StoreError::Overloaded => NoAnswer::new(Code::RelayOverloaded, "the store cannot keep up"),
        StoreError::QueueFull => {
            NoAnswer::new(Code::QueueFull, "as much waits for this endpoint as may")
        }
        StoreError::NotFound(_) => {
            NoAnswer::new(Code::UnknownEndpoint, "the endpoint was deleted meanwhile")
        }
        error @ (StoreError::Unavailable(_) | StoreError::Exists(_) | StoreError::Refused(_)) => {
            tracing::debug!(%error, "an event is not stored");
            NoAnswer::new(Code::StoreUnavailable, "the relay cannot keep events at the moment")
        }
    }
}

impl crate::endpoint::Settings {
    /// Whether an event is durable before anybody is asked to take it: always for the relay's own word, and where its
    /// place among others, or whether it is a repeat, is decided by what is kept.
    fn keeps_first(&self) -> bool {
        let ordered = self.order != crate::endpoint::settings::Order::None;
        self.reply == ReplyMode::Ack || ordered || self.dedup.is_some()
    }

    /// Whether a filter looks into the body.
    fn filters_by_body(&self) -> bool {
        self.filters.values().chain(&self.filter).any(crate::delivery::Filter::reads_body)
    }

    /// Whether a target's answer of this status is one.
    fn counts(&self, status: u16) -> bool {
        !self.fallback_statuses.contains(&status)
    }
}
