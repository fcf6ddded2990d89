//! Events that are not taken, for nobody knows who has sent them: they are on record, and go nowhere.

use std::sync::Arc;

use relay_protocol::id::Name;
use relay_protocol::webhook::Fields;
use relay_trust::Reason;

use super::kept::whole;
use super::{Arrived, Dispatcher};
use crate::endpoint::settings::Capture;
use crate::event::{Body, Event};
use crate::problem::Code;
use crate::store::StoreError;
use crate::store::records::{Acceptance, NewDelivery, Room, Start};

/// The longest body of a rejected request that is kept, in bytes: whoever knows the URL can send one, and no bound of the
/// queue counts it.
const REJECTED_BODY_MAX: u64 = 64 << 10;

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
        let length = arrived.payload.len().filter(|length| *length > REJECTED_BODY_MAX);
        let event = match length {
            Some(length) => bodiless(arrived, length),
            None => whole(arrived).await?,
        };
        let note = length
            .map(|_| format!("rejected: a body above {} KiB is not kept", REJECTED_BODY_MAX >> 10));
        self.store.note(Acceptance {
            event,
            deliveries: vec![main],
            keep_body: settings.capture == Capture::Full,
            dedup: None,
            room: Room::of(settings),
            note,
            replay_of: None,
        })
    }
}

/// The event without its body, of this length.
fn bodiless(arrived: &Arrived, length: u64) -> Event {
    let (head, trailers) = (Arc::clone(&arrived.head), Fields::default());
    Event { head, body: Body::Absent(length), trailers, held: None }
}
