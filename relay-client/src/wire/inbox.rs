//! What has come for one stream and was not fetched yet, and who waits for it.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use relay_protocol::frame::Reset;
use relay_protocol::webhook::Fields;

use super::stream::{Chunk, Heard};

/// One stream's inbox. The line's credit bounds what it holds.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    heard: Option<Heard>,
    body: VecDeque<Bytes>,
    end: Option<Fields>,
    broken: Option<Reset>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    breaker: Option<Waker>,
}

impl Inbox {
    pub(super) fn hear(&mut self, heard: Heard) {
        if let Heard::Answered { end: true, .. } = heard {
            self.end = Some(Fields::default());
        }
        self.heard = Some(heard);
        self.wake_reader();
        // It may wait for credit that no longer comes: an answer can end the stream, a refusal does.
        self.wake_writer();
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.body.push_back(bytes);
        self.wake_reader();
    }

    pub(super) fn end(&mut self, trailers: Fields) {
        self.end = Some(trailers);
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn break_off(&mut self, reset: Reset) {
        self.broken = Some(reset);
        self.wake();
    }

    /// The answer's head, or why there will be none. What came before a reset is still heard.
    pub(super) fn take_heard(&mut self) -> Option<Heard> {
        self.heard.take().or_else(|| self.broken.clone().map(Heard::Reset))
    }

    /// The next piece of the body.
    pub(super) fn take_chunk(&mut self) -> Option<Chunk> {
        if let Some(bytes) = self.body.pop_front() {
            return Some(Chunk::Data(bytes));
        }
        let broken = || self.broken.clone().map(Chunk::Broken);
        self.end.take().map(Chunk::End).or_else(broken)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// How many bytes were received and never fetched.
    pub(super) fn unfetched(&self) -> usize {
        let inline = match &self.heard {
            Some(Heard::Answered { body, .. }) => body.len(),
            _ => 0,
        };
        inline + self.body.iter().map(Bytes::len).sum::<usize>()
    }

    pub(super) fn wait_to_read(&mut self, waker: &Waker) {
        remember(&mut self.reader, waker);
    }

    pub(super) fn wait_to_write(&mut self, waker: &Waker) {
        remember(&mut self.writer, waker);
    }

    pub(super) fn wait_for_break(&mut self, waker: &Waker) {
        remember(&mut self.breaker, waker);
    }

    /// Wakes everybody who waits for anything.
    pub(super) fn wake(&mut self) {
        [&mut self.reader, &mut self.writer, &mut self.breaker].into_iter().for_each(wake);
    }

    pub(super) fn wake_writer(&mut self) {
        wake(&mut self.writer);
    }

    fn wake_reader(&mut self) {
        wake(&mut self.reader);
    }
}

fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) if old.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
}
