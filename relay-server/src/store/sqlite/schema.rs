//! The tables, and how an older store becomes a newer one. A migration, once released, is never changed.
//!
//! An event is three rows: what lists show (`events`), what it carries (`payloads`) and how it goes (`deliveries`), so
//! that lists and scans never touch bodies. Ids sort by time, and every table is led by the endpoint.
//!
//! A delivery's row holds its last attempt; `attempts` holds those that were followed by another. An event that is delivered
//! at once, which is what happens to most, has no rows of its own: it is in a bundle (`bundles`) with others.

use rusqlite::{Connection, Transaction};

/// Each step takes the store from version `index` to `index + 1`.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/v1.sql"),
    include_str!("schema/v2.sql"),
    include_str!("schema/v3.sql"),
    include_str!("schema/v4.sql"),
    include_str!("schema/secrets.sql"),
    include_str!("schema/kept.sql"),
    include_str!("schema/sums.sql"),
    include_str!("schema/access.sql"),
    include_str!("schema/bundles.sql"),
];

/// The schema version this program speaks.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The schema version of a store.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a store up to [`VERSION`], each step in a transaction of its own.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    migrate_to(connection, MIGRATIONS.len())
}

fn migrate_to(connection: &mut Connection, version_wanted: usize) -> rusqlite::Result<()> {
    let from = usize::try_from(version(connection)?).unwrap_or(usize::MAX);
    for (step, sql) in MIGRATIONS.iter().enumerate().take(version_wanted).skip(from) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows as version 1 wrote them.
    const OLD: &str = "
        INSERT INTO tokens(id, hash, scopes, created_ms)
            VALUES('t', x'0000000000000000000000000000000000000000000000000000000000000000', 'admin', 5);
        INSERT INTO endpoints(id, name, key, signing_secret, settings, last_seq, created_ms)
            VALUES(1, 'a', 'a-key', 's', '{}', 2, 5);
        INSERT INTO payloads VALUES(1, x'', NULL, x'6869'), (2, x'', NULL, x'');
        INSERT INTO events VALUES
            (1, x'01', 1, 1, 'POST', x'2f', '127.0.0.1', 0, '1.1', 2, 'row'),
            (1, x'02', 2, 2, 'POST', x'2f', '127.0.0.1', 0, '1.1', 0, 'row');
        INSERT INTO deliveries(endpoint, event, grp, replay, state, attempts, started_ms, took_ms, status) VALUES
            (1, x'01', 'main', 0, 'delivered', 1, 7, 1, 200);
        INSERT INTO deliveries(endpoint, event, grp, replay, state, attempts, lease) VALUES
            (1, x'02', 'main', 0, 'delivering', 0, 99);";

    #[test]
    fn an_older_store_keeps_its_data() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate_to(&mut db, 1).unwrap();
        db.execute_batch(OLD).unwrap();
        migrate(&mut db).unwrap();
        assert_eq!(version(&db).unwrap(), VERSION);
        let states: Vec<(String, i64, i64)> = db
            .prepare("SELECT state, n, bytes FROM counts ORDER BY state")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        assert_eq!(states, [("delivered".into(), 1, 2), ("live".into(), 1, 0)]);
        let totals = "SELECT n, bytes, gone FROM totals WHERE endpoint = 1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        assert_eq!(db.query_row(totals, [], read), Ok((2, 2, 0)));
        let tokens = super::super::tokens::all(&db).unwrap();
        assert_eq!((tokens.len(), &*tokens[0].id, &tokens[0].old), (1, "t", &None));
        let body: Vec<u8> = db
            .query_row(
                "SELECT body FROM payloads JOIN events ON payload = n WHERE seq = 1",
                [],
                |r| r.get(0),
            )
            .unwrap();
        assert_eq!(body, b"hi");
    }
}
