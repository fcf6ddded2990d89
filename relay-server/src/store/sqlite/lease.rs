//! Puts what is due into somebody's hands, whole: head, body, and how often it was tried.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::super::records::{Due, Lease, Leased, Want, fresh_token};
use super::super::spool::Spool;
use super::super::sums::{self, Sums};
use super::books::Books;
use super::settle::next_turn;
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::{Body, Checked, Event, Head, Origin};

/// The most deliveries that are put aside as expired in one go, so that nobody waits long behind it.
const EXPIRED_MAX: usize = 200;

/// Leases what is due, the longest due first.
pub(super) fn lease(
    connection: &Connection,
    books: &mut Books,
    spool: &Arc<Spool>,
    want: &Want,
) -> rusqlite::Result<Due> {
    let mut due = Due::default();
    let until_ms = horizon(connection, want)?;
    let (mut bytes, mut expired) = (0u64, 0);
    while due.leased.len() < want.most && expired < EXPIRED_MAX {
        let Some(row) = first_due(connection, want, until_ms)? else { break };
        if row.goes_by_itself() && row.event.unix_ms() < want.not_before_ms {
            put_aside(connection, books, want, &row, (State::Expired, "expired"))?;
            expired += 1;
            continue;
        }
        let event = match load(connection, spool, want.endpoint, row.event) {
            Ok(event) => event,
            // Not there, or nonsense: no other event is to suffer from it.
            Err(error) if error.sqlite_error_code().is_none() => {
                tracing::error!(event = %row.event, %error, "an event in the store is damaged");
                put_aside(connection, books, want, &row, (State::Dead, "corrupt"))?;
                expired += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        bytes += want.in_memory(row.size.unsigned_abs());
        if bytes > want.bytes && !due.leased.is_empty() {
            break;
        }
        due.leased.push(take(connection, books, want, &row, event)?);
    }
    due.next_ms = next_due(connection, want)?;
    Ok(due)
}

/// Takes everything out of the hands that held it before a restart. What nobody was promised is over; the rest is due.
pub(super) fn take_over(connection: &Connection, books: &mut Books) -> rusqlite::Result<()> {
    let now_ms = crate::clock::steady_ms() as i64;
    connection.execute(
        "UPDATE deliveries SET due_ms = ?1 WHERE lease IS NOT NULL AND state = 'delivering'",
        [now_ms],
    )?;
    let mut update = connection.prepare(
        "UPDATE deliveries SET state = 'failed', lease = NULL, code = 'link_lost',
             detail = 'the relay stopped before the answer came'
         WHERE lease IS NOT NULL AND state = 'live' RETURNING endpoint, grp, size",
    )?;
    let mut rows = update.query([])?;
    while let Some(row) = rows.next()? {
        let (endpoint, group) = (EndpointId(row.get(0)?), row.get::<_, String>(1)?);
        let group: Name = group.parse().unwrap_or_else(|_| Name::main());
        books.moves((endpoint, &group), State::Live, State::Failed, row.get(2)?);
    }
    Ok(())
}

/// Up to which time what is due goes now.
fn horizon(connection: &Connection, want: &Want) -> rusqlite::Result<u64> {
    let Some(gather) = want.gather else { return Ok(want.now_ms) };
    let later = want.now_ms.saturating_add(gather.within_ms);
    let mut count = connection.prepare_cached(
        "SELECT count(*), min(due_ms) FROM (SELECT due_ms FROM deliveries WHERE endpoint = ?1 AND grp = ?2
             AND due_ms IS NOT NULL AND due_ms <= ?3 AND state = 'pending' ORDER BY due_ms LIMIT ?4)",
    )?;
    let of = params![want.endpoint.0, want.group.as_str(), later as i64, gather.full as i64];
    let (n, first): (i64, Option<i64>) =
        count.query_row(of, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_due = first.is_some_and(|first| first.unsigned_abs() <= want.now_ms);
    Ok(if n >= gather.full as i64 || is_due { later } else { want.now_ms })
}

/// A delivery that is due.
struct DueRow {
    event: EventId,
    replay: u32,
    state: State,
    size: i64,
    attempts: u32,
    spent_ms: u64,
    okey: Option<Vec<u8>>,
    code: Option<String>,
}

impl DueRow {
    /// Whether it waits, and for nobody who asked for it: what somebody replays is wanted, however old it is.
    fn goes_by_itself(&self) -> bool {
        self.state == State::Pending && self.replay == 0
    }
}

/// The delivery that is due first. What waits may go ahead of its time, up to `until_ms`; what somebody has in hand, which
/// may be what was taken a moment ago, only when its lease is over.
fn first_due(
    connection: &Connection,
    want: &Want,
    until_ms: u64,
) -> rusqlite::Result<Option<DueRow>> {
    let mut select = connection.prepare_cached(
        "SELECT event, replay, state, size, attempts, spent_ms, okey, code FROM deliveries
         WHERE endpoint = ?1 AND grp = ?2 AND due_ms IS NOT NULL AND due_ms <= ?3
             AND (due_ms <= ?4 OR state = 'pending') ORDER BY due_ms LIMIT 1",
    )?;
    let read = |row: &Row<'_>| {
        let state: String = row.get(2)?;
        Ok(DueRow {
            event: EventId::from_bytes(row.get(0)?),
            replay: row.get(1)?,
            state: State::parse(&state).unwrap_or(State::Pending),
            size: row.get(3)?,
            attempts: row.get(4)?,
            spent_ms: row.get::<_, i64>(5)?.unsigned_abs(),
            okey: row.get(6)?,
            code: row.get(7)?,
        })
    };
    let (endpoint, group) = (want.endpoint.0, want.group.as_str());
    let of = params![endpoint, group, until_ms as i64, want.now_ms as i64];
    select.query_row(of, read).optional()
}

fn next_due(connection: &Connection, want: &Want) -> rusqlite::Result<Option<u64>> {
    let mut select = connection.prepare_cached(
        "SELECT due_ms FROM deliveries WHERE endpoint = ?1 AND grp = ?2 AND due_ms IS NOT NULL ORDER BY due_ms LIMIT 1",
    )?;
    let read = |row: &Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
    select.query_row(params![want.endpoint.0, want.group.as_str()], read).optional()
}

fn update<'c>(connection: &'c Connection) -> rusqlite::Result<CachedStatement<'c>> {
    connection.prepare_cached(
        "UPDATE deliveries SET state = ?5, due_ms = ?6, lease = ?7, ckey = NULL,
             okey = CASE WHEN ?7 IS NULL THEN NULL ELSE okey END, code = coalesce(?8, code)
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4",
    )
}

fn put_aside(
    connection: &Connection,
    books: &mut Books,
    want: &Want,
    row: &DueRow,
    (state, why): (State, &'static str),
) -> rusqlite::Result<()> {
    let (endpoint, group) = (want.endpoint.0, want.group.as_str());
    let none = None::<i64>;
    update(connection)?.execute(params![
        endpoint,
        row.event.as_bytes(),
        group,
        row.replay,
        state.as_str(),
        none,
        none,
        why
    ])?;
    books.moves((want.endpoint, &want.group), row.state, state, row.size);
    match &row.okey {
        Some(key) => next_turn(connection, books, &lease_of(want, row, 0), key),
        None => Ok(()),
    }
}

fn take(
    connection: &Connection,
    books: &mut Books,
    want: &Want,
    row: &DueRow,
    (event, sound): (Event, bool),
) -> rusqlite::Result<Leased> {
    let lease = lease_of(want, row, fresh_token());
    let (state, group) = (State::Delivering, want.group.as_str());
    update(connection)?.execute(params![
        want.endpoint.0,
        row.event.as_bytes(),
        group,
        row.replay,
        state.as_str(),
        want.until_ms as i64,
        lease.token as i64,
        None::<&str>
    ])?;
    books.moves((want.endpoint, &want.group), row.state, state, row.size);
    let unheard =
        row.code.as_deref().is_some_and(|code| code == "link_lost" || code == "agent_timeout");
    // A lease that ran out: whoever had it may have been answered.
    let resent = unheard || row.state == State::Delivering;
    Ok(Leased { lease, event, attempts: row.attempts, spent_ms: row.spent_ms, resent, sound })
}

fn lease_of(want: &Want, row: &DueRow, token: u64) -> Lease {
    let (endpoint, group) = (want.endpoint, want.group.clone());
    Lease { endpoint, event: row.event, group, replay: row.replay, token }
}

/// An event as it was accepted, and whether it is still that.
pub(super) fn load(
    connection: &Connection,
    spool: &Arc<Spool>,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<(Event, bool)> {
    let mut select = connection.prepare_cached(
        "SELECT method, path, remote, https, version, body_len, body_kept, fields, trailers, body, sums,
             event_type, verification, verified_as, unverified_why
         FROM events JOIN payloads ON n = payload WHERE endpoint = ?1 AND id = ?2",
    )?;
    select.query_row(params![endpoint.0, id.as_bytes()], |row| {
        let (method, path): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let (fields, trailers): (Vec<u8>, Option<Vec<u8>>) = (row.get(7)?, row.get(8)?);
        let (length, kept): (i64, String) = (row.get(5)?, row.get(6)?);
        let absent = Body::Absent(length.unsigned_abs());
        let sums = row.get::<_, Option<i64>>(10)?.map(Sums::of_number);
        let expected = (length.unsigned_abs(), sums.map(|sums| sums.body));
        // The sum of a file's body is seen to by who reads it.
        let (body, sum) = match kept.as_str() {
            "row" => {
                let bytes = row.get::<_, Option<Vec<u8>>>(9)?.unwrap_or_default();
                let sum = sums::of_body(&bytes);
                (Body::Memory(bytes.into()), Some(sum))
            }
            "spool" => {
                let file = spool.load(id, expected);
                (file.map_or(absent, |file| Body::Spooled(Arc::new(file))), expected.1)
            }
            _ => (absent, expected.1),
        };
        let found = Sums::of(
            method.as_bytes(),
            &path,
            &fields,
            trailers.as_deref().unwrap_or_default(),
            sum.unwrap_or_default(),
        );
        let parse = |bytes: Vec<u8>| Fields::parse(Bytes::from(bytes)).unwrap_or_default();
        let head = Head {
            id,
            endpoint,
            method: method.into_bytes().into(),
            path: path.into(),
            fields: parse(fields),
            origin: origin(row)?,
            checked: checked(row, 11)?,
        };
        let trailers = trailers.map(parse).unwrap_or_default();
        let event = Event { head: Arc::new(head), body, trailers, held: None };
        Ok((event, sums.is_none_or(|kept| kept == found)))
    })
}

/// How an event came, from its columns.
fn origin(row: &Row<'_>) -> rusqlite::Result<Origin> {
    let (remote, version): (String, String) = (row.get(2)?, row.get(4)?);
    Ok(Origin {
        remote: remote.parse::<IpAddr>().unwrap_or(Ipv4Addr::UNSPECIFIED.into()).into(),
        https: row.get(3)?,
        version: match version.as_str() {
            "1.0" => "1.0",
            "2" => "2",
            _ => "1.1",
        },
    })
}

/// What was found of who sent an event, in the four columns from this one on.
fn checked(row: &Row<'_>, from: usize) -> rusqlite::Result<Option<Box<Checked>>> {
    let text = |column: usize| row.get::<_, Option<String>>(from + column);
    let (Some(state), Some(provider)) = (text(1)?, text(2)?) else { return Ok(None) };
    let Ok(state) = state.parse() else { return Ok(None) };
    let reason = text(3)?.and_then(|reason| reason.parse().ok());
    let event_type = text(0)?.map(Into::into);
    Ok(Some(Box::new(Checked { provider: provider.into(), state, reason, event_type })))
}
