//! One file with all of a store, made while the relay runs; and a store made from one. Spooled bodies ride in a table of
//! their own.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use relay_protocol::id::EventId;
use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::super::spool::Spool;
use super::super::{BackupError, OpenError};
use super::open::DATABASE;
use super::schema;
use crate::durable::{keep_name, make_folder};

/// How long a reader waits for a checkpoint of the relay.
const BUSY: Duration = Duration::from_secs(30);

/// How much of a body is copied at once, in bytes.
const PIECE: usize = 1 << 20;

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Copies the store of a directory into a file, which must not be there yet; the relay may run.
pub(in super::super) fn write(data: &Path, file: &Path) -> Result<(), BackupError> {
    if file.exists() {
        return Err(BackupError::Exists(file.display().to_string()));
    }
    let database = data.join(DATABASE);
    if !database.exists() {
        return Err(BackupError::Open(OpenError::Missing(data.display().to_string())));
    }
    let part = with_suffix(file, ".part");
    let _ = fs::remove_file(&part);
    let copied = copy(&database, &data.join("spool"), &part);
    if let Err(error) = copied {
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    File::open(&part)?.sync_all()?;
    fs::rename(&part, file)?;
    Ok(keep_name(file)?)
}

fn copy(database: &Path, spool: &Path, part: &Path) -> Result<(), BackupError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(database, flags)?;
    source.busy_timeout(BUSY)?;
    // One statement, so one snapshot: what is committed meanwhile is not in it, and nothing waits for it.
    let target = part.to_str().ok_or_else(|| BackupError::Failed("the path is no text".into()))?;
    source.execute("VACUUM INTO ?1", [target])?;
    let copy = Connection::open(part)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    let transaction = copy.unchecked_transaction()?;
    transaction.execute_batch(
        "CREATE TABLE backup_bodies(event BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT",
    )?;
    keep_bodies(&transaction, &source, spool)?;
    transaction.commit()?;
    Ok(())
}

/// Adds to a copy of the database the bodies that are files.
fn keep_bodies(copy: &Connection, source: &Connection, spool: &Path) -> Result<(), BackupError> {
    for event in spooled(copy)? {
        match File::open(spool.join(event.to_string())) {
            Ok(body) => keep_body(copy, event, body)?,
            // Retention has taken the event since, also one that was under way in the copy: it was over by then, and what
            // the copy has of it goes on without a body, so is dead and says why.
            Err(error) if error.kind() == ErrorKind::NotFound && !is_there(source, event)? => {
                let sql = "UPDATE events SET body_kept = 'none' WHERE id = ?1";
                copy.execute(sql, [event.as_bytes()])?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether the store still has an event: a file goes after the row that speaks of it.
fn is_there(source: &Connection, event: EventId) -> rusqlite::Result<bool> {
    let sql =
        "SELECT 1 FROM endpoints CROSS JOIN events ON endpoint = endpoints.id WHERE events.id = ?1";
    source.prepare_cached(sql)?.exists([event.as_bytes()])
}

fn keep_body(connection: &Connection, event: EventId, mut body: File) -> Result<(), BackupError> {
    let length = body.metadata()?.len();
    let sql = "INSERT INTO backup_bodies(event, body) VALUES(?1, ?2)";
    connection.execute(sql, params![event.as_bytes(), ZeroBlob(length)])?;
    let row = connection.last_insert_rowid();
    let mut blob = connection.blob_open("main", "backup_bodies", "body", row, false)?;
    pour(&mut body, &mut blob)?;
    Ok(())
}

/// Makes a store in a directory from a backup; there may be none yet.
pub(in super::super) fn restore(file: &Path, data: &Path) -> Result<(), BackupError> {
    let database = data.join(DATABASE);
    if database.exists() {
        return Err(BackupError::Open(OpenError::Exists(data.display().to_string())));
    }
    if !file.exists() {
        return Err(BackupError::Failed(format!("there is no file {}", file.display())));
    }
    make_folder(data)?;
    let spool = std::sync::Arc::new(Spool::open(data)?);
    let part = with_suffix(&database, ".part");
    fs::copy(file, &part)?;
    let restored = (|| {
        let copy = Connection::open(&part)?;
        let version = schema::version(&copy)?;
        let kept = "SELECT 1 FROM sqlite_schema WHERE name = 'backup_bodies'";
        if version > schema::VERSION || !copy.prepare(kept)?.exists([])? {
            let why = format!("{} is no backup that this relay-server knows", file.display());
            return Err(BackupError::Failed(why));
        }
        for event in spooled(&copy)? {
            let sql = "SELECT rowid FROM backup_bodies WHERE event = ?1";
            let row = copy.query_row(sql, [event.as_bytes()], |row| row.get(0)).optional()?;
            let missing = || BackupError::Failed(format!("the body of {event} is missing"));
            let row = row.ok_or_else(missing)?;
            let mut blob = copy.blob_open("main", "backup_bodies", "body", row, true)?;
            let spooled = spool.create(event)?;
            let mut piece = vec![0; PIECE];
            loop {
                match blob.read(&mut piece)? {
                    0 => break,
                    length => spooled.append(&piece[..length])?,
                }
            }
            spooled.keep()?;
            spooled.belongs_to_a_row();
        }
        copy.execute_batch("DROP TABLE backup_bodies; VACUUM;")?;
        Ok(())
    })();
    if let Err(error) = restored {
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    File::open(&part)?.sync_all()?;
    fs::rename(&part, &database)?;
    Ok(keep_name(&database)?)
}

/// The events whose bodies are files.
fn spooled(connection: &Connection) -> rusqlite::Result<Vec<EventId>> {
    let mut select = connection.prepare("SELECT id FROM events WHERE body_kept = 'spool'")?;
    select.query_map([], |row| row.get(0).map(EventId::from_bytes))?.collect()
}

fn pour(from: &mut impl Read, into: &mut impl Write) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            length => into.write_all(&piece[..length])?,
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database with an event that is under way, whose body is a file.
    fn database() -> Connection {
        let mut db = Connection::open_in_memory().unwrap();
        schema::migrate(&mut db).unwrap();
        db.execute_batch(
            "INSERT INTO endpoints(id, name, key, settings, created_ms) VALUES(1, 'a', 'a-key', '{}', 5);
             INSERT INTO payloads(n, fields) VALUES(1, x'');
             INSERT INTO events(endpoint, id, seq, payload, method, path, remote, https, version, body_len, body_kept)
                 VALUES(1, zeroblob(16), 1, 1, 'POST', x'2f', '127.0.0.1', 0, '1.1', 300000, 'spool');
             INSERT INTO deliveries(endpoint, event, grp, replay, state, attempts, due_ms)
                 VALUES(1, zeroblob(16), 'main', 0, 'pending', 0, 1);",
        )
        .unwrap();
        db
    }

    #[test]
    fn an_event_that_has_gone_since_stops_no_backup_and_a_body_that_is_lost_does() {
        let (copy, source, nowhere) = (database(), database(), Path::new("/nowhere"));
        let lost = keep_bodies(&copy, &source, nowhere);
        assert!(matches!(&lost, Err(BackupError::Disk(e)) if e.kind() == ErrorKind::NotFound));
        source.execute_batch("DELETE FROM deliveries; DELETE FROM events").unwrap();
        keep_bodies(&copy, &source, nowhere).unwrap();
        assert!(spooled(&copy).unwrap().is_empty());
        let kept = "SELECT body_kept FROM events";
        assert_eq!(copy.query_row(kept, [], |row| row.get(0)), Ok("none".to_owned()));
    }
}
