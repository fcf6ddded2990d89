//! From what came of an attempt to what follows it: hears an answer to its end, and asks `delivery` for the next step.

use std::sync::Arc;

use bytes::BytesMut;
use relay_client::verify::Told;
use relay_client::wire::{Chunk, Stream};
use relay_protocol::reason::{Broken, Dispatched};
use relay_protocol::webhook::Fields;
use relay_trust::Reason;
use tokio::time::{Instant, timeout_at};

use super::{Answered, NoAnswer};
use crate::clock::{now_ms, steady_ms};
use crate::delivery::{History, Outcome, Policy, Step, next_step, retry_after};
use crate::endpoint::Settings;
use crate::problem::Code;
use crate::store::records::{Attempt, AttemptResult, Next};

/// How much of an answer's body is kept, in bytes.
pub(super) const ANSWER_KEPT: usize = 64 * 1024;

/// An attempt under way, for its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    /// Which one, from 1.
    pub(super) number: u32,
    /// How much of the time for retries was spent when it began, in milliseconds.
    pub(super) spent_ms: u64,
    pub(super) started: Instant,
    /// In milliseconds of the Unix epoch.
    pub(super) started_ms: u64,
}

impl Trial {
    /// The first attempt, which begins now.
    pub(super) fn first() -> Self {
        Self { number: 1, spent_ms: 0, started: Instant::now(), started_ms: now_ms() }
    }

    /// How long it has taken until now, in milliseconds.
    pub(super) fn took_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What came of an attempt, and what follows.
#[derive(Debug)]
pub(super) struct Conclusion {
    /// None when that was no attempt.
    pub(super) attempt: Option<Attempt>,
    pub(super) next: Next,
}

impl Conclusion {
    /// Whether the target took it; `None` when it was not asked.
    pub(super) fn worked(&self) -> Option<bool> {
        self.attempt.as_ref().map(|_| self.next == Next::Delivered)
    }
}

/// Hears an answer that nobody else waits for: its end, and as much of its body as is kept.
///
/// # Errors
/// A 2xx that breaks off is no success: whoever began it may have failed before it was done.
pub(super) async fn hear_out(
    answered: Answered,
    deadline: Instant,
) -> Result<AttemptResult, NoAnswer> {
    let Answered { answer, body, end, stream } = answered;
    let mut kept = BytesMut::from(&body[..body.len().min(ANSWER_KEPT)]);
    if !end {
        match timeout_at(deadline, rest(&stream, &mut kept)).await {
            Ok(Err(none)) if (200..300).contains(&answer.status) => return Err(none),
            Ok(_) => {}
            // It said that it took the event; how long it goes on talking is its own affair.
            Err(_) => {
                stream.reset(Broken::Stalled, Dispatched::Yes, "the answer did not end in time");
            }
        }
    }
    let (status, fields) = (answer.status, answer.fields);
    Ok(AttemptResult::Answered { status, fields, body: kept.freeze() })
}

async fn rest(stream: &Arc<Stream>, kept: &mut BytesMut) -> Result<(), NoAnswer> {
    loop {
        match stream.chunk().await {
            Chunk::Data(bytes) => {
                let room = ANSWER_KEPT.saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Chunk::End(_) => return Ok(()),
            Chunk::Broken(reset) => {
                return Err(NoAnswer::new(Code::TargetBadResponse, reset.detail));
            }
            Chunk::Lost => {
                let words = "the line to the agent broke before the answer was whole";
                return Err(NoAnswer::new(Code::LinkLost, words));
            }
        }
    }
}

/// What follows an attempt from the queue, however it has ended.
pub(super) fn after(
    settings: &Settings,
    trial: Trial,
    ending: Result<AttemptResult, NoAnswer>,
) -> Conclusion {
    match ending {
        Ok(result) => after_answer(settings, trial, result),
        Err(none) => after_no_answer(settings, trial, none),
    }
}

/// What follows an answer that counts as the outcome of an attempt from the queue.
fn after_answer(settings: &Settings, trial: Trial, result: AttemptResult) -> Conclusion {
    let outcome = match &result {
        AttemptResult::Answered { status, fields, .. } => {
            Outcome::Answered { status: *status, retry_after: asked_for(fields) }
        }
        AttemptResult::Failed { .. } => Outcome::Answered { status: 0, retry_after: None },
    };
    conclude(settings, trial, outcome, result)
}

/// What follows an attempt without an answer.
pub(super) fn after_no_answer(settings: &Settings, trial: Trial, none: NoAnswer) -> Conclusion {
    let NoAnswer { code, dispatched, detail } = none;
    let result = AttemptResult::Failed { code: code.as_str(), detail };
    conclude(settings, trial, Outcome::Unanswered { code, dispatched }, result)
}

fn conclude(
    settings: &Settings,
    trial: Trial,
    outcome: Outcome,
    result: AttemptResult,
) -> Conclusion {
    let took_ms = trial.took_ms();
    let history = History { attempts: trial.number, spent_ms: trial.spent_ms, took_ms };
    let policy = Policy { retry: &settings.retry, retry_for: settings.retry_for };
    let (number, started_ms) = (trial.number, trial.started_ms);
    let rejected = Next::Rejected(why_rejected(&result));
    let attempt = Some(Attempt { number, started_ms, took_ms, result });
    match next_step(policy, history, steady_ms(), outcome, fastrand::f64()) {
        Step::Delivered => Conclusion { attempt, next: Next::Delivered },
        Step::Again { due_ms, spent_ms } => {
            Conclusion { attempt, next: Next::Retry { due_ms, spent_ms } }
        }
        Step::Rejected => Conclusion { attempt, next: rejected },
        Step::Dead { why } => Conclusion { attempt, next: Next::Dead(why) },
        Step::Release { due_ms } => {
            let spent_ms = trial.spent_ms;
            Conclusion { attempt: None, next: Next::Retry { due_ms, spent_ms } }
        }
    }
}

/// Why an agent has not taken an event, as it tells with its reset.
pub(super) fn why_rejected(result: &AttemptResult) -> &'static str {
    let told = match result {
        AttemptResult::Failed { detail, .. } => detail.parse::<Told>().ok(),
        AttemptResult::Answered { .. } => None,
    };
    let reason = told.and_then(|told| told.reason);
    reason.map_or(Code::SignatureInvalid.as_str(), Reason::as_str)
}

fn asked_for(fields: &Fields) -> Option<std::time::Duration> {
    retry_after::parse(fields.first(b"retry-after")?, now_ms())
}
