//! Opens the database file: its pragmas, its lock, its place on a local disk, and what a crash left behind.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_protocol::id::EventId;
use rusqlite::{Connection, OptionalExtension};

use super::super::OpenError;
use super::super::spool::Spool;
use super::{Reader, Writer, books, schema};
use crate::durable::{keep_name, make_folder};

pub(super) const DATABASE: &str = "relay.db";
const LOCK: &str = "relay.lock";

/// How long the lock is waited for: a process that is just being started by this one holds a copy of it for a moment, and
/// one that is just ending for another.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// How much of the database a connection keeps in memory, in KiB. New events touch the ends of three trees, and memory that
/// is used again soon costs less than fresh memory.
const CACHE_KIB: i64 = 4 * 1024;

/// The database's page size, in bytes: twice the usual one, which costs a fifth less for events of 1 KB, written in
/// batches, and not yet much more for one that is committed alone.
const PAGE_SIZE: i64 = 8192;

/// The WAL is moved into the database when it has this many pages.
const CHECKPOINT_PAGES: i64 = 1000;

/// File systems whose locks or syncs do not hold, by the magic number of statfs(2).
const NETWORK: &[(i64, &str)] = &[
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "afs"),
];

/// Makes an empty database in a directory.
pub(in super::super) fn create(data: &Path) -> Result<(), OpenError> {
    let broken = |e: &dyn std::fmt::Display| OpenError::Broken(show(data), e.to_string());
    make_folder(data).map_err(|e| broken(&e))?;
    refuse_network(data)?;
    let _lock = lock(data)?;
    let path = data.join(DATABASE);
    if path.exists() {
        return Err(OpenError::Exists(show(data)));
    }
    // Made aside and renamed when whole: an interrupted init leaves nothing that looks like a store.
    let part = data.join("relay.db.part");
    let _ = fs::remove_file(&part);
    let made = (|| {
        let mut connection = Connection::open(&part)?;
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        schema::migrate(&mut connection)?;
        let instance = format!("{:016x}", fastrand::u64(..));
        connection.execute("INSERT INTO meta(key, value) VALUES('instance', ?1)", [instance])
    })();
    made.map_err(|e| broken(&e))?;
    fs::rename(&part, &path).map_err(|e| broken(&e))?;
    keep_name(&path).map_err(|e| broken(&e))
}

/// A store that is open.
pub(in super::super) struct Opened {
    pub(in super::super) writer: Writer,
    pub(in super::super) reader: Reader,
    /// The store's own id.
    pub(in super::super) instance: String,
    /// The newest event's id, or that of one that was newer and has gone.
    pub(in super::super) newest: EventId,
}

/// Opens the database of a directory; nobody else may have it open.
pub(in super::super) fn open(data: &Path, spool: &Arc<Spool>) -> Result<Opened, OpenError> {
    let path = data.join(DATABASE);
    if !path.exists() {
        return Err(OpenError::Missing(show(data)));
    }
    refuse_network(data)?;
    let lock = lock(data)?;
    let broken = |e: rusqlite::Error| OpenError::Broken(show(data), e.to_string());
    let mut connection = connect(&path).map_err(broken)?;
    let version = schema::version(&connection).map_err(broken)?;
    if version > schema::VERSION {
        return Err(OpenError::TooNew(show(data), version, schema::VERSION));
    }
    schema::migrate(&mut connection).map_err(broken)?;
    let instance = connection
        .query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0))
        .map_err(broken)?;
    let swept = sweep(&connection, spool)?;
    if swept > 0 {
        tracing::info!(swept, "spool files without an event were deleted");
    }
    let newest = books::newest(&connection).map_err(broken)?;
    let reader = Reader::new(path.clone());
    let writer = Writer::start(connection, path, lock, Arc::clone(spool)).map_err(broken)?;
    Ok(Opened { writer, reader, instance, newest })
}

/// A connection for the writer.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL, because with NORMAL a commit in WAL mode is not synced.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn lock(data: &Path) -> Result<File, OpenError> {
    let broken = |e: std::io::Error| OpenError::Broken(show(data), e.to_string());
    let file = File::options().create(true).truncate(false).write(true).open(data.join(LOCK));
    let file = file.map_err(broken)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_AGAIN);
            }
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(show(data))),
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
    }
}

fn refuse_network(data: &Path) -> Result<(), OpenError> {
    let Ok(found) = rustix::fs::statfs(data) else { return Ok(()) };
    let kind = found.f_type & 0xffff_ffff;
    match NETWORK.iter().find(|(magic, _)| *magic == kind) {
        Some((_, name)) => Err(OpenError::NetworkFileSystem(show(data), name)),
        None => Ok(()),
    }
}

fn sweep(connection: &Connection, spool: &Spool) -> Result<usize, OpenError> {
    let wanted = |event: EventId| {
        let sql = "SELECT 1 FROM events WHERE body_kept = 'spool' AND id = ?1 LIMIT 1";
        let found = connection.query_row(sql, [event.as_bytes()], |_| Ok(())).optional();
        // What cannot be looked up is not deleted.
        !matches!(found, Ok(None))
    };
    spool.sweep(wanted).map_err(|e| OpenError::Broken("the spool".into(), e.to_string()))
}

fn show(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}
