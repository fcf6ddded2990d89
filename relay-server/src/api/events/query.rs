//! Which events are asked for, as it stands in a query.

use std::sync::Arc;

use relay_protocol::id::EventId;

use super::super::endpoints::find;
use super::super::{Api, Bearer, Refused, time};
use crate::clock::now_ms;
use crate::delivery::State;
use crate::endpoint::{Endpoint, EndpointId};
use crate::problem::Code;
use crate::store::records::{EventFilter, Scope};

/// How many events are on a page.
const LIMIT: usize = 50;
/// The most events on a page.
const LIMIT_MAX: usize = 1000;

/// A query: `endpoint` and `state` may stand in it several times.
#[derive(Debug)]
pub(in crate::api) struct Query {
    /// None for all that the token sees.
    pub(in crate::api) endpoints: Vec<Arc<Endpoint>>,
    pub(in crate::api) states: Vec<State>,
    since: Option<EventId>,
    before: Option<EventId>,
    pub(in crate::api) after: Option<EventId>,
    pub(in crate::api) limit: usize,
}

impl Query {
    pub(in crate::api) fn parse(api: &Api, who: &Bearer, text: &str) -> Result<Self, Refused> {
        let pairs = form_urlencoded::parse(text.as_bytes());
        let pairs: Vec<_> = pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        Self::of(api, who, pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())))
    }

    /// The query in these pairs.
    pub(in crate::api) fn of<'a>(
        api: &Api,
        who: &Bearer,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Refused> {
        let (endpoints, states) = (Vec::new(), Vec::new());
        let (since, before, after, limit) = (None, None, None, LIMIT);
        let mut query = Self { endpoints, states, since, before, after, limit };
        let now_ms = now_ms();
        for (key, value) in pairs {
            let bad = |why: String| Refused::new(Code::BadRequest, format!("{key}: {why}"));
            let time = || time::parse(value, now_ms).map(EventId::first_at).map_err(bad);
            let id = || value.parse::<EventId>().map_err(|e| bad(e.to_string()));
            match key {
                "endpoint" => query.endpoints.push(find(api, who, value)?),
                "state" => {
                    let state = State::parse(value);
                    let none = || bad(format!("{value:?} is none of {}", state_names()));
                    query.states.push(state.ok_or_else(none)?);
                }
                "since" => query.since = Some(time()?),
                "before" => query.before = Some(query.before.unwrap_or(LAST).min(time()?)),
                "cursor" => query.before = Some(query.before.unwrap_or(LAST).min(id()?)),
                "after" => query.after = Some(id()?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    query.limit =
                        limit.ok_or_else(|| bad(format!("a number from 1 to {LIMIT_MAX}")))?;
                }
                _ => {
                    let known = "endpoint, state, since, before, limit, cursor, after";
                    return Err(bad(format!("no such filter; there are {known}")));
                }
            }
        }
        Ok(query)
    }

    /// The filter, for somebody whose token has this scope for every endpoint in it.
    pub(in crate::api) fn filter(
        &self,
        api: &Api,
        who: &Bearer,
        scope: Scope,
    ) -> Result<EventFilter, Refused> {
        let endpoints = self.endpoint_ids(api, who, scope)?;
        let all = EventFilter::of(endpoints);
        let (since, before) = (self.since.unwrap_or(all.since), self.before.unwrap_or(all.before));
        Ok(EventFilter { states: self.states.clone(), since, before, ..all })
    }

    /// The endpoints that were named, or all that the token covers.
    pub(in crate::api) fn endpoint_ids(
        &self,
        api: &Api,
        who: &Bearer,
        scope: Scope,
    ) -> Result<Vec<EndpointId>, Refused> {
        let covers = |endpoint: &Arc<Endpoint>| who.0.allows(scope, &endpoint.name);
        let refused = || {
            let words = format!("this needs a token with the scope {}", scope.as_str());
            Refused::new(Code::NotAllowed, words)
        };
        let ids = |all: Vec<Arc<Endpoint>>| all.iter().map(|endpoint| endpoint.id).collect();
        if !self.endpoints.is_empty() {
            return if self.endpoints.iter().all(covers) {
                Ok(ids(self.endpoints.clone()))
            } else {
                Err(refused())
            };
        }
        if !who.0.has(scope) {
            return Err(refused());
        }
        Ok(ids(api.directory.all().into_iter().filter(covers).collect()))
    }
}

/// Younger than every event.
const LAST: EventId = EventId::from_bytes([u8::MAX; 16]);

/// Every state's name.
fn state_names() -> String {
    State::ALL.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(", ")
}
