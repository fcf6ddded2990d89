//! The decision as a table, and what holds for every policy and every outcome.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;
const DAY: Duration = Duration::from_secs(86_400);

fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after: None }
}

fn unanswered(code: Code) -> Outcome {
    Outcome::Unanswered { code, dispatched: code.dispatched() }
}

fn step(retry: &str, attempts: u32, outcome: Outcome) -> Step {
    let retry = Retry::parse(retry).unwrap();
    let history = History { attempts, spent_ms: 0, took_ms: 10 };
    next_step(Policy { retry: &retry, retry_for: 3 * DAY }, history, NOW, outcome, 0.5)
}

#[test]
fn the_table() {
    let again = |wait_ms| Step::Again { due_ms: NOW + wait_ms, spent_ms: wait_ms + 10 };
    let exhausted = Step::Dead { why: "retries_exhausted" };
    for (outcome, attempt, wanted) in [
        (answered(200), 1, Step::Delivered),
        (answered(204), 9, Step::Delivered),
        (answered(410), 1, Step::Dead { why: "gone" }),
        (unanswered(Code::SignatureInvalid), 1, Step::Rejected),
        (answered(301), 1, again(1000)),
        (answered(404), 2, again(60_000)),
        (answered(500), 3, exhausted),
        (unanswered(Code::TargetRefused), 1, again(1000)),
        (unanswered(Code::TargetTimeout), 2, again(60_000)),
        (unanswered(Code::LinkLost), 3, exhausted),
        (unanswered(Code::AgentTimeout), 3, exhausted),
        (unanswered(Code::AgentOffline), 3, Step::Release { due_ms: NOW + 375 }),
        (unanswered(Code::AgentOverloaded), 3, Step::Release { due_ms: NOW + 1500 }),
        (unanswered(Code::RelayDraining), 1, Step::Release { due_ms: NOW + 3750 }),
    ] {
        assert_eq!(step("1s,1m", attempt, outcome), wanted, "{outcome:?} after attempt {attempt}");
    }
}

#[test]
fn a_line_that_broke_before_the_request_left_is_no_attempt() {
    let lost = Outcome::Unanswered { code: Code::LinkLost, dispatched: Dispatched::No };
    assert!(matches!(step("1s", 2, lost), Step::Release { .. }));
}

#[test]
fn retry_after_is_honoured_up_to_its_cap_and_never_shortens_a_wait() {
    let busy = |s| Outcome::Answered { status: 503, retry_after: Some(Duration::from_secs(s)) };
    for (asked_s, waited_s) in [(0, 60), (59, 60), (90, 90), (7200, 3600), (u64::MAX, 3600)] {
        let due_ms = NOW + waited_s * 1000;
        assert!(
            matches!(step("1m,1m", 1, busy(asked_s)), Step::Again { due_ms: due, .. } if due == due_ms),
            "{asked_s}"
        );
    }
    let (retry, retry_for) = (Retry::parse("1s,1s").unwrap(), Duration::from_secs(100));
    let history = History { attempts: 1, spent_ms: 0, took_ms: 0 };
    let last = next_step(Policy { retry: &retry, retry_for }, history, NOW, busy(3600), 0.0);
    assert_eq!(last, Step::Again { due_ms: NOW + 100_000, spent_ms: 100_000 });
}

#[test]
fn an_attempt_that_outlasts_the_time_for_retries_is_the_last() {
    let policy = Policy { retry: &Retry::Slack, retry_for: Duration::from_secs(1) };
    let after = |took_ms| {
        let history = History { attempts: 1, spent_ms: 0, took_ms };
        next_step(policy, history, NOW, answered(500), 0.0)
    };
    assert_eq!(after(1000), Step::Again { due_ms: NOW, spent_ms: 1000 });
    assert_eq!(after(1001), Step::Dead { why: why::RETRIES_EXHAUSTED });
}

fn policies() -> impl Strategy<Value = Retry> {
    let list = prop::collection::vec(0u64..100_000_000, 1..20)
        .prop_map(|ms| Retry::List(ms.into_iter().map(Duration::from_millis).collect()));
    prop_oneof![
        Just(Retry::Exponential),
        Just(Retry::Slack),
        Just(Retry::Stripe),
        Just(Retry::StandardWebhooks),
        list
    ]
}

fn failures() -> impl Strategy<Value = Outcome> {
    let refused = (300u16..600, prop::option::of(0u64..100_000)).prop_map(|(status, asked)| {
        let status = if status == 410 { 500 } else { status };
        Outcome::Answered { status, retry_after: asked.map(Duration::from_secs) }
    });
    let broken = prop::sample::select(Code::ALL)
        .prop_filter("a rejection is final", |code| *code != Code::SignatureInvalid)
        .prop_map(unanswered);
    prop_oneof![refused, broken]
}

proptest! {
    /// A whole life: whatever happens, time goes on, the policy is kept to, and there is an end.
    #[test]
    fn a_delivery_that_always_fails_keeps_to_its_policy_and_ends(
        retry in policies(),
        retry_for_s in 1u64..400_000,
        turns in prop::collection::vec((failures(), 0.0f64..1.0, 0u64..60_000, 0u64..10_000_000), 1..300),
    ) {
        let policy = Policy { retry: &retry, retry_for: Duration::from_secs(retry_for_s) };
        let (mut now_ms, mut history) = (NOW, History { attempts: 0, spent_ms: 0, took_ms: 0 });
        for (outcome, luck, took_ms, idle_ms) in turns {
            history = History { attempts: history.attempts + 1, took_ms, ..history };
            now_ms += took_ms;
            prop_assert!(retry.attempts().is_none_or(|most| history.attempts <= most));
            match next_step(policy, history, now_ms, outcome, luck) {
                Step::Again { due_ms, spent_ms } => {
                    prop_assert!(due_ms >= now_ms);
                    prop_assert!(spent_ms >= history.spent_ms + took_ms);
                    prop_assert!(spent_ms <= retry_for_s * 1000);
                    // An agent may be away for long after that: it costs nothing.
                    (now_ms, history.spent_ms) = (due_ms + idle_ms, spent_ms);
                }
                Step::Release { due_ms } => {
                    prop_assert!(due_ms > now_ms);
                    history.attempts -= 1;
                    now_ms = due_ms;
                }
                Step::Dead { why } => {
                    prop_assert_eq!(why, why::RETRIES_EXHAUSTED);
                    let over = retry.wait(history.attempts, luck).is_none_or(|wait| {
                        history.spent_ms + took_ms + ms(wait) > retry_for_s * 1000
                    });
                    prop_assert!(over, "given up early");
                    break;
                }
                Step::Delivered => prop_assert!(false, "a failure is no delivery"),
                Step::Rejected => prop_assert!(false, "nobody has rejected it"),
            }
        }
    }
}
