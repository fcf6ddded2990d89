//! What goes into the store and comes out of it: plain data, the same for every engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;

use crate::endpoint::{EndpointId, Key, Settings};
use crate::event::Event;

/// An endpoint to be made.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Its name.
    pub name: Name,
    /// Its key.
    pub key: Key,
    /// Its signing secret.
    pub signing_secret: String,
    /// Now.
    pub created_ms: u64,
    /// What was set, by key.
    pub set: BTreeMap<String, String>,
    /// What applies.
    pub settings: Settings,
}

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Hold agent lines.
    Listen,
    /// Look at endpoints and events.
    Read,
    /// Replay events.
    Replay,
    /// Everything, endpoints and tokens included.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Listen, Self::Read, Self::Replay, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Read => "read",
            Self::Replay => "replay",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A token as it is kept: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The public part.
    pub id: String,
    /// SHA-256 of the secret part, which has more entropy than any search reaches.
    pub hash: [u8; 32],
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// For which endpoints; `None` for all, also those to come.
    pub endpoints: Option<Vec<Name>>,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// When it expires.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
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
    /// Drawn anew for each lease.
    pub token: u64,
}

impl Lease {
    /// A fresh lease.
    #[must_use]
    pub fn new(endpoint: EndpointId, event: EventId, group: Name) -> Self {
        Self { endpoint, event, group, token: fastrand::u64(1..=u64::MAX >> 1) }
    }
}

/// An event to be kept, with its first delivery already in somebody's hands.
#[derive(Debug)]
pub struct Acceptance {
    /// The event.
    pub event: Arc<Event>,
    /// The first delivery.
    pub lease: Lease,
    /// Whether the body is kept.
    pub keep_body: bool,
}

/// How an attempt ended, and what follows.
#[derive(Debug)]
pub struct Settlement {
    /// By whom.
    pub lease: Lease,
    /// The attempt.
    pub attempt: Attempt,
    /// What follows.
    pub next: Next,
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
}
