//! Events that were delivered while their callers waited, many of them in one row: what happens to most costs a tenth of
//! what rows of its own would.
//!
//! A bundle is written once and never changed. Whatever happens to one of its events later happens to rows: the bundle is
//! opened then, and is no more. Bundles may overlap, but none spans more than [`SPAN_MS`].

mod packed;
mod read;
mod unbundle;

use std::sync::Arc;

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, params};

use super::super::records::{Acceptance, Next, Settlement, Start};
use super::books::Books;
use super::found;
use crate::budget::Held;
use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Body;

use packed::Packed;
pub(super) use packed::Unpacked;
pub(super) use read::{Order, find, ids, unsound};
pub(super) use unbundle::{Bundle, oldest, open, open_with, remove};

/// The most events of a bundle, and the bytes after which it takes no more: to read one event, all are read.
const EVENTS_MAX: usize = 64;
const BYTES_MAX: usize = 64 * 1024;

/// The most bytes of an event that goes into a bundle.
const EVENT_MAX: usize = 16 * 1024;

/// How many bytes an id takes, and the length that stands before each event.
const ID: usize = 16;
const LENGTH: usize = 4;

/// The most time between the events of a bundle, in milliseconds.
const SPAN_MS: u64 = 1000;

/// An event that goes into a bundle.
#[derive(Debug)]
pub(in super::super) struct Bundled {
    endpoint: EndpointId,
    id: EventId,
    /// How long its body is, and how much of that is kept.
    size: i64,
    kept: i64,
    /// When it was over, in milliseconds of the Unix epoch.
    over_ms: u64,
    packed: Vec<u8>,
    /// The memory it takes, until it is durable.
    _held: Option<Arc<Held>>,
}

impl Bundled {
    /// An event whose live delivery is over, if it is one that belongs into a bundle.
    pub(in super::super) fn of(acceptance: &Acceptance, settlement: &Settlement) -> Option<Self> {
        let Acceptance { event, deliveries, keep_body, dedup, note, replay_of, .. } = acceptance;
        let attempt = settlement.attempt.as_ref()?;
        let alone = deliveries.len() == 1 && matches!(deliveries[0].start, Start::Live(_));
        let plain = dedup.is_none() && note.is_none() && replay_of.is_none();
        let delivered = matches!(settlement.next, Next::Delivered);
        let small = event.body.len() <= EVENT_MAX as u64;
        if !(alone && plain && delivered && small) || found::told(attempt).is_some() {
            return None;
        }
        let packed = Packed::of(acceptance, attempt)?.to_bytes()?;
        let size = i64::try_from(event.body.len()).ok()?;
        let kept = if *keep_body && matches!(event.body, Body::Memory(_)) { size } else { 0 };
        (packed.len() <= EVENT_MAX).then(|| Self {
            endpoint: event.head.endpoint,
            id: event.head.id,
            size,
            kept,
            over_ms: attempt.started_ms + attempt.took_ms,
            packed,
            _held: event.held.clone(),
        })
    }
}

/// Writes these events, sorting them.
pub(super) fn write(
    connection: &Connection,
    books: &mut Books,
    events: &mut [Bundled],
) -> rusqlite::Result<()> {
    events.sort_unstable_by_key(|event| (event.endpoint.0, event.id));
    let mut rest = &*events;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let fits = |event: &&Bundled| {
            bytes += event.packed.len();
            event.endpoint == first.endpoint
                && event.id.unix_ms() <= first.id.unix_ms() + SPAN_MS
                && bytes <= BYTES_MAX
        };
        let n = rest.iter().take(EVENTS_MAX).take_while(fits).count().max(1);
        let (bundle, others) = rest.split_at(n);
        write_one(connection, books, bundle)?;
        rest = others;
    }
    Ok(())
}

/// Writes one bundle; nothing for an endpoint that was deleted.
fn write_one(
    connection: &Connection,
    books: &mut Books,
    events: &[Bundled],
) -> rusqlite::Result<()> {
    let [first, ..] = events else { return Ok(()) };
    let last = events.last().unwrap_or(first);
    let (endpoint, main) = (first.endpoint, Name::main());
    let bytes: usize = events.iter().map(|event| LENGTH + event.packed.len()).sum();
    let (mut ids, mut data) = (Vec::with_capacity(events.len() * ID), Vec::with_capacity(bytes));
    let mut seq = None;
    let (mut size, mut kept, mut over_ms) = (0, 0, 0);
    for event in events {
        let Some(next) = books.next_seq(connection, endpoint)? else { return Ok(()) };
        seq.get_or_insert(next);
        ids.extend_from_slice(event.id.as_bytes());
        data.extend_from_slice(&(event.packed.len() as u32).to_be_bytes());
        data.extend_from_slice(&event.packed);
        (size, kept) = (size + event.size, kept + event.kept);
        over_ms = over_ms.max(event.over_ms);
        books.has_come(endpoint, event.id, event.kept);
    }
    let n = events.len() as i64;
    books.several_enter(endpoint, &main, State::Delivered, n, size);
    let sql =
        "INSERT INTO bundles(endpoint, last, first, seq, events, kept, size, over_ms, ids, data)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (from, to) = (first.id.as_bytes(), last.id.as_bytes());
    let over_ms = over_ms as i64;
    connection
        .prepare_cached(sql)?
        .execute(params![endpoint.0, to, from, seq, n, kept, size, over_ms, ids, data])?;
    Ok(())
}
