//! Requests for endpoints that verify: whole before anything is done with them, looked at, and then taken or refused.

use std::sync::Arc;

use http::HeaderMap;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use tokio::time::Instant;

use super::answer::Said;
use super::intake::{Bounds, FirstLook, Intake, Whole};
use super::{Ingress, no_answer};
use crate::budget::Held;
use crate::dispatcher::{Arrived, Payload};
use crate::endpoint::settings::{Fallback, Order};
use crate::endpoint::{Endpoint, Settings};
use crate::event::{Body, Checked, Head};
use crate::http::Peer;
use crate::problem::{Code, Problem};
use crate::trust::{Found, Verdict};

/// A body that has come to its end, its trailers, and the memory that it takes.
type WholeBody = (Body, Fields, Option<Held>);

/// A request of which nothing is proved yet.
pub(super) struct Unproved {
    pub(super) head: Head,
    /// All that came, also what goes no further.
    pub(super) headers: Fields,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) whole: WholeBody,
    pub(super) since: Instant,
}

impl Ingress {
    /// The whole body, whatever its size.
    pub(super) async fn whole(
        &self,
        id: EventId,
        first: FirstLook,
        bounds: Bounds,
        peer: &Peer,
    ) -> Result<WholeBody, Problem> {
        let whole = match first {
            FirstLook::Whole(Whole { bytes, trailers, held }) => {
                (Body::Memory(bytes), trailers, held)
            }
            FirstLook::More { begun, rest } => {
                let intake = Intake::new(id, Arc::clone(self.store.spool()), bounds);
                intake.pull(begun, rest).await?;
                intake.finished().await.expect("it was pulled to its end")
            }
        };
        peer.has_all();
        Ok(whole)
    }

    /// Takes what its provider has sent; refuses the rest, and notes that.
    pub(super) async fn proved(&self, unproved: Unproved) -> Result<Said, Problem> {
        let Unproved { mut head, headers, endpoint, whole, since } = unproved;
        let found = match self.gate.look(&endpoint, &head, headers, &whole.0).await? {
            Verdict::Event(found) => found,
            Verdict::Handshake(answer) => return Ok(Said::Handshake(answer)),
        };
        let Found { checked, admitted, wants_data } = found;
        let refusal = (!admitted).then(|| refusal(&checked));
        head.checked = Some(checked);
        let payload = payload(whole);
        let endpoint = if wants_data { failing(endpoint) } else { endpoint };
        let arrived = Arrived { head: Arc::new(head), endpoint, payload, since };
        match refusal {
            None => self.dispatcher.take(arrived).await.map(Said::Reply).map_err(no_answer),
            Some(refusal) => {
                self.dispatcher.reject(&arrived).await;
                Err(refusal)
            }
        }
    }
}

/// All header fields as they came.
pub(super) fn all_fields(headers: &HeaderMap) -> Fields {
    headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

/// What an attempt sends of a body that has come to its end.
pub(super) fn payload((body, trailers, held): WholeBody) -> Payload {
    match body {
        Body::Spooled(file) => Payload::Stored(file, trailers),
        Body::Memory(bytes) => Payload::Whole { bytes, trailers, held: held.map(Arc::new) },
        Body::Absent(_) => unreachable!("what has come to its end is there"),
    }
}

fn refusal(checked: &Checked) -> Problem {
    let Checked { provider, state, reason, .. } = checked;
    let why = reason.map_or(state.as_str(), |reason| reason.as_str());
    let words = format!("nothing proves that {provider} has sent this: {why}");
    Problem::new(Code::SignatureInvalid, words)
}

/// The endpoint as it is for a request whose sender waits for data: "taken" would be taken for it.
fn failing(endpoint: Arc<Endpoint>) -> Arc<Endpoint> {
    // What has its place in an order keeps it.
    if endpoint.settings.order != Order::None {
        return endpoint;
    }
    let settings = Settings { fallback: Fallback::Fail, ..endpoint.settings.clone() };
    Arc::new(Endpoint { settings, ..Endpoint::clone(&endpoint) })
}
