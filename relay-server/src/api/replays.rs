//! Replays over the API: of one event, as it was or edited, and of all that a filter takes, counted first if wanted.

mod bulk;
mod edited;

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use relay_protocol::id::{EventId, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::{covered, no_event, replay};
use super::{Api, Bearer, Json, Refused};
use crate::clock::{now_ms, steady_ms};
use crate::endpoint::{Endpoint, EndpointId};
use crate::problem::Code;
use crate::store::records::{ReplayOrder, ReplayStep, Replayable, Replayed, Room, Scope};

pub(super) use bulk::many;
pub(super) use edited::BODY_MAX;

/// The most replays of a list.
const LIST_MAX: usize = 1000;

/// How one event is to be replayed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// To this group; to all that had it, without one.
    group: Option<String>,
    /// What is to be different. Then it is a new event.
    #[serde(default)]
    edit: edited::Edits,
}

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, axum::Json<Value>), Refused> {
    let event: EventId = id.parse().map_err(|_| no_event(&id))?;
    let found = api.store.event(event).await?.ok_or_else(|| no_event(&id))?;
    let endpoint = covered(&api, &who, Scope::Replay, found.event.head.endpoint, &id)?;
    let group = wanted.group.as_deref().map(|name| group(&endpoint, name)).transpose()?;
    let what = match (&group, wanted.edit.is_empty()) {
        (None, true) => id.clone(),
        (Some(group), true) => format!("{id} to {group}"),
        (None, false) => format!("{id}, edited"),
        (Some(group), false) => format!("{id} to {group}, edited"),
    };
    let order = Order { api: &api, who: &who, endpoint: &endpoint };
    let (replay, made) = if wanted.edit.is_empty() {
        (order.as_it_was(event, group, what).await?, event)
    } else {
        order.edited(&found, wanted.edit, group, what).await?
    };
    let body = json!({"replay": replay, "id": made.to_string()});
    Ok((StatusCode::ACCEPTED, axum::Json(body)))
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
) -> Result<axum::Json<Vec<Value>>, Refused> {
    if !who.0.has(Scope::Read) && !who.0.has(Scope::Replay) {
        return Err(Refused::new(Code::NotAllowed, "this needs a token with the scope read"));
    }
    let all = api.store.replays(LIST_MAX).await?;
    let shown = all.iter().filter_map(|note| {
        let endpoint = api.directory.by_id(note.endpoint)?;
        who.0.sees(&endpoint.name).then(|| replay(&endpoint, note))
    });
    Ok(axum::Json(shown.collect()))
}

/// Who replays something of which endpoint.
struct Order<'a> {
    api: &'a Api,
    who: &'a Bearer,
    endpoint: &'a Endpoint,
}

impl Order<'_> {
    async fn begin(&self, what: String) -> Result<u32, Refused> {
        let (by, endpoint) = (self.who.actor(), self.endpoint.id);
        tracing::info!(endpoint = %self.endpoint.name, by = self.who.0.token, what, "a replay");
        let order = ReplayOrder { at_ms: now_ms(), by, endpoint, what };
        Ok(self.api.store.begin_replay(order).await?)
    }

    async fn as_it_was(
        &self,
        event: EventId,
        group: Option<Name>,
        what: String,
    ) -> Result<u32, Refused> {
        let groups = Some(self.endpoint.settings.groups.as_slice().into());
        let (not_open, never_succeeded, rejected) = (false, false, true);
        let which = Replayable { group, groups, not_open, never_succeeded, rejected };
        let room = Room::of(&self.endpoint.settings);
        let could = self.api.store.count_replayable(self.endpoint.id, vec![event], which.clone());
        refuse_nothing(could.await?)?;
        let replay = self.begin(what).await?;
        let events = vec![(event, steady_ms())];
        let step = step(replay, self.endpoint.id, events, &which, room);
        refuse_nothing(self.api.store.replay(step).await?)?;
        Ok(replay)
    }
}

/// One event of which nothing can be delivered again is refused, with the reason.
fn refuse_nothing(replayed: Replayed) -> Result<(), Refused> {
    match replayed {
        Replayed { deliveries: 1.., .. } => Ok(()),
        Replayed { full: true, .. } => {
            Err(Refused::new(Code::QueueFull, "the endpoint's queue is full"))
        }
        Replayed { bodiless: 1.., .. } => Err(Refused::new(
            Code::Conflict,
            "the event's body was not kept, so it cannot be replayed (see its note and the setting capture)",
        )),
        _ => Err(Refused::new(Code::Conflict, "no group has had this event: name one")),
    }
}

fn step(
    replay: u32,
    endpoint: EndpointId,
    events: Vec<(EventId, u64)>,
    which: &Replayable,
    room: Room,
) -> ReplayStep {
    ReplayStep { replay, endpoint, events, which: which.clone(), room }
}

/// A group of the endpoint.
fn group(endpoint: &Endpoint, name: &str) -> Result<Name, Refused> {
    let found = endpoint.settings.groups.iter().find(|group| group.as_str() == name);
    found.cloned().ok_or_else(|| {
        let words = format!("group: {} has no group {name:?}", endpoint.name);
        Refused::new(Code::BadRequest, words)
    })
}
