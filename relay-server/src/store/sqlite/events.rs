//! Writes events and the ends of their attempts.
//!
//! An event that nobody waits for is kept back a moment: its outcome is mostly there soon, and then it is written once, as
//! it ended. Sequence numbers are given as events are written, so there are never gaps in them.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use relay_protocol::id::EventId;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::super::records::{Acceptance, Attempt, AttemptResult, Next, Settlement};
use crate::endpoint::EndpointId;
use crate::event::Body;

/// How long an event is kept back for its outcome.
const KEPT_BACK_MAX: Duration = Duration::from_millis(250);

/// An event that is not written yet.
struct Fresh {
    acceptance: Acceptance,
    settled: Option<(Attempt, Next)>,
}

/// An event that is about to be written, with its sequence number.
type Row = (i64, Fresh);

/// The events that are to be written.
pub(super) struct Batch {
    /// To be written now, in this order.
    ready: Vec<Fresh>,
    /// Kept back for their outcome.
    kept_back: HashMap<EventId, Fresh>,
    /// When each of them came, the oldest first; some may be written by now.
    since: VecDeque<(Instant, EventId)>,
    /// The last sequence number of each endpoint in this transaction; none for one that was deleted.
    seqs: HashMap<EndpointId, Option<i64>>,
    next_payload: i64,
}

impl Batch {
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT coalesce(max(n), 0) + 1 FROM payloads";
        let next_payload = connection.query_row(sql, [], |row| row.get(0))?;
        let (kept_back, since, seqs) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Ok(Self { ready: Vec::new(), kept_back, since, seqs, next_payload })
    }

    /// Takes an event that somebody waits for.
    pub(super) fn accept(&mut self, acceptance: Acceptance) {
        self.ready.push(Fresh { acceptance, settled: None });
    }

    /// Takes an event that nobody waits for.
    pub(super) fn keep_back(&mut self, acceptance: Acceptance, now: Instant) {
        let id = acceptance.event.head.id;
        self.since.push_back((now, id));
        self.kept_back.insert(id, Fresh { acceptance, settled: None });
    }

    /// Settles an event that is kept back; gives the settlement back when it is about another.
    pub(super) fn settle(&mut self, settlement: Settlement) -> Option<Settlement> {
        let Some(mut fresh) = self.kept_back.remove(&settlement.lease.event) else {
            return Some(settlement);
        };
        if fresh.acceptance.lease != settlement.lease {
            self.kept_back.insert(settlement.lease.event, fresh);
            return Some(settlement);
        }
        fresh.settled = Some((settlement.attempt, settlement.next));
        self.ready.push(fresh);
        None
    }

    /// Lets go what was kept back until now, for all events or for those that waited long enough.
    pub(super) fn let_go(&mut self, all: bool, now: Instant) {
        while let Some((since, id)) = self.since.front()
            && (all || *since + KEPT_BACK_MAX <= now || !self.kept_back.contains_key(id))
        {
            self.ready.extend(self.kept_back.remove(id));
            self.since.pop_front();
        }
    }

    /// Whether there is something to write now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the oldest event that is kept back is to be let go.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.front().map(|(since, _)| *since + KEPT_BACK_MAX)
    }

    /// Writes what is ready, table by table.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let rows = self.number(connection)?;
        insert_payloads(connection, self.next_payload, &rows)?;
        let mut payload = self.next_payload;
        let mut insert = connection.prepare_cached(INSERT_EVENT)?;
        for (seq, fresh) in &rows {
            insert_event(&mut insert, &fresh.acceptance, *seq, payload)?;
            payload += 1;
        }
        let mut insert = connection.prepare_cached(INSERT_DELIVERY)?;
        for (_, fresh) in &rows {
            insert_delivery(&mut insert, fresh)?;
        }
        self.next_payload = payload;
        Ok(())
    }

    /// Gives what is ready its sequence numbers; what belongs to an endpoint that was deleted goes with it.
    fn number(&mut self, connection: &Connection) -> rusqlite::Result<Vec<Row>> {
        let mut rows = Vec::with_capacity(self.ready.len());
        for fresh in self.ready.drain(..) {
            let endpoint = fresh.acceptance.event.head.endpoint;
            let last = match self.seqs.get_mut(&endpoint) {
                Some(last) => last,
                None => self.seqs.entry(endpoint).or_insert(last_seq(connection, endpoint)?),
            };
            if let Some(last) = last {
                *last += 1;
                rows.push((*last, fresh));
            }
        }
        Ok(rows)
    }

    /// Writes the sequence numbers that were given; last in a transaction.
    pub(super) fn keep_seqs(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE endpoints SET last_seq = ?2 WHERE id = ?1";
        let mut update = connection.prepare_cached(sql)?;
        for (endpoint, last) in self.seqs.drain() {
            update.execute(params![endpoint.0, last])?;
        }
        Ok(())
    }

    /// Forgets everything of a transaction that failed.
    pub(super) fn roll_back(&mut self) {
        self.ready.clear();
        self.kept_back.clear();
        self.since.clear();
        self.seqs.clear();
    }
}

fn last_seq(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT last_seq FROM endpoints WHERE id = ?1")?;
    select.query_row([endpoint.0], |row| row.get(0)).optional()
}

const INSERT_EVENT: &str =
    "INSERT INTO events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept)
     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const INSERT_DELIVERY: &str =
    "INSERT INTO deliveries(endpoint, event, grp, replay, state, attempts, lease, started_ms, took_ms, status, code, detail, fields, body)
     VALUES(?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

fn insert_payloads(connection: &Connection, first: i64, rows: &[Row]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO payloads(n, fields, trailers, body) VALUES(?1, ?2, ?3, ?4)";
    let mut insert = connection.prepare_cached(sql)?;
    for (n, (_, fresh)) in (first..).zip(rows) {
        let Acceptance { event, keep_body, .. } = &fresh.acceptance;
        let body = match &event.body {
            Body::Memory(bytes) if *keep_body => Some(&bytes[..]),
            Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => None,
        };
        let trailers = (!event.trailers.is_empty()).then(|| &event.trailers.encoded()[..]);
        insert.execute(params![n, &event.head.fields.encoded()[..], trailers, body])?;
    }
    Ok(())
}

fn insert_event(
    insert: &mut Statement<'_>,
    acceptance: &Acceptance,
    seq: i64,
    payload: i64,
) -> rusqlite::Result<()> {
    let Acceptance { event, keep_body, .. } = acceptance;
    let head = &event.head;
    let kept = match &event.body {
        Body::Memory(_) if *keep_body => "row",
        Body::Spooled(_) if *keep_body => "spool",
        Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => "none",
    };
    insert.execute(params![
        head.endpoint.0,
        head.id.as_bytes(),
        seq,
        payload,
        std::str::from_utf8(&head.method).unwrap_or("?"),
        &head.path[..],
        head.origin.remote.to_string(),
        head.origin.https,
        head.origin.version,
        event.body.len() as i64,
        kept,
    ])?;
    Ok(())
}

fn insert_delivery(insert: &mut Statement<'_>, fresh: &Fresh) -> rusqlite::Result<()> {
    let Acceptance { event, lease, .. } = &fresh.acceptance;
    let (state, token) = match &fresh.settled {
        None => ("delivering", Some(lease.token as i64)),
        Some((_, next)) => (state(next), None),
    };
    let last = fresh.settled.as_ref().map(|(attempt, _)| Last::of(attempt));
    insert.execute(params![
        event.head.endpoint.0,
        event.head.id.as_bytes(),
        lease.group.as_str(),
        state,
        last.as_ref().map_or(0, |last| last.number),
        token,
        last.as_ref().map(|last| last.started_ms),
        last.as_ref().map(|last| last.took_ms),
        last.as_ref().and_then(|last| last.status),
        last.as_ref().and_then(|last| last.code),
        last.as_ref().and_then(|last| last.detail),
        last.as_ref().and_then(|last| last.fields),
        last.as_ref().and_then(|last| last.body),
    ])?;
    Ok(())
}

/// An attempt as the columns of a row.
struct Last<'a> {
    number: u32,
    started_ms: i64,
    took_ms: i64,
    status: Option<u16>,
    code: Option<&'static str>,
    detail: Option<&'a str>,
    fields: Option<&'a [u8]>,
    body: Option<&'a [u8]>,
}

impl<'a> Last<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let Attempt { number, started_ms, took_ms, result } = attempt;
        let (number, started_ms, took_ms) = (*number, *started_ms as i64, *took_ms as i64);
        let (status, code, detail, fields, body) = (None, None, None, None, None);
        let bare = Self { number, started_ms, took_ms, status, code, detail, fields, body };
        match result {
            AttemptResult::Answered { status, fields, body } => {
                let (fields, body) = (Some(&fields.encoded()[..]), Some(&body[..]));
                Self { status: Some(*status), fields, body, ..bare }
            }
            AttemptResult::Failed { code, detail } => {
                Self { code: Some(code), detail: Some(detail), ..bare }
            }
        }
    }
}

/// Settles a delivery that was written earlier, if the lease still holds; the attempt before it moves to the history.
pub(super) fn settle(connection: &Connection, settlement: &Settlement) -> rusqlite::Result<()> {
    let Settlement { lease, attempt, next } = settlement;
    let last = Last::of(attempt);
    let mut keep = connection.prepare_cached(
        "INSERT INTO attempts SELECT endpoint, event, grp, replay, attempts, started_ms, took_ms, status, code, detail, fields, body
         FROM deliveries WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND lease = ?4 AND started_ms IS NOT NULL",
    )?;
    let (endpoint, event, group) = (lease.endpoint.0, lease.event.as_bytes(), lease.group.as_str());
    keep.execute(params![endpoint, event, group, lease.token as i64])?;
    let mut update = connection.prepare_cached(
        "UPDATE deliveries SET state = ?5, attempts = ?6, started_ms = ?7, took_ms = ?8, status = ?9, code = ?10,
             detail = ?11, fields = ?12, body = ?13, lease = NULL, lease_until_ms = NULL
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND lease = ?4",
    )?;
    update.execute(params![
        endpoint,
        event,
        group,
        lease.token as i64,
        state(next),
        last.number,
        last.started_ms,
        last.took_ms,
        last.status,
        last.code,
        last.detail,
        last.fields,
        last.body,
    ])?;
    Ok(())
}

fn state(next: &Next) -> &'static str {
    match next {
        Next::Delivered => "delivered",
        Next::Failed => "failed",
    }
}
