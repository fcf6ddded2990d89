//! What the writer does when the store does not write: everyone is told, and it is mended.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::super::super::StoreError;
use super::super::books::Books;
use super::super::open::connect;
use super::super::ops::Op;
use super::Task;

/// How often a store that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

impl Task {
    /// Nobody is told that it succeeded, what may be written later is kept, and the store is mended. `false` when it was
    /// closed meanwhile.
    pub(super) fn fail(&mut self, error: &StoreError, doubtful: bool) -> bool {
        tracing::error!(%error, "the store does not write; nothing is acknowledged until it does");
        let _ = self.connection.execute_batch("ROLLBACK");
        self.opened = None;
        let mut written = std::mem::take(&mut self.written);
        let mut queue = self.shared.lock();
        queue.failed = Some(error.to_string());
        self.shared.room.notify_one();
        let waiting = std::mem::take(&mut queue.ops);
        queue.ops.push(Op::Settle(std::mem::take(&mut written.settlements)));
        queue.ops.extend(written.bundled.drain(..).map(Op::Bundle));
        queue.prompt = false;
        // Whoever waits is told now, not when the disk is well again; what nobody waits for is written then.
        let refused: Vec<Op> =
            waiting.into_iter().filter_map(|op| op.keep_for_later(&mut queue)).collect();
        drop(queue);
        written.answer(&Err(error.clone()));
        self.batch.refuse(error, Instant::now());
        refused.into_iter().for_each(|op| op.refuse(error));
        self.recover(doubtful)
    }

    /// Waits until the store works again: opened anew, checked, and able to write. `false` when it was closed.
    fn recover(&mut self, doubtful: bool) -> bool {
        loop {
            {
                let queue = self.shared.lock();
                let woken =
                    self.shared.wake.wait_timeout_while(queue, RETRY, |queue| !queue.closed);
                if woken.unwrap_or_else(PoisonError::into_inner).0.closed {
                    return false;
                }
            }
            match self.reopen(doubtful) {
                Ok(()) => {
                    tracing::info!("the store writes again");
                    self.shared.lock().failed = None;
                    return true;
                }
                Err(error) => self.shared.lock().failed = Some(error.to_string()),
            }
        }
    }

    fn check(&self) -> rusqlite::Result<()> {
        let quick = "PRAGMA quick_check(1)";
        let verdict: String = self.connection.query_row(quick, [], |row| row.get(0))?;
        if verdict == "ok" {
            return Ok(());
        }
        let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(rusqlite::Error::SqliteFailure(damaged, Some(verdict)))
    }

    /// After a failed sync the pages in memory may not be those on disk: everything is read anew.
    fn reopen(&mut self, doubtful: bool) -> rusqlite::Result<()> {
        self.connection = connect(&self.path)?;
        if doubtful {
            self.check()?;
        }
        self.books = Books::read(&self.connection, self.books.wakes())?;
        // A write as large as a usual batch shows that there is room again.
        self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             INSERT OR REPLACE INTO meta(key, value) VALUES('room', hex(zeroblob(262144)));
             COMMIT;
             DELETE FROM meta WHERE key = 'room';",
        )
    }
}

/// Whether the database may be damaged: anything but a disk that is full, which leaves whole what was there.
pub(super) fn is_doubtful(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() != Some(rusqlite::ErrorCode::DiskFull)
}
