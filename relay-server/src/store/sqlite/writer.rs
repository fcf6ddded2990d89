//! The one writer: takes what waits into one transaction and one sync, then wakes everyone.
//!
//! What somebody waits for is committed at once. What nobody waits for is written in small slices into a transaction that
//! stays open a moment: an event and its outcome meet there and are written once, and the thread never holds a core for
//! long. (On two cores a thread that works 3 ms in 20 costs the others a fifth of their speed, one that works 0.1 ms in
//! 0.7 costs them a twentieth: the kernel moves what it displaces, and slowly moves it back.)

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::super::records::{Acceptance, Settlement};
use super::events::Batch;
use super::open::connect;
use super::unavailable;

/// The most operations in one slice, so in one transaction that somebody waits for.
const SLICE_MAX: usize = 1024;

/// The most operations that wait; beyond them the store cannot keep up.
const QUEUE_MAX: usize = 16 * 1024;

/// How long the thread rests between two slices of what nobody waits for.
const REST: Duration = Duration::from_micros(500);

/// How long a transaction may stay open for what nobody waits for.
const OPEN_MAX: Duration = Duration::from_millis(10);

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
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<bool>;
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
    /// Somebody waits for one of them.
    prompt: bool,
    /// The thread sleeps until it is woken.
    asleep: bool,
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
    pub(super) fn start(
        connection: Connection,
        path: PathBuf,
        lock: File,
    ) -> rusqlite::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let batch = Batch::new(&connection)?;
        let (shared_with, written, opened) = (Arc::clone(&shared), Written::default(), None);
        let mut task =
            Task { shared: shared_with, connection, path, batch, written, opened, _lock: lock };
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
        queue.ops.push(op);
        let newly_prompt =
            urgency == Urgency::Prompt && !std::mem::replace(&mut queue.prompt, true);
        let wake = std::mem::take(&mut queue.asleep) || newly_prompt;
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    pub(in super::super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
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
    F: FnOnce(&Connection) -> rusqlite::Result<Result<T, StoreError>> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        let Some(work) = self.work.take() else { return Ok(false) };
        let result = self.result.insert(work(connection)?);
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
    written: Written,
    /// Since when a transaction is open.
    opened: Option<Instant>,
    _lock: File,
}

/// What the thread does next.
enum Turn {
    /// Write these, possibly none; commit if somebody waits.
    Slice(Vec<Op>, bool),
    /// The store is closed and nothing waits.
    End,
}

impl Queue {
    fn is_urgent(&self) -> bool {
        self.prompt || self.closed
    }

    /// The operations of the next slice. Whoever waits may be among the later ones: then the next slice is prompt too.
    fn slice(&mut self) -> Turn {
        let later = self.ops.split_off(self.ops.len().min(SLICE_MAX));
        let ops = std::mem::replace(&mut self.ops, later);
        let prompt = self.is_urgent();
        self.prompt &= !self.ops.is_empty();
        Turn::Slice(ops, prompt)
    }
}

impl Task {
    fn run(&mut self) {
        loop {
            let result = match self.next() {
                Turn::Slice(ops, prompt) => self.slice(ops, prompt),
                Turn::End => return,
            };
            if let Err(error) = result
                && !self.fail(&unavailable(&error))
            {
                return;
            }
        }
    }

    fn next(&self) -> Turn {
        let mut queue = self.shared.lock();
        // Between two slices of an open transaction the thread rests, unless somebody waits or it falls behind.
        if self.opened.is_some() {
            let idle = |queue: &mut Queue| !queue.is_urgent() && queue.ops.len() < SLICE_MAX;
            let woken = self.shared.wake.wait_timeout_while(queue, REST, idle);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        loop {
            if !queue.ops.is_empty() {
                return queue.slice();
            }
            let Some(due) = self.due() else {
                if queue.closed {
                    return Turn::End;
                }
                queue.asleep = true;
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let wait = due.saturating_duration_since(Instant::now());
            if queue.closed || wait.is_zero() {
                return Turn::Slice(Vec::new(), queue.closed);
            }
            queue.asleep = self.opened.is_none();
            let woken = self.shared.wake.wait_timeout(queue, wait);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When something is to be done though nothing new comes.
    fn due(&self) -> Option<Instant> {
        let commit = self.opened.map(|opened| opened + OPEN_MAX);
        [commit, self.batch.due()].into_iter().flatten().min()
    }

    /// Writes operations into the open transaction, opening one if there is none; commits it when it is time.
    fn slice(&mut self, ops: Vec<Op>, prompt: bool) -> rusqlite::Result<()> {
        let now = Instant::now();
        let mut works = Vec::new();
        for op in ops {
            match op {
                Op::Accept(acceptance, Some(answer)) => {
                    self.written.answers.push(answer);
                    self.batch.accept(acceptance);
                }
                Op::Accept(acceptance, None) => self.batch.keep_back(acceptance, now),
                Op::Settle(settlement) => {
                    self.written.settlements.extend(self.batch.settle(settlement))
                }
                Op::Run(work) => works.push(work),
                Op::Flush(answer) => self.written.answers.push(answer),
            }
        }
        self.batch.let_go(prompt, now);
        let first = self.written.works.len();
        self.written.works.append(&mut works);
        if self.opened.is_none() && (self.batch.is_ready() || !self.written.is_empty()) {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.opened = Some(now);
        }
        if self.batch.is_ready() {
            self.batch.write(&self.connection)?;
        }
        for work in &mut self.written.works[first..] {
            run(work.as_mut(), &self.connection)?;
        }
        let old = self.opened.is_some_and(|opened| now >= opened + OPEN_MAX);
        if prompt || old { self.commit() } else { Ok(()) }
    }

    /// Makes the open transaction durable and tells everybody.
    fn commit(&mut self) -> rusqlite::Result<()> {
        if self.opened.is_none() {
            return Ok(());
        }
        for settlement in &self.written.settlements {
            super::events::settle(&self.connection, settlement)?;
        }
        self.batch.keep_seqs(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        self.opened = None;
        std::mem::take(&mut self.written).answer(&Ok(()));
        Ok(())
    }

    /// Nobody is told that it succeeded, what may be written later is kept, and the store is mended. `false` when it was
    /// closed meanwhile.
    fn fail(&mut self, error: &StoreError) -> bool {
        tracing::error!(%error, "the store does not write; nothing is acknowledged until it does");
        let _ = self.connection.execute_batch("ROLLBACK");
        self.opened = None;
        self.batch.roll_back();
        let mut written = std::mem::take(&mut self.written);
        let mut queue = self.shared.lock();
        queue.failed = Some(error.to_string());
        queue.ops.splice(0..0, written.settlements.drain(..).map(Op::Settle));
        drop(queue);
        written.answer(&Err(error.clone()));
        self.recover()
    }

    /// Waits until the store works again: opened anew, checked, and able to write. `false` when it was closed.
    fn recover(&mut self) -> bool {
        loop {
            {
                let queue = self.shared.lock();
                let woken =
                    self.shared.wake.wait_timeout_while(queue, RETRY, |queue| !queue.closed);
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
        let verdict: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damaged, Some(verdict)));
        }
        self.batch = Batch::new(&self.connection)?;
        // A write as large as a usual batch shows that there is room again.
        self.connection.execute_batch(
            "BEGIN IMMEDIATE;
             INSERT OR REPLACE INTO meta(key, value) VALUES('room', hex(zeroblob(262144)));
             COMMIT;
             DELETE FROM meta WHERE key = 'room';",
        )
    }
}

/// Runs work in a savepoint, so that a refusal undoes it alone.
fn run(work: &mut dyn Work, connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("SAVEPOINT work")?;
    let keep = work.run(connection)?;
    connection.execute_batch(if keep { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" })
}

/// Who is to be told of a batch, and what is tried again if it fails.
#[derive(Default)]
struct Written {
    answers: Vec<Answer<()>>,
    works: Vec<Box<dyn Work>>,
    settlements: Vec<Settlement>,
}

impl Written {
    fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.works.is_empty() && self.settlements.is_empty()
    }

    fn answer(self, result: &Result<(), StoreError>) {
        for answer in self.answers {
            let _ = answer.send(result.clone());
        }
        for work in self.works {
            work.answer(result.clone());
        }
    }
}
