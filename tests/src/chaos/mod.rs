//! Reliability: everything is broken on purpose under load, and ledgers on both ends tell whether an event was lost.
//!
//! - [`mark`]: what every event carries, so that whoever sees it knows what it must be
//! - [`ledger`]: who was promised what and what arrived, and the check of the one against the other
//! - [`senders`], [`keeper`]: a provider and a target that write the ledger
//! - [`rig`]: real processes in between, to be killed and started again · [`disk`]: a disk that can be full
//! - [`power`]: a disk that loses what was not synced
//! - [`scenes`]: what is done to them
//!
//! The stories run a few rounds of each scene, `tests/chaos/run` as many as wanted.

pub mod disk;
pub mod keeper;
pub mod ledger;
pub mod mark;
pub mod power;
pub mod rig;
pub mod scenes;
pub mod senders;
