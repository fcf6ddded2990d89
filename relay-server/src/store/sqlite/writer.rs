//! The one writer: takes what waits into one transaction and one sync, then wakes everyone.
//!
//! What somebody waits for is taken up at once; what nobody waits for may lie a moment, so that an event and its outcome
//! meet in one transaction and are written once.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use super::super::StoreError;
use super::super::records::{Acceptance, Settlement};
use super::events::Batch;
use super::open::connect;
use super::unavailable;

/// The most operations in one transaction.
const BATCH_MAX: usize = 1024;

/// The most operations that wait; beyond them the store cannot keep up.
const QUEUE_MAX: usize = 16 * 1024;

/// How long an operation may lie that nobody waits for.
const LAZY: Duration = Duration::from_millis(20);

/// How often a store that failed is tried again.
const RETRY: Duration = Duration::from_millis(500);

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something to write.
pub(in super::super) enum Op {
    /// An event, and who waits for it to be durable.
    Accept(Acceptance, Option<Answer<()>>),
    /// The end of an attempt.
    Settle(Settlement),
    /// Anything else, in a transaction's savepoint.
    Run(Box<dyn Work>),
    /// Nothing but the wait for what came before.
    Flush(Answer<()>),
}

/// A piece of work that carries its own answer.
pub(in super::super) trait Work: Send {
    /// Does it, and says whether what it did is to be kept; an engine error spoils the batch.
    fn run(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<bool>;
    /// Tells how the batch ended.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// Whether somebody waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Urgency {
    Prompt,
    Lazy,
}

#[derive(Default)]
struct Queue {
    ops: Vec<Op>,
    prompt: bool,
    oldest: Option<Instant>,
    closed: bool,
    failed: Option<String>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer thread and its queue. Dropping it writes what waits and closes the database.
pub(in super::super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, path: PathBuf, lock: File) -> rusqlite::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let batch = Batch::new(&connection)?;
        let mut task = Task { shared: Arc::clone(&shared), connection, path, batch, _lock: lock };
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread.spawn(move || task.run()).expect("a thread for the store");
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(in super::super) fn health(&self) -> Result<(), StoreError> {
        match &self.shared.lock().failed {
            Some(why) => Err(StoreError::Unavailable(why.clone())),
            None => Ok(()),
        }
    }

    pub(in super::super) fn submit(&self, op: Op, urgency: Urgency) -> Result<(), StoreError> {
        let queue = self.shared.lock();
        if let Some(why) = &queue.failed {
            return Err(StoreError::Unavailable(why.clone()));
        }
        if queue.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        if queue.ops.len() >= QUEUE_MAX {
            return Err(StoreError::Overloaded);
        }
        self.push(queue, op, urgency);
        Ok(())
    }

    /// Queues the end of an attempt whatever happens: it waits even while the store is failing.
    pub(in super::super) fn submit_settlement(&self, settlement: Settlement) {
        self.push(self.shared.lock(), Op::Settle(settlement), Urgency::Lazy);
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, op: Op, urgency: Urgency) {
        let was_idle = queue.ops.is_empty();
        let newly_prompt = urgency == Urgency::Prompt && !std::mem::replace(&mut queue.prompt, true);
        queue.ops.push(op);
        if was_idle {
            queue.oldest = Some(Instant::now());
        }
        let full = queue.ops.len() == BATCH_MAX;
        drop(queue);
        if was_idle || newly_prompt || full {
            self.shared.wake.notify_one();
        }
    }

    pub(in super::super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        let once = Once { work: Some(work), result: None, answer };
        self.submit(Op::Run(Box::new(once)), Urgency::Prompt)?;
        done.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the writer has ended".into())))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A closure as [`Work`].
struct Once<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: Answer<T>,
}

impl<T, F> Work for Once<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send,
{
    fn run(&mut self, tx: &Transaction<'_>) -> rusqlite::Result<bool> {
        let Some(work) = self.work.take() else { return Ok(false) };
        let result = self.result.insert(work(tx)?);
        Ok(result.is_ok())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        let lost = || Err(StoreError::Unavailable("the write was not carried out".into()));
        let _ = answer.send(committed.and_then(|()| result.unwrap_or_else(lost)));
    }
}

struct Task {
    shared: Arc<Shared>,
    connection: Connection,
    path: PathBuf,
    batch: Batch,
    _lock: File,
}

impl Task {
    fn run(&mut self) {
        while let Some(ops) = self.next() {
            if let Err(error) = self.commit(ops) {
                tracing::error!(%error, "the store does not write; nothing is acknowledged until it does");
                self.shared.lock().failed = Some(error.to_string());
                if !self.recover() {
                    return;
                }
            }
        }
    }

    /// What is to be written next, or `None` when the store is closed and nothing waits.
    fn next(&self) -> Option<Vec<Op>> {
        let mut queue = self.shared.lock();
        loop {
            let waited = queue.oldest.map(|oldest| oldest.elapsed());
            let ripe = queue.prompt || queue.closed || queue.ops.len() >= BATCH_MAX;
            match waited {
                None if queue.closed => return None,
                None => queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(waited) if ripe || waited >= LAZY => {
                    let now = queue.ops.len().min(BATCH_MAX);
                    let later = queue.ops.split_off(now);
                    let now = std::mem::replace(&mut queue.ops, later);
                    queue.oldest = (!queue.ops.is_empty()).then(Instant::now);
                    queue.prompt &= !queue.ops.is_empty();
                    return Some(now);
                }
                Some(waited) => {
                    let left = LAZY - waited;
                    let woken = self.shared.wake.wait_timeout(queue, left);
                    queue = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Writes a batch. When that fails, nobody is told that it succeeded, and what may be written later is kept.
    fn commit(&mut self, ops: Vec<Op>) -> Result<(), StoreError> {
        let mut written = Written::default();
        let result = self.transact(ops, &mut written).map_err(|error| unavailable(&error));
        if result.is_err() {
            self.batch.roll_back();
            let mut queue = self.shared.lock();
            queue.ops.splice(0..0, written.settlements.drain(..).map(Op::Settle));
            queue.oldest = (!queue.ops.is_empty()).then(Instant::now);
        }
        written.answer(&result);
        result
    }

    fn transact(&mut self, ops: Vec<Op>, written: &mut Written) -> rusqlite::Result<()> {
        for op in ops {
            match op {
                Op::Accept(acceptance, answer) => {
                    written.answers.extend(answer);
                    self.batch.accept(acceptance);
                }
                Op::Settle(settlement) => {
                    written.settlements.extend(self.batch.settle_fresh(settlement));
                }
                Op::Run(work) => written.works.push(work),
                Op::Flush(answer) => written.answers.push(answer),
            }
        }
        let tx = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        self.batch.write(&tx)?;
        for work in &mut written.works {
            run(work.as_mut(), &tx)?;
        }
        for settlement in &written.settlements {
            super::events::settle(&tx, settlement)?;
        }
        tx.commit()
    }

    /// Waits until the store works again: opened anew, checked, and able to write. `false` when it was closed.
    fn recover(&mut self) -> bool {
        loop {
            {
                let queue = self.shared.lock();
                let woken = self.shared.wake.wait_timeout_while(queue, RETRY, |queue| !queue.closed);
                if woken.unwrap_or_else(PoisonError::into_inner).0.closed {
                    return false;
                }
            }
            match self.reopen() {
                Ok(()) => {
                    tracing::info!("the store writes again");
                    self.shared.lock().failed = None;
                    return true;
                }
                Err(error) => self.shared.lock().failed = Some(error.to_string()),
            }
        }
    }

    /// After a failed sync the pages in memory may not be those on disk: everything is read anew.
    fn reopen(&mut self) -> rusqlite::Result<()> {
        self.connection = connect(&self.path)?;
        let verdict: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damaged, Some(verdict)));
        }
        self.batch = Batch::new(&self.connection)?;
        // A write as large as a usual batch shows that there is room again.
        let tx = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute("INSERT OR REPLACE INTO meta(key, value) VALUES('room', hex(zeroblob(262144)))", [])?;
        tx.commit()?;
        self.connection.execute("DELETE FROM meta WHERE key = 'room'", [])?;
        Ok(())
    }
}

/// Runs work in a savepoint, so that a refusal undoes it alone.
fn run(work: &mut dyn Work, tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch("SAVEPOINT work")?;
    let keep = work.run(tx)?;
    tx.execute_batch(if keep { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" })
}

/// Who is to be told of a batch, and what is tried again if it fails.
#[derive(Default)]
struct Written {
    answers: Vec<Answer<()>>,
    works: Vec<Box<dyn Work>>,
    settlements: Vec<Settlement>,
}

impl Written {
    fn answer(self, result: &Result<(), StoreError>) {
        for answer in self.answers {
            let _ = answer.send(result.clone());
        }
        for work in self.works {
            work.answer(result.clone());
        }
    }
}
