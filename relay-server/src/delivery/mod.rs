//! The life of a delivery, as decisions: what state there is, what comes after an outcome, who waits and for how long.
//!
//! Pure: no tokio, no SQL, no HTTP, no clock. The time and the luck are arguments; the dispatcher brings them and does
//! what was decided.

pub mod breaker;
pub mod content;
pub mod filter;
pub mod pace;
pub mod retry;
pub mod retry_after;
#[cfg(test)]
mod sample;
pub mod selector;
pub mod state;
pub mod step;

pub use breaker::Breaker;
pub use content::Content;
pub use filter::Filter;
pub use pace::{Pace, Rate, Turn};
pub use retry::Retry;
pub use selector::{KeyHash, Selector};
pub use state::State;
pub use step::{History, Outcome, Policy, Step, next_step};
