//! What is replayed: who wants what again, in steps, and what came of it.

use std::sync::Arc;

use relay_protocol::id::{EventId, Name};

use super::{Actor, Room};
use crate::endpoint::EndpointId;

/// What an event was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayOf {
    /// The event.
    pub event: EventId,
    /// The replay's number.
    pub replay: u32,
}

/// A replay to be written down.
#[derive(Debug, Clone)]
pub struct ReplayOrder {
    /// Now, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// Who wants it.
    pub by: Actor,
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// What, in words.
    pub what: String,
}

/// Which of an event's deliveries may be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayable {
    /// To this group; `None` for every group that had it.
    pub group: Option<Name>,
    /// To these groups only: a group that was removed has nobody to deliver to it. `None` for any.
    pub groups: Option<Arc<[Name]>>,
    /// Not where one is under way anyway.
    pub not_open: bool,
    /// Not where one ever succeeded.
    pub never_succeeded: bool,
    /// Also what was rejected.
    pub rejected: bool,
}

/// Some events of a replay, few enough for one transaction.
#[derive(Debug)]
pub struct ReplayStep {
    /// The replay's number.
    pub replay: u32,
    /// Whose the events are.
    pub endpoint: EndpointId,
    /// The events, each with the time at which it is due, in milliseconds of the Unix epoch.
    pub events: Vec<(EventId, u64)>,
    /// Which of their deliveries.
    pub which: Replayable,
    /// How much may wait for the endpoint.
    pub room: Room,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// So many deliveries are due again.
    pub deliveries: u64,
    /// So many events cannot be replayed, for their bodies were not kept.
    pub bodiless: u64,
    /// The endpoint's queue took no more.
    pub full: bool,
}

impl Replayed {
    /// Adds what came of the next step.
    pub fn add(&mut self, next: Self) {
        self.deliveries += next.deliveries;
        self.bodiless += next.bodiless;
        self.full |= next.full;
    }
}
