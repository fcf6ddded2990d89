//! Replays everything that a filter takes, at a pace; or only counts it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use relay_protocol::id::{EventId, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Order, group, step};
use crate::api::events::Query;
use crate::api::{Api, Bearer, Json, Refused};
use crate::clock::steady_ms;
use crate::delivery::{self, Rate};
use crate::endpoint::{Endpoint, EndpointId};
use crate::problem::Code;
use crate::store::records::{EventFilter, Replayable, Replayed, Room, Scope};
use crate::store::{REPLAY_STEP_MAX, Store, StoreError};

/// How long the caller waits for the end; after that the replay goes on without.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// How many events are counted in one read.
const COUNT_STEP: usize = 1000;

/// What is to be replayed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Wanted {
    filter: Filter,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
    /// How many at most become due in a time, such as `50/s`.
    rate: Option<String>,
    /// Not what was ever delivered.
    #[serde(default)]
    only_never_succeeded: bool,
}

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    endpoint: String,
    #[serde(default)]
    state: Vec<String>,
    since: Option<String>,
    before: Option<String>,
    group: Option<String>,
}

impl Filter {
    /// In words.
    fn told(&self) -> String {
        let states = (!self.state.is_empty()).then(|| format!("state {}", self.state.join(" or ")));
        let since = self.since.as_ref().map(|time| format!("since {time}"));
        let before = self.before.as_ref().map(|time| format!("before {time}"));
        let group = self.group.as_ref().map(|group| format!("to {group}"));
        let parts: Vec<String> = [states, since, before, group].into_iter().flatten().collect();
        if parts.is_empty() { "everything".into() } else { parts.join(", ") }
    }
}

pub(in crate::api) async fn many(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, axum::Json<Value>), Refused> {
    let work = Work::of(&api, &who, &wanted)?;
    if wanted.dry_run {
        let counted = work.count().await?;
        return Ok((StatusCode::OK, axum::Json(told(None, counted, true))));
    }
    let endpoint = work.endpoint.clone();
    let order = Order { api: &api, who: &who, endpoint: &endpoint };
    let replay = order.begin(wanted.filter.told()).await?;
    // Goes on though the caller may have gone; ends with the relay, and then what was done is on record.
    let mut running = api.sessions.tasks.spawn(work.run(replay));
    match tokio::time::timeout(ANSWER_WITHIN, &mut running).await {
        Ok(Ok(replayed)) => {
            Ok((StatusCode::ACCEPTED, axum::Json(told(Some(replay), replayed?, true))))
        }
        Ok(Err(error)) => Err(Refused::new(Code::Internal, error.to_string())),
        Err(_) => {
            let so_far = Replayed::default();
            Ok((StatusCode::ACCEPTED, axum::Json(told(Some(replay), so_far, false))))
        }
    }
}

fn told(replay: Option<u32>, replayed: Replayed, done: bool) -> Value {
    let Replayed { deliveries, bodiless, full } = replayed;
    let deliveries = done.then_some(deliveries);
    json!({"replay": replay, "deliveries": deliveries, "bodiless": bodiless, "queue_full": full, "done": done})
}

/// A bulk replay, step by step.
struct Work {
    store: Arc<Store>,
    draining: tokio_util::sync::CancellationToken,
    endpoint: Arc<Endpoint>,
    filter: EventFilter,
    group: Option<Name>,
    which: Replayable,
    rate: Option<Rate>,
}

impl Work {
    fn of(api: &Api, who: &Bearer, wanted: &Wanted) -> Result<Self, Refused> {
        let Filter { endpoint, state, since, before, .. } = &wanted.filter;
        let pairs = std::iter::once(("endpoint", endpoint.as_str()))
            .chain(state.iter().map(|state| ("state", state.as_str())))
            .chain(since.iter().map(|time| ("since", time.as_str())))
            .chain(before.iter().map(|time| ("before", time.as_str())));
        let query = Query::of(api, who, pairs)?;
        let mut filter = query.filter(api, who, Scope::Replay)?;
        // What comes from now on is not replayed, nor what the replay itself makes.
        filter.before = filter.before.min(api.store.new_id());
        let endpoint = query.endpoints.into_iter().next();
        let endpoint = endpoint.ok_or_else(|| Refused::new(Code::BadRequest, "which endpoint?"))?;
        let group =
            wanted.filter.group.as_deref().map(|name| group(&endpoint, name)).transpose()?;
        let rate = wanted.rate.as_deref().map(Rate::parse).transpose();
        let rate = rate.map_err(|why| Refused::new(Code::BadRequest, format!("rate: {why}")))?;
        let never_succeeded = wanted.only_never_succeeded;
        let groups = Some(endpoint.settings.groups.as_slice().into());
        // What may be forged goes to nobody unless it is asked for by its name.
        let rejected = filter.states.contains(&delivery::State::Rejected);
        let (group_of, not_open) = (group.clone(), true);
        let which = Replayable { group: group_of, groups, not_open, never_succeeded, rejected };
        let (store, draining) = (Arc::clone(&api.store), api.sessions.draining.clone());
        Ok(Self { store, draining, endpoint, filter, group, which, rate })
    }

    fn id(&self) -> EndpointId {
        self.endpoint.id
    }

    /// The next events, and the filter for those after them.
    async fn next(&mut self, most: usize) -> Result<Vec<EventId>, StoreError> {
        let (filter, group) = (self.filter.clone(), self.group.clone());
        let ids = self.store.matching(self.id(), filter, group, most).await?;
        if let Some(last) = ids.last() {
            let after = u128::from_be_bytes(*last.as_bytes()).saturating_add(1);
            self.filter.since = EventId::from_bytes(after.to_be_bytes());
        }
        Ok(ids)
    }

    async fn count(mut self) -> Result<Replayed, Refused> {
        let mut counted = Replayed::default();
        loop {
            let ids = self.next(COUNT_STEP).await?;
            if ids.is_empty() {
                return Ok(counted);
            }
            let which = self.which.clone();
            counted.add(self.store.count_replayable(self.id(), ids, which).await?);
        }
    }

    async fn run(mut self, replay: u32) -> Result<Replayed, StoreError> {
        let (began_ms, room) = (steady_ms(), Room::of(&self.endpoint.settings));
        let mut replayed = Replayed::default();
        while !replayed.full && !self.draining.is_cancelled() {
            let ids = self.next(REPLAY_STEP_MAX).await?;
            if ids.is_empty() {
                break;
            }
            let due =
                |n: u64| self.rate.map_or(began_ms, |rate| began_ms.saturating_add(rate.after(n)));
            let first = replayed.deliveries;
            let events = ids.into_iter().zip(first..).map(|(id, n)| (id, due(n))).collect();
            let step = step(replay, self.id(), events, &self.which, room);
            replayed.add(self.store.replay(step).await?);
        }
        Ok(replayed)
    }
}
