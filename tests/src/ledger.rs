//! What the store of a relay has written down: every delivery with its attempts, read beside the relay that runs.

mod bundled;

use rusqlite::{Connection, OpenFlags, Row};

use crate::relay::Relay;
use crate::wait::until;

/// A store, to be looked at.
#[derive(Debug)]
pub struct Ledger(Connection);

/// One delivery as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id.
    pub event: String,
    /// The group.
    pub group: String,
    /// Which replay it is; 0 for none.
    pub replay: u32,
    /// Its state.
    pub state: String,
    /// How many attempts there were.
    pub attempts: u32,
    /// The status of the last one.
    pub status: Option<u16>,
    /// Why it is where it is.
    pub code: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// Whether somebody has it in hand.
    pub leased: bool,
}

/// One attempt of a delivery: which one, when it began, how long it took, its status, its code.
pub type Attempt = (u32, i64, i64, Option<u16>, Option<String>);

impl Ledger {
    /// The ledger of a relay, running or not.
    ///
    /// # Panics
    /// When there is no store.
    #[must_use]
    pub fn of(relay: &Relay) -> Self {
        let path = relay.data.path().join("store/relay.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).expect("a database");
        connection.busy_timeout(crate::wait::PATIENCE).expect("a timeout");
        Self(connection)
    }

    /// Every delivery, in the order of the events, then of the groups.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Delivery> {
        let sql =
            "SELECT event, grp, replay, state, attempts, status, code, detail, lease IS NOT NULL, endpoint
             FROM deliveries";
        // In one snapshot: what comes out of a bundle is in rows then.
        let snapshot = self.0.unchecked_transaction().expect("a transaction");
        let mut select = snapshot.prepare(sql).expect("the schema");
        let read = |row: &Row<'_>| {
            let delivery = Delivery {
                event: event(row.get(0)?),
                group: row.get(1)?,
                replay: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                status: row.get(5)?,
                code: row.get(6)?,
                detail: row.get(7)?,
                leased: row.get(8)?,
            };
            Ok((row.get::<_, i64>(9)?, delivery))
        };
        let rows = select.query_map([], read).expect("a query");
        let mut all: Vec<_> = rows.collect::<rusqlite::Result<_>>().expect("rows");
        let bundled = bundled::all(&snapshot).into_iter();
        all.extend(bundled.map(|bundled| (bundled.endpoint, bundled.delivery())));
        all.sort_by_key(|(endpoint, delivery)| {
            (*endpoint, delivery.event.clone(), delivery.group.clone(), delivery.replay)
        });
        all.into_iter().map(|(_, delivery)| delivery).collect()
    }

    /// The only delivery.
    ///
    /// # Panics
    /// When there is none, or another one.
    #[must_use]
    pub fn only(&self) -> Delivery {
        let mut all = self.deliveries();
        assert_eq!(all.len(), 1, "one delivery: {all:?}");
        all.remove(0)
    }

    /// The states of all deliveries, in the order of [`deliveries`](Self::deliveries).
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        self.deliveries().into_iter().map(|delivery| delivery.state).collect()
    }

    /// Waits until the states of all deliveries are these, and checks that nobody has miscounted.
    ///
    /// # Panics
    /// When they never are.
    pub async fn reads(&self, states: &[&str]) {
        let mut last = Vec::new();
        let waited = until("the deliveries are where they should be", async || {
            last = self.states();
            last == states
        });
        if tokio::time::timeout(crate::wait::PATIENCE / 2, waited).await.is_err() {
            panic!("wanted {states:?}, there is {:#?}", self.deliveries());
        }
        self.adds_up();
    }

    /// Waits until all deliveries, so many of them, are in this state, and checks that nobody has miscounted.
    ///
    /// # Panics
    /// When they never are.
    pub async fn all(&self, count: usize, state: &str) {
        self.reads(&vec![state; count]).await;
    }

    /// Every attempt of an event's delivery to a group, in order.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    pub fn attempts(&self, of: &Delivery) -> Vec<Attempt> {
        let sql = "SELECT number, started_ms, took_ms, status, code, event, grp, replay FROM attempts UNION ALL
             SELECT attempts, started_ms, took_ms, status, code, event, grp, replay FROM deliveries
                 WHERE started_ms IS NOT NULL ORDER BY 1";
        let mut select = self.0.prepare(sql).expect("the schema");
        let read = |row: &Row<'_>| {
            let attempt = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok((attempt, (event(row.get(5)?), row.get::<_, String>(6)?, row.get::<_, u32>(7)?)))
        };
        let wanted = (of.event.clone(), of.group.clone(), of.replay);
        let rows = select.query_map([], read).expect("a query");
        let rows = rows.map(|row| row.expect("a row"));
        let of_rows = rows.filter(|(_, whose)| *whose == wanted).map(|(attempt, _)| attempt);
        let bundled = bundled::all(&self.0).into_iter();
        let bundled = bundled.filter(|bundled| bundled.delivery() == *of);
        of_rows.chain(bundled.map(|bundled| bundled.attempt())).collect()
    }

    /// What was noted of each event, in their order.
    ///
    /// # Panics
    /// When the store cannot be read.
    #[must_use]
    pub fn notes(&self) -> Vec<Option<String>> {
        let mut select = self.0.prepare("SELECT id, note FROM events").expect("the schema");
        let read = |row: &Row<'_>| Ok((event(row.get(0)?), row.get(1)?));
        let rows = select.query_map([], read).expect("a query");
        let mut all: Vec<_> = rows.collect::<rusqlite::Result<_>>().expect("rows");
        all.extend(bundled::all(&self.0).into_iter().map(|bundled| (bundled.event, None)));
        all.sort();
        all.into_iter().map(|(_, note)| note).collect()
    }

    /// Checks that what the writer counts is what there is, and that nothing is held that is over.
    ///
    /// # Panics
    /// When it has miscounted.
    pub fn adds_up(&self) {
        let counted =
            "SELECT endpoint, grp, state, n, bytes FROM counts WHERE n <> 0 OR bytes <> 0";
        let there = "SELECT endpoint, grp, state, sum(n), sum(size) FROM
                 (SELECT endpoint, grp, state, 1 n, size FROM deliveries UNION ALL
                  SELECT endpoint, 'main', 'delivered', events, size FROM bundles) GROUP BY 1, 2, 3";
        // In one transaction, so that both are of the same moment.
        self.0.execute_batch("BEGIN").expect("a transaction");
        let (counted, there) = (self.tallies(counted), self.tallies(there));
        let held = "SELECT count(*) FROM deliveries WHERE (lease IS NOT NULL OR okey IS NOT NULL OR ckey IS NOT NULL
             OR due_ms IS NOT NULL) AND state NOT IN ('live', 'pending', 'delivering')";
        let held: u32 = self.0.query_row(held, [], |row| row.get(0)).expect("a number");
        self.0.execute_batch("ROLLBACK").expect("a transaction");
        assert_eq!(counted, there, "the counts have drifted");
        assert_eq!(held, 0, "something is held that is over: {:#?}", self.deliveries());
    }

    fn tallies(&self, sql: &str) -> Vec<(i64, String, String, i64, i64)> {
        let mut select = self.0.prepare(&format!("{sql} ORDER BY 1, 2, 3")).expect("the schema");
        let read =
            |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        let rows = select.query_map([], read).expect("a query");
        rows.collect::<rusqlite::Result<_>>().expect("rows")
    }
}

fn event(bytes: [u8; 16]) -> String {
    relay_protocol::id::EventId::from_bytes(bytes).to_string()
}
