//! Finds events in bundles.

use relay_protocol::id::EventId;
use rusqlite::{Connection, params};

use super::packed::{Packed, Unpacked};
use super::{ID, LENGTH, SPAN_MS};
use crate::endpoint::EndpointId;

/// In which order events are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Events from `since` on and before `before`, at most `limit`, in this order.
pub(in super::super) fn ids(
    connection: &Connection,
    endpoint: EndpointId,
    (since, before): (EventId, EventId),
    order: Order,
    limit: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let sql = match order {
        Order::OldestFirst => {
            "SELECT last, ids FROM bundles
             WHERE endpoint = ?1 AND last >= ?2 AND last <= ?4 AND first < ?3 ORDER BY last"
        }
        Order::NewestFirst => {
            "SELECT last, ids FROM bundles
             WHERE endpoint = ?1 AND last >= ?2 AND last <= ?4 AND first < ?3 ORDER BY last DESC"
        }
    };
    let mut select = connection.prepare_cached(sql)?;
    let most = reach(before);
    let of = params![endpoint.0, since.as_bytes(), before.as_bytes(), most.as_bytes()];
    let mut rows = select.query(of)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let last = EventId::from_bytes(row.get(0)?);
        // Bundles overlap: one that follows may still have an event that belongs before the last one found.
        let beyond = |end: &EventId| match order {
            Order::OldestFirst => last > reach(*end),
            Order::NewestFirst => last < *end,
        };
        if found.len() == limit && found.last().is_none_or(beyond) {
            break;
        }
        let ids: Vec<u8> = row.get(1)?;
        found.extend(each_id(&ids).filter(|id| (since..before).contains(id)));
        match order {
            // Stable sorts are quick with what is in order already.
            Order::OldestFirst => found.sort(),
            Order::NewestFirst => found.sort_by(|a, b| b.cmp(a)),
        }
        found.truncate(limit);
    }
    Ok(found)
}

/// An event of this endpoint, if it is in a bundle, and its number.
pub(in super::super) fn find(
    connection: &Connection,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<Option<(i64, Unpacked)>> {
    let Some((row, place)) = place(connection, endpoint, id)? else { return Ok(None) };
    let sql = "SELECT seq, data FROM bundles WHERE n = ?1";
    let (seq, data): (i64, Vec<u8>) =
        connection.prepare_cached(sql)?.query_row([row], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let packed = each_packed(&data).nth(place).unwrap_or_default();
    Ok(Some((seq + place as i64, Packed::read(packed).unpack(endpoint, id))))
}

/// Events in bundles that are not what they were, at most `limit`.
pub(in super::super) fn unsound(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<EventId>> {
    let mut select = connection.prepare("SELECT endpoint, ids, data FROM bundles")?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()?
        && found.len() < limit
    {
        let endpoint = EndpointId(row.get(0)?);
        let (ids, data): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
        let mut packed = each_packed(&data);
        for id in each_id(&ids) {
            let packed = Packed::read(packed.next().unwrap_or_default());
            found.extend((!packed.unpack(endpoint, id).sound).then_some(id));
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// In which bundle an event is, by its row, and where in it.
pub(super) fn place(
    connection: &Connection,
    endpoint: EndpointId,
    id: EventId,
) -> rusqlite::Result<Option<(i64, usize)>> {
    let sql = "SELECT n, ids FROM bundles WHERE endpoint = ?1 AND last >= ?2 AND last <= ?3 AND first <= ?2";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params![endpoint.0, id.as_bytes(), reach(id).as_bytes()])?;
    while let Some(row) = rows.next()? {
        let ids: Vec<u8> = row.get(1)?;
        if let Some(place) = each_id(&ids).position(|other| other == id) {
            return Ok(Some((row.get(0)?, place)));
        }
    }
    Ok(None)
}

/// The ids of a bundle.
pub(super) fn each_id(ids: &[u8]) -> impl Iterator<Item = EventId> {
    ids.as_chunks::<ID>().0.iter().map(|id| EventId::from_bytes(*id))
}

/// The events of a bundle, as bytes.
pub(super) fn each_packed(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<LENGTH>()?;
        let (packed, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        data = rest;
        Some(packed)
    })
}

/// The last id that can be in one bundle with this one.
pub(super) fn reach(id: EventId) -> EventId {
    let reach = u128::from_be_bytes(*id.as_bytes()).saturating_add(u128::from(SPAN_MS + 1) << 80);
    EventId::from_bytes(reach.to_be_bytes())
}
