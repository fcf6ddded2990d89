//! What can be asked of the writer, and the queue in which it waits for its thread.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::Notify;

use super::super::StoreError;
use super::super::records::{Acceptance, Due, Promise, Receipt, Settlement, Want};
use super::batch::Answer;
use super::books::Books;
use super::bundle::Bundled;
use super::retention::Keeps;

/// Something to write.
pub(in super::super) enum Op {
    /// An event that somebody else answers for.
    Note(Box<Acceptance>),
    /// The same, and how its live delivery has ended.
    Over(Box<Acceptance>, Settlement),
    /// An event that was delivered while its caller waited.
    Bundle(Bundled),
    /// An event, and who waits for it to be durable.
    Accept(Box<Acceptance>, Answer<Receipt>),
    /// The end of an attempt, of several deliveries if they went together: all of it in one transaction.
    Settle(Vec<Settlement>),
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
            Self::Note(_) | Self::Over(..) | Self::Bundle(_) | Self::Settle(_) => {
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
            Self::Note(_) | Self::Over(..) | Self::Bundle(_) | Self::Settle(_) => {}
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
    /// What each endpoint keeps, and whether that has changed since it was looked at.
    pub(super) keeps: Keeps,
    pub(super) keeps_changed: bool,
    /// How long it is kept who has changed what, in milliseconds, if not for ever.
    pub(super) audit_ms: Option<u64>,
}

/// What the door and the thread share.
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    pub(super) wake: Condvar,
    /// Tells the first of those who wait for room that there may be some.
    pub(super) room: Notify,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), wake: Condvar::new(), room: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
