//! What is looked at: lists of events, one event with all that became of it, and how much waits.

use bytes::Bytes;
use relay_protocol::id::{EventId, Name};
use relay_protocol::webhook::Fields;

use crate::delivery::State;
use crate::endpoint::EndpointId;
use crate::event::Event;

/// Which events are asked for, the newest first.
#[derive(Debug, Clone)]
pub struct EventFilter {
    /// Of these endpoints.
    pub endpoints: Vec<EndpointId>,
    /// With a delivery in one of these states; none for any.
    pub states: Vec<State>,
    /// From this id on.
    pub since: EventId,
    /// Older than this one: the end of a page is the beginning of the next.
    pub before: EventId,
}

impl EventFilter {
    /// Every event of these endpoints.
    #[must_use]
    pub fn of(endpoints: Vec<EndpointId>) -> Self {
        let (since, before) = (EventId::from_bytes([0; 16]), EventId::from_bytes([u8::MAX; 16]));
        Self { endpoints, states: Vec::new(), since, before }
    }
}

/// An event as lists show it, with the delivery that says most of it: the one that was asked for, or the last of `main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The event.
    pub id: EventId,
    /// Whose it is.
    pub endpoint: EndpointId,
    /// Its number in the endpoint.
    pub seq: u64,
    /// The method as it was sent.
    pub method: String,
    /// Raw sub-path and query.
    pub path: Bytes,
    /// What the provider calls it.
    pub event_type: Option<String>,
    /// What the relay found of its signature.
    pub verification: Option<String>,
    /// Why it found no better.
    pub unverified_why: Option<String>,
    /// What is worth knowing about it.
    pub note: Option<String>,
    /// The event that it was made from.
    pub replay_of: Option<EventId>,
    /// The group of the delivery.
    pub group: Name,
    /// Which replay the delivery is.
    pub replay: u32,
    /// Where it stands.
    pub state: State,
    /// Why it stands there: a code.
    pub why: Option<String>,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// How often it was tried.
    pub attempts: u32,
}

/// One event with everything that became of it.
#[derive(Debug)]
pub struct Found {
    /// The event.
    pub event: Event,
    /// Its number in the endpoint.
    pub seq: u64,
    /// What is worth knowing about it.
    pub note: Option<String>,
    /// The event that it was made from.
    pub replay_of: Option<EventId>,
    /// Its deliveries, by group and replay.
    pub deliveries: Vec<Delivery>,
    /// The replays among them.
    pub replays: Vec<ReplayNote>,
}

/// One delivery with all its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To this group.
    pub group: Name,
    /// Which replay it is; 0 for the first delivery.
    pub replay: u32,
    /// Where it stands.
    pub state: State,
    /// Why it stands there: a code.
    pub why: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// When it is looked at next, in milliseconds of the Unix epoch.
    pub due_ms: Option<u64>,
    /// Its attempts in their order.
    pub tried: Vec<Tried>,
}

/// An attempt as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which one, from 1.
    pub number: u32,
    /// When it began, in milliseconds of the Unix epoch.
    pub started_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The answer's status.
    pub status: Option<u16>,
    /// Why there was no answer: a code.
    pub code: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// The answer's header fields.
    pub fields: Fields,
    /// The beginning of the answer's body.
    pub body: Bytes,
}

/// Who replayed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayNote {
    /// Its number, which its deliveries bear.
    pub number: u32,
    /// When, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// The token's public part.
    pub token: String,
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// What, in words.
    pub what: String,
    /// How many deliveries came of it.
    pub count: u64,
}

/// How much waits for a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are pending or in somebody's hands.
    pub count: u64,
    /// The oldest of their events.
    pub oldest: Option<EventId>,
}

/// How many deliveries of a group are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The group.
    pub group: Name,
    /// The state.
    pub state: State,
    /// How many deliveries.
    pub n: u64,
    /// How many bytes their bodies have.
    pub bytes: u64,
}
