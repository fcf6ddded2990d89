//! A bounded memory of recent answers, so that a delivery that is sent again because its answer was lost on the way
//! gets that answer, and the target is not asked twice.
//!
//! Every attempt writes into it and hardly anybody ever asks: so each line has a shelf of its own, on which things stand in
//! the order of time, and whoever asks looks through all shelves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Answer;
use tokio::sync::Notify;

/// How many answers of each line are remembered.
const ANSWERS_MAX: usize = 512;

/// How many bytes of heads and bodies are remembered of each line.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// One event at one subscription.
pub type Key = (u16, EventId);

/// An answer that fits into one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The head.
    pub answer: Answer,
    /// The whole body.
    pub body: Bytes,
}

impl Remembered {
    fn size(&self) -> usize {
        self.answer.fields.encoded().len() + self.body.len()
    }
}

/// An event on which the target works; who asks meanwhile leaves something to be told with.
#[derive(Debug)]
struct Run {
    key: Key,
    done: Option<Arc<Notify>>,
}

/// An event that the target has answered with a success.
#[derive(Debug)]
struct Told {
    key: Key,
    since: Instant,
    remembered: Remembered,
}

#[derive(Debug, Default)]
struct Known {
    running: Vec<Option<Run>>,
    /// Where nothing runs.
    free: Vec<usize>,
    /// The oldest first.
    answered: VecDeque<Told>,
    bytes: usize,
}

/// What came over one line. Apart from those of the others, which other threads write: 128 bytes are what processors with
/// their prefetchers take hold of at once.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shelf(Mutex<Known>);

/// The memory. Only successes are kept: whatever failed shall reach the target again.
#[derive(Debug)]
pub struct AnswerMemory(Box<[Shelf]>);

impl AnswerMemory {
    /// A memory for the attempts that come over so many lines.
    #[must_use]
    pub fn new(lines: usize) -> Self {
        Self((0..lines).map(|_| Shelf::default()).collect())
    }

    /// Notes that the target works on an event that came over this line, until the guard is dropped.
    pub fn begin(&self, line: usize, key: Key, since: Instant) -> Running<'_> {
        let place = self.0[line].lock().run(Run { key, done: None });
        Running { memory: self, line, place: Some(place), key, since }
    }

    /// The answer of an earlier attempt, waiting for it if the target still works on it.
    pub async fn earlier(&self, key: Key) -> Option<Remembered> {
        while let Some(done) = self.running(key) {
            let mut notified = std::pin::pin!(done.notified());
            // Interest first, then the second look: what ended in between is not missed.
            notified.as_mut().enable();
            if self.running(key).is_some_and(|still| Arc::ptr_eq(&still, &done)) {
                notified.await;
            }
        }
        let newest = |shelf: &Shelf| {
            let known = shelf.lock();
            let told = known.answered.iter().rev().find(|told| told.key == key)?;
            Some((told.since, told.remembered.clone()))
        };
        let newest = self.0.iter().filter_map(newest).max_by_key(|(since, _)| *since);
        newest.map(|(_, remembered)| remembered)
    }

    /// Told when an attempt is over that is under way.
    fn running(&self, key: Key) -> Option<Arc<Notify>> {
        self.0.iter().find_map(|shelf| {
            let mut known = shelf.lock();
            let run = known.running.iter_mut().flatten().find(|run| run.key == key)?;
            Some(Arc::clone(run.done.get_or_insert_default()))
        })
    }

    fn forget(&self, key: Key) {
        for shelf in &self.0 {
            let known = &mut *shelf.lock();
            let bytes = &mut known.bytes;
            known.answered.retain(|told| {
                let stays = told.key != key;
                *bytes -= if stays { 0 } else { told.remembered.size() };
                stays
            });
        }
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub struct Running<'a> {
    memory: &'a AnswerMemory,
    line: usize,
    /// Where on the shelf it stands, as long as it does.
    place: Option<usize>,
    key: Key,
    since: Instant,
}

impl Running<'_> {
    /// Remembers how it ended.
    pub fn remember(mut self, remembered: Remembered) {
        let Some(place) = self.place.take() else { return };
        let mut known = self.memory.0[self.line].lock();
        known.bytes += remembered.size();
        known.answered.push_back(Told { key: self.key, since: self.since, remembered });
        known.end(place);
        known.forget_oldest();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        // What the target said to an earlier delivery of the event is not the answer to this one.
        self.memory.forget(self.key);
        self.memory.0[self.line].lock().end(place);
    }
}

impl Known {
    fn run(&mut self, run: Run) -> usize {
        if let Some(place) = self.free.pop() {
            self.running[place] = Some(run);
            return place;
        }
        self.running.push(Some(run));
        self.running.len() - 1
    }

    fn end(&mut self, place: usize) {
        self.free.push(place);
        if let Some(Run { done: Some(done), .. }) = self.running[place].take() {
            done.notify_waiters();
        }
    }

    fn forget_oldest(&mut self) {
        while self.answered.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let Some(old) = self.answered.pop_front() else { return };
            self.bytes -= old.remembered.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_protocol::webhook::Fields;

    fn remembered(body: &'static [u8]) -> Remembered {
        let answer = Answer { status: 200, fields: Fields::default() };
        Remembered { answer, body: Bytes::from_static(body) }
    }

    fn begin(memory: &AnswerMemory, line: usize, key: Key) -> Running<'_> {
        memory.begin(line, key, Instant::now())
    }

    #[tokio::test]
    async fn an_answer_is_given_again_whichever_line_asks_and_an_unknown_event_has_none() {
        let memory = AnswerMemory::new(2);
        let key = (0, EventId::now());
        begin(&memory, 1, key).remember(remembered(b"done"));
        assert_eq!(memory.earlier(key).await, Some(remembered(b"done")));
        assert_eq!(memory.earlier((1, key.1)).await, None);
    }

    #[tokio::test]
    async fn who_asks_while_the_target_works_waits_for_its_answer() {
        let memory = AnswerMemory::new(2);
        let key = (0, EventId::now());
        let running = begin(&memory, 1, key);
        let mut asked = Box::pin(memory.earlier(key));
        assert!(futures_util::poll!(&mut asked).is_pending());
        running.remember(remembered(b"late"));
        assert_eq!(asked.await, Some(remembered(b"late")));
    }

    #[tokio::test]
    async fn of_two_answers_the_newer_one_is_given_whichever_came_first() {
        for order in [[0, 1], [1, 0]] {
            let memory = AnswerMemory::new(2);
            let (key, now) = ((0, EventId::now()), Instant::now());
            let later = now + std::time::Duration::from_millis(1);
            let (older, newer) = (memory.begin(0, key, now), memory.begin(1, key, later));
            let mut running = [Some((older, b"older")), Some((newer, b"newer"))];
            for which in order {
                let (running, body) = running[which].take().unwrap();
                running.remember(remembered(body));
            }
            assert_eq!(memory.earlier(key).await, Some(remembered(b"newer")));
        }
    }

    #[tokio::test]
    async fn an_attempt_that_failed_leaves_nothing_behind_not_even_what_was_said_before_it() {
        let memory = AnswerMemory::new(2);
        let key = (0, EventId::now());
        begin(&memory, 0, key).remember(remembered(b"before"));
        drop(begin(&memory, 1, key));
        assert_eq!(memory.earlier(key).await, None);
        for shelf in &memory.0 {
            let known = shelf.lock();
            assert_eq!((known.answered.len(), known.bytes), (0, 0));
            assert!(known.running.iter().all(Option::is_none));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = AnswerMemory::new(1);
        for _ in 0..3 * ANSWERS_MAX {
            begin(&memory, 0, (0, EventId::now())).remember(remembered(b"x"));
        }
        let known = memory.0[0].lock();
        assert_eq!((known.running.len(), known.answered.len()), (1, ANSWERS_MAX));
        assert_eq!(known.bytes, ANSWERS_MAX);
    }
}
