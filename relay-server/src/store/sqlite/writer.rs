//! The door of the one writer: what can be asked of it, and the queue in which it waits. The thread itself is the task.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::super::records::{Acceptance, Due, Promise, Receipt, Settlement, Want};
use super::super::spool::Spool;
use super::batch::Answer;
use super::books::{Books, Wakes};
use super::lease;
use super::task::Task;

/// The most operations that wait; beyond them the store cannot keep up.
const QUEUE_MAX: usize = 16 * 1024;

/// Something to write.
pub(in super::super) enum Op {
    /// An event that somebody else answers for.
    Note(Acceptance),
    /// An event, and who waits for it to be durable.
    Accept(Acceptance, Answer<Receipt>),
    /// The end of an attempt.
    Settle(Settlement),
    /// A live delivery that is promised after all, and who waits for that to be durable.
    Promise(Promise, Answer<Receipt>),
    /// What is due, into the asker's hands; answered at once, for a lease that is lost costs a repeat only.
    Lease(Want, Answer<Due>),
    /// Anything else, in a transaction's savepoint.
    Run(Box<dyn Work>),
    /// Nothing but the wait for what came before.
    Flush(Answer<()>),
}

impl Op {
    /// Puts back into the queue what nobody waits for; gives back the rest.
    pub(super) fn keep_for_later(self, queue: &mut Queue) -> Option<Self> {
        match self {
            Self::Note(_) | Self::Settle(_) => {
                queue.ops.push(self);
                None
            }
            waited_for => Some(waited_for),
        }
    }

    /// Tells whoever waits that it was not done.
    pub(super) fn refuse(self, error: &StoreError) {
        match self {
            Self::Accept(_, answer) | Self::Promise(_, answer) => {
                let _ = answer.send(Err(error.clone()));
            }
            Self::Lease(_, answer) => drop(answer.send(Err(error.clone()))),
            Self::Run(work) => work.answer(Err(error.clone())),
            Self::Flush(answer) => drop(answer.send(Err(error.clone()))),
            Self::Note(_) | Self::Settle(_) => {}
        }
    }
}

/// A piece of work that carries its own answer.
pub(in super::super) trait Work: Send {
    /// Does it, and says whether what it did is to be kept; an engine error spoils the batch.
    fn run(&mut self, connection: &Connection, books: &mut Books) -> rusqlite::Result<bool>;
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
pub(super) struct Queue {
    pub(super) ops: Vec<Op>,
    /// Somebody waits for one of them.
    pub(super) prompt: bool,
    /// The thread sleeps until it is woken.
    pub(super) asleep: bool,
    pub(super) closed: bool,
    pub(super) failed: Option<String>,
}

/// What the door and the thread share.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer thread and its queue. Dropping it writes what waits and closes the database.
pub(in super::super) struct Writer {
    shared: Arc<Shared>,
    wakes: Wakes,
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
        spool: Arc<Spool>,
    ) -> rusqlite::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let wakes = Wakes::default();
        let mut books = Books::read(&connection, wakes.clone())?;
        let transaction = connection.unchecked_transaction()?;
        lease::take_over(&transaction, &mut books)?;
        books.keep(&transaction)?;
        transaction.commit()?;
        let mut task = Task::new(Arc::clone(&shared), connection, path, books, spool, lock);
        let thread = std::thread::Builder::new().name("store".into());
        let thread = thread.spawn(move || task.run()).expect("a thread for the store");
        Ok(Self { shared, wakes, thread: Some(thread) })
    }

    /// Tells whoever works on a queue that something has become due.
    pub(in super::super) fn wakes(&self) -> &Wakes {
        &self.wakes
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
        F: FnOnce(&Connection, &mut Books) -> rusqlite::Result<Result<T, StoreError>>
            + Send
            + 'static,
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
    F: FnOnce(&Connection, &mut Books) -> rusqlite::Result<Result<T, StoreError>> + Send,
{
    fn run(&mut self, connection: &Connection, books: &mut Books) -> rusqlite::Result<bool> {
        let Some(work) = self.work.take() else { return Ok(false) };
        let result = self.result.insert(work(connection, books)?);
        Ok(result.is_ok())
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, answer, .. } = *self;
        let lost = || Err(StoreError::Unavailable("the write was not carried out".into()));
        let _ = answer.send(committed.and_then(|()| result.unwrap_or_else(lost)));
    }
}
