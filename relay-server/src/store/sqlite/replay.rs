//! Makes deliveries of kept events once more, and sees which could be.

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::StoreError;
use super::super::records::{EventFilter, ReplayOrder, ReplayStep, Replayable, Replayed};
use super::books::Books;
use super::bundle::{self, Order, Unpacked};
use super::row::DeliveryRow;
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Body;

/// Writes a replay down and gives it its number.
pub(in super::super) fn begin(
    connection: &Connection,
    order: &ReplayOrder,
) -> rusqlite::Result<Result<u32, StoreError>> {
    let sql = "INSERT INTO replays(at_ms, token, endpoint, what, count) VALUES(?1, ?2, ?3, ?4, 0)";
    let ReplayOrder { at_ms, by, endpoint, what } = order;
    let token = by.token.as_deref().unwrap_or_default();
    connection.prepare_cached(sql)?.execute(params![*at_ms as i64, token, endpoint.0, what])?;
    let number = u32::try_from(connection.last_insert_rowid());
    Ok(number.map_err(|_| StoreError::Unavailable("there are no numbers left for replays".into())))
}

/// Makes these deliveries due again.
pub(in super::super) fn step(
    connection: &Connection,
    books: &mut Books,
    step: &ReplayStep,
) -> rusqlite::Result<Result<Replayed, StoreError>> {
    let mut replayed = Replayed::default();
    'events: for (event, due_ms) in &step.events {
        bundle::open_with(connection, books, step.endpoint, *event)?;
        let Some((groups, size)) = groups(connection, step.endpoint, *event, &step.which)? else {
            replayed.bodiless += 1;
            continue;
        };
        for group in groups {
            if !books.has_room(step.endpoint, step.room, 1, size.unsigned_abs()) {
                replayed.full = true;
                break 'events;
            }
            let mut row = DeliveryRow::new(step.endpoint, *event, &group, size);
            (row.replay, row.state, row.due_ms) = (step.replay, State::Pending, Some(*due_ms));
            row.insert(connection)?;
            books.enters(step.endpoint, &group, State::Pending, size);
            books.is_due(step.endpoint, &group);
            replayed.deliveries += 1;
        }
    }
    note(connection, step.replay, replayed.deliveries)?;
    Ok(Ok(replayed))
}

/// Adds to the deliveries that came of a replay.
pub(super) fn note(connection: &Connection, replay: u32, more: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE replays SET count = count + ?2 WHERE n = ?1";
    connection.prepare_cached(sql)?.execute(params![replay, more as i64])?;
    Ok(())
}

/// What a step of these events would come to.
pub(in super::super) fn count(
    connection: &Connection,
    endpoint: EndpointId,
    events: &[EventId],
    which: &Replayable,
) -> rusqlite::Result<Replayed> {
    let snapshot = connection.unchecked_transaction()?;
    let mut replayed = Replayed::default();
    for event in events {
        match groups(&snapshot, endpoint, *event, which)? {
            Some((groups, _)) => replayed.deliveries += groups.len() as u64,
            None => replayed.bodiless += 1,
        }
    }
    Ok(replayed)
}

/// The oldest events of this endpoint that the filter takes, at most `limit`.
pub(in super::super) fn matching(
    connection: &Connection,
    endpoint: EndpointId,
    filter: &EventFilter,
    group: Option<&Name>,
    limit: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let (since, before) = (filter.since, filter.before);
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut ids = Vec::new();
    if filter.states.is_empty() {
        let sql = "SELECT id FROM events WHERE endpoint = ?1 AND id >= ?2 AND id < ?3 ORDER BY id LIMIT ?4";
        let of = params![endpoint.0, since.as_bytes(), before.as_bytes(), most];
        let mut select = connection.prepare_cached(sql)?;
        let mut rows = select.query(of)?;
        while let Some(row) = rows.next()? {
            ids.push(EventId::from_bytes(row.get(0)?));
        }
    }
    for state in &filter.states {
        // The partial index of states is for all but this one.
        let indexed = if *state == State::Delivered { "" } else { "AND state <> 'delivered'" };
        let sql = format!(
            "SELECT DISTINCT event FROM deliveries
             WHERE endpoint = ?1 AND event >= ?2 AND event < ?3 AND state = ?4 {indexed} AND (?5 IS NULL OR grp = ?5)
             ORDER BY event LIMIT ?6"
        );
        let mut select = connection.prepare_cached(&sql)?;
        let (state, group) = (state.as_str(), group.map(Name::as_str));
        let of = params![endpoint.0, since.as_bytes(), before.as_bytes(), state, group, most];
        let mut rows = select.query(of)?;
        while let Some(row) = rows.next()? {
            ids.push(EventId::from_bytes(row.get(0)?));
        }
    }
    let delivered = filter.states.is_empty()
        || (filter.states.contains(&State::Delivered)
            && group.is_none_or(|group| *group == Name::main()));
    if delivered {
        let range = (since, before);
        ids.extend(bundle::ids(connection, endpoint, range, Order::OldestFirst, limit)?);
    }
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(limit);
    Ok(ids)
}

/// The groups to which an event may go once more, and its size; none when its body was not kept. An event that has gone
/// goes to no group.
fn groups(
    connection: &Connection,
    endpoint: EndpointId,
    event: EventId,
    which: &Replayable,
) -> rusqlite::Result<Option<(Vec<Name>, i64)>> {
    let sql = "SELECT body_len, body_kept FROM events WHERE endpoint = ?1 AND id = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let of = params![endpoint.0, event.as_bytes()];
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let Some((size, kept)) = select.query_row(of, read).optional()? else {
        return bundled_groups(connection, endpoint, event, which);
    };
    if kept == "none" && size > 0 {
        return Ok(None);
    }
    let sql = "SELECT grp, max(state IN ('live', 'pending', 'delivering')), max(state = 'delivered'), min(state = 'filtered'),
             max(state = 'rejected')
         FROM deliveries WHERE endpoint = ?1 AND event = ?2 GROUP BY grp";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(of)?;
    let mut groups = Vec::new();
    let mut had = false;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Ok(name) = name.parse::<Name>() else { continue };
        let (open, delivered, filtered): (bool, bool, bool) =
            (row.get(1)?, row.get(2)?, row.get(3)?);
        if row.get(4)? && !which.rejected {
            return Ok(Some((Vec::new(), size)));
        }
        let wanted = which.group.as_ref().map_or(!filtered, |group| *group == name);
        had |= wanted;
        let wanted = wanted && which.groups.as_ref().is_none_or(|there| there.contains(&name));
        if wanted && !(which.not_open && open) && !(which.never_succeeded && delivered) {
            groups.push(name);
        }
    }
    // A group that is named and never had the event gets it now.
    if !had {
        groups.extend(which.group.clone());
    }
    Ok(Some((groups, size)))
}

/// The same of an event that is in a bundle: it was delivered to `main`, and nothing else.
fn bundled_groups(
    connection: &Connection,
    endpoint: EndpointId,
    event: EventId,
    which: &Replayable,
) -> rusqlite::Result<Option<(Vec<Name>, i64)>> {
    let Some((_, Unpacked { event, .. })) = bundle::find(connection, endpoint, event)? else {
        return Ok(Some((Vec::new(), 0)));
    };
    if matches!(event.body, Body::Absent(1..)) {
        return Ok(None);
    }
    let size = i64::try_from(event.body.len()).unwrap_or(i64::MAX);
    let group = which.group.clone().unwrap_or_else(Name::main);
    let there = which.groups.as_ref().is_none_or(|there| there.contains(&group));
    // A group that is named and never had the event gets it now.
    let had = group == Name::main();
    let wanted = !had || (there && !which.never_succeeded);
    Ok(Some((wanted.then_some(group).into_iter().collect(), size)))
}
