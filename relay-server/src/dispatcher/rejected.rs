//! Events that are not taken, for nobody knows who has sent them: they are on record, and go nowhere.

use relay_protocol::id::Name;
use relay_trust::Reason;

use super::kept::whole;
use super::{Arrived, Dispatcher};
use crate::endpoint::settings::Capture;
use crate::problem::Code;
use crate::store::StoreError;
use crate::store::records::{Acceptance, NewDelivery, Room, Start};

impl Dispatcher {
    /// Notes an event that its provider has not proved to be its own, as far as the endpoint keeps such a thing.
    pub async fn reject(&self, arrived: &Arrived) {
        let settings = &arrived.endpoint.settings;
        if settings.capture == Capture::None {
            return;
        }
        if let Err(error) = self.note_rejected(arrived).await {
            tracing::warn!(%error, event = %arrived.head.id, "a rejected event is not recorded");
        }
    }

    async fn note_rejected(&self, arrived: &Arrived) -> Result<(), StoreError> {
        let settings = &arrived.endpoint.settings;
        let reason = arrived.head.checked.as_ref().and_then(|checked| checked.reason);
        let why = reason.map_or(Code::SignatureInvalid.as_str(), Reason::as_str);
        let (order_key, collapse) = (None, None);
        let main =
            NewDelivery { group: Name::main(), start: Start::Rejected(why), order_key, collapse };
        self.store.note(Acceptance {
            event: whole(arrived).await?,
            deliveries: vec![main],
            keep_body: settings.capture == Capture::Full,
            dedup: None,
            room: Room::of(settings),
            note: None,
            replay_of: None,
        })
    }
}
