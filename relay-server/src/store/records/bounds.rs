//! How much may wait for an endpoint, and how much it keeps of what is over.

use crate::clock::millis;
use crate::endpoint::Settings;

/// How much may wait for an endpoint, over all its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In deliveries.
    pub events: u64,
    /// In body bytes.
    pub bytes: u64,
}

impl Room {
    /// What these settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { events: settings.queue_max_events, bytes: settings.queue_max_bytes }
    }
}

/// What an endpoint keeps of what is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// How long, in milliseconds.
    pub age_ms: u64,
    /// How many events.
    pub events: Option<u64>,
    /// How many bytes of bodies.
    pub bytes: Option<u64>,
}

impl Keep {
    /// What these settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let age_ms = millis(settings.keep_for);
        Self { age_ms, events: settings.keep_events, bytes: settings.keep_bytes }
    }
}
