//! What happens to a delivery that was written earlier: settled, promised, given back, or its turn comes.
//!
//! Only the holder of a lease changes a delivery; a settlement whose lease is gone changes nothing.

use relay_protocol::id::EventId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::StoreError;
use super::super::records::{Lease, Next, Promise, Receipt, Settlement};
use super::books::Books;
use super::found;
use super::row::{Landing, Last};
use crate::delivery::State;

/// A leased row, as far as settling needs it.
struct Held {
    state: State,
    size: i64,
    okey: Option<Vec<u8>>,
}

/// Settles a delivery if the lease still holds; the attempt before it moves to the history.
pub(super) fn settle(
    connection: &Connection,
    books: &mut Books,
    settlement: &Settlement,
) -> rusqlite::Result<()> {
    let Settlement { lease, attempt, next } = settlement;
    let Some(held) = held(connection, lease)? else {
        tracing::debug!(event = %lease.event, group = %lease.group, "a lease was lost before it was settled");
        return Ok(());
    };
    let landing = Landing::of(next);
    let last = attempt.as_ref().map(Last::of);
    if let Some(last) = &last {
        move_last_to_history(connection, lease)?;
        write_last(connection, lease, last)?;
    }
    found::write(connection, (lease.endpoint, lease.event), attempt.as_ref())?;
    land(connection, books, lease, &held, &landing)
}

/// Turns a live delivery into one that waits with the others.
pub(super) fn promise(
    connection: &Connection,
    books: &mut Books,
    promise: &Promise,
) -> rusqlite::Result<Result<Receipt, StoreError>> {
    let Promise { lease, attempt, next, room } = promise;
    let gone = || StoreError::Unavailable("the event was not kept".into());
    let Some(held) = held(connection, lease)? else { return Ok(Err(gone())) };
    let size = held.size.unsigned_abs();
    let full = held.state == State::Live && !books.has_room(lease.endpoint, *room, 1, size);
    if let Some(last) = attempt.as_ref().map(Last::of) {
        move_last_to_history(connection, lease)?;
        write_last(connection, lease, &last)?;
    }
    found::write(connection, (lease.endpoint, lease.event), attempt.as_ref())?;
    let failed = Landing { why: Some("queue_full"), ..Landing::of(&Next::Failed) };
    let landing = if full { failed } else { Landing::of(next) };
    land(connection, books, lease, &held, &landing)?;
    if full {
        return Ok(Err(StoreError::QueueFull));
    }
    let sql = "SELECT seq FROM events WHERE endpoint = ?1 AND id = ?2";
    let seq: i64 = connection
        .prepare_cached(sql)?
        .query_row(params![lease.endpoint.0, lease.event.as_bytes()], |row| row.get(0))?;
    Ok(Ok(Receipt::Kept(seq.unsigned_abs())))
}

fn held(connection: &Connection, lease: &Lease) -> rusqlite::Result<Option<Held>> {
    let mut select = connection.prepare_cached(
        "SELECT state, size, okey FROM deliveries
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4 AND lease = ?5",
    )?;
    let read = |row: &Row<'_>| {
        let state: String = row.get(0)?;
        let state = State::parse(&state).unwrap_or(State::Delivering);
        Ok(Held { state, size: row.get(1)?, okey: row.get(2)? })
    };
    select
        .query_row(
            params![of(lease).0, of(lease).1, of(lease).2, of(lease).3, lease.token as i64],
            read,
        )
        .optional()
}

/// The key of the lease's row.
fn of(lease: &Lease) -> (i64, &[u8], &str, u32) {
    (lease.endpoint.0, lease.event.as_bytes(), lease.group.as_str(), lease.replay)
}

fn move_last_to_history(connection: &Connection, lease: &Lease) -> rusqlite::Result<()> {
    let (endpoint, event, group, replay) = of(lease);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO attempts
             SELECT endpoint, event, grp, replay, attempts, started_ms, took_ms, status, code, detail, fields, body
             FROM deliveries
             WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4 AND started_ms IS NOT NULL",
        )?
        .execute(params![endpoint, event, group, replay])?;
    Ok(())
}

fn write_last(connection: &Connection, lease: &Lease, last: &Last<'_>) -> rusqlite::Result<()> {
    let (endpoint, event, group, replay) = of(lease);
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET attempts = ?5, started_ms = ?6, took_ms = ?7, status = ?8, code = ?9, detail = ?10,
             fields = ?11, body = ?12
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4",
    )?;
    update.execute(params![
        endpoint,
        event,
        group,
        replay,
        last.number,
        last.started_ms,
        last.took_ms,
        last.status,
        last.code,
        last.detail,
        last.fields,
        last.body,
    ])?;
    Ok(())
}

/// Puts a delivery where it goes from its holder's hands.
fn land(
    connection: &Connection,
    books: &mut Books,
    lease: &Lease,
    held: &Held,
    landing: &Landing,
) -> rusqlite::Result<()> {
    let (endpoint, event, group, replay) = of(lease);
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = ?5, due_ms = ?6, lease = ?7, code = coalesce(?8, code),
             okey = CASE WHEN ?9 THEN okey END, ckey = NULL, spent_ms = ?10
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4",
    )?;
    update.execute(params![
        endpoint,
        event,
        group,
        replay,
        landing.state.as_str(),
        landing.due_ms.map(|ms| ms as i64),
        landing.held.then_some(lease.token as i64),
        landing.why,
        landing.state.is_open(),
        landing.spent_ms as i64,
    ])?;
    books.moves((lease.endpoint, &lease.group), held.state, landing.state, held.size);
    if landing.due_ms.is_some() {
        books.is_due(lease.endpoint, &lease.group);
    }
    match &held.okey {
        Some(key) if !landing.state.is_open() => next_turn(connection, books, lease, key),
        _ => Ok(()),
    }
}

/// Makes the next delivery of a key due, now that the one before it is over.
pub(super) fn next_turn(
    connection: &Connection,
    books: &mut Books,
    over: &Lease,
    key: &[u8],
) -> rusqlite::Result<()> {
    let (endpoint, group) = (over.endpoint.0, over.group.as_str());
    let sql = "SELECT event, replay FROM deliveries WHERE endpoint = ?1 AND grp = ?2 AND okey = ?3
         ORDER BY event LIMIT 1";
    let next = connection
        .prepare_cached(sql)?
        .query_row(params![endpoint, group, key], |row| {
            Ok((EventId::from_bytes(row.get(0)?), row.get::<_, u32>(1)?))
        })
        .optional()?;
    let Some((event, replay)) = next else { return Ok(()) };
    let sql = "UPDATE deliveries SET due_ms = ?5
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4 AND due_ms IS NULL";
    let now_ms = crate::clock::steady_ms() as i64;
    connection.prepare_cached(sql)?.execute(params![
        endpoint,
        event.as_bytes(),
        group,
        replay,
        now_ms
    ])?;
    books.is_due(over.endpoint, &over.group);
    Ok(())
}
