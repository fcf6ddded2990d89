//! How what is replaced goes: a key or a secret that was rotated away counts a while longer.

use std::time::Duration;

use serde::Deserialize;

use super::Refused;
use crate::clock::from_now;
use crate::endpoint::units::duration;
use crate::problem::Code;

/// What is asked for when something is replaced.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    /// How long what is replaced still counts: a duration.
    pub(super) grace: Option<String>,
}

impl Rotation {
    /// Until when what is replaced counts, in milliseconds of the Unix epoch; `usual` is for who says nothing of it.
    pub(super) fn until_ms(&self, usual: Duration) -> Result<u64, Refused> {
        let grace = self.grace.as_deref().map_or(Ok(usual), duration);
        let grace = grace.map_err(|why| Refused::new(Code::BadRequest, format!("grace: {why}")))?;
        Ok(from_now(grace))
    }
}
