//! Writes new events: numbers them, finds repeats, sees whose turn it is, and inserts their rows table by table.

use std::sync::Arc;

use relay_protocol::id::{EventId, Name};
use relay_trust::Reason;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::StoreError;
use super::super::records::{Acceptance, Collapse, Dedup, NewDelivery, Receipt, Start};
use super::super::spool::Spooled;
use super::super::sums::{self, Sums};
use super::batch::{Answer, Fresh, Settled};
use super::books::Books;
use super::found;
use super::replay;
use super::row::{DeliveryRow, Landing};
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::{Body, Head};

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

/// Writes these events, and adds what is to be done once they are durable.
pub(super) fn write(
    connection: &Connection,
    books: &mut Books,
    ready: Vec<Fresh>,
    inserted: &mut Inserted,
) -> rusqlite::Result<()> {
    for mut fresh in ready {
        let answer = fresh.answer.take();
        let verdict = insert(connection, books, &fresh)?;
        if let Body::Spooled(file) = &fresh.acceptance.event.body
            && fresh.acceptance.keep_body
            && (verdict.is_ok()
                || (fresh.settled.is_some() && verdict == Err(StoreError::QueueFull)))
        {
            inserted.files.push(Arc::clone(file));
        }
        inserted.told.extend(answer.map(|answer| (answer, verdict)));
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    books: &mut Books,
    fresh: &Fresh,
) -> rusqlite::Result<Result<Receipt, StoreError>> {
    let Fresh { acceptance, settled, .. } = fresh;
    let endpoint = acceptance.event.head.endpoint;
    let first = match &acceptance.dedup {
        Some(dedup) => repeat_of(connection, endpoint, dedup)?,
        None => None,
    };
    let (n, bytes) = if first.is_none() { promised(acceptance) } else { (0, 0) };
    let has_room = books.has_room(endpoint, acceptance.room, n, bytes);
    // Nobody waits for what a live caller set off beside its own delivery: that is kept, and says why it does not go on.
    if settled.is_none() && !has_room && !is_live(acceptance) {
        return Ok(Err(StoreError::QueueFull));
    }
    let Some(seq) = books.next_seq(connection, endpoint)? else {
        return Ok(Err(StoreError::NotFound("such endpoint".into())));
    };
    insert_payload(connection, books.next_payload, acceptance)?;
    insert_event(connection, acceptance, seq, books.next_payload)?;
    let told = settled.as_ref().and_then(|settled| settled.attempt.as_ref());
    found::write(connection, (endpoint, acceptance.event.head.id), told)?;
    books.next_payload += 1;
    let kept = if kept(acceptance) == "none" { 0 } else { acceptance.event.body.len() };
    books.has_come(endpoint, acceptance.event.head.id, i64::try_from(kept).unwrap_or(i64::MAX));
    if let Some(first) = first {
        insert_repeat(connection, books, acceptance, first)?;
        return Ok(Ok(Receipt::Repeat(first)));
    }
    if let Some(dedup) = &acceptance.dedup {
        keep_first(connection, acceptance, dedup)?;
    }
    let mut verdict = Ok(Receipt::Kept(seq.unsigned_abs()));
    for delivery in &acceptance.deliveries {
        let row = begin(connection, books, acceptance, delivery, settled.as_ref(), has_room)?;
        let live = matches!(delivery.start, Start::Live(_));
        if live && row.code == Some(QUEUE_FULL) {
            verdict = Err(StoreError::QueueFull);
        }
        row.insert(connection)?;
        books.enters(endpoint, row.group, row.state, row.size);
        if row.due_ms.is_some() {
            books.is_due(endpoint, row.group);
        }
    }
    if let Some(of) = acceptance.replay_of {
        replay::note(connection, of.replay, acceptance.deliveries.len() as u64)?;
    }
    Ok(verdict)
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

fn insert_payload(
    connection: &Connection,
    n: i64,
    acceptance: &Acceptance,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO payloads(n, fields, trailers, body, sums) VALUES(?1, ?2, ?3, ?4, ?5)";
    let Acceptance { event, keep_body, .. } = acceptance;
    let (body, sum) = match &event.body {
        Body::Memory(bytes) if *keep_body => (Some(&bytes[..]), sums::of_body(bytes)),
        Body::Spooled(file) if *keep_body => (None, file.sum()),
        Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => (None, sums::of_body(b"")),
    };
    let trailers = (!event.trailers.is_empty()).then(|| &event.trailers.encoded()[..]);
    let fields = &event.head.fields.encoded()[..];
    let (method, path) = (method(&event.head).as_bytes(), &event.head.path);
    let sums = Sums::of(method, path, fields, trailers.unwrap_or_default(), sum).to_number();
    connection.prepare_cached(sql)?.execute(params![n, fields, trailers, body, sums])?;
    Ok(())
}

fn insert_event(
    connection: &Connection,
    acceptance: &Acceptance,
    seq: i64,
    payload: i64,
) -> rusqlite::Result<()> {
    let Acceptance { event, note, replay_of, .. } = acceptance;
    let head = &event.head;
    let checked = head.checked.as_deref();
    let mut insert = connection.prepare_cached(
        "INSERT INTO events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept,
             note, replay_of, event_type, verification, verified_as, unverified_why)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?;
    insert.execute(params![
        head.endpoint.0,
        head.id.as_bytes(),
        seq,
        payload,
        method(head),
        &head.path[..],
        head.origin.remote.as_str(),
        head.origin.https,
        head.origin.version,
        event.body.len() as i64,
        kept(acceptance),
        note,
        replay_of.as_ref().map(|of| &of.event.as_bytes()[..]),
        checked.and_then(|checked| checked.event_type.as_deref()),
        checked.map(|checked| checked.state.as_str()),
        checked.map(|checked| &*checked.provider),
        checked.and_then(|checked| checked.reason).map(Reason::as_str),
    ])?;
    Ok(())
}

/// The method as it is kept: HTTP has none that is no text.
fn method(head: &Head) -> &str {
    std::str::from_utf8(&head.method).unwrap_or("?")
}

/// Where the body is kept.
fn kept(acceptance: &Acceptance) -> &'static str {
    match &acceptance.event.body {
        Body::Memory(_) if acceptance.keep_body => "row",
        Body::Spooled(_) if acceptance.keep_body => "spool",
        Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => "none",
    }
}
