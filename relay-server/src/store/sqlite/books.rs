//! What the writer knows by heart: sequence numbers, how many deliveries are in each state, and whom to wake.
//!
//! Changes are gathered while a transaction is open and written once at its end. After a failure everything is read anew.

use std::sync::Arc;

use dashmap::DashMap;
use foldhash::{HashMap, HashSet};
use relay_protocol::id::{EventId, Name};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{Notify, broadcast};

use super::super::records::Room;
use crate::clock;
use crate::delivery::State;
use crate::endpoint::EndpointId;

/// How often the steady clock is written down, in milliseconds: a page of its own, so not with each transaction.
const STEADY_EVERY_MS: u64 = 1000;

/// The queue of one group of one endpoint.
pub(in super::super) type QueueOf = (EndpointId, Name);

/// The most events that wait for a reader of the feed; who is slower looks for what it missed.
const FEED_MAX: usize = 4096;

/// Tells whoever works on a queue that something has become due, and whoever reads the feed what has become durable.
#[derive(Debug, Clone)]
pub(in super::super) struct Wakes {
    queues: Arc<DashMap<QueueOf, Arc<Notify>>>,
    feed: broadcast::Sender<(EndpointId, EventId)>,
}

impl Default for Wakes {
    fn default() -> Self {
        Self { queues: Arc::default(), feed: broadcast::Sender::new(FEED_MAX) }
    }
}

impl Wakes {
    /// The signal of a queue. It keeps one call for who is not listening yet, so none is missed.
    pub(in super::super) fn of(&self, queue: QueueOf) -> Arc<Notify> {
        Arc::clone(&self.queues.entry(queue).or_default())
    }

    /// Every event from now on, once it is durable.
    pub(in super::super) fn feed(&self) -> broadcast::Receiver<(EndpointId, EventId)> {
        self.feed.subscribe()
    }

    fn wake(&self, queue: &QueueOf) {
        if let Some(signal) = self.queues.get(queue) {
            signal.notify_one();
        }
    }
}

/// Deliveries and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    n: i64,
    bytes: i64,
}

impl Tally {
    fn add(&mut self, n: i64, bytes: i64) {
        self.n += n;
        self.bytes += bytes;
    }
}

/// The events of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) n: i64,
    /// Of the bodies that are kept.
    pub(super) bytes: i64,
    /// How many retention has taken away.
    gone: i64,
}

impl Total {
    /// What is left when so many events with so many bytes have gone.
    pub(super) fn without(self, n: i64, bytes: i64) -> Self {
        Self { n: self.n - n, bytes: self.bytes - bytes, ..self }
    }
}

/// The writer's books.
#[derive(Debug)]
pub(in super::super) struct Books {
    /// The last sequence number of each endpoint in this transaction; none for one that was deleted.
    seqs: HashMap<EndpointId, Option<i64>>,
    pub(super) next_payload: i64,
    /// What has changed in this transaction.
    changes: HashMap<(EndpointId, Name, State), Tally>,
    /// What waits for each endpoint, over all its groups.
    waiting: HashMap<EndpointId, Tally>,
    /// The events of each endpoint.
    totals: HashMap<EndpointId, Total>,
    /// Whose totals have changed in this transaction.
    recounted: HashSet<EndpointId>,
    /// The queues in which something has become due in this transaction.
    due: HashSet<QueueOf>,
    /// The events that have come in this transaction.
    fresh: Vec<(EndpointId, EventId)>,
    wakes: Wakes,
    /// When the steady clock was last written down.
    steady_ms: u64,
    /// The newest event's id, or that of one that was newer and has gone.
    newest: EventId,
}

impl Books {
    pub(super) fn read(connection: &Connection, wakes: Wakes) -> rusqlite::Result<Self> {
        let sql = "SELECT value FROM meta WHERE key = 'steady'";
        let steady: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
        clock::has_been(steady.and_then(|ms| ms.parse().ok()).unwrap_or(0));
        let sql = "SELECT coalesce(max(n), 0) + 1 FROM payloads";
        let next_payload = connection.query_row(sql, [], |row| row.get(0))?;
        let mut waiting: HashMap<EndpointId, Tally> = HashMap::default();
        let sql = "SELECT endpoint, n, bytes FROM counts WHERE state IN ('pending', 'delivering')";
        let mut select = connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            waiting.entry(EndpointId(row.get(0)?)).or_default().add(row.get(1)?, row.get(2)?);
        }
        Ok(Self {
            seqs: HashMap::default(),
            next_payload,
            changes: HashMap::default(),
            waiting,
            totals: totals(connection)?,
            recounted: HashSet::default(),
            due: HashSet::default(),
            fresh: Vec::new(),
            wakes,
            steady_ms: 0,
            newest: newest(connection)?,
        })
    }

    /// The next sequence number of an endpoint; none for one that was deleted.
    pub(super) fn next_seq(
        &mut self,
        connection: &Connection,
        endpoint: EndpointId,
    ) -> rusqlite::Result<Option<i64>> {
        let last = match self.seqs.get_mut(&endpoint) {
            Some(last) => last,
            None => self.seqs.entry(endpoint).or_insert(last_seq(connection, endpoint)?),
        };
        if let Some(last) = last {
            *last += 1;
        }
        Ok(*last)
    }

    /// Whether this much more may wait for an endpoint.
    pub(super) fn has_room(&self, endpoint: EndpointId, room: Room, n: u64, bytes: u64) -> bool {
        let waiting = self.waiting.get(&endpoint).copied().unwrap_or_default();
        let fits = |there: i64, more: u64, most: u64| {
            u64::try_from(there).unwrap_or(0).saturating_add(more) <= most
        };
        // A body larger than all the room is let into an empty queue: it could never come otherwise.
        let fits_bytes = waiting.n == 0 || fits(waiting.bytes, bytes, room.bytes);
        fits(waiting.n, n, room.events) && fits_bytes
    }

    /// A delivery has come into a state.
    pub(super) fn enters(&mut self, endpoint: EndpointId, group: &Name, state: State, size: i64) {
        self.count(endpoint, group, state, 1, size);
    }

    /// So many deliveries with so many bytes have come into a state.
    pub(super) fn several_enter(
        &mut self,
        endpoint: EndpointId,
        group: &Name,
        state: State,
        n: i64,
        bytes: i64,
    ) {
        self.count(endpoint, group, state, n, bytes);
    }

    /// A delivery has gone from one state into another.
    pub(super) fn moves(
        &mut self,
        (endpoint, group): (EndpointId, &Name),
        from: State,
        to: State,
        size: i64,
    ) {
        if from != to {
            self.count(endpoint, group, from, -1, -size);
            self.count(endpoint, group, to, 1, size);
        }
    }

    /// Something in this queue is due, or will be at a time that was not known before.
    pub(super) fn is_due(&mut self, endpoint: EndpointId, group: &Name) {
        self.due.insert((endpoint, group.clone()));
    }

    /// A delivery has gone for good.
    pub(super) fn leaves(&mut self, endpoint: EndpointId, group: &Name, state: State, size: i64) {
        self.count(endpoint, group, state, -1, -size);
    }

    /// The events of an endpoint.
    pub(super) fn total(&self, endpoint: EndpointId) -> Total {
        self.totals.get(&endpoint).copied().unwrap_or_default()
    }

    /// An event has gone for good, with so many bytes of its body.
    pub(super) fn goes(&mut self, endpoint: EndpointId, bytes: i64) {
        self.several_go(endpoint, 1, bytes);
    }

    /// So many events have gone for good, with so many bytes of their bodies.
    pub(super) fn several_go(&mut self, endpoint: EndpointId, n: i64, bytes: i64) {
        let total = self.totals.entry(endpoint).or_default();
        (total.n, total.bytes, total.gone) = (total.n - n, total.bytes - bytes, total.gone + n);
        self.recounted.insert(endpoint);
    }

    /// Forgets all of an endpoint that was deleted, after its last event.
    pub(super) fn bury(
        &mut self,
        connection: &Connection,
        endpoint: EndpointId,
    ) -> rusqlite::Result<()> {
        self.forget(endpoint);
        self.totals.remove(&endpoint);
        self.recounted.remove(&endpoint);
        for table in ["totals", "counts", "dedup", "replays"] {
            connection
                .execute(&format!("DELETE FROM {table} WHERE endpoint = ?1"), [endpoint.0])?;
        }
        Ok(())
    }

    /// An event has come, with so many bytes of its body to be kept.
    pub(super) fn has_come(&mut self, endpoint: EndpointId, event: EventId, bytes: i64) {
        let total = self.totals.entry(endpoint).or_default();
        (total.n, total.bytes) = (total.n + 1, total.bytes + bytes);
        self.recounted.insert(endpoint);
        self.newest = self.newest.max(event);
        // Also while nobody reads the feed: who begins before the commit can find it neither there nor in the store.
        self.fresh.push((endpoint, event));
    }

    /// Forgets an endpoint that was deleted.
    pub(super) fn forget(&mut self, endpoint: EndpointId) {
        self.seqs.insert(endpoint, None);
        self.waiting.remove(&endpoint);
        self.changes.retain(|(changed, ..), _| *changed != endpoint);
    }

    /// Writes what has changed; last in a transaction.
    pub(super) fn keep(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE endpoints SET last_seq = ?2 WHERE id = ?1";
        let mut update = connection.prepare_cached(sql)?;
        for (endpoint, last) in self.seqs.drain() {
            if let Some(last) = last {
                update.execute(params![endpoint.0, last])?;
            }
        }
        let sql = "INSERT INTO counts(endpoint, grp, state, n, bytes) VALUES(?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(endpoint, grp, state) DO UPDATE SET n = n + excluded.n, bytes = bytes + excluded.bytes";
        let mut upsert = connection.prepare_cached(sql)?;
        for ((endpoint, group, state), tally) in self.changes.drain() {
            if tally != Tally::default() {
                let (group, state) = (group.as_str(), state.as_str());
                upsert.execute(params![endpoint.0, group, state, tally.n, tally.bytes])?;
            }
        }
        let sql = "INSERT OR REPLACE INTO totals(endpoint, n, bytes, gone) VALUES(?1, ?2, ?3, ?4)";
        let mut upsert = connection.prepare_cached(sql)?;
        for endpoint in self.recounted.drain() {
            let Total { n, bytes, gone } = self.totals.get(&endpoint).copied().unwrap_or_default();
            upsert.execute(params![endpoint.0, n, bytes, gone])?;
        }
        self.keep_time(connection)
    }

    /// Writes down the steady clock, by which things are due, and the newest id: the next program that opens the store goes
    /// on from there.
    fn keep_time(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        clock::compare();
        let now_ms = clock::steady_ms();
        if now_ms < self.steady_ms.saturating_add(STEADY_EVERY_MS) {
            return Ok(());
        }
        self.steady_ms = now_ms;
        let sql = "INSERT OR REPLACE INTO meta(key, value) VALUES('steady', ?1), ('newest', ?2)";
        let newest = self.newest.to_string();
        connection.prepare_cached(sql)?.execute([now_ms.to_string(), newest])?;
        Ok(())
    }

    /// Wakes whoever waits for what this transaction made due; after its commit.
    pub(super) fn wake(&mut self) {
        for queue in self.due.drain() {
            self.wakes.wake(&queue);
        }
        for fresh in self.fresh.drain(..) {
            let _ = self.wakes.feed.send(fresh);
        }
    }

    pub(super) fn wakes(&self) -> Wakes {
        self.wakes.clone()
    }

    fn count(&mut self, endpoint: EndpointId, group: &Name, state: State, n: i64, bytes: i64) {
        self.changes.entry((endpoint, group.clone(), state)).or_default().add(n, bytes);
        if matches!(state, State::Pending | State::Delivering) {
            self.waiting.entry(endpoint).or_default().add(n, bytes);
        }
    }
}

/// The newest id that the store has seen: of an event that is there, or of one that retention has taken since.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<EventId> {
    let sql = "SELECT value FROM meta WHERE key = 'newest'";
    let noted: Option<String> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    let noted = noted.and_then(|id| id.parse().ok()).unwrap_or(EventId::from_bytes([0; 16]));
    let sql = "SELECT max(coalesce((SELECT max(id) FROM events WHERE events.endpoint = totals.endpoint), x''),
             coalesce((SELECT max(last) FROM bundles WHERE bundles.endpoint = totals.endpoint), x'')) newest
         FROM totals WHERE newest <> x''";
    let mut select = connection.prepare(sql)?;
    let mut there = select.query_map([], |row| row.get(0).map(EventId::from_bytes))?;
    there.try_fold(noted, |newest, id| Ok(newest.max(id?)))
}

fn totals(connection: &Connection) -> rusqlite::Result<HashMap<EndpointId, Total>> {
    let mut select = connection.prepare("SELECT endpoint, n, bytes, gone FROM totals")?;
    let all = select.query_map([], |row| {
        let total = Total { n: row.get(1)?, bytes: row.get(2)?, gone: row.get(3)? };
        Ok((EndpointId(row.get(0)?), total))
    })?;
    all.collect()
}

fn last_seq(connection: &Connection, endpoint: EndpointId) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT last_seq FROM endpoints WHERE id = ?1")?;
    select.query_row([endpoint.0], |row| row.get(0)).optional()
}
