//! How the first delivery of an event stands: what a repeat of it is told.

use relay_protocol::id::EventId;
use relay_protocol::webhook::Fields;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::records::{AttemptResult, Standing};
use super::bundle;
use crate::delivery::State;
use crate::endpoint::EndpointId;

/// How an event's first delivery to `main` stands.
pub(in super::super) fn standing(
    connection: &Connection,
    endpoint: EndpointId,
    event: EventId,
) -> rusqlite::Result<Standing> {
    let mut select = connection.prepare_cached(
        "SELECT state, status, fields, body FROM deliveries
         WHERE endpoint = ?1 AND event = ?2 AND grp = 'main' AND replay = 0",
    )?;
    let read = |row: &Row<'_>| {
        let state: String = row.get(0)?;
        let taken = match State::parse(&state) {
            Some(State::Live) => return Ok(Standing::Live),
            Some(State::Pending | State::Delivering) => return Ok(Standing::Promised),
            Some(State::Delivered) => true,
            Some(State::Failed) => false,
            _ => return Ok(Standing::Over),
        };
        let Some(status) = row.get(1)? else { return Ok(Standing::Over) };
        let fields = row.get::<_, Option<Vec<u8>>>(2)?.unwrap_or_default();
        let body = row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default();
        let fields = Fields::parse(fields.into()).unwrap_or_default();
        Ok(Standing::Answered { taken, status, fields, body: body.into() })
    };
    let found = select.query_row(params![endpoint.0, event.as_bytes()], read).optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    let bundled = bundle::find(connection, endpoint, event)?;
    Ok(match bundled.map(|(_, unpacked)| unpacked.attempt.result) {
        Some(AttemptResult::Answered { status, fields, body }) => {
            Standing::Answered { taken: true, status, fields, body }
        }
        Some(AttemptResult::Failed { .. }) | None => Standing::Over,
    })
}
