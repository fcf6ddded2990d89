//! What goes into the store and comes out of it: plain data, the same for every engine.

mod audit;
mod bounds;
mod lease;
mod replay;
mod secret;
mod seen;
mod token;

use std::collections::BTreeMap;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;

use crate::delivery::KeyHash;
use crate::endpoint::{EndpointId, Key, Settings};
use crate::event::Event;

pub use audit::{Act, ActFilter, Actor, Changed, Noted};
pub use bounds::{Keep, Room};
pub use lease::{Due, Gather, Leased, Want};
pub use replay::{ReplayOf, ReplayOrder, ReplayStep, Replayable, Replayed};
pub use secret::{NewSecret, Purpose, Resealed, SealedSecret, SecretChange};
pub use seen::{Backlog, Count, Delivery, EventFilter, Found, ReplayNote, Summary, Tried};
pub use token::{NewSecretOfToken, OldSecret, Scope, Token};

/// An endpoint to be made.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Its name.
    pub name: Name,
    /// Its key.
    pub key: Key,
    /// Its secrets.
    pub secrets: Vec<NewSecret>,
    /// Now.
    pub created_ms: u64,
    /// What was set, by key.
    pub set: BTreeMap<String, String>,
    /// What applies.
    pub settings: Settings,
}

/// What is to be changed of an endpoint.
#[derive(Debug)]
pub enum Change {
    /// These settings, the rest as they were; `None` for as by default.
    Settings(BTreeMap<String, Option<String>>),
    /// Nothing is delivered from this time on, in milliseconds of the Unix epoch.
    Pause(u64),
    /// It is delivered again.
    Resume,
    /// Another key; the old one leads to it as well until this time.
    Key(Key, u64),
}

/// A key that was rotated away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// The key.
    pub key: Key,
    /// To which endpoint it leads.
    pub endpoint: EndpointId,
    /// Until when, in milliseconds of the Unix epoch.
    pub until_ms: u64,
}

/// A delivery of an event, in the hands of who attempts it. Only its holder may settle it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The event's endpoint.
    pub endpoint: EndpointId,
    /// The event.
    pub event: EventId,
    /// The group that it is delivered to.
    pub group: Name,
    /// Which replay it is; 0 for the first delivery.
    pub replay: u32,
    /// Drawn anew for each lease.
    pub token: u64,
}

impl Lease {
    /// A fresh lease of an event's first delivery.
    #[must_use]
    pub fn new(endpoint: EndpointId, event: EventId, group: Name) -> Self {
        Self { endpoint, event, group, replay: 0, token: fresh_token() }
    }
}

/// A number that no other lease has.
#[must_use]
pub fn fresh_token() -> u64 {
    fastrand::u64(1..=u64::MAX >> 1)
}

/// An event to be kept, with its deliveries.
#[derive(Debug)]
pub struct Acceptance {
    /// The event.
    pub event: Event,
    /// One delivery for each group.
    pub deliveries: Vec<NewDelivery>,
    /// Whether the body is kept.
    pub keep_body: bool,
    /// What makes it a repeat of another.
    pub dedup: Option<Dedup>,
    /// How much may wait for its endpoint.
    pub room: Room,
    /// What is worth knowing about it, in words.
    pub note: Option<String>,
    /// The event that it was made from, for an edited replay.
    pub replay_of: Option<ReplayOf>,
}

/// By what an event is known to be a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// The hash of its key.
    pub key: KeyHash,
    /// Until when a second event with this key is a repeat, in milliseconds of the Unix epoch.
    pub until_ms: u64,
}

/// The delivery of a new event to one group.
#[derive(Debug)]
pub struct NewDelivery {
    /// The group.
    pub group: Name,
    /// How it begins.
    pub start: Start,
    /// Events with the same one are delivered one after the other.
    pub order_key: Option<KeyHash>,
    /// What lets a newer event take its place while nobody has attempted it.
    pub collapse: Option<Collapse>,
}

/// What lets a newer event take an older one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collapse {
    /// The key that both have.
    pub key: KeyHash,
    /// By when one of them is delivered, quiet or not, if it is the first; else what the one before it says holds. In
    /// milliseconds of the Unix epoch.
    pub by_ms: u64,
}

/// How a delivery begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// In the hands of a live caller, who was promised nothing; with the lease's token.
    Live(u64),
    /// Promised, and to be attempted at this time, in milliseconds of the Unix epoch, or when its turn comes.
    Due(u64),
    /// Promised, and in somebody's hands until this time.
    Leased {
        /// The lease's token.
        token: u64,
        /// In milliseconds of the Unix epoch.
        until_ms: u64,
    },
    /// Not for this group, for this reason.
    Filtered(String),
    /// Not for anybody, for this reason: it is not known who has sent it.
    Rejected(&'static str),
}

/// What became of an acceptance that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is kept, under this sequence number of its endpoint.
    Kept(u64),
    /// It is a repeat of this event: kept as such, and not delivered.
    Repeat(EventId),
}

/// How an attempt ended, and what follows.
#[derive(Debug)]
pub struct Settlement {
    /// By whom.
    pub lease: Lease,
    /// The attempt; none when there was nobody to attempt it with.
    pub attempt: Option<Attempt>,
    /// What follows.
    pub next: Next,
}

/// A live delivery that is promised to the provider after all.
#[derive(Debug)]
pub struct Promise {
    /// Whose.
    pub lease: Lease,
    /// The attempt that failed, if one did.
    pub attempt: Option<Attempt>,
    /// What follows: a retry, or the same hands until a time.
    pub next: Next,
    /// How much may wait for its endpoint.
    pub room: Room,
}

/// One try at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, from 1.
    pub number: u32,
    /// When it began, in milliseconds of the Unix epoch.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptResult {
    /// The target answered.
    Answered {
        /// Its status.
        status: u16,
        /// Its header fields, as far as they are kept.
        fields: Fields,
        /// The beginning of its body, as far as it is kept.
        body: Bytes,
    },
    /// There was no answer.
    Failed {
        /// A code of the error vocabulary.
        code: &'static str,
        /// In words.
        detail: String,
    },
}

/// What follows an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the target has it.
    Delivered,
    /// Nothing: the provider was told, and it is its turn.
    Failed,
    /// Another attempt.
    Retry {
        /// When, in milliseconds of the Unix epoch.
        due_ms: u64,
        /// How much of the time for retries will be spent then, in milliseconds.
        spent_ms: u64,
    },
    /// The same hands go on until this time.
    Held(u64),
    /// No other attempt by itself, for this reason.
    Dead(&'static str),
    /// Nothing: the agent does not take it from whoever has sent it, for this reason.
    Rejected(&'static str),
}

/// How the first delivery of an event stands, as a repeat of it needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is being tried while its caller waits, and nothing was promised.
    Live,
    /// It waits, or somebody has it in hand: it was promised.
    Promised,
    /// The target has answered it.
    Answered {
        /// Whether that was a success.
        taken: bool,
        /// The status.
        status: u16,
        /// The header fields.
        fields: Fields,
        /// The beginning of the body, as far as it was kept.
        body: Bytes,
    },
    /// It is over without an answer, or was never promised.
    Over,
}

impl Standing {
    /// Whether it is not over yet, as far as it is written.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Live | Self::Promised)
    }
}
