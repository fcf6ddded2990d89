//! What is taken from a queue: which deliveries are wanted, and which there were.

use relay_protocol::id::Name;

use super::Lease;
use crate::endpoint::EndpointId;
use crate::event::Event;
use crate::store::spool::SPOOL_ABOVE;

/// Which deliveries of a group are asked for.
#[derive(Debug, Clone)]
pub struct Want {
    /// Of this endpoint.
    pub endpoint: EndpointId,
    /// Of this group.
    pub group: Name,
    /// Now, in milliseconds of the Unix epoch.
    pub now_ms: u64,
    /// Until when the leases hold.
    pub until_ms: u64,
    /// How many at the most.
    pub most: usize,
    /// How many bytes of bodies at the most, as far as they come into memory; the first body may be larger.
    pub bytes: u64,
    /// Events that came before this time are put aside as expired, unless they are replayed.
    pub not_before_ms: u64,
    /// How they are gathered, if several go at once.
    pub gather: Option<Gather>,
}

impl Want {
    /// How much memory a body of this length takes: one in a file only what is just being sent, unless it goes together
    /// with others.
    #[must_use]
    pub fn in_memory(&self, length: u64) -> u64 {
        if self.gather.is_some() { length } else { length.min(SPOOL_ABOVE as u64) }
    }
}

/// When deliveries that wait to go together may go.
#[derive(Debug, Clone, Copy)]
pub struct Gather {
    /// At once, if so many wait.
    pub full: usize,
    /// Else all of them when the first is due, and those due within this time of it, in milliseconds.
    pub within_ms: u64,
}

/// What is due.
#[derive(Debug, Default)]
pub struct Due {
    /// In the asker's hands now.
    pub leased: Vec<Leased>,
    /// When to ask again if nothing changes, in milliseconds of the Unix epoch.
    pub next_ms: Option<u64>,
}

/// A delivery that is to be attempted.
#[derive(Debug)]
pub struct Leased {
    /// The right to settle it.
    pub lease: Lease,
    /// Its event, whole.
    pub event: Event,
    /// How many attempts there were.
    pub attempts: u32,
    /// How much of the time for retries is spent, in milliseconds.
    pub spent_ms: u64,
    /// Whether an earlier attempt may have been answered unheard.
    pub resent: bool,
    /// Whether the store gives back what it was given. Of a body in a file only who reads it knows.
    pub sound: bool,
}
