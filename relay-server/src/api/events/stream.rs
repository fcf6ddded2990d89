//! Events as they come: one JSON object a line, until the reader goes or the relay does.
//!
//! Who was away says after which event; what came meanwhile is told first. An event is told when it is durable.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use relay_protocol::id::EventId;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::pieces::{Pieces, WAITING_MAX};
use super::super::{Api, Bearer, Refused};
use super::{Query, row};
use crate::delivery::State as Standing;
use crate::endpoint::EndpointId;
use crate::problem::Code;
use crate::store::Feed;
use crate::store::records::Scope;

/// How many readers there may be at a time.
pub(in crate::api) const STREAMS_MAX: usize = 64;

/// The header field that says after which event the stream begins: who has seen none when it breaks goes on from there.
const CURSOR: &str = "webhook-relay-cursor";

/// How many events are told in one piece.
const AT_ONCE: usize = 200;

/// After so long without an event an empty line is sent, so that a reader who has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An event is durable at most so long after it came, in all but the slowest uploads, in milliseconds.
const LATE_MAX: u64 = 120_000;

pub(in crate::api) async fn stream(
    State(api): State<Arc<Api>>,
    who: Bearer,
    RawQuery(query): RawQuery,
    streams: Arc<Semaphore>,
) -> Result<Response, Refused> {
    let query = Query::parse(&api, &who, query.as_deref().unwrap_or_default())?;
    query.endpoint_ids(&api, &who, Scope::Read)?;
    let query_after = query.after;
    let busy = |_| Refused::new(Code::RelayOverloaded, "too many streams are read already");
    let permit = streams.try_acquire_owned().map_err(busy)?;
    let (pieces, waiting) = mpsc::channel(WAITING_MAX);
    // What has been missed is looked for after this: nothing comes in between.
    let feed = api.store.feed();
    let begun = api.store.new_id();
    let tasks = api.sessions.tasks.clone();
    let telling = Telling { api, who, query, pieces, told: HashSet::new(), _permit: permit };
    tasks.spawn(telling.run(feed, begun));
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    let cursor = [(CURSOR, query_after.unwrap_or(begun).to_string())];
    Ok((headers, cursor, Body::new(Pieces(waiting))).into_response())
}

struct Telling {
    api: Arc<Api>,
    who: Bearer,
    query: Query,
    pieces: mpsc::Sender<Bytes>,
    /// What was told when it was looked for, and may come over the feed as well.
    told: HashSet<EventId>,
    _permit: OwnedSemaphorePermit,
}

/// The reader has gone, may not read any more, or the relay shuts down.
struct Over;

impl Telling {
    async fn run(mut self, mut feed: Feed, begun: EventId) {
        let (api, grant) = (Arc::clone(&self.api), self.who.0.clone());
        tokio::select! {
            Over = self.tell(&mut feed, begun) => {}
            () = api.sessions.draining.cancelled() => {}
            _ = api.access.ended(&grant) => {}
        }
    }

    async fn tell(&mut self, feed: &mut Feed, mut last: EventId) -> Over {
        if let Some(after) = self.query.after
            && let Err(over) = self.catch_up(after).await
        {
            return over;
        }
        loop {
            let next = tokio::time::timeout(KEEP_ALIVE, feed.recv()).await;
            let told = match next {
                Ok(Ok(first)) => {
                    let mut ids = vec![first];
                    while ids.len() < AT_ONCE
                        && let Ok(next) = feed.try_recv()
                    {
                        ids.push(next);
                    }
                    last = ids.iter().map(|(_, id)| *id).fold(last, Ord::max);
                    ids.retain(|(_, id)| !self.told.remove(id));
                    self.send(&ids).await
                }
                // The reader is so slow that the feed has passed it: what it missed is looked for.
                Ok(Err(RecvError::Lagged(_))) => {
                    while !matches!(
                        feed.try_recv(),
                        Err(TryRecvError::Empty | TryRecvError::Closed)
                    ) {}
                    self.catch_up(last).await
                }
                Ok(Err(RecvError::Closed)) => Err(Over),
                Err(_) => self.pieces.send(Bytes::from_static(b"\n")).await.map_err(|_| Over),
            };
            if let Err(over) = told {
                return over;
            }
        }
    }

    /// Tells what came after this event.
    async fn catch_up(&mut self, mut after: EventId) -> Result<(), Over> {
        self.told.clear();
        let newest_ms = self.api.store.new_id().unix_ms();
        let recent = EventId::first_at(newest_ms.saturating_sub(LATE_MAX));
        loop {
            let endpoints = self.query.endpoint_ids(&self.api, &self.who, Scope::Read);
            let endpoints = endpoints.map_err(|_| Over)?;
            let ids = self.api.store.after(endpoints, after, AT_ONCE).await.map_err(|_| Over)?;
            self.send(&ids).await?;
            self.told.extend(ids.iter().map(|(_, id)| *id).filter(|id| *id >= recent));
            match ids.last() {
                Some((_, last)) if ids.len() == AT_ONCE => after = *last,
                _ => return Ok(()),
            }
        }
    }

    /// Tells these, as far as they are wanted and may be seen.
    async fn send(&self, ids: &[(EndpointId, EventId)]) -> Result<(), Over> {
        if !self.api.access.holds(&self.who.0) {
            return Err(Over);
        }
        let ids: Vec<_> =
            ids.iter().filter(|(endpoint, _)| self.covers(*endpoint)).copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let found = self.api.store.summaries(ids).await.map_err(|_| Over)?;
        let mut lines = Vec::new();
        for summary in found.iter().filter(|summary| self.wants(summary.state)) {
            let Some(row) = row(&self.api, summary) else { continue };
            serde_json::to_writer(&mut lines, &row).map_err(|_| Over)?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.pieces.send(lines.into()).await.map_err(|_| Over)
    }

    fn covers(&self, endpoint: EndpointId) -> bool {
        let named = &self.query.endpoints;
        let named = named.is_empty() || named.iter().any(|named| named.id == endpoint);
        let found = self.api.directory.by_id(endpoint);
        named && found.is_some_and(|endpoint| self.who.0.allows(Scope::Read, &endpoint.name))
    }

    fn wants(&self, state: Standing) -> bool {
        self.query.states.is_empty() || self.query.states.contains(&state)
    }
}
