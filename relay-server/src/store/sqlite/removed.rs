//! Puts aside what waits for a group that its endpoint no longer has: a dead letter, which the group can have again should
//! it come back. What such a group has in hand is settled first, or its lease runs out.

use std::collections::{BTreeMap, HashMap};

use relay_protocol::id::{EventId, Name};
use relay_trust::Profiles;
use rusqlite::{Connection, params};

use super::super::records::Lease;
use super::books::{Books, QueueOf};
use super::settle::next_turn;
use crate::delivery::State;
use crate::endpoint::{EndpointId, Settings};

/// Why such a delivery is dead.
const GROUP_REMOVED: &str = "group_removed";

/// The groups for which something waits, but which are no more.
pub(super) fn groups(connection: &Connection) -> rusqlite::Result<Vec<QueueOf>> {
    let sql = "SELECT DISTINCT endpoint, grp, settings FROM counts JOIN endpoints ON endpoints.id = counts.endpoint
         WHERE grp <> 'main' AND state IN ('pending', 'delivering') AND n > 0";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let (mut known, mut removed) = (HashMap::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (endpoint, settings): (EndpointId, String) = (EndpointId(row.get(0)?), row.get(2)?);
        let Ok(group) = row.get::<_, String>(1)?.parse::<Name>() else { continue };
        let there = known.entry(endpoint).or_insert_with(|| there(&settings));
        if there.as_ref().is_some_and(|there| !there.contains(&group)) {
            removed.push((endpoint, group));
        }
    }
    Ok(removed)
}

/// The groups of these settings; none that is known, so none that is removed, if the settings are not understood.
fn there(settings: &str) -> Option<Vec<Name>> {
    let mut set: BTreeMap<String, String> = serde_json::from_str(settings).ok()?;
    // Whatever else is set says nothing of groups, and may speak of providers that are not known here.
    set.retain(|key, _| key == "groups");
    Some(Settings::apply(&set, &Profiles::embedded()).ok()?.groups)
}

/// Puts aside at most so many deliveries of a group, and says how many there were.
pub(super) fn put_aside(
    connection: &Connection,
    books: &mut Books,
    (endpoint, group): &QueueOf,
    most: usize,
) -> rusqlite::Result<usize> {
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = 'dead', code = ?5, detail = ?6, due_ms = NULL, lease = NULL, okey = NULL,
             ckey = NULL
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND replay = ?4",
    )?;
    let detail = format!("group {group} is no longer one of the endpoint's");
    let waiting = waiting(connection, *endpoint, group, most)?;
    for Waiting { event, replay, state, size, okey } in &waiting {
        let of = (endpoint.0, event.as_bytes(), group.as_str(), replay);
        update.execute(params![of.0, of.1, of.2, of.3, GROUP_REMOVED, detail])?;
        books.moves((*endpoint, group), *state, State::Dead, *size);
        if let Some(key) = okey {
            let (event, group) = (*event, group.clone());
            let over = Lease { endpoint: *endpoint, event, group, replay: *replay, token: 0 };
            next_turn(connection, books, &over, key)?;
        }
    }
    Ok(waiting.len())
}

/// A delivery that is in nobody's hands.
struct Waiting {
    event: EventId,
    replay: u32,
    state: State,
    size: i64,
    okey: Option<Vec<u8>>,
}

/// What waits for a group and is not behind another of its key: that has its turn when this one is out of the way.
fn waiting(
    connection: &Connection,
    endpoint: EndpointId,
    group: &Name,
    most: usize,
) -> rusqlite::Result<Vec<Waiting>> {
    let sql = "SELECT event, replay, state, size, okey FROM deliveries
         WHERE endpoint = ?1 AND grp = ?2 AND due_ms IS NOT NULL AND (state = 'pending' OR due_ms <= ?3)
         ORDER BY due_ms LIMIT ?4";
    let (now_ms, most) =
        (crate::clock::steady_ms() as i64, i64::try_from(most).unwrap_or(i64::MAX));
    let mut select = connection.prepare_cached(sql)?;
    let of = params![endpoint.0, group.as_str(), now_ms, most];
    let rows = select.query_map(of, |row| {
        let state: String = row.get(2)?;
        Ok(Waiting {
            event: EventId::from_bytes(row.get(0)?),
            replay: row.get(1)?,
            state: State::parse(&state).unwrap_or(State::Pending),
            size: row.get(3)?,
            okey: row.get(4)?,
        })
    })?;
    rows.collect()
}
