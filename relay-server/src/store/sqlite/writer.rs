//! The door of the one writer: puts operations into the queue of its thread, which is the task.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::StoreError;
use super::super::records::{Acceptance, Keep, Settlement};
use super::super::spool::Spool;
use super::batch::Answer;
use super::books::{Books, Wakes};
use super::bundle::Bundled;
use super::lease;
use super::ops::{Op, Queue, Shared, Urgency, Work};
use super::task::Task;
use crate::endpoint::EndpointId;

/// The most operations that wait; beyond them the store cannot keep up.
const QUEUE_MAX: usize = 16 * 1024;

/// With so many waiting, who brings a live event waits as well. It is enough for the stalls that disks have, and leaves
/// room for those who need the store's answer.
const ROOM: usize = QUEUE_MAX / 4 * 3;

/// How long room is waited for: a disk that stalls holds providers up for a moment, and one that is too slow is told of
/// before they give up.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let shared = Arc::new(Shared::new());
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

    pub(in super::super) fn set_retention(&self, endpoint: EndpointId, keep: Option<Keep>) {
        let mut queue = self.shared.lock();
        match keep {
            Some(keep) => drop(queue.keeps.insert(endpoint, keep)),
            None => drop(queue.keeps.remove(&endpoint)),
        }
        queue.keeps_changed = true;
        let wake = std::mem::take(&mut queue.asleep);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    pub(in super::super) fn set_audit_retention(&self, age_ms: u64) {
        let mut queue = self.shared.lock();
        (queue.audit_ms, queue.keeps_changed) = (Some(age_ms), true);
    }

    /// Waits until there is room for what nobody waits for: that alone would not hold anybody up.
    pub(in super::super) async fn room(&self) -> Result<(), StoreError> {
        if self.shared.lock().has_room() {
            return Ok(());
        }
        // Boxed: what is rare would weigh on every request otherwise.
        let late = Box::pin(timeout(PATIENCE, self.wait_for_room())).await;
        late.map_err(|_| StoreError::Overloaded)
    }

    async fn wait_for_room(&self) {
        loop {
            let freed = self.shared.room.notified();
            if self.shared.lock().has_room() {
                // Whoever comes next in line looks after this one.
                return self.shared.room.notify_one();
            }
            freed.await;
        }
    }

    pub(in super::super) fn submit(&self, op: Op, urgency: Urgency) -> Result<(), StoreError> {
        let queue = self.shared.lock();
        queue.is_open()?;
        if queue.ops.len() >= QUEUE_MAX {
            return Err(StoreError::Overloaded);
        }
        self.push(queue, op, urgency);
        Ok(())
    }

    /// Queues an event that was let in when it came, however many wait by now: no more than were under way.
    pub(in super::super) fn submit_late(&self, acceptance: Acceptance) -> Result<(), StoreError> {
        let queue = self.shared.lock();
        queue.is_open()?;
        self.push(queue, Op::Note(Box::new(acceptance)), Urgency::Lazy);
        Ok(())
    }

    /// Queues an event that is over, however many wait by now; while the store is failing, as many as else at the most.
    pub(in super::super) fn submit_over(
        &self,
        mut acceptance: Acceptance,
        settlement: Settlement,
    ) -> Result<(), StoreError> {
        let op = match Bundled::of(&acceptance, &settlement) {
            Some(event) => Op::Bundle(event),
            None => {
                acceptance.event.body.detach();
                Op::Over(Box::new(acceptance), settlement)
            }
        };
        let queue = self.shared.lock();
        if queue.ops.len() >= QUEUE_MAX {
            queue.is_open()?;
        }
        self.push(queue, op, Urgency::Lazy);
        Ok(())
    }

    /// Queues the end of an attempt whatever happens: it waits even while the store is failing.
    pub(in super::super) fn submit_settlements(&self, settlements: Vec<Settlement>) {
        self.push(self.shared.lock(), Op::Settle(settlements), Urgency::Lazy);
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

impl Queue {
    fn is_open(&self) -> Result<(), StoreError> {
        if let Some(why) = &self.failed {
            return Err(StoreError::Unavailable(why.clone()));
        }
        if self.closed {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        Ok(())
    }

    /// Whether more may come; where nothing is taken at all, nobody need wait to be told so.
    fn has_room(&self) -> bool {
        self.ops.len() < ROOM || self.failed.is_some() || self.closed
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
