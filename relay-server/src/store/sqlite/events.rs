//! Writes events and the ends of their attempts.
//!
//! A [`Batch`] gathers the events of one transaction first: when an event's outcome is in the same batch, which is what
//! happens to most events that are answered live, it is written once, as it ended.

use std::collections::HashMap;

use relay_protocol::id::EventId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::super::records::{Acceptance, Attempt, AttemptResult, Next, Settlement};
use crate::endpoint::EndpointId;
use crate::event::Body;

/// An event of this batch.
struct Fresh {
    acceptance: Acceptance,
    settled: Option<(Attempt, Next)>,
}

/// The events that are to be written, and the numbers that they get.
pub(super) struct Batch {
    fresh: Vec<Fresh>,
    by_id: HashMap<EventId, usize>,
    /// The last sequence number of each endpoint, as far as it was looked up.
    seqs: HashMap<EndpointId, i64>,
    next_payload: i64,
}

impl Batch {
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT coalesce(max(n), 0) + 1 FROM payloads";
        let next_payload = connection.query_row(sql, [], |row| row.get(0))?;
        let (fresh, by_id, seqs) = (Vec::new(), HashMap::new(), HashMap::new());
        Ok(Self { fresh, by_id, seqs, next_payload })
    }

    pub(super) fn accept(&mut self, acceptance: Acceptance) {
        self.by_id.insert(acceptance.event.head.id, self.fresh.len());
        self.fresh.push(Fresh { acceptance, settled: None });
    }

    /// Settles an event of this batch; gives the settlement back when it is about another.
    pub(super) fn settle_fresh(&mut self, settlement: Settlement) -> Option<Settlement> {
        let fresh = self.by_id.get(&settlement.lease.event).map(|place| &mut self.fresh[*place]);
        match fresh.filter(|fresh| fresh.acceptance.lease == settlement.lease) {
            Some(fresh) => {
                fresh.settled = Some((settlement.attempt, settlement.next));
                None
            }
            None => Some(settlement),
        }
    }

    /// Writes what was gathered, in the order in which it came.
    pub(super) fn write(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        self.by_id.clear();
        let mut touched = Vec::new();
        for fresh in self.fresh.drain(..) {
            let endpoint = fresh.acceptance.event.head.endpoint;
            let seq = match self.seqs.get_mut(&endpoint) {
                Some(seq) => seq,
                None => match last_seq(tx, endpoint)? {
                    Some(seq) => self.seqs.entry(endpoint).or_insert(seq),
                    // The endpoint was deleted meanwhile, and its events go with it.
                    None => continue,
                },
            };
            *seq += 1;
            if !touched.contains(&endpoint) {
                touched.push(endpoint);
            }
            insert(tx, &fresh, *seq, self.next_payload)?;
            self.next_payload += 1;
        }
        for endpoint in touched {
            let mut update = tx.prepare_cached("UPDATE endpoints SET last_seq = ?2 WHERE id = ?1")?;
            if update.execute(params![endpoint.0, self.seqs[&endpoint]])? == 0 {
                self.seqs.remove(&endpoint);
            }
        }
        Ok(())
    }

    /// Forgets a batch whose transaction failed, and what was learnt in it.
    pub(super) fn roll_back(&mut self) {
        self.fresh.clear();
        self.by_id.clear();
        self.seqs.clear();
    }
}

fn last_seq(tx: &Transaction<'_>, endpoint: EndpointId) -> rusqlite::Result<Option<i64>> {
    let mut select = tx.prepare_cached("SELECT last_seq FROM endpoints WHERE id = ?1")?;
    select.query_row([endpoint.0], |row| row.get(0)).optional()
}

fn insert(tx: &Transaction<'_>, fresh: &Fresh, seq: i64, payload: i64) -> rusqlite::Result<()> {
    let Acceptance { event, lease, keep_body } = &fresh.acceptance;
    let head = &event.head;
    let (body, kept) = match &event.body {
        Body::Memory(bytes) if *keep_body => (Some(&bytes[..]), "row"),
        Body::Spooled(_) if *keep_body => (None, "spool"),
        Body::Memory(_) | Body::Spooled(_) | Body::Absent(_) => (None, "none"),
    };
    let trailers = (!event.trailers.is_empty()).then(|| &event.trailers.encoded()[..]);
    tx.prepare_cached("INSERT INTO payloads(n, fields, trailers, body) VALUES(?1, ?2, ?3, ?4)")?
        .execute(params![payload, &head.fields.encoded()[..], trailers, body])?;
    tx.prepare_cached(
        "INSERT INTO events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept)
         VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        head.endpoint.0,
        head.id.as_bytes(),
        seq,
        payload,
        String::from_utf8_lossy(&head.method),
        &head.path[..],
        head.origin.remote.to_string(),
        head.origin.https,
        head.origin.version,
        event.body.len() as i64,
        kept,
    ])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO deliveries(endpoint, event, grp, replay, state, why, attempts, status, due_ms, lease, lease_until_ms)
         VALUES(?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, NULL, ?8, NULL)",
    )?;
    let (state, why, attempts, status, token) = match &fresh.settled {
        None => ("delivering", None, 0, None, Some(lease.token as i64)),
        Some((attempt, next)) => (state(next), why(attempt), attempt.number, status(attempt), None),
    };
    insert.execute(params![
        head.endpoint.0,
        head.id.as_bytes(),
        lease.group.as_str(),
        state,
        why,
        attempts,
        status,
        token
    ])?;
    match &fresh.settled {
        Some((attempt, _)) => insert_attempt(tx, lease, attempt),
        None => Ok(()),
    }
}

/// Settles a delivery that was written earlier, if the lease still holds.
pub(super) fn settle(tx: &Transaction<'_>, settlement: &Settlement) -> rusqlite::Result<()> {
    let Settlement { lease, attempt, next } = settlement;
    let mut update = tx.prepare_cached(
        "UPDATE deliveries SET state = ?5, why = ?6, attempts = ?7, status = ?8, lease = NULL, lease_until_ms = NULL
         WHERE endpoint = ?1 AND event = ?2 AND grp = ?3 AND lease = ?4",
    )?;
    let held = update.execute(params![
        lease.endpoint.0,
        lease.event.as_bytes(),
        lease.group.as_str(),
        lease.token as i64,
        state(next),
        why(attempt),
        attempt.number,
        status(attempt),
    ])?;
    if held == 1 { insert_attempt(tx, lease, attempt) } else { Ok(()) }
}

fn insert_attempt(
    tx: &Transaction<'_>,
    lease: &super::super::records::Lease,
    attempt: &Attempt,
) -> rusqlite::Result<()> {
    let (code, detail, fields, body) = match &attempt.result {
        AttemptResult::Answered { fields, body, .. } => {
            (None, None, Some(&fields.encoded()[..]), Some(&body[..]))
        }
        AttemptResult::Failed { code, detail } => (Some(*code), Some(detail), None, None),
    };
    tx.prepare_cached(
        "INSERT INTO attempts(endpoint, event, grp, replay, number, started_ms, took_ms, status, code, detail, fields, body)
         VALUES(?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        lease.endpoint.0,
        lease.event.as_bytes(),
        lease.group.as_str(),
        attempt.number,
        attempt.started_ms as i64,
        attempt.took_ms as i64,
        status(attempt),
        code,
        detail,
        fields,
        body,
    ])?;
    Ok(())
}

fn state(next: &Next) -> &'static str {
    match next {
        Next::Delivered => "delivered",
        Next::Failed => "failed",
    }
}

fn status(attempt: &Attempt) -> Option<u16> {
    match attempt.result {
        AttemptResult::Answered { status, .. } => Some(status),
        AttemptResult::Failed { .. } => None,
    }
}

fn why(attempt: &Attempt) -> Option<&'static str> {
    match attempt.result {
        AttemptResult::Answered { .. } => None,
        AttemptResult::Failed { code, .. } => Some(code),
    }
}
