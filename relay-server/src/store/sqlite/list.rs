//! Lists of events and sums over them, read beside the writer. Nothing here touches a body, and nothing is counted that
//! the writer has counted already.

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::super::records::{AttemptResult, Backlog, Count, EventFilter, Summary};
use super::bundle::{self, Order, Unpacked};
use crate::delivery::State;
use crate::endpoint::EndpointId;

/// An event that belongs on a page, and by which of its deliveries, if that was asked for.
struct Hit {
    id: EventId,
    endpoint: EndpointId,
    by: Option<(String, u32)>,
}

/// The newest of these events, at most `limit`.
pub(in super::super) fn page(
    connection: &Connection,
    filter: &EventFilter,
    limit: usize,
) -> rusqlite::Result<Vec<Summary>> {
    // One snapshot for all of it.
    let snapshot = connection.unchecked_transaction()?;
    let mut hits: Vec<Hit> = Vec::new();
    let mut since = filter.since;
    for endpoint in &filter.endpoints {
        let narrowed = EventFilter { since, ..filter.clone() };
        if filter.states.is_empty() {
            events(&snapshot, *endpoint, &narrowed, limit, &mut hits)?;
        }
        for state in &filter.states {
            in_state(&snapshot, *endpoint, *state, &narrowed, limit, &mut hits)?;
        }
        newest(&mut hits, limit);
        // What is older than a full page need not be looked at in the endpoints that follow.
        if hits.len() == limit {
            since = hits.last().map_or(since, |oldest| oldest.id);
        }
    }
    summaries(&snapshot, &hits)
}

/// These events, in this order; those that are gone are left out.
pub(in super::super) fn of_ids(
    connection: &Connection,
    ids: &[(EndpointId, EventId)],
) -> rusqlite::Result<Vec<Summary>> {
    let snapshot = connection.unchecked_transaction()?;
    let hit =
        |(endpoint, id): &(EndpointId, EventId)| Hit { id: *id, endpoint: *endpoint, by: None };
    summaries(&snapshot, &ids.iter().map(hit).collect::<Vec<_>>())
}

/// The oldest events of these endpoints after this one, at most `limit`.
pub(in super::super) fn after(
    connection: &Connection,
    endpoints: &[EndpointId],
    after: EventId,
    limit: usize,
) -> rusqlite::Result<Vec<(EndpointId, EventId)>> {
    let sql = "SELECT id FROM events WHERE endpoint = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    let mut select = connection.prepare_cached(sql)?;
    let mut all = Vec::new();
    for endpoint in endpoints {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = select.query(params![endpoint.0, after.as_bytes(), most])?;
        while let Some(row) = rows.next()? {
            all.push((*endpoint, EventId::from_bytes(row.get(0)?)));
        }
        // One more, for the first may be the one that is known.
        let range = (after, EventId::from_bytes([u8::MAX; 16]));
        let bundled =
            bundle::ids(connection, *endpoint, range, Order::OldestFirst, limit.saturating_add(1))?;
        all.extend(bundled.into_iter().filter(|id| *id > after).map(|id| (*endpoint, id)));
    }
    all.sort_unstable_by_key(|(_, id)| *id);
    all.truncate(limit);
    Ok(all)
}

/// How much waits for a group.
pub(in super::super) fn backlog(
    connection: &Connection,
    endpoint: EndpointId,
    group: &Name,
) -> rusqlite::Result<Backlog> {
    let mut backlog = Backlog::default();
    // The index of states is in the order of events; the first of the group is mostly the first of all.
    let sql = "SELECT event FROM deliveries
         WHERE endpoint = ?1 AND state = ?2 AND state <> 'delivered' AND grp = ?3 ORDER BY event LIMIT 1";
    for count in counts(connection, endpoint)? {
        let waits = matches!(count.state, State::Pending | State::Delivering);
        if !waits || count.group != *group || count.n == 0 {
            continue;
        }
        backlog.count += count.n;
        let of = params![endpoint.0, count.state.as_str(), group.as_str()];
        let first = connection.prepare_cached(sql)?.query_row(of, |row| row.get(0)).optional()?;
        let first = first.map(EventId::from_bytes);
        backlog.oldest = backlog.oldest.into_iter().chain(first).min();
    }
    Ok(backlog)
}

/// How many deliveries of an endpoint are in each state.
pub(in super::super) fn counts(
    connection: &Connection,
    endpoint: EndpointId,
) -> rusqlite::Result<Vec<Count>> {
    let sql = "SELECT grp, state, n, bytes FROM counts WHERE endpoint = ?1 AND n <> 0";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([endpoint.0])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let (group, state): (String, String) = (row.get(0)?, row.get(1)?);
        let (Ok(group), Some(state)) = (group.parse(), State::parse(&state)) else { continue };
        let (n, bytes): (i64, i64) = (row.get(2)?, row.get(3)?);
        all.push(Count { group, state, n: n.unsigned_abs(), bytes: bytes.unsigned_abs() });
    }
    Ok(all)
}

fn events(
    connection: &Connection,
    endpoint: EndpointId,
    filter: &EventFilter,
    limit: usize,
    hits: &mut Vec<Hit>,
) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM events WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut select = connection.prepare_cached(sql)?;
    let (since, before) = (filter.since, filter.before);
    let mut rows = select.query(params![endpoint.0, since.as_bytes(), before.as_bytes(), most])?;
    while let Some(row) = rows.next()? {
        hits.push(Hit { id: EventId::from_bytes(row.get(0)?), endpoint, by: None });
    }
    bundled(connection, endpoint, filter, limit, hits)
}

/// Those that are in bundles: all of them delivered.
fn bundled(
    connection: &Connection,
    endpoint: EndpointId,
    filter: &EventFilter,
    limit: usize,
    hits: &mut Vec<Hit>,
) -> rusqlite::Result<()> {
    let range = (filter.since, filter.before);
    let ids = bundle::ids(connection, endpoint, range, Order::NewestFirst, limit)?;
    let by = (!filter.states.is_empty()).then(|| (Name::main().as_str().to_owned(), 0));
    hits.extend(ids.into_iter().map(|id| Hit { id, endpoint, by: by.clone() }));
    Ok(())
}

fn in_state(
    connection: &Connection,
    endpoint: EndpointId,
    state: State,
    filter: &EventFilter,
    limit: usize,
    hits: &mut Vec<Hit>,
) -> rusqlite::Result<()> {
    // Most are delivered: there the events themselves are walked, for which there is no other index than their own.
    let sql = match state {
        State::Delivered => {
            "SELECT event, grp, replay FROM deliveries
             WHERE endpoint = ?1 AND event >= ?2 AND event < ?3 AND state = ?4 ORDER BY event DESC"
        }
        _ => {
            "SELECT event, grp, replay FROM deliveries
             WHERE endpoint = ?1 AND event >= ?2 AND event < ?3 AND state = ?4 AND state <> 'delivered'
             ORDER BY event DESC"
        }
    };
    let mut select = connection.prepare_cached(sql)?;
    let (since, before) = (filter.since, filter.before);
    let mut rows =
        select.query(params![endpoint.0, since.as_bytes(), before.as_bytes(), state.as_str()])?;
    let (mut found, mut last) = (0, None);
    while let Some(row) = rows.next()? {
        let id = EventId::from_bytes(row.get(0)?);
        if last.replace(id) != Some(id) {
            found += 1;
        }
        // Several groups may bring the same event: that is one line of the page.
        if found > limit {
            break;
        }
        hits.push(Hit { id, endpoint, by: Some((row.get(1)?, row.get(2)?)) });
    }
    if state == State::Delivered {
        bundled(connection, endpoint, filter, limit, hits)?;
    }
    Ok(())
}

/// Keeps the newest events, each once, by its delivery to `main` where there is one.
fn newest(hits: &mut Vec<Hit>, limit: usize) {
    let rank = |hit: &Hit| {
        let by = hit.by.as_ref();
        by.map(|(group, replay)| (group != Name::main().as_str(), std::cmp::Reverse(*replay)))
    };
    hits.sort_by(|a, b| b.id.cmp(&a.id).then_with(|| rank(a).cmp(&rank(b))));
    hits.dedup_by_key(|hit| hit.id);
    hits.truncate(limit);
}

fn summaries(connection: &Connection, hits: &[Hit]) -> rusqlite::Result<Vec<Summary>> {
    let all = hits.iter().filter_map(|hit| summary(connection, hit).transpose());
    all.collect()
}

fn summary(connection: &Connection, hit: &Hit) -> rusqlite::Result<Option<Summary>> {
    let sql = "SELECT seq, method, path, event_type, verification, note, replay_of, grp, replay, state, code,
             status, attempts, unverified_why
         FROM events JOIN deliveries ON deliveries.endpoint = events.endpoint AND deliveries.event = events.id
         WHERE events.endpoint = ?1 AND events.id = ?2 AND (?3 IS NULL OR (grp = ?3 AND replay = ?4))
         ORDER BY grp = 'main' DESC, grp, replay DESC LIMIT 1";
    let (group, replay) = hit.by.as_ref().map_or((None, None), |(g, r)| (Some(g), Some(*r)));
    let in_rows = connection
        .prepare_cached(sql)?
        .query_row(params![hit.endpoint.0, hit.id.as_bytes(), group, replay], |row| read(row, hit))
        .optional()?;
    if in_rows.is_some() {
        return Ok(in_rows);
    }
    let in_bundle = bundle::find(connection, hit.endpoint, hit.id)?;
    Ok(in_bundle.map(|(seq, unpacked)| summary_of(seq, &unpacked)))
}

/// What lists show of an event in a bundle.
fn summary_of(seq: i64, Unpacked { event, attempt, .. }: &Unpacked) -> Summary {
    let head = &event.head;
    let checked = head.checked.as_deref();
    let status = match attempt.result {
        AttemptResult::Answered { status, .. } => Some(status),
        AttemptResult::Failed { .. } => None,
    };
    Summary {
        id: head.id,
        endpoint: head.endpoint,
        seq: seq.unsigned_abs(),
        method: String::from_utf8_lossy(&head.method).into_owned(),
        path: head.path.clone(),
        event_type: checked.and_then(|checked| checked.event_type.as_deref()).map(Into::into),
        verification: checked.map(|checked| checked.state.as_str().into()),
        note: None,
        replay_of: None,
        group: Name::main(),
        replay: 0,
        state: State::Delivered,
        why: None,
        status,
        attempts: attempt.number,
        unverified_why: checked.and_then(|checked| checked.reason).map(|why| why.as_str().into()),
    }
}

fn read(row: &Row<'_>, hit: &Hit) -> rusqlite::Result<Summary> {
    let (group, state): (String, String) = (row.get(7)?, row.get(9)?);
    Ok(Summary {
        id: hit.id,
        endpoint: hit.endpoint,
        seq: row.get::<_, i64>(0)?.unsigned_abs(),
        method: row.get(1)?,
        path: row.get::<_, Vec<u8>>(2)?.into(),
        event_type: row.get(3)?,
        verification: row.get(4)?,
        note: row.get(5)?,
        replay_of: row.get::<_, Option<[u8; 16]>>(6)?.map(EventId::from_bytes),
        group: group.parse().unwrap_or_else(|_| Name::main()),
        replay: row.get(8)?,
        state: State::parse(&state).unwrap_or(State::Pending),
        why: row.get(10)?,
        status: row.get(11)?,
        attempts: row.get(12)?,
        unverified_why: row.get(13)?,
    })
}
