//! Takes away what nobody keeps any more, a little at a time: events that are too old, too many or too large for their
//! endpoint, and all of an endpoint that was deleted. Never one that is still under way. What waits for a group that was
//! removed goes nowhere any more, and is put aside here as well.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, params};

use super::super::records::Keep;
use super::audit;
use super::books::{Books, QueueOf, Total};
use super::bundle::{self, Bundle};
use super::removed;
use crate::delivery::State;
use crate::endpoint::EndpointId;

/// The most events that one step looks at.
const STEP_MAX: usize = 200;

/// How long one step may take before it ends, so how long a commit waits for it, without the sync of either.
const STEP_TIME: Duration = Duration::from_millis(4);

/// After a step the writer is left alone so many times as long as the step took.
const REST_FACTOR: u32 = 3;

/// How long after the last change the store is looked over, and how long after that if nothing changes.
const LOOK_AFTER: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many deliveries of a removed group are put aside before the time is looked at.
const REMOVED_AT_ONCE: usize = 20;

/// How many keys of repeats are forgotten in one step.
const KEYS_MAX: i64 = 200;

/// What each endpoint keeps.
pub(super) type Keeps = HashMap<EndpointId, Keep>;

/// Where the sweep stands.
pub(super) struct Retention {
    /// The endpoints that are still to be looked at; no policy for one that was deleted.
    todo: Vec<(EndpointId, Option<Keep>)>,
    /// The groups that are no more, for which something waits.
    removed: Vec<QueueOf>,
    /// Up to where the last of them was looked at.
    cursor: EventId,
    pub(super) due: Instant,
    /// Something has changed since the last sweep began.
    changed: bool,
}

/// Before every event.
const FIRST: EventId = EventId::from_bytes([0; 16]);

/// After every event.
const LAST: EventId = EventId::from_bytes([u8::MAX; 16]);

impl Retention {
    pub(super) fn new() -> Self {
        let (todo, removed, due) = (Vec::new(), Vec::new(), Instant::now() + LOOK_AFTER);
        Self { todo, removed, cursor: FIRST, due, changed: false }
    }

    /// Something was written, or another policy applies.
    pub(super) fn has_changed(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.changed, true) {
            self.due = self.due.min(now + LOOK_AFTER);
        }
    }

    /// Whether it may not wait any longer, however much else there is to do.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        now >= self.due + LOOK_AFTER
    }

    /// Does one step in the open transaction; gives back whose bodies are to be deleted after the commit.
    pub(super) fn step(
        &mut self,
        connection: &Connection,
        books: &mut Books,
        keeps: impl FnOnce() -> (Keeps, Option<u64>),
    ) -> rusqlite::Result<Vec<EventId>> {
        let (began, now_ms) = (Instant::now(), crate::clock::now_ms());
        let mut spooled = Vec::new();
        let mut left = STEP_MAX;
        if self.is_through() {
            self.changed = false;
            let (keeps, audit_ms) = keeps();
            self.begin(connection, keeps, now_ms)?;
            let old_ms = audit_ms.map_or(0, |age_ms| now_ms.saturating_sub(age_ms));
            self.changed |= audit::sweep(connection, old_ms)?;
        }
        while let Some(group) = self.removed.last()
            && left > 0
            && began.elapsed() < STEP_TIME
        {
            match removed::put_aside(connection, books, group, left.min(REMOVED_AT_ONCE))? {
                0 => drop(self.removed.pop()),
                n => left -= n,
            }
        }
        while left > 0
            && let Some((endpoint, keep)) = self.todo.last().copied()
        {
            let sweep = Sweep { endpoint, keep, now_ms, began };
            match self.oldest_of(connection, books, &sweep, &mut left, &mut spooled)? {
                Reached::Kept => {
                    if keep.is_none() {
                        books.bury(connection, endpoint)?;
                    }
                    self.todo.pop();
                    self.cursor = FIRST;
                }
                Reached::Bundle => {}
                Reached::EndOfTime => break,
            }
        }
        let now = Instant::now();
        self.due = match (self.is_through(), self.changed) {
            (false, _) => now + (now - began) * REST_FACTOR,
            (true, true) => now + LOOK_AFTER,
            (true, false) => now + LOOK_EVERY,
        };
        Ok(spooled)
    }

    /// Removes the oldest events of an endpoint, up to the first that is kept.
    fn oldest_of(
        &mut self,
        connection: &Connection,
        books: &mut Books,
        sweep: &Sweep,
        left: &mut usize,
        spooled: &mut Vec<EventId>,
    ) -> rusqlite::Result<Reached> {
        let Sweep { endpoint, keep, now_ms, began } = *sweep;
        let bundle = bundle::oldest(connection, endpoint)?;
        let until = bundle.as_ref().map_or(LAST, |bundle| bundle.first);
        let rows = oldest(connection, endpoint, (self.cursor, until), *left)?;
        let all = rows.len() < *left;
        for row in rows {
            *left -= 1;
            let total = books.total(endpoint);
            if keep.is_some_and(|keep| !keep.exceeded(row.id.unix_ms(), total, now_ms)) {
                return Ok(Reached::Kept);
            }
            self.cursor = row.id;
            if may_go(connection, endpoint, &row, keep, total, now_ms)? {
                remove(connection, books, endpoint, &row, keep.is_some())?;
                spooled.extend(row.spooled.then_some(row.id));
            }
            if began.elapsed() >= STEP_TIME {
                return Ok(Reached::EndOfTime);
            }
        }
        if !all {
            return Ok(Reached::EndOfTime);
        }
        // What is in the bundle comes after those rows.
        let Some(bundle) = bundle else { return Ok(Reached::Kept) };
        if !take_bundle(connection, books, sweep, &bundle)? {
            return Ok(Reached::Kept);
        }
        *left = left.saturating_sub(usize::try_from(bundle.n).unwrap_or(usize::MAX));
        let late = *left == 0 || began.elapsed() >= STEP_TIME;
        Ok(if late { Reached::EndOfTime } else { Reached::Bundle })
    }

    /// Whether the last sweep has come to its end.
    fn is_through(&self) -> bool {
        self.todo.is_empty() && self.removed.is_empty()
    }

    /// Sees what there is to do, and forgets what has a time of its own.
    fn begin(
        &mut self,
        connection: &Connection,
        keeps: Keeps,
        now_ms: u64,
    ) -> rusqlite::Result<()> {
        let now = now_ms as i64;
        let sql = "DELETE FROM dedup WHERE (endpoint, key) IN
             (SELECT endpoint, key FROM dedup WHERE until_ms < ?1 ORDER BY until_ms LIMIT ?2)";
        let forgotten = connection.prepare_cached(sql)?.execute(params![now, KEYS_MAX])?;
        self.changed |= forgotten as i64 == KEYS_MAX;
        connection.prepare_cached("DELETE FROM old_keys WHERE until_ms < ?1")?.execute([now])?;
        self.removed = removed::groups(connection)?;
        let sql = "SELECT endpoint FROM totals WHERE endpoint NOT IN (SELECT id FROM endpoints)";
        let mut select = connection.prepare_cached(sql)?;
        let mut deleted = select.query([])?;
        while let Some(row) = deleted.next()? {
            self.todo.push((EndpointId(row.get(0)?), None));
        }
        for (endpoint, keep) in keeps {
            if self.todo.iter().any(|(deleted, _)| *deleted == endpoint) {
                continue;
            }
            let sql = "DELETE FROM replays WHERE endpoint = ?1 AND at_ms < ?2";
            let since = now_ms.saturating_sub(keep.age_ms) as i64;
            connection.prepare_cached(sql)?.execute(params![endpoint.0, since])?;
            self.todo.push((endpoint, Some(keep)));
        }
        Ok(())
    }
}

/// One endpoint's part of a sweep.
struct Sweep {
    endpoint: EndpointId,
    /// None for an endpoint that was deleted.
    keep: Option<Keep>,
    now_ms: u64,
    /// Since when the step takes its time.
    began: Instant,
}

/// Where a step has come to in an endpoint's events.
enum Reached {
    /// The first that is kept, or the end: nothing more is to be done.
    Kept,
    /// A bundle, which is no more.
    Bundle,
    /// The end of its time, or of what it may look at.
    EndOfTime,
}

/// Removes a bundle of which nothing is kept, or opens one of which something is not; `false` when all of it is.
fn take_bundle(
    connection: &Connection,
    books: &mut Books,
    sweep: &Sweep,
    bundle: &Bundle,
) -> rusqlite::Result<bool> {
    let Sweep { endpoint, keep, now_ms, .. } = *sweep;
    let total = books.total(endpoint);
    // What there is when its last event is looked at, at the least.
    let in_the_end = total.without(bundle.n - 1, bundle.kept);
    if keep.is_none_or(|keep| keep.exceeded(bundle.over_ms, in_the_end, now_ms)) {
        bundle::remove(connection, books, endpoint, bundle, keep.is_some())?;
    } else if keep.is_some_and(|keep| keep.exceeded(bundle.first.unix_ms(), total, now_ms)) {
        bundle::open(connection, books, endpoint, bundle)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

impl Keep {
    /// Whether an event that came then is not to be kept, if nothing else speaks for it.
    fn exceeded(&self, came_ms: u64, total: Total, now_ms: u64) -> bool {
        came_ms.saturating_add(self.age_ms) < now_ms || self.is_too_much(total)
    }

    fn is_too_much(&self, total: Total) -> bool {
        let above = |there: i64, most: Option<u64>| {
            most.is_some_and(|most| u64::try_from(there).unwrap_or(0) > most)
        };
        above(total.n, self.events) || above(total.bytes, self.bytes)
    }
}

/// An event that may be removed.
struct Row {
    id: EventId,
    payload: i64,
    /// How many bytes of its body are kept.
    kept: i64,
    spooled: bool,
}

fn oldest(
    connection: &Connection,
    endpoint: EndpointId,
    (after, before): (EventId, EventId),
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT id, payload, CASE body_kept WHEN 'none' THEN 0 ELSE body_len END, body_kept = 'spool'
         FROM events WHERE endpoint = ?1 AND id > ?2 AND id < ?3 ORDER BY id LIMIT ?4";
    let mut select = connection.prepare_cached(sql)?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let of = params![endpoint.0, after.as_bytes(), before.as_bytes(), most];
    let rows = select.query_map(of, |row| {
        let id = EventId::from_bytes(row.get(0)?);
        Ok(Row { id, payload: row.get(1)?, kept: row.get(2)?, spooled: row.get(3)? })
    })?;
    rows.collect()
}

/// Whether nothing of an event is under way, and it was over long enough ago to be too old, if it is not one too many.
fn may_go(
    connection: &Connection,
    endpoint: EndpointId,
    row: &Row,
    keep: Option<Keep>,
    total: Total,
    now_ms: u64,
) -> rusqlite::Result<bool> {
    let Some(keep) = keep else { return Ok(true) };
    let sql = "SELECT max(state IN ('live', 'pending', 'delivering')), max(started_ms + took_ms)
         FROM deliveries WHERE endpoint = ?1 AND event = ?2";
    let mut select = connection.prepare_cached(sql)?;
    let (open, last_ms) = select.query_row(params![endpoint.0, row.id.as_bytes()], |row| {
        Ok((row.get::<_, Option<bool>>(0)?, row.get::<_, Option<i64>>(1)?))
    })?;
    let last_ms = last_ms.map_or(0, i64::unsigned_abs).max(row.id.unix_ms());
    Ok(open != Some(true) && keep.exceeded(last_ms, total, now_ms))
}

fn remove(
    connection: &Connection,
    books: &mut Books,
    endpoint: EndpointId,
    row: &Row,
    counted: bool,
) -> rusqlite::Result<()> {
    let of = params![endpoint.0, row.id.as_bytes()];
    let sql =
        "DELETE FROM deliveries WHERE endpoint = ?1 AND event = ?2 RETURNING grp, state, size";
    let mut delete = connection.prepare_cached(sql)?;
    let mut gone = delete.query(of)?;
    while let Some(delivery) = gone.next()? {
        let (group, state): (String, String) = (delivery.get(0)?, delivery.get(1)?);
        let (Ok(group), Some(state)) = (group.parse::<Name>(), State::parse(&state)) else {
            continue;
        };
        if counted {
            books.leaves(endpoint, &group, state, delivery.get(2)?);
        }
    }
    let sql = "DELETE FROM attempts WHERE endpoint = ?1 AND event = ?2";
    connection.prepare_cached(sql)?.execute(of)?;
    connection.prepare_cached("DELETE FROM payloads WHERE n = ?1")?.execute([row.payload])?;
    connection.prepare_cached("DELETE FROM events WHERE endpoint = ?1 AND id = ?2")?.execute(of)?;
    books.goes(endpoint, row.kept);
    Ok(())
}
