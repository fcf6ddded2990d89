//! One event, whole: its head and body, its deliveries with all their attempts, its replays. Read beside the writer.

use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::records::{Attempt, AttemptResult, Delivery, Found, ReplayNote, Tried};
use super::super::spool::Spool;
use super::bundle::{self, Unpacked};
use super::lease::load;
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Body;

/// An event of any endpoint that there still is.
pub(in super::super) fn event(
    connection: &Connection,
    spool: &Arc<Spool>,
    id: EventId,
) -> rusqlite::Result<Option<Found>> {
    let snapshot = connection.unchecked_transaction()?;
    let Some(endpoint) = endpoint_of(&snapshot, id)? else { return in_bundle(&snapshot, id) };
    let (event, _) = load(&snapshot, spool, endpoint, id)?;
    let sql = "SELECT seq, note, replay_of FROM events WHERE endpoint = ?1 AND id = ?2";
    let found = snapshot.query_row(sql, params![endpoint.0, id.as_bytes()], |row| {
        Ok(Found {
            event,
            seq: row.get::<_, i64>(0)?.unsigned_abs(),
            note: row.get(1)?,
            replay_of: row.get::<_, Option<[u8; 16]>>(2)?.map(EventId::from_bytes),
            deliveries: deliveries(&snapshot, endpoint, id)?,
            replays: replays_of(&snapshot, endpoint, id)?,
        })
    })?;
    Ok(Some(found))
}

/// An event that is in a bundle, so delivered at once.
fn in_bundle(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Found>> {
    let Some((seq, Unpacked { event, attempt, .. })) = unpacked(connection, id)? else {
        return Ok(None);
    };
    let delivery = Delivery {
        group: Name::main(),
        replay: 0,
        state: State::Delivered,
        why: None,
        detail: None,
        due_ms: None,
        tried: vec![tried(attempt)],
    };
    Ok(Some(Found {
        event,
        seq: seq.unsigned_abs(),
        note: None,
        replay_of: None,
        deliveries: vec![delivery],
        replays: Vec::new(),
    }))
}

/// An event that is in a bundle of any endpoint that there still is, and its number.
fn unpacked(connection: &Connection, id: EventId) -> rusqlite::Result<Option<(i64, Unpacked)>> {
    let mut select = connection.prepare_cached("SELECT id FROM endpoints")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let found = bundle::find(connection, EndpointId(row.get(0)?), id)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn tried(attempt: Attempt) -> Tried {
    let Attempt { number, started_ms, took_ms, result } = attempt;
    let bare = Tried {
        number,
        started_ms,
        took_ms,
        status: None,
        code: None,
        detail: None,
        fields: Fields::default(),
        body: Bytes::new(),
    };
    match result {
        AttemptResult::Answered { status, fields, body } => {
            Tried { status: Some(status), fields, body, ..bare }
        }
        AttemptResult::Failed { code, detail } => {
            Tried { code: Some(code.into()), detail: Some(detail), ..bare }
        }
    }
}

/// The body of an event, where it is kept, and whose it is. One that the disk has changed is as good as not kept.
pub(in super::super) fn body(
    connection: &Connection,
    spool: &Arc<Spool>,
    id: EventId,
) -> rusqlite::Result<Option<(EndpointId, Body)>> {
    let snapshot = connection.unchecked_transaction()?;
    let (endpoint, event, sound) = match endpoint_of(&snapshot, id)? {
        Some(endpoint) => {
            let (event, sound) = load(&snapshot, spool, endpoint, id)?;
            (endpoint, event, sound)
        }
        None => match unpacked(&snapshot, id)? {
            Some((_, Unpacked { event, sound, .. })) => (event.head.endpoint, event, sound),
            None => return Ok(None),
        },
    };
    let body = match event.body {
        Body::Spooled(file) if !file.is_sound() => Body::Absent(file.len()),
        Body::Memory(bytes) if !sound => Body::Absent(bytes.len() as u64),
        body => body,
    };
    Ok(Some((endpoint, body)))
}

/// The newest replays, at most `limit`.
pub(in super::super) fn replays(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<ReplayNote>> {
    let sql = "SELECT n, at_ms, token, endpoint, what, count FROM replays ORDER BY n DESC LIMIT ?1";
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    connection.prepare_cached(sql)?.query_map([most], replay)?.collect()
}

fn endpoint_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<EndpointId>> {
    let sql = "SELECT endpoint FROM endpoints CROSS JOIN events ON endpoint = endpoints.id
         WHERE events.id = ?1 LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    select.query_row([id.as_bytes()], |row| row.get(0).map(EndpointId)).optional()
}

fn deliveries(
    connection: &Connection,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<Vec<Delivery>> {
    let sql = "SELECT grp, replay, state, due_ms, attempts, started_ms, took_ms, status, code, detail, fields, body
         FROM deliveries WHERE endpoint = ?1 AND event = ?2 ORDER BY grp = 'main' DESC, grp, replay";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![endpoint.0, id.as_bytes()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (group, replay): (String, u32) = (row.get(0)?, row.get(1)?);
        let state: String = row.get(2)?;
        let mut tried = history(connection, (endpoint, id), &group, replay)?;
        if row.get::<_, Option<i64>>(5)?.is_some() {
            tried.push(attempt(row, 4)?);
        }
        all.push(Delivery {
            group: group.parse().unwrap_or_else(|_| Name::main()),
            replay,
            state: State::parse(&state).unwrap_or(State::Pending),
            why: row.get(8)?,
            detail: row.get(9)?,
            due_ms: row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs),
            tried,
        });
    }
    Ok(all)
}

/// The attempts that were followed by another.
fn history(
    connection: &Connection,
    (endpoint, id): (EndpointId, EventId),
    group: &str,
    replay: u32,
) -> rusqlite::Result<Vec<Tried>> {
    let sql = "SELECT number, started_ms, took_ms, status, code, detail, fields, body FROM attempts
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4 ORDER BY number";
    let mut select = connection.prepare_cached(sql)?;
    let of = params![endpoint.0, id.as_bytes(), group, replay];
    select.query_map(of, |row| attempt(row, 0))?.collect()
}

/// An attempt in the eight columns from this one on.
fn attempt(row: &Row<'_>, from: usize) -> rusqlite::Result<Tried> {
    Ok(Tried {
        number: row.get(from)?,
        started_ms: row.get::<_, i64>(from + 1)?.unsigned_abs(),
        took_ms: row.get::<_, i64>(from + 2)?.unsigned_abs(),
        status: row.get(from + 3)?,
        code: row.get(from + 4)?,
        detail: row.get(from + 5)?,
        fields: fields(row.get(from + 6)?),
        body: row.get::<_, Option<Vec<u8>>>(from + 7)?.unwrap_or_default().into(),
    })
}

fn replays_of(
    connection: &Connection,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<Vec<ReplayNote>> {
    let sql = "SELECT n, at_ms, token, endpoint, what, count FROM replays WHERE n IN
         (SELECT replay FROM deliveries WHERE endpoint = ?1 AND event = ?2 AND replay > 0) ORDER BY n";
    let mut select = connection.prepare_cached(sql)?;
    select.query_map(params![endpoint.0, id.as_bytes()], replay)?.collect()
}

fn replay(row: &Row<'_>) -> rusqlite::Result<ReplayNote> {
    Ok(ReplayNote {
        number: row.get(0)?,
        at_ms: row.get::<_, i64>(1)?.unsigned_abs(),
        token: row.get(2)?,
        endpoint: EndpointId(row.get(3)?),
        what: row.get(4)?,
        count: row.get::<_, i64>(5)?.unsigned_abs(),
    })
}

fn fields(bytes: Option<Vec<u8>>) -> Fields {
    Fields::parse(Bytes::from(bytes.unwrap_or_default())).unwrap_or_default()
}
