//! Brings events to targets: route, send, hear, settle. The only room that knows both the store and the router.

mod attempt;
mod live;
mod outbound;
mod record;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::endpoint::settings::Capture;
use crate::event::Head;
use crate::router::Router;
use crate::store::Store;

pub use attempt::{Answered, NoAnswer, Payload};
pub use live::{AnswerPiece, Caller, LiveCall};
pub use record::Recording;

/// The dispatcher.
#[derive(Debug)]
pub struct Dispatcher {
    store: Arc<Store>,
    router: Arc<Router>,
    /// The relay's name in `Via`.
    pseudonym: String,
    /// What goes on behind the callers' backs.
    tasks: TaskTracker,
}

impl Dispatcher {
    /// A dispatcher over this store and this router.
    #[must_use]
    pub fn new(store: Arc<Store>, router: Arc<Router>) -> Self {
        let pseudonym = format!("webhook-relay-{}", store.instance());
        Self { store, router, pseudonym, tasks: TaskTracker::new() }
    }

    /// Begins the record of a live event; `None` when nothing is kept of it.
    #[must_use]
    pub fn record(&self, head: &Head, capture: Capture) -> Option<Recording> {
        (capture != Capture::None).then(|| Recording::begin(&self.store, head, capture))
    }

    /// The relay's name in `Via`.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Waits until nothing goes on behind the callers' backs any more.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
