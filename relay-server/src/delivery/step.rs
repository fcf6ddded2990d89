//! What comes after an outcome: the one decision of the delivery engine, a pure function of policy, history and time.

use std::time::Duration;

use relay_protocol::reason::Dispatched;

use super::retry::Retry;
use crate::problem::Code;

/// The longest `Retry-After` that is honoured: an hour, as the longest wait of the default policy.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// When to look again if nothing says it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// When to look again after the agent had just gone: nothing is taken from a queue while nobody serves it, so this is not
/// how often an absent agent is looked for, but how long what it left behind waits for the next one at the most.
const LOOK_FOR_AGENT: Duration = Duration::from_millis(500);

/// Why a dead letter is one.
pub mod why {
    /// The target answered 410.
    pub const GONE: &str = "gone";
    /// That was the last attempt of the policy.
    pub const RETRIES_EXHAUSTED: &str = "retries_exhausted";
}

/// How often to try, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The waits between attempts.
    pub retry: &'a Retry,
    /// How long after the first attempt another may begin.
    pub retry_for: Duration,
}

/// What a delivery has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The attempts so far, the one that has just ended among them.
    pub attempts: u32,
    /// How much of `retry_for` was spent when this attempt began, in milliseconds: attempts and the waits between them.
    /// Time that passed because no agent was there, or the endpoint paused, is not in it, and no jump of a clock.
    pub spent_ms: u64,
    /// How long the attempt took that has just ended, in milliseconds.
    pub took_ms: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered.
    Answered {
        /// The status of its answer.
        status: u16,
        /// What its `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// There is no answer.
    Unanswered {
        /// Why.
        code: Code,
        /// Whether the target may have seen the request.
        dispatched: Dispatched,
    },
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing more: the target took it.
    Delivered,
    /// That was a failed attempt; make another one.
    Again {
        /// When it is due.
        due_ms: u64,
        /// How much of `retry_for` will be spent then: the next attempt's [`History::spent_ms`].
        spent_ms: u64,
    },
    /// Nothing more: a dead letter.
    Dead {
        /// The reason, of the module [`why`].
        why: &'static str,
    },
    /// Nothing more: the agent has checked who sent it, and nothing proves that it was the provider.
    Rejected,
    /// That was no attempt: it never left, through no fault of the event or the target. Nothing is counted.
    Release {
        /// When to look again, unless something wakes it earlier.
        due_ms: u64,
    },
}

/// The step after this outcome; `luck` is uniform in 0..1.
#[must_use]
pub fn next_step(
    policy: Policy<'_>,
    history: History,
    now_ms: u64,
    outcome: Outcome,
    luck: f64,
) -> Step {
    match outcome {
        Outcome::Answered { status: 200..=299, .. } => Step::Delivered,
        Outcome::Answered { status: 410, .. } => Step::Dead { why: why::GONE },
        Outcome::Answered { retry_after, .. } => {
            after_failure(policy, history, now_ms, retry_after, luck)
        }
        Outcome::Unanswered { code: Code::SignatureInvalid, .. } => Step::Rejected,
        Outcome::Unanswered { code, dispatched } if never_left(code, dispatched) => {
            Step::Release { due_ms: now_ms.saturating_add(look_again(code, luck)) }
        }
        Outcome::Unanswered { .. } => after_failure(policy, history, now_ms, None, luck),
    }
}

fn after_failure(
    policy: Policy<'_>,
    history: History,
    now_ms: u64,
    retry_after: Option<Duration>,
    luck: f64,
) -> Step {
    let spent_ms = history.spent_ms.saturating_add(history.took_ms);
    let planned = policy.retry.wait(history.attempts, luck).map(ms);
    // Nothing is left when the attempt itself has outlasted it, be the wait ever so short.
    let left = ms(policy.retry_for).checked_sub(spent_ms).zip(planned);
    let Some((left_ms, planned_ms)) = left.filter(|(left, planned)| planned <= left) else {
        return Step::Dead { why: why::RETRIES_EXHAUSTED };
    };
    // A target that asks for more than there is left gets its last try at the end of it, rather than none.
    let asked_ms = ms(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)).min(left_ms);
    let wait_ms = planned_ms.max(asked_ms);
    Step::Again {
        due_ms: now_ms.saturating_add(wait_ms),
        spent_ms: spent_ms.saturating_add(wait_ms),
    }
}

/// Whether the attempt ended before it began, on this side of the target.
fn never_left(code: Code, dispatched: Dispatched) -> bool {
    let ours = matches!(
        code,
        Code::AgentOffline
            | Code::AgentOverloaded
            | Code::LinkLost
            | Code::RelayDraining
            | Code::RelayOverloaded
            | Code::StoreUnavailable
    );
    ours && dispatched == Dispatched::No
}

/// Half to the whole of what the code tells others to wait, so that what was released together comes back spread.
fn look_again(code: Code, luck: f64) -> u64 {
    let wait = match code {
        Code::AgentOffline => LOOK_FOR_AGENT,
        code => code.retry_after().map_or(LOOK_AGAIN, |s| Duration::from_secs(s.into())),
    };
    ms(wait.mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0))
}

fn ms(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
