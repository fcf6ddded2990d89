//! A bounded memory of recent answers, so that a delivery that is sent again because its answer was lost on the way
//! gets that answer, and the target is not asked twice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::HashMap;
use relay_protocol::id::EventId;
use relay_protocol::webhook::Answer;
use tokio::sync::Notify;

/// How many answers are remembered.
const ANSWERS_MAX: usize = 1024;

/// How many bytes of heads and bodies are remembered.
const BYTES_MAX: usize = 16 * 1024 * 1024;

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

/// What is known of an event.
#[derive(Debug)]
enum State {
    /// The target is working on it; who asks meanwhile leaves something to be told with.
    Running { attempt: u64, done: Option<Arc<Notify>> },
    /// The target has answered with a success.
    Answered(Remembered),
}

#[derive(Debug, Default)]
struct Known {
    states: HashMap<Key, State>,
    /// Answered events, the oldest first.
    order: VecDeque<Key>,
    bytes: usize,
    attempts: u64,
}

/// The memory. Only successes are kept: whatever failed shall reach the target again.
#[derive(Debug, Default)]
pub struct AnswerMemory(Mutex<Known>);

impl AnswerMemory {
    /// Notes that the target works on an event, until the guard is dropped.
    pub fn begin(&self, key: Key) -> Running<'_> {
        let mut known = self.lock();
        known.attempts += 1;
        let attempt = known.attempts;
        known.states.insert(key, State::Running { attempt, done: None });
        Running { memory: self, key, attempt }
    }

    /// The answer of an earlier attempt, waiting for it if the target still works on it.
    pub async fn earlier(&self, key: Key) -> Option<Remembered> {
        loop {
            let done = match self.lock().states.get_mut(&key)? {
                State::Answered(remembered) => return Some(remembered.clone()),
                State::Running { done, .. } => Arc::clone(done.get_or_insert_default()),
            };
            let mut notified = std::pin::pin!(done.notified());
            // Interest first, then the second look: what ended in between is not missed.
            notified.as_mut().enable();
            if matches!(self.lock().states.get(&key), Some(State::Running { .. })) {
                notified.await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is under way.
#[derive(Debug)]
pub struct Running<'a> {
    memory: &'a AnswerMemory,
    key: Key,
    attempt: u64,
}

impl Running<'_> {
    /// Remembers how it ended.
    pub fn remember(self, remembered: Remembered) {
        let mut known = self.memory.lock();
        known.bytes += remembered.size();
        known.order.push_back(self.key);
        let before = known.states.insert(self.key, State::Answered(remembered));
        if let Some(State::Running { done: Some(done), .. }) = before {
            done.notify_waiters();
        }
        known.forget_oldest();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut known = self.memory.lock();
        if let Some(State::Running { attempt, .. }) = known.states.get(&self.key)
            && *attempt == self.attempt
            && let Some(State::Running { done: Some(done), .. }) = known.states.remove(&self.key)
        {
            done.notify_waiters();
        }
    }
}

impl Known {
    fn forget_oldest(&mut self) {
        while self.order.len() > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let Some(key) = self.order.pop_front() else { return };
            if let Some(State::Answered(old)) = self.states.remove(&key) {
                self.bytes -= old.size();
            }
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

    #[tokio::test]
    async fn an_answer_is_given_again_and_an_unknown_event_has_none() {
        let memory = AnswerMemory::default();
        let key = (0, EventId::now());
        memory.begin(key).remember(remembered(b"done"));
        assert_eq!(memory.earlier(key).await, Some(remembered(b"done")));
        assert_eq!(memory.earlier((1, key.1)).await, None);
    }

    #[tokio::test]
    async fn who_asks_while_the_target_works_waits_for_its_answer() {
        let memory = AnswerMemory::default();
        let key = (0, EventId::now());
        let running = memory.begin(key);
        let mut asked = Box::pin(memory.earlier(key));
        assert!(futures_util::poll!(&mut asked).is_pending());
        running.remember(remembered(b"late"));
        assert_eq!(asked.await, Some(remembered(b"late")));
    }

    #[tokio::test]
    async fn an_attempt_that_failed_leaves_nothing_behind() {
        let memory = AnswerMemory::default();
        let key = (0, EventId::now());
        drop(memory.begin(key));
        assert_eq!(memory.earlier(key).await, None);
        assert!(memory.lock().states.is_empty());
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = AnswerMemory::default();
        for _ in 0..3 * ANSWERS_MAX {
            memory.begin((0, EventId::now())).remember(remembered(b"x"));
        }
        let known = memory.lock();
        assert_eq!((known.states.len(), known.order.len()), (ANSWERS_MAX, ANSWERS_MAX));
        assert_eq!(known.bytes, ANSWERS_MAX);
    }
}
