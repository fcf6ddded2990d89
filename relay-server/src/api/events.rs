//! Events over the API: lists, one event, its body, and the stream of them.

mod query;
mod shown;
mod stream;

use std::sync::Arc;

use axum::body::Body as HttpBody;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use relay_protocol::id::EventId;
use serde::Serialize;
use tokio::sync::mpsc;

use super::pieces::{Pieces, WAITING_MAX};
use super::{Api, Bearer, Refused};
use crate::endpoint::{Endpoint, EndpointId};
use crate::event::Body;
use crate::problem::Code;
use crate::store::records::Scope;

pub(super) use query::Query;
pub(super) use shown::{Row, replay, row};
pub(super) use stream::{STREAMS_MAX, stream};

/// How much of a spooled body is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// A page of events, the newest first.
#[derive(Serialize)]
pub(super) struct Page {
    events: Vec<Row>,
    /// To be given as `cursor` for the next page; none when there is no more.
    next: Option<String>,
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    who: Bearer,
    RawQuery(query): RawQuery,
) -> Result<axum::Json<Page>, Refused> {
    let query = Query::parse(&api, &who, query.as_deref().unwrap_or_default())?;
    let limit = query.limit;
    let found = api.store.page(query.filter(&api, &who, Scope::Read)?, limit).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.to_string());
    let events = found.iter().filter_map(|summary| row(&api, summary)).collect();
    Ok(axum::Json(Page { events, next }))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
) -> Result<axum::Json<shown::Whole>, Refused> {
    let found = match id.parse() {
        Ok(id) => api.store.event(id).await?,
        Err(_) => None,
    };
    let found = found.ok_or_else(|| no_event(&id))?;
    let endpoint = covered(&api, &who, Scope::Read, found.event.head.endpoint, &id)?;
    Ok(axum::Json(shown::whole(&endpoint, &found)))
}

pub(super) async fn body(
    State(api): State<Arc<Api>>,
    who: Bearer,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let found = match id.parse() {
        Ok(id) => api.store.body(id).await?,
        Err(_) => None,
    };
    let (endpoint, body) = found.ok_or_else(|| no_event(&id))?;
    covered(&api, &who, Scope::Read, endpoint, &id)?;
    let length = body.len();
    let content = match body {
        Body::Memory(bytes) => HttpBody::from(bytes),
        Body::Absent(0) => HttpBody::empty(),
        Body::Absent(_) => {
            return Err(Refused::new(Code::NotFound, format!("the body of {id} was not kept")));
        }
        Body::Spooled(file) => {
            let (pieces, waiting) = mpsc::channel(WAITING_MAX);
            tokio::spawn(async move {
                let mut at = 0;
                while let Ok(piece) = file.piece(at, PIECE).await {
                    at += piece.len() as u64;
                    if piece.is_empty() || pieces.send(piece).await.is_err() {
                        return;
                    }
                }
            });
            HttpBody::new(Pieces(waiting))
        }
    };
    // What strangers have sent is never to be run by a browser.
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{id}\"")),
    ];
    Ok((headers, content).into_response())
}

/// The whole body of an event, into memory.
pub(super) async fn whole_body(api: &Api, id: EventId) -> Result<Option<Bytes>, Refused> {
    match api.store.body(id).await? {
        Some((_, Body::Memory(bytes))) => Ok(Some(bytes)),
        Some((_, Body::Absent(0))) => Ok(Some(Bytes::new())),
        Some((_, Body::Spooled(file))) => {
            let length = usize::try_from(file.len()).unwrap_or(usize::MAX);
            let read = file.piece(0, length).await;
            read.map(Some).map_err(|e| Refused::new(Code::StoreUnavailable, e.to_string()))
        }
        Some((_, Body::Absent(_))) | None => Ok(None),
    }
}

/// The endpoint of an event, for somebody whose token covers it; for who does not see it, there is no such event.
pub(super) fn covered(
    api: &Api,
    who: &Bearer,
    scope: Scope,
    endpoint: EndpointId,
    id: &str,
) -> Result<Arc<Endpoint>, Refused> {
    let found = api.directory.by_id(endpoint).filter(|endpoint| who.0.sees(&endpoint.name));
    let endpoint = found.ok_or_else(|| no_event(id))?;
    if who.0.allows(scope, &endpoint.name) {
        Ok(endpoint)
    } else {
        let words = format!("this needs a token with the scope {}", scope.as_str());
        Err(Refused::new(Code::NotAllowed, words))
    }
}

pub(super) fn no_event(id: &str) -> Refused {
    Refused::new(Code::NotFound, format!("there is no event {id:?}"))
}
