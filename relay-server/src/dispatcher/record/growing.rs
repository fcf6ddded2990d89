//! A live event whose body still comes: it can be kept only once it is whole.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::super::Payload;
use super::super::payload::durable;
use crate::event::{Event, Head};
use crate::ingress::intake::Intake;
use crate::store::records::{Acceptance, AttemptResult, Settlement};
use crate::store::{Store, StoreError};

/// An event whose body grows.
#[derive(Debug)]
pub(super) struct Growing {
    intake: Arc<Intake>,
    /// Keeps it when it is whole, and says whether it was; none for one that is kept only if it is promised.
    noting: Option<JoinHandle<bool>>,
}

impl Growing {
    pub(super) fn begin(
        store: &Arc<Store>,
        head: &Arc<Head>,
        intake: &Arc<Intake>,
        keep: Option<impl FnOnce(Event, bool) -> Acceptance + Send + 'static>,
    ) -> Self {
        let note = |keep| {
            tokio::spawn(note(Arc::clone(store), Arc::clone(head), Arc::clone(intake), keep))
        };
        Self { intake: Arc::clone(intake), noting: keep.map(note) }
    }

    pub(super) fn payload(&self) -> Payload {
        Payload::Growing(Arc::clone(&self.intake), None)
    }

    /// Waits until it is whole; the event, if it is not noted yet.
    pub(super) async fn whole(self, head: &Arc<Head>) -> Result<Option<Event>, StoreError> {
        let broken = || StoreError::Unavailable("the request broke off before it was whole".into());
        match self.noting {
            Some(noting) => match noting.await {
                Ok(true) => Ok(None),
                _ => Err(broken()),
            },
            None => finished(head, &self.intake).await.map(Some).ok_or_else(broken),
        }
    }

    /// Settles it when the store has it; `late` is what is kept of one that was answered before it was whole.
    pub(super) fn settle(
        self,
        store: &Arc<Store>,
        settlement: Settlement,
        late: Acceptance,
        keeps_head: bool,
    ) {
        let store = Arc::clone(store);
        let answered = settlement
            .attempt
            .as_ref()
            .is_some_and(|attempt| matches!(attempt.result, AttemptResult::Answered { .. }));
        // The outcome may not overtake the event on the way into the store.
        tokio::spawn(async move {
            let noted = match self.noting {
                Some(noting) => noting.await.unwrap_or(false),
                None => false,
            };
            if noted {
                return store.settle(settlement);
            }
            // Only an answer makes an event that never was whole worth a record.
            if keeps_head
                && answered
                && let Err(error) = store.note_over(late, settlement)
            {
                tracing::warn!(%error, "a live event is not recorded");
            }
        });
    }
}

async fn note(
    store: Arc<Store>,
    head: Arc<Head>,
    intake: Arc<Intake>,
    keep: impl FnOnce(Event, bool) -> Acceptance,
) -> bool {
    let Some(event) = finished(&head, &intake).await else { return false };
    match store.note_late(keep(event, true)) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "a live event is not recorded");
            false
        }
    }
}

/// The event once its body is whole and, in a file, durable.
async fn finished(head: &Arc<Head>, intake: &Intake) -> Option<Event> {
    let (body, trailers, held) = intake.finished().await?;
    let body = durable(body).await.ok()?;
    Some(Event { head: Arc::clone(head), body, trailers, held: held.map(Arc::new) })
}
