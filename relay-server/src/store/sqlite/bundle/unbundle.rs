//! What becomes of bundles: opened into rows when something happens to one of their events, or removed.

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::super::records::{Acceptance, Room};
use super::super::books::Books;
use super::super::row::DeliveryRow;
use super::super::rows::{self, EventRow, PayloadRow};
use super::packed::{Packed, Unpacked};
use super::read::{each_id, each_packed, place, reach};
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Body;

/// A bundle, as far as it matters for how long it is kept.
pub(in super::super) struct Bundle {
    row: i64,
    /// Its oldest event.
    pub(in super::super) first: EventId,
    /// How many events there are, how long their bodies are, and how much of them is kept.
    pub(in super::super) n: i64,
    size: i64,
    pub(in super::super) kept: i64,
    /// When the last of them came or was over, in milliseconds of the Unix epoch.
    pub(in super::super) over_ms: u64,
}

/// The bundle with an endpoint's oldest bundled event.
pub(in super::super) fn oldest(
    connection: &Connection,
    endpoint: EndpointId,
) -> rusqlite::Result<Option<Bundle>> {
    let sql = "SELECT first FROM bundles WHERE endpoint = ?1 ORDER BY last LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    let first = select.query_row([endpoint.0], |row| row.get(0).map(EventId::from_bytes));
    let Some(first) = first.optional()? else { return Ok(None) };
    // One that overlaps with it may begin before it.
    let sql = "SELECT n, first, last, events, size, kept, over_ms FROM bundles
         WHERE endpoint = ?1 AND last <= ?2 ORDER BY first LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row(params![endpoint.0, reach(first).as_bytes()], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Bundle> {
    let last = EventId::from_bytes(row.get(2)?);
    Ok(Bundle {
        row: row.get(0)?,
        first: EventId::from_bytes(row.get(1)?),
        n: row.get(3)?,
        size: row.get(4)?,
        kept: row.get(5)?,
        over_ms: row.get::<_, i64>(6)?.unsigned_abs().max(last.unix_ms()),
    })
}

/// Removes a bundle with all that is in it; `counted`: its deliveries are in the counts.
pub(in super::super) fn remove(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    bundle: &Bundle,
    counted: bool,
) -> rusqlite::Result<()> {
    delete(connection, bundle.row)?;
    if counted {
        books.several_enter(endpoint, &Name::main(), State::Delivered, -bundle.n, -bundle.size);
    }
    books.several_go(endpoint, bundle.n, bundle.kept);
    Ok(())
}

/// Gives the events of a bundle rows of their own.
pub(in super::super) fn open(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    bundle: &Bundle,
) -> rusqlite::Result<()> {
    open_row(connection, books, endpoint, bundle.row)
}

/// Gives an event rows of its own, if it is in a bundle, and all others in there as well.
pub(in super::super) fn open_with(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    event: EventId,
) -> rusqlite::Result<()> {
    match place(connection, endpoint, event)? {
        Some((row, _)) => open_row(connection, books, endpoint, row),
        None => Ok(()),
    }
}

fn open_row(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    row: i64,
) -> rusqlite::Result<()> {
    let sql = "SELECT seq, ids, data FROM bundles WHERE n = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let (seq, ids, data): (i64, Vec<u8>, Vec<u8>) =
        select.query_row([row], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut packed = each_packed(&data);
    for (seq, id) in (seq..).zip(each_id(&ids)) {
        let packed = Packed::read(packed.next().unwrap_or_default());
        insert(connection, books, seq, packed.unpack(endpoint, id))?;
    }
    delete(connection, row)
}

fn insert(
    connection: &Connection,
    books: &mut Books,
    seq: i64,
    unpacked: Unpacked,
) -> rusqlite::Result<()> {
    let Unpacked { event, attempt, sound } = unpacked;
    let (endpoint, id, main) = (event.head.endpoint, event.head.id, Name::main());
    let size = i64::try_from(event.body.len()).unwrap_or(i64::MAX);
    let acceptance = Acceptance {
        keep_body: matches!(event.body, Body::Memory(_)),
        event,
        deliveries: Vec::new(),
        dedup: None,
        room: Room { events: 0, bytes: 0 },
        note: None,
        replay_of: None,
    };
    let payload = books.next_payload;
    books.next_payload += 1;
    rows::insert(connection, &[PayloadRow { n: payload, acceptance: &acceptance }])?;
    rows::insert(connection, &[EventRow { acceptance: &acceptance, seq, payload }])?;
    let mut delivery = DeliveryRow::new(endpoint, id, &main, size);
    delivery.set_last(Some(&attempt));
    delivery.state = State::Delivered;
    delivery.insert(connection)?;
    if !sound {
        // What is not what it was does not become sound by being written anew.
        let sql = "UPDATE payloads SET sums = ~sums WHERE n = ?1";
        connection.prepare_cached(sql)?.execute([payload])?;
    }
    Ok(())
}

fn delete(connection: &Connection, row: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM bundles WHERE n = ?1")?.execute([row]).map(drop)
}
