//! The rows of what the relay keeps for itself.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::StoreError;

pub(in super::super) fn get(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT value FROM kept WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

pub(in super::super) fn put(
    connection: &Connection,
    name: &str,
    value: &[u8],
) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "INSERT INTO kept(name, value) VALUES(?1, ?2)
        ON CONFLICT(name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, params![name, value])?;
    Ok(Ok(()))
}

/// Puts it there so that nothing is left of what was there before, once the log is cleared.
pub(in super::super) fn put_over(
    connection: &Connection,
    name: &str,
    value: &[u8],
) -> rusqlite::Result<Result<(), StoreError>> {
    connection.pragma_update(None, "secure_delete", "ON")?;
    let done = put(connection, name, value);
    connection.pragma_update(None, "secure_delete", "OFF")?;
    done
}
