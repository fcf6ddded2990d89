//! An event that somebody has edited: a new one, made from the other, which stays as it is.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use relay_protocol::id::{EventId, Name};
use relay_protocol::limits::FIELDS_MAX;
use relay_protocol::webhook::{Fields, is_end_to_end};
use serde::Deserialize;

use super::Order;
use crate::api::Refused;
use crate::api::events::whole_body;
use crate::clock::steady_ms;
use crate::event::{Body, Event, Head};
use crate::problem::Code;
use crate::store::StoreError;
use crate::store::records::{Acceptance, Found, NewDelivery, ReplayOf, Room, Start};
use crate::store::spool::SPOOL_ABOVE;

/// The longest request that brings a body, in bytes: 26 MiB in base64, and the rest.
pub(in crate::api) const BODY_MAX: usize = 36 << 20;

/// The longest path, in bytes, as long as the wire carries.
const PATH_MAX: usize = 16 * 1024;

/// What is to be different; the rest stays.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Edits {
    method: Option<String>,
    /// Sub-path and query.
    path: Option<String>,
    /// Takes the place of all fields of its name; without a value, they are left out.
    #[serde(default)]
    headers: Vec<(String, Option<String>)>,
    body_base64: Option<String>,
}

impl Edits {
    pub(super) fn is_empty(&self) -> bool {
        self.method.is_none()
            && self.path.is_none()
            && self.headers.is_empty()
            && self.body_base64.is_none()
    }

    fn head(&self, id: EventId, old: &Head) -> Result<Head, String> {
        let method = match &self.method {
            Some(method) => {
                let sound = Method::from_bytes(method.as_bytes());
                let sound = sound.map_err(|_| format!("method: {method:?} is none"))?;
                Bytes::copy_from_slice(sound.as_str().as_bytes())
            }
            None => old.method.clone(),
        };
        let path = match &self.path {
            Some(path) => sound_path(path)?,
            None => old.path.clone(),
        };
        let (fields, origin) = (self.fields(&old.fields)?, old.origin.clone());
        // Nobody has signed it as it is now.
        Ok(Head { id, endpoint: old.endpoint, method, path, fields, origin, checked: None })
    }

    fn fields(&self, old: &Fields) -> Result<Fields, String> {
        let mut sound = Vec::new();
        for (name, value) in &self.headers {
            let bad = || format!("headers: {name:?} is no header field that an event carries");
            let name = HeaderName::try_from(name).map_err(|_| bad())?;
            let value = value.as_ref().map(HeaderValue::try_from).transpose();
            if !is_end_to_end(name.as_str().as_bytes()) {
                return Err(bad());
            }
            sound.push((name.clone(), value.map_err(|_| bad())?));
        }
        let named = |name: &[u8]| sound.iter().any(|(named, _)| named.as_str().as_bytes() == name);
        let kept = old.iter().filter(|(name, _)| !named(name));
        let new = sound.iter().filter_map(|(name, value)| {
            Some((name.as_str().as_bytes(), value.as_ref()?.as_bytes()))
        });
        let length = |(name, value): &(&[u8], &[u8])| name.len() + value.len() + 4;
        let all: Vec<(&[u8], &[u8])> = kept.chain(new).collect();
        if all.iter().map(length).sum::<usize>() > FIELDS_MAX {
            return Err("headers: more than an event carries".into());
        }
        Ok(all.into_iter().collect())
    }
}

fn sound_path(path: &str) -> Result<Bytes, String> {
    let begins = path.is_empty() || path.starts_with(['/', '?']);
    let plain = path.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'#');
    if begins && plain && path.len() <= PATH_MAX {
        Ok(Bytes::copy_from_slice(path.as_bytes()))
    } else {
        Err("path: begins with / or ?, has no spaces and no #, and at most 16 KiB".into())
    }
}

impl Order<'_> {
    /// Accepts the edited event, for the groups that had the other one.
    pub(super) async fn edited(
        &self,
        found: &Found,
        edits: Edits,
        group: Option<Name>,
        what: String,
    ) -> Result<(u32, EventId), Refused> {
        let bad = |why: String| Refused::new(Code::BadRequest, why);
        let (id, old) = (self.api.store.new_id(), &found.event.head);
        let head = Arc::new(edits.head(id, old).map_err(bad)?);
        let bytes = match &edits.body_base64 {
            Some(text) => {
                let decoded =
                    STANDARD.decode(text).map_err(|e| bad(format!("body_base64: {e}")))?;
                Some(Bytes::from(decoded))
            }
            None => whole_body(self.api, old.id).await?,
        };
        let gone = || Refused::new(Code::Conflict, "the event's body was not kept: give another");
        let bytes = bytes.ok_or_else(gone)?;
        if bytes.len() as u64 > self.endpoint.settings.max_body {
            return Err(Refused::new(Code::BodyTooLarge, "longer than the endpoint takes"));
        }
        let body = self.body(id, bytes).await?;
        let trailers = found.event.trailers.clone();
        let event = Event { head, body, trailers, held: None };
        let groups = match group {
            Some(group) => vec![group],
            None => groups(found, &self.endpoint.settings.groups),
        };
        let delivery = |group| {
            let (order_key, collapse) = (None, None);
            NewDelivery { group, start: Start::Due(steady_ms()), order_key, collapse }
        };
        let replay = self.begin(what).await?;
        let acceptance = Acceptance {
            event,
            deliveries: groups.into_iter().map(delivery).collect(),
            keep_body: true,
            dedup: None,
            room: Room::of(&self.endpoint.settings),
            note: None,
            replay_of: Some(ReplayOf { event: old.id, replay }),
        };
        self.api.store.accept(acceptance).await?;
        Ok((replay, id))
    }

    /// The body, in a file of its own if it is large.
    async fn body(&self, id: EventId, bytes: Bytes) -> Result<Body, Refused> {
        if bytes.len() <= SPOOL_ABOVE {
            return Ok(Body::Memory(bytes));
        }
        let spool = Arc::clone(self.api.store.spool());
        let write = move || {
            let file = spool.create(id)?;
            file.append(&bytes)?;
            file.keep()?;
            Ok::<_, std::io::Error>(file)
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(std::io::Error::other).and_then(|written| written);
        let file = written.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Body::Spooled(Arc::new(file)))
    }
}

/// The groups that had an event, of those that are still there.
fn groups(found: &Found, there: &[Name]) -> Vec<Name> {
    let had = found.deliveries.iter().map(|delivery| delivery.group.clone());
    let mut groups: Vec<Name> = had.filter(|group| there.contains(group)).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
