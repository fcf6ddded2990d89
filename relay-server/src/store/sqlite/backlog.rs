//! How far behind a group is, and what a delivery was answered: small questions of the queue.

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::records::Waiting;
use crate::endpoint::EndpointId;

/// What waits for a group.
pub(in super::super) fn waiting(
    connection: &Connection,
    endpoint: EndpointId,
    group: &Name,
) -> rusqlite::Result<Waiting> {
    let of = params![endpoint.0, group.as_str()];
    let count: i64 = connection
        .prepare_cached(
            "SELECT coalesce(sum(n), 0) FROM counts
             WHERE endpoint = ?1 AND grp = ?2 AND state IN ('pending', 'delivering')",
        )?
        .query_row(of, |row| row.get(0))?;
    if count <= 0 {
        return Ok(Waiting::default());
    }
    let oldest = connection
        .prepare_cached(
            "SELECT event FROM deliveries WHERE endpoint = ?1 AND state IN ('pending', 'delivering')
                 AND state <> 'delivered' AND grp = ?2 ORDER BY event LIMIT 1",
        )?
        .query_row(of, |row| row.get::<_, [u8; 16]>(0))
        .optional()?;
    Ok(Waiting { count: count.unsigned_abs(), oldest: oldest.map(EventId::from_bytes) })
}

/// The status, header fields and kept body with which an event's first delivery was taken.
pub(in super::super) fn answer(
    connection: &Connection,
    endpoint: EndpointId,
    event: EventId,
) -> rusqlite::Result<Option<(u16, Fields, Bytes)>> {
    let mut select = connection.prepare_cached(
        "SELECT status, fields, body FROM deliveries WHERE endpoint = ?1 AND event = ?2 AND grp = 'main'
             AND replay = 0 AND state = 'delivered' AND status IS NOT NULL",
    )?;
    let read = |row: &Row<'_>| {
        let fields = row.get::<_, Option<Vec<u8>>>(1)?.unwrap_or_default();
        let body = row.get::<_, Option<Vec<u8>>>(2)?.unwrap_or_default();
        Ok((row.get(0)?, Fields::parse(fields.into()).unwrap_or_default(), body.into()))
    };
    select.query_row(params![endpoint.0, event.as_bytes()], read).optional()
}
