//! The one writer's thread: takes what waits into one transaction and one sync, then wakes everyone.
//!
//! What somebody waits for is committed at once. What nobody waits for is written in slices into a transaction that stays
//! open a moment: an event and its outcome meet there and are written once. (Under load on two cores, slices each 3 ms took
//! relay and agent 6 to 18 % less CPU a request than slices each 0.5 ms, which displace others six times as often.)

mod recovery;
mod written;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::records::{Due, Promise, Receipt, Want};
use super::super::spool::Spool;
use super::batch::{Answer, Batch};
use super::books::Books;
use super::ops::{Op, Queue, Shared, Work};
use super::retention::Retention;
use super::{bundle, insert, lease, settle, unavailable};
use recovery::is_doubtful;
use written::Written;

/// The most operations in one slice, so in one transaction that somebody waits for.
const SLICE_MAX: usize = 1024;

/// How long the thread rests between two slices of what nobody waits for.
const REST: Duration = Duration::from_millis(3);

/// How long a transaction may stay open for what nobody waits for.
const OPEN_MAX: Duration = Duration::from_millis(10);

pub(super) struct Task {
    shared: Arc<Shared>,
    connection: Connection,
    path: PathBuf,
    books: Books,
    batch: Batch,
    /// An empty list with the room that the last slice had.
    spare: Vec<Op>,
    spool: Arc<Spool>,
    written: Written,
    retention: Retention,
    /// Since when a transaction is open.
    opened: Option<Instant>,
    _lock: File,
}

/// What the thread does next.
enum Turn {
    /// Write these, possibly none; commit if somebody waits.
    Slice(Vec<Op>, bool),
    /// Take away a little of what nobody keeps any more.
    Sweep,
    /// The store is closed and nothing waits.
    End,
}

impl Queue {
    fn is_urgent(&self) -> bool {
        self.prompt || self.closed
    }

    /// The operations of the next slice. Whoever waits may be among the later ones: then the next slice is prompt too.
    ///
    /// They change places with an empty list that has room: who queues the next ones need not make it.
    fn slice(&mut self, mut empty: Vec<Op>) -> Turn {
        let later = self.ops.drain(self.ops.len().min(SLICE_MAX)..);
        empty.extend(later);
        let ops = std::mem::replace(&mut self.ops, empty);
        let prompt = self.is_urgent();
        self.prompt &= !self.ops.is_empty();
        Turn::Slice(ops, prompt)
    }
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        path: PathBuf,
        books: Books,
        spool: Arc<Spool>,
        lock: File,
    ) -> Self {
        let (batch, written, opened) = (Batch::default(), Written::default(), None);
        let retention = Retention::new();
        Self {
            shared,
            connection,
            path,
            books,
            batch,
            spare: Vec::new(),
            spool,
            written,
            retention,
            opened,
            _lock: lock,
        }
    }

    /// Works until the store is closed.
    pub(super) fn run(&mut self) {
        loop {
            let result = match self.next() {
                Turn::Slice(ops, prompt) => self.slice(ops, prompt),
                Turn::Sweep => self.sweep(),
                Turn::End => return,
            };
            if let Err(error) = result
                && !self.fail(&unavailable(&error), is_doubtful(&error))
            {
                return;
            }
        }
    }

    fn next(&mut self) -> Turn {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.lock();
        if self.opened.is_none() && !queue.closed && self.retention.is_overdue(Instant::now()) {
            return Turn::Sweep;
        }
        // Between two slices of an open transaction the thread rests, unless somebody waits or it falls behind.
        if let Some(opened) = self.opened {
            let left = (opened + OPEN_MAX).saturating_duration_since(Instant::now());
            let idle = |queue: &mut Queue| !queue.is_urgent() && queue.ops.len() < SLICE_MAX;
            let woken = shared.wake.wait_timeout_while(queue, left.min(REST), idle);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        loop {
            if !queue.ops.is_empty() {
                let slice = queue.slice(std::mem::take(&mut self.spare));
                drop(queue);
                shared.room.notify_one();
                return slice;
            }
            let now = Instant::now();
            if std::mem::take(&mut queue.keeps_changed) {
                self.retention.has_changed(now);
            }
            let due = self.due();
            if queue.closed && due.is_none() {
                return Turn::End;
            }
            if queue.closed || due.is_some_and(|due| due <= now) {
                return Turn::Slice(Vec::new(), queue.closed);
            }
            if self.opened.is_none() && self.retention.due <= now {
                return Turn::Sweep;
            }
            let until = match self.opened {
                Some(_) => due.unwrap_or(now),
                None => due.unwrap_or(self.retention.due).min(self.retention.due),
            };
            let wait = until.saturating_duration_since(now);
            queue.asleep = self.opened.is_none();
            let woken = shared.wake.wait_timeout(queue, wait);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When something is to be done though nothing new comes.
    fn due(&self) -> Option<Instant> {
        // What a failed transaction has left to be written opens another.
        let open = || self.batch.is_ready().then(Instant::now);
        let commit = self.opened.map(|opened| opened + OPEN_MAX).or_else(open);
        [commit, self.batch.due()].into_iter().flatten().min()
    }

    /// Writes operations into the open transaction, opening one if there is none; commits it when it is time.
    fn slice(&mut self, ops: Vec<Op>, prompt: bool) -> rusqlite::Result<()> {
        let now = Instant::now();
        let sorted = self.sort(ops, now);
        self.batch.let_go(prompt, now);
        let idle = sorted.is_empty() && !self.batch.is_ready() && self.written.is_empty();
        if self.opened.is_none() && !idle {
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.opened = Some(now);
        }
        let old = self.opened.is_some_and(|opened| now >= opened + OPEN_MAX);
        let ready = self.batch.take_ready(prompt || old || !sorted.is_empty());
        let inserted = &mut self.written.inserted;
        insert::write(&self.connection, &mut self.books, ready, inserted)?;
        if !sorted.is_empty() {
            self.write_bundles()?;
        }
        self.carry_out(sorted)?;
        if prompt || old { self.commit() } else { Ok(()) }
    }

    /// One step of retention, in a transaction of its own.
    fn sweep(&mut self) -> rusqlite::Result<()> {
        let keeps = || {
            let queue = self.shared.lock();
            (queue.keeps.clone(), queue.audit_ms)
        };
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let spooled = self.retention.step(&self.connection, &mut self.books, keeps)?;
        self.books.keep(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        for event in spooled {
            if let Err(error) = self.spool.remove(event) {
                tracing::warn!(%event, %error, "the body of an event that has gone stays behind");
            }
        }
        Ok(())
    }

    /// Gives new events to the batch, and everything else to where it is carried out.
    fn sort(&mut self, mut ops: Vec<Op>, now: Instant) -> Sorted {
        let mut sorted = Sorted::default();
        for op in ops.drain(..) {
            match op {
                Op::Accept(acceptance, answer) => self.batch.accept(acceptance, answer),
                Op::Note(acceptance) => self.batch.keep_back(acceptance, now),
                Op::Over(acceptance, settlement) => self.batch.over(acceptance, settlement),
                Op::Bundle(event) => self.batch.bundle(event),
                Op::Settle(settlements) => {
                    let earlier = settlements.into_iter().filter_map(|one| self.batch.settle(one));
                    self.written.settlements.extend(earlier);
                }
                Op::Promise(promise, answer) => {
                    sorted.promises.extend(self.batch.promise(promise, answer));
                }
                Op::Lease(want, answer) => sorted.leases.push((want, answer)),
                Op::Run(work) => sorted.works.push(work),
                Op::Flush(answer) => self.written.flushes.push(answer),
            }
        }
        self.spare = ops;
        sorted
    }

    /// Writes what goes into bundles: once a transaction, if it can wait, for then they have the most in them.
    fn write_bundles(&mut self) -> rusqlite::Result<()> {
        bundle::write(&self.connection, &mut self.books, self.batch.bundled())?;
        self.written.bundled.append(self.batch.bundled());
        Ok(())
    }

    fn carry_out(&mut self, sorted: Sorted) -> rusqlite::Result<()> {
        let Sorted { promises, leases, works } = sorted;
        for (promise, answer) in promises {
            let verdict = settle::promise(&self.connection, &mut self.books, &promise)?;
            self.written.inserted.told.push((answer, verdict));
        }
        for mut work in works {
            let done = run(work.as_mut(), &self.connection, &mut self.books);
            self.written.works.push(work);
            done?;
        }
        for (want, answer) in leases {
            let due = lease::lease(&self.connection, &mut self.books, &self.spool, &want)?;
            let _ = answer.send(Ok(due));
        }
        Ok(())
    }

    /// Makes the open transaction durable and tells everybody.
    fn commit(&mut self) -> rusqlite::Result<()> {
        if self.opened.is_none() {
            return Ok(());
        }
        for settlement in &self.written.settlements {
            settle::settle(&self.connection, &mut self.books, settlement)?;
        }
        self.write_bundles()?;
        self.books.keep(&self.connection)?;
        self.connection.execute_batch("COMMIT")?;
        self.opened = None;
        std::mem::take(&mut self.written).answer(&Ok(()));
        self.books.wake();
        self.retention.has_changed(Instant::now());
        Ok(())
    }
}

/// Runs work in a savepoint, so that a refusal undoes it alone.
fn run(work: &mut dyn Work, connection: &Connection, books: &mut Books) -> rusqlite::Result<()> {
    connection.execute_batch("SAVEPOINT work")?;
    let keep = work.run(connection, books)?;
    connection.execute_batch(if keep { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" })
}

/// What a slice brings besides new events and settlements.
#[derive(Default)]
struct Sorted {
    promises: Vec<(Promise, Answer<Receipt>)>,
    leases: Vec<(Want, Answer<Due>)>,
    works: Vec<Box<dyn Work>>,
}

impl Sorted {
    fn is_empty(&self) -> bool {
        self.promises.is_empty() && self.leases.is_empty() && self.works.is_empty()
    }
}
