//! Endpoints: what one is, what can be set for it, and the list of them that every request looks into.
//!
//! Knows neither HTTP nor SQL. The store keeps endpoints; the [`Directory`] is its copy in memory.

mod directory;
mod key;
pub mod settings;
pub mod units;

use std::collections::BTreeMap;

use relay_protocol::id::Name;

pub use directory::Directory;
pub use key::{Key, NotAKey};
pub use settings::Settings;

/// An endpoint's number in the store; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub i64);

/// A named receiver with its own public URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number in the store.
    pub id: EndpointId,
    /// Its name, unique.
    pub name: Name,
    /// What stands in its URL, unique.
    pub key: Key,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: u64,
    /// The settings as somebody set them, by key; the rest is default.
    pub set: BTreeMap<String, String>,
    /// The settings as they apply.
    pub settings: Settings,
    /// Since when nothing is delivered though it is accepted, if so, in milliseconds of the Unix epoch.
    pub paused_ms: Option<u64>,
}
