//! Writes new events: numbers them, finds repeats, sees whose turn it is, and gathers their rows.

use std::sync::Arc;

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::StoreError;
use super::super::records::{Acceptance, Collapse, Dedup, NewDelivery, Receipt, Start};
use super::super::spool::Spooled;
use super::batch::{Answer, Fresh, Settled};
use super::books::Books;
use super::found;
use super::replay;
use super::row::{DeliveryRow, Landing};
use super::rows::{self, EventRow, PayloadRow};
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Body;

/// Why a delivery that could not wait with the others is dead.
const QUEUE_FULL: &str = "queue_full";

/// Who is to be told what.
pub(super) type Told = (Answer<Receipt>, Result<Receipt, StoreError>);

/// What there is to do once new events are durable.
#[derive(Default)]
pub(super) struct Inserted {
    pub(super) told: Vec<Told>,
    /// The files of which rows speak now.
    pub(super) files: Vec<Arc<Spooled>>,
}

impl Inserted {
    pub(super) fn is_empty(&self) -> bool {
        self.told.is_empty() && self.files.is_empty()
    }
}

/// Rows of new events that are still to be inserted.
#[derive(Default)]
struct Rows<'a> {
    payloads: Vec<PayloadRow<'a>>,
    events: Vec<EventRow<'a>>,
    deliveries: Vec<DeliveryRow<'a>>,
}

impl Rows<'_> {
    /// Inserts them, for what looks at the tables next.
    fn insert(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        rows::insert(connection, &self.payloads)?;
        rows::insert(connection, &self.events)?;
        rows::insert(connection, &self.deliveries)?;
        self.payloads.clear();
        self.events.clear();
        self.deliveries.clear();
        Ok(())
    }
}

/// Writes these events, and adds what is to be done once they are durable.
pub(super) fn write(
    connection: &Connection,
    books: &mut Books,
    mut ready: Vec<Fresh>,
    inserted: &mut Inserted,
) -> rusqlite::Result<()> {
    let mut rows = Rows::default();
    for Fresh { acceptance, settled, answer } in &mut ready {
        let (acceptance, settled) = (&*acceptance, settled.as_ref());
        let verdict = insert(connection, books, &mut rows, acceptance, settled)?;
        if let Body::Spooled(file) = &acceptance.event.body
            && acceptance.keep_body
            && (verdict.is_ok() || (settled.is_some() && verdict == Err(StoreError::QueueFull)))
        {
            inserted.files.push(Arc::clone(file));
        }
        inserted.told.extend(answer.take().map(|answer| (answer, verdict)));
    }
    rows.insert(connection)
}

/// Gives the tables a new event, or `rows` what is to be inserted of it.
fn insert<'a>(
    connection: &Connection,
    books: &mut Books,
    rows: &mut Rows<'a>,
    acceptance: &'a Acceptance,
    settled: Option<&'a Settled>,
) -> rusqlite::Result<Result<Receipt, StoreError>> {
    let head = &acceptance.event.head;
    if looks_at_others(acceptance) {
        rows.insert(connection)?;
    }
    let first = match &acceptance.dedup {
        Some(dedup) => repeat_of(connection, head.endpoint, dedup)?,
        None => None,
    };
    let (n, bytes) = if first.is_none() { promised(acceptance) } else { (0, 0) };
    let has_room = books.has_room(head.endpoint, acceptance.room, n, bytes);
    // Nobody waits for what a live caller set off beside its own delivery: that is kept, and says why it does not go on.
    if settled.is_none() && !has_room && !is_live(acceptance) {
        return Ok(Err(StoreError::QueueFull));
    }
    let Some(seq) = books.next_seq(connection, head.endpoint)? else {
        return Ok(Err(StoreError::NotFound("such endpoint".into())));
    };
    let payload = books.next_payload;
    rows.payloads.push(PayloadRow { n: payload, acceptance });
    rows.events.push(EventRow { acceptance, seq, payload });
    books.next_payload += 1;
    let attempt = settled.and_then(|settled| settled.attempt.as_ref());
    if attempt.and_then(found::told).is_some() {
        rows.insert(connection)?;
        found::write(connection, (head.endpoint, head.id), attempt)?;
    }
    let kept = if rows::kept(acceptance) == "none" { 0 } else { acceptance.event.body.len() };
    books.has_come(head.endpoint, head.id, i64::try_from(kept).unwrap_or(i64::MAX));
    if let Some(first) = first {
        insert_repeat(connection, books, acceptance, first)?;
        return Ok(Ok(Receipt::Repeat(first)));
    }
    if let Some(dedup) = &acceptance.dedup {
        keep_first(connection, acceptance, dedup)?;
    }
    let mut verdict = Ok(Receipt::Kept(seq.unsigned_abs()));
    for delivery in &acceptance.deliveries {
        let row = begin(connection, books, acceptance, delivery, settled, has_room)?;
        let live = matches!(delivery.start, Start::Live(_));
        if live && row.code == Some(QUEUE_FULL) {
            verdict = Err(StoreError::QueueFull);
        }
        books.enters(head.endpoint, row.group, row.state, row.size);
        if row.due_ms.is_some() {
            books.is_due(head.endpoint, row.group);
        }
        rows.deliveries.push(row);
    }
    if let Some(of) = acceptance.replay_of {
        replay::note(connection, of.replay, acceptance.deliveries.len() as u64)?;
    }
    Ok(verdict)
}

/// Whether what becomes of an event depends on those before it, which must be in the tables then.
fn looks_at_others(acceptance: &Acceptance) -> bool {
    let keyed = |d: &NewDelivery| d.order_key.is_some() || d.collapse.is_some();
    acceptance.dedup.is_some() || acceptance.deliveries.iter().any(keyed)
}

/// How many deliveries are promised with an event, and how many bytes they keep waiting.
fn promised(acceptance: &Acceptance) -> (u64, u64) {
    let waits = |d: &&NewDelivery| matches!(d.start, Start::Due(_) | Start::Leased { .. });
    let n = acceptance.deliveries.iter().filter(waits).count() as u64;
    (n, n * acceptance.event.body.len())
}

fn is_live(acceptance: &Acceptance) -> bool {
    acceptance.deliveries.iter().any(|delivery| matches!(delivery.start, Start::Live(_)))
}

/// The row with which a delivery begins.
fn begin<'a>(
    connection: &Connection,
    books: &mut Books,
    acceptance: &'a Acceptance,
    delivery: &'a NewDelivery,
    settled: Option<&'a Settled>,
    has_room: bool,
) -> rusqlite::Result<DeliveryRow<'a>> {
    let head = &acceptance.event.head;
    let size = i64::try_from(acceptance.event.body.len()).unwrap_or(i64::MAX);
    let mut row = DeliveryRow::new(head.endpoint, head.id, &delivery.group, size);
    row.replay = acceptance.replay_of.map_or(0, |of| of.replay);
    match (&delivery.start, settled) {
        (Start::Live(token), None) => {
            (row.state, row.lease) = (State::Live, Some(*token));
        }
        (Start::Live(token), Some(Settled { attempt, next, room })) => {
            let no_room = |room| !books.has_room(head.endpoint, room, 1, size.unsigned_abs());
            row.set_last(attempt.as_ref());
            match room {
                Some(room) if no_room(*room) => row.fail(State::Failed, QUEUE_FULL),
                _ => row.land(&Landing::of(next), *token),
            }
        }
        (Start::Due(due_ms), _) => {
            row.okey = delivery.order_key;
            row.collapse = collapse_older(connection, books, head.endpoint, delivery, head.id)?;
            let by_ms = row.collapse.map_or(u64::MAX, |collapse| collapse.by_ms);
            if has_room {
                row.state = State::Pending;
                let free = is_turn(connection, head.endpoint, delivery)?;
                row.due_ms = free.then_some((*due_ms).min(by_ms));
            } else {
                row.fail(State::Dead, QUEUE_FULL);
            }
        }
        (Start::Leased { token, until_ms }, _) => {
            (row.state, row.lease, row.due_ms) = (State::Delivering, Some(*token), Some(*until_ms));
            row.okey = delivery.order_key;
        }
        (Start::Rejected(why), _) => {
            let detail = "nobody has proved that the provider has sent it";
            (row.state, row.code, row.detail) = (State::Rejected, Some(*why), Some(detail));
        }
        (Start::Filtered(why), _) => {
            (row.state, row.code, row.detail) =
                (State::Filtered, Some("filtered"), Some(why.as_str()));
        }
    }
    Ok(row)
}

/// Whether nothing of the same key is under way or waits before it.
fn is_turn(
    connection: &Connection,
    endpoint: EndpointId,
    delivery: &NewDelivery,
) -> rusqlite::Result<bool> {
    let Some(key) = delivery.order_key else { return Ok(true) };
    let sql = "SELECT 1 FROM deliveries WHERE endpoint = ?1 AND grp = ?2 AND okey = ?3 LIMIT 1";
    let mut select = connection.prepare_cached(sql)?;
    Ok(!select.exists(params![endpoint.0, delivery.group.as_str(), &key.0[..]])?)
}

/// Puts aside the older events of the same key that nobody has attempted; by when one of the key is to be delivered.
fn collapse_older(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    delivery: &NewDelivery,
    newer: EventId,
) -> rusqlite::Result<Option<Collapse>> {
    let Some(mut collapse) = delivery.collapse else { return Ok(None) };
    let sql =
        "UPDATE deliveries SET state = 'collapsed', code = 'collapsed', detail = ?4, due_ms = NULL, ckey = NULL
         WHERE endpoint = ?1 AND grp = ?2 AND ckey = ?3 RETURNING size, collapse_by_ms";
    let mut update = connection.prepare_cached(sql)?;
    let by = format!("{newer} took its place");
    let group = &delivery.group;
    let mut rows = update.query(params![endpoint.0, group.as_str(), &collapse.key.0[..], by])?;
    while let Some(row) = rows.next()? {
        books.moves((endpoint, group), State::Pending, State::Collapsed, row.get(0)?);
        let by_ms = row.get::<_, Option<i64>>(1)?.map_or(u64::MAX, i64::unsigned_abs);
        collapse.by_ms = collapse.by_ms.min(by_ms);
    }
    Ok(Some(collapse))
}

/// The first event with this key, if one of this key is a repeat now.
fn repeat_of(
    connection: &Connection,
    endpoint: EndpointId,
    dedup: &Dedup,
) -> rusqlite::Result<Option<EventId>> {
    let sql = "SELECT dedup.event FROM dedup JOIN deliveries USING(endpoint, event)
         WHERE endpoint = ?1 AND key = ?2 AND dedup.until_ms > ?3 AND grp = 'main' AND replay = 0
             AND state IN ('live', 'pending', 'delivering', 'delivered')";
    let mut select = connection.prepare_cached(sql)?;
    let now_ms = crate::clock::now_ms() as i64;
    let found = select
        .query_row(params![endpoint.0, &dedup.key.0[..], now_ms], |row| row.get::<_, [u8; 16]>(0));
    Ok(found.optional()?.map(EventId::from_bytes))
}

fn keep_first(
    connection: &Connection,
    acceptance: &Acceptance,
    dedup: &Dedup,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO dedup(endpoint, key, event, until_ms) VALUES(?1, ?2, ?3, ?4)";
    let head = &acceptance.event.head;
    let (key, id) = (&dedup.key.0[..], head.id.as_bytes());
    connection.prepare_cached(sql)?.execute(params![
        head.endpoint.0,
        key,
        id,
        dedup.until_ms as i64
    ])?;
    Ok(())
}

fn insert_repeat(
    connection: &Connection,
    books: &mut Books,
    acceptance: &Acceptance,
    first: EventId,
) -> rusqlite::Result<()> {
    let head = &acceptance.event.head;
    let (group, detail) = (Name::main(), format!("a repeat of {first}"));
    let size = i64::try_from(acceptance.event.body.len()).unwrap_or(i64::MAX);
    let mut row = DeliveryRow::new(head.endpoint, head.id, &group, size);
    (row.state, row.code, row.detail) =
        (State::Duplicate, Some("duplicate"), Some(detail.as_str()));
    row.insert(connection)?;
    books.enters(head.endpoint, &group, State::Duplicate, size);
    Ok(())
}
