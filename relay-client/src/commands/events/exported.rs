//! An event with its body, as it is loaded to be written in one form or another.

use bytes::Bytes;
use serde_json::Value;

use crate::api::{Api, ApiError};
use crate::commands::Failure;

/// An event with its body, if that was kept.
pub(super) struct Exported {
    pub(super) event: Value,
    pub(super) body: Option<Bytes>,
}

/// Loads the event with this id.
pub(super) async fn load(api: &Api, id: &str) -> Result<Exported, Failure> {
    let event = api.get(&format!("/events/{id}")).await?;
    let body = match api.bytes(&format!("/events/{id}/body")).await {
        Ok(body) => Some(body),
        Err(ApiError::NotFound(_)) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Exported { event, body })
}
