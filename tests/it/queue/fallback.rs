//! `fallback = queue`: who cannot be answered live is told that the event was taken, and it is delivered later.

use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::ledger::Ledger;
use relay_tests::line::Line;
use relay_tests::place::Place;
use relay_tests::raw::Written;
use relay_tests::target::Target;

use super::{Waiting, bodies, seen_as, taken};
use crate::errors::assert_problem;

const AT_ONCE: (&str, &str) = ("hold", "0ms");
const SOON: (&str, &str) = ("retry", "10ms,10ms,10ms,10ms,10ms,10ms");

#[tokio::test]
async fn without_an_agent_the_event_waits_for_one() {
    for capture in ["full", "headers", "none"] {
        let story = Waiting::with(&[AT_ONCE, ("capture", capture)]).await;
        let id = story.take("kept").await;
        let only = story.ledger().only();
        assert_eq!((only.event.as_str(), only.attempts), (id.as_str(), 0), "nobody was asked");
        let target = Target::echo().await;
        let _agent = story.agent(&target).await;
        let seen = target.has_seen(1).await.remove(0);
        assert_eq!((seen_as(&seen), seen.text().as_str()), ((id, 1), "kept"));
        story.ledger().reads(&["delivered"]).await;
    }
}

#[tokio::test]
async fn a_large_body_waits_for_an_agent_whatever_is_captured() {
    let large = vec![b'x'; 600_000];
    for capture in ["full", "headers", "none"] {
        let story = Waiting::with(&[AT_ONCE, ("capture", capture)]).await;
        story.take(&large).await;
        let target = Target::echo().await;
        let _agent = story.agent(&target).await;
        assert!(target.has_seen(1).await[0].body == large);
        story.ledger().reads(&["delivered"]).await;
    }
}

#[tokio::test]
async fn a_target_that_refuses_is_tried_again() {
    let story = Waiting::with(&[("retry", "20ms,20ms,1h")]).await;
    let nowhere = Place::fresh();
    let target = format!("http://{nowhere}");
    let wanted = Wanted::for_one(&story.relay.url(), &story.token, "story", &target);
    let agent = Agent::start(&wanted).await;
    story.take("x").await;
    let ledger = story.ledger();
    relay_tests::wait::until("three attempts", async || ledger.only().attempts == 3).await;
    assert_eq!(ledger.only().code.as_deref(), Some("target_refused"));
    assert_eq!(ledger.attempts(&ledger.only()).len(), 3);
    ledger.reads(&["pending"]).await;
    drop(agent);
}

#[tokio::test]
async fn a_line_that_breaks_in_the_middle_is_made_up_for_without_asking_the_target_twice() {
    let story = Waiting::with(&[SOON]).await;
    let target = Target::by_hand().await;
    let network = Line::to(story.relay.address).await;
    let wanted = Wanted { relay: network.url(), ..story.wanted(&target) };
    let _agent = Agent::start(&wanted).await;
    let asking = {
        let mut provider = story.relay.provider(&story.endpoint);
        tokio::spawn(async move { provider.post("/", "x").await })
    };
    let (asked, mut connection) = target.asked().await;
    network.cut();
    let id = taken(&asking.await.unwrap());
    assert_eq!(seen_as(&asked), (id, 1));
    connection.send(Written::answer(200).body("late").bytes()).await;
    let ledger = story.ledger();
    ledger.reads(&["delivered"]).await;
    // The agent remembered the answer: nobody asks on this connection or another.
    assert_eq!((ledger.only().attempts, ledger.only().status), (2, Some(200)));
}

#[tokio::test]
async fn a_slow_target_is_asked_once_and_its_late_answer_settles_the_event() {
    for (status, state) in [(200, "delivered"), (410, "dead")] {
        let target = Target::by_hand().await;
        let journey = Journey::with(target, &[], &[("reply_timeout", "100ms")]).await;
        let id = taken(&journey.through().post("/", "x").await);
        let ledger = Ledger::of(&journey.relay);
        let only = ledger.only();
        assert_eq!((only.state.as_str(), only.leased), ("delivering", true));
        let (asked, mut connection) = journey.target.asked().await;
        assert_eq!(seen_as(&asked), (id, 1));
        connection.send(Written::answer(status).body("late").bytes()).await;
        ledger.reads(&[state]).await;
        assert_eq!((ledger.only().attempts, ledger.only().status), (1, Some(status)));
    }
}

#[tokio::test]
async fn a_slow_target_that_fails_late_is_asked_again() {
    let settings = [("reply_timeout", "100ms"), SOON];
    let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
    let id = taken(&journey.through().post("/", "x").await);
    let (_, mut connection) = journey.target.asked().await;
    connection.send(Written::answer(500).body("no").field("Connection", "close").bytes()).await;
    let (again, mut connection) = journey.target.asked().await;
    assert_eq!(seen_as(&again), (id, 2));
    connection.send(Written::answer(204).bytes()).await;
    Ledger::of(&journey.relay).reads(&["delivered"]).await;
}

#[tokio::test]
async fn answers_that_count_as_none_are_not_passed_on() {
    let settings = [("fallback_statuses", "502,503"), SOON];
    let target = Target::scripted({
        let turn = std::sync::atomic::AtomicU32::new(0);
        move |_| match turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Written::answer(503).body("restarting").bytes(),
            _ => Written::answer(200).body("back").bytes(),
        }
    })
    .await;
    let journey = Journey::with(target, &[], &settings).await;
    taken(&journey.through().post("/", "x").await);
    journey.target.has_seen(2).await;
    let ledger = Ledger::of(&journey.relay);
    ledger.reads(&["delivered"]).await;
    let attempts = ledger.attempts(&ledger.only());
    assert_eq!(attempts.iter().map(|a| a.3).collect::<Vec<_>>(), [Some(503), Some(200)]);
    assert_eq!(journey.through().post("/", "x").await.text(), "back");
}

#[tokio::test]
async fn other_answers_are_the_targets_own_word_and_the_providers_turn() {
    let journey = Journey::to(Target::answering(500, "broken").await).await;
    let answer = journey.through().post("/", "x").await;
    assert_eq!((answer.status(), answer.text().as_str()), (500, "broken"));
    Ledger::of(&journey.relay).reads(&["failed"]).await;
    assert_eq!(journey.target.seen().len(), 1);
}

#[tokio::test]
async fn with_fallback_fail_nothing_is_promised_and_nothing_tried_again() {
    let story = Waiting::with(&[AT_ONCE, ("fallback", "fail")]).await;
    assert_problem(&story.post("x").await, "agent_offline", 503, "no");
    story.ledger().reads(&["failed"]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(story.post("next").await.text(), "next");
    assert_eq!(bodies(&target.seen()), ["next"]);
}

#[tokio::test]
async fn what_no_target_can_take_is_refused_and_not_queued() {
    let story = Waiting::with(&[]).await;
    let target = Target::echo().await;
    let below = format!("{}/base", target.url());
    let wanted = Wanted::for_one(&story.relay.url(), &story.token, "story", &below);
    let _agent = Agent::start(&wanted).await;
    let mut provider = story.relay.provider(&story.endpoint);
    let answer = provider.post("/../secret", "x").await;
    assert_problem(&answer, "path_not_allowed", 400, "no");
    story.ledger().reads(&["failed"]).await;
}

#[tokio::test]
async fn a_filter_that_reads_the_body_decides_once_whatever_is_captured() {
    let filter = ("filter", "body.kind == 'wanted'");
    let story = Waiting::with(&[AT_ONCE, ("capture", "none"), filter]).await;
    story.take("{\"kind\":\"wanted\"}").await;
    story.ledger().reads(&["pending"]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    target.has_seen(1).await;
    story.ledger().reads(&["delivered"]).await;
}
