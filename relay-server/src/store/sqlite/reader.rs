//! Reads beside the writer: a few connections that are opened when needed, used on blocking threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::super::StoreError;
use super::unavailable;

/// How many readers there may be at a time.
const READERS: usize = 4;

/// How long a connection waits for another one that is in its way.
const BUSY: Duration = Duration::from_secs(5);

/// The read connections.
#[derive(Debug, Clone)]
pub(in super::super) struct Reader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(READERS)) }
    }

    /// Runs a query on a blocking thread.
    pub(in super::super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let reader = self.clone();
        let read = move || {
            let kept = reader.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => reader.connect()?,
            };
            let result = query(&connection);
            // A connection that has met an error may hold a broken page: it is not kept.
            if result.is_ok() {
                reader.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            result
        };
        let done = tokio::task::spawn_blocking(read).await;
        done.map_err(|e| StoreError::Unavailable(e.to_string()))?.map_err(|e| unavailable(&e))
    }

    /// Runs something that is about the database as a whole, on a connection of its own that may write.
    pub(in super::super) async fn alone<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let path = self.path.clone();
        let run = move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY)?;
            work(&connection)
        };
        let done = tokio::task::spawn_blocking(run).await;
        done.map_err(|e| StoreError::Unavailable(e.to_string()))?.map_err(|e| unavailable(&e))
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }
}
