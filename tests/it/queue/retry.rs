//! Retries: when, how often, what ends them, and what counts as an attempt at all.

use std::sync::atomic::{AtomicUsize, Ordering};

use relay_tests::agent::{Agent, Wanted};
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::wait::until;

use super::{Waiting, bodies, seen_as};

const ACK: (&str, &str) = ("reply", "ack");

/// Answers with these, one after the other, then with 200.
async fn in_turn(answers: Vec<Written>) -> Target {
    let turn = AtomicUsize::new(0);
    Target::scripted(move |_| {
        let answer = answers.get(turn.fetch_add(1, Ordering::SeqCst)).cloned();
        answer.unwrap_or_else(|| Written::answer(200).body("at last")).bytes()
    })
    .await
}

#[tokio::test]
async fn a_failed_attempt_is_repeated_as_the_list_says_and_every_one_is_recorded() {
    let story = Waiting::with(&[ACK, ("retry", "30ms,60ms,1h")]).await;
    let target =
        in_turn(vec![Written::answer(500).body("a"), Written::answer(404).body("b")]).await;
    let _agent = story.agent(&target).await;
    let id = story.take("x").await;
    let seen: Vec<_> = target.has_seen(3).await.iter().map(seen_as).collect();
    assert_eq!(seen, [(id.clone(), 1), (id.clone(), 2), (id, 3)]);
    let ledger = story.ledger();
    ledger.reads(&["delivered"]).await;
    let attempts = ledger.attempts(&ledger.only());
    let told: Vec<_> = attempts.iter().map(|(n, _, _, status, _)| (*n, *status)).collect();
    assert_eq!(told, [(1, Some(500)), (2, Some(404)), (3, Some(200))]);
    let ended = |n: usize| attempts[n].1 + attempts[n].2;
    // A millisecond less: the clocks are read at different moments.
    assert!(attempts[1].1 - ended(0) >= 29 && attempts[2].1 - ended(1) >= 59, "{attempts:?}");
}

#[tokio::test]
async fn the_target_may_ask_for_more_time_in_seconds_or_by_date() {
    let by_date = || httpdate(std::time::SystemTime::now() + std::time::Duration::from_secs(2));
    for by_date in [None, Some(by_date)] {
        let story = Waiting::with(&[ACK, ("retry", "0ms,1h")]).await;
        let asked = std::sync::atomic::AtomicBool::new(false);
        let target = Target::scripted(move |_| {
            if asked.swap(true, Ordering::SeqCst) {
                return Written::answer(204).bytes();
            }
            let later = by_date.map_or_else(|| "1".to_owned(), |date| date());
            Written::answer(503).field("Retry-After", later).body("later").bytes()
        })
        .await;
        let _agent = story.agent(&target).await;
        story.take("x").await;
        target.has_seen(2).await;
        let ledger = story.ledger();
        ledger.reads(&["delivered"]).await;
        let attempts = ledger.attempts(&ledger.only());
        assert!(attempts[1].1 - attempts[0].1 >= 990, "{attempts:?}");
    }
}

/// A date as HTTP writes it (RFC 9110 §5.6.7).
fn httpdate(at: std::time::SystemTime) -> String {
    let seconds = at.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let (days, left) = (seconds / 86_400, seconds % 86_400);
    // Civil from days, for this century.
    let (mut year, mut day) = (1970, days);
    let leap = |year: u64| year.is_multiple_of(4);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let week = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        [usize::try_from(days % 7).expect("a day")];
    let (hour, minute, second) = (left / 3600, left / 60 % 60, left % 60);
    format!("{week}, {:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1, months[month])
}

#[tokio::test]
async fn a_410_ends_it_at_once() {
    let story = Waiting::with(&[ACK, ("retry", "0ms,0ms")]).await;
    let target = Target::answering(410, "gone").await;
    let _agent = story.agent(&target).await;
    story.take("x").await;
    let ledger = story.ledger();
    ledger.reads(&["dead"]).await;
    let only = ledger.only();
    assert_eq!((only.attempts, only.status, only.code.as_deref()), (1, Some(410), Some("gone")));
    assert_eq!(target.seen().len(), 1);
}

#[tokio::test]
async fn after_the_last_attempt_it_is_a_dead_letter_with_its_history() {
    let story = Waiting::with(&[ACK, ("retry", "0ms,10ms")]).await;
    let target = Target::answering(503, "no").await;
    let _agent = story.agent(&target).await;
    story.take("x").await;
    let ledger = story.ledger();
    ledger.reads(&["dead"]).await;
    let only = ledger.only();
    assert_eq!((only.attempts, only.code.as_deref()), (3, Some("retries_exhausted")));
    assert_eq!(ledger.attempts(&only).len(), 3);
    assert_eq!(target.seen().len(), 3);
}

#[tokio::test]
async fn time_without_an_agent_is_no_attempt() {
    let mut story = Waiting::with(&[ACK, ("retry", "0ms"), ("retry_for", "1s")]).await;
    story.take("x").await;
    let taken_at = std::time::Instant::now();
    story.relay.stop().await;
    story.relay.resume().await;
    let ledger = story.ledger();
    let bound = std::time::Duration::from_millis(1100);
    until("more time has passed than there is for retries", async || taken_at.elapsed() > bound)
        .await;
    assert_eq!((ledger.only().attempts, ledger.only().state.as_str()), (0, "pending"));
    let target = in_turn(vec![Written::answer(500).body("no")]).await;
    let _agent = story.agent(&target).await;
    target.has_seen(2).await;
    ledger.reads(&["delivered"]).await;
    assert_eq!(ledger.only().attempts, 2);
}

#[tokio::test]
async fn an_agent_that_goes_between_two_attempts_costs_none() {
    let story = Waiting::with(&[ACK, ("retry", "20ms")]).await;
    let target = in_turn(vec![Written::answer(500).body("no")]).await;
    let agent = story.agent(&target).await;
    story.take("x").await;
    target.has_seen(1).await;
    agent.stop().await;
    let ledger = story.ledger();
    ledger.reads(&["pending"]).await;
    let _agent = story.agent(&target).await;
    target.has_seen(2).await;
    ledger.reads(&["delivered"]).await;
    assert_eq!(ledger.only().attempts, 2);
}

#[tokio::test]
async fn an_agent_that_has_its_hands_full_costs_no_attempt() {
    let story = Waiting::with(&[ACK, ("retry", "0ms")]).await;
    let target = Target::by_hand().await;
    let wanted = Wanted { max_streams: 1, ..story.wanted(&target) };
    let _agent = Agent::start(&wanted).await;
    for body in ["one", "two"] {
        story.take(body).await;
    }
    let (first, mut connection) = target.asked().await;
    let ledger = story.ledger();
    until("one waits", async || {
        let mut states = ledger.states();
        states.sort();
        states == ["delivering", "pending"]
    })
    .await;
    connection.send(Written::answer(204).bytes()).await;
    let second = relay_tests::wait::soon("the other", connection.request()).await.unwrap();
    connection.send(Written::answer(204).bytes()).await;
    let mut seen = bodies(&[first.clone(), second.clone()]);
    seen.sort();
    assert_eq!(seen, ["one", "two"]);
    assert_eq!([seen_as(&first).1, seen_as(&second).1], [1, 1]);
    ledger.all(2, "delivered").await;
    assert!(ledger.deliveries().iter().all(|delivery| delivery.attempts == 1));
}

#[tokio::test]
async fn one_event_that_always_fails_holds_up_no_other() {
    let story = Waiting::with(&[ACK, ("retry", "5ms"), ("max_in_flight", "1")]).await;
    let target = Target::scripted(|asked| {
        Written::answer(if asked.body == b"poison" { 500 } else { 200 }).body("").bytes()
    })
    .await;
    story.take("poison").await;
    for n in 0..30 {
        story.take(format!("{n}")).await;
    }
    let _agent = story.agent(&target).await;
    let mut expected = vec!["dead"];
    expected.extend(["delivered"; 30]);
    story.ledger().reads(&expected).await;
    let poison = target.seen().iter().filter(|asked| asked.body == b"poison").count();
    assert_eq!((poison, target.seen().len()), (2, 32));
}
