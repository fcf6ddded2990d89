//! The tables, and how an older store becomes a newer one. A migration, once released, is never changed.

use rusqlite::{Connection, Transaction};

/// Each step takes the store from version `index` to `index + 1`.
const MIGRATIONS: &[&str] = &[V1];

/// An event is three rows: what lists show (`events`), what it carries (`payloads`) and how it goes (`deliveries`), so
/// that lists and scans never touch bodies. Ids sort by time, and every table is led by the endpoint.
///
/// A delivery's row holds its last attempt; `attempts` holds those that were followed by another. So an event that is
/// answered at once, which is what happens to most, is three inserts at the ends of three trees.
const V1: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE endpoints(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    signing_secret TEXT NOT NULL,
    settings TEXT NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens(
    id TEXT PRIMARY KEY,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    endpoints TEXT,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE payloads(
    n INTEGER PRIMARY KEY,
    fields BLOB NOT NULL,
    trailers BLOB,
    body BLOB
) STRICT;

CREATE TABLE events(
    endpoint INTEGER NOT NULL,
    id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    payload INTEGER NOT NULL,
    method TEXT NOT NULL,
    path BLOB NOT NULL,
    remote TEXT NOT NULL,
    https INTEGER NOT NULL,
    version TEXT NOT NULL,
    body_len INTEGER NOT NULL,
    body_kept TEXT NOT NULL,
    PRIMARY KEY(endpoint, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries(
    endpoint INTEGER NOT NULL,
    event BLOB NOT NULL,
    grp TEXT NOT NULL,
    replay INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER,
    lease INTEGER,
    lease_until_ms INTEGER,
    started_ms INTEGER,
    took_ms INTEGER,
    status INTEGER,
    code TEXT,
    detail TEXT,
    fields BLOB,
    body BLOB,
    PRIMARY KEY(endpoint, event, grp, replay)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_state ON deliveries(endpoint, state, event) WHERE state <> 'delivered';
CREATE INDEX deliveries_due ON deliveries(endpoint, grp, due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE attempts(
    endpoint INTEGER NOT NULL,
    event BLOB NOT NULL,
    grp TEXT NOT NULL,
    replay INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    status INTEGER,
    code TEXT,
    detail TEXT,
    fields BLOB,
    body BLOB,
    PRIMARY KEY(endpoint, event, grp, replay, number)
) STRICT, WITHOUT ROWID;
";

/// The schema version this program speaks.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The schema version of a store.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a store up to [`VERSION`], each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let from = usize::try_from(version(connection)?).unwrap_or(usize::MAX);
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        set_version(&transaction, step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

fn set_version(transaction: &Transaction<'_>, version: i64) -> rusqlite::Result<()> {
    transaction.pragma_update(None, "user_version", version)
}
