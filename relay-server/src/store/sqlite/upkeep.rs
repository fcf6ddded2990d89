//! What is done with the database as a whole, on a connection of its own.

use rusqlite::Connection;
use rusqlite::ffi::{Error, SQLITE_BUSY};

/// Moves what stands in the log of changes into the database, and empties the log.
pub(in super::super) fn clear_log(connection: &Connection) -> rusqlite::Result<()> {
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let busy: bool = connection.query_row(sql, [], |row| row.get(0))?;
    let why = || Some("somebody is reading the database".to_owned());
    if busy { Err(rusqlite::Error::SqliteFailure(Error::new(SQLITE_BUSY), why())) } else { Ok(()) }
}

/// Writes everything that is there into fresh pages, and what was not in use is gone.
pub(in super::super) fn write_anew(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("VACUUM")?;
    clear_log(connection)
}
