//! What an agent has found of who sent an event, which it tells with the attempt.

use relay_client::verify::{Told, VERIFICATION};
use relay_protocol::id::EventId;
use relay_trust::Reason;
use rusqlite::{Connection, params};

use crate::endpoint::EndpointId;
use crate::problem::Code;
use crate::store::records::{Attempt, AttemptResult};

/// Takes down what this attempt tells, if it tells something. What was found good before stays; the newest counts else.
pub(super) fn write(
    connection: &Connection,
    (endpoint, event): (EndpointId, EventId),
    attempt: Option<&Attempt>,
) -> rusqlite::Result<()> {
    let Some(Told { state, reason, provider, .. }) = attempt.and_then(told) else { return Ok(()) };
    let sql = "UPDATE events SET verification = ?3, verified_as = ?4, unverified_why = ?5
         WHERE endpoint = ?1 AND id = ?2 AND coalesce(verification, '') NOT IN ('verified', 'authenticated')";
    let reason = reason.map(Reason::as_str);
    let mut update = connection.prepare_cached(sql)?;
    update.execute(params![endpoint.0, event.as_bytes(), state.as_str(), provider, reason])?;
    Ok(())
}

/// What an attempt tells.
pub(super) fn told(attempt: &Attempt) -> Option<Told> {
    let text = match &attempt.result {
        AttemptResult::Answered { fields, .. } => {
            std::str::from_utf8(fields.first(VERIFICATION.as_bytes())?).ok()?
        }
        AttemptResult::Failed { code, detail } => {
            (*code == Code::SignatureInvalid.as_str()).then_some(detail.as_str())?
        }
    };
    text.parse().ok()
}
