//! `dedup`: a repeat gets the answer of the first and is not delivered again, unless the first one failed.

use std::time::Duration;

use relay_protocol::frame::{Both, ToAgent};
use relay_tests::journey::Journey;
use relay_tests::ledger::Ledger;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::Relay;
use relay_tests::tamper::{Tampered, possible};
use relay_tests::target::Target;
use relay_tests::wait::{pass, until};
use relay_tests::wire::{ByHand, hello};

use super::{Waiting, bodies, taken};
use crate::errors::assert_problem;

const BY_KEY: (&str, &str) = ("dedup", "header:x-key");
const ACK: (&str, &str) = ("reply", "ack");
const FAIL: (&str, &str) = ("fallback", "fail");
const AT_ONCE: (&str, &str) = ("hold", "0ms");

/// Posts with this key.
async fn post(story: &Waiting, key: &str, body: &str) -> Message {
    let mut provider = story.relay.provider(&story.endpoint);
    let request = provider.request("POST", "/").field("X-Key", key).body(body);
    provider.send("POST", &request).await
}

#[tokio::test]
async fn a_repeat_of_what_waits_gets_the_firsts_id_and_is_not_delivered() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    let first = taken(&post(&story, "a", "one").await);
    assert_eq!(taken(&post(&story, "a", "two").await), first);
    assert_ne!(taken(&post(&story, "b", "three").await), first);
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let mut seen = bodies(&target.has_seen(2).await);
    seen.sort();
    assert_eq!(seen, ["one", "three"]);
    story.ledger().reads(&["delivered", "duplicate", "delivered"]).await;
    assert_eq!(taken(&post(&story, "a", "four").await), first);
    story.ledger().reads(&["delivered", "duplicate", "delivered", "duplicate"]).await;
}

#[tokio::test]
async fn what_comes_to_another_place_is_no_repeat() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    let at = async |path: &str| {
        let mut provider = story.relay.provider(&story.endpoint);
        let request = provider.request("POST", path).field("X-Key", "a").body("x");
        taken(&provider.send("POST", &request).await)
    };
    // As of a provider that tells two of its hooks of one event.
    let (one, two, query) = (at("/one").await, at("/two").await, at("/one?job=2").await);
    assert!(one != two && one != query && two != query);
    assert_eq!([at("/one").await, at("/one?job=2").await], [one, query]);
    story.ledger().reads(&["pending", "pending", "pending", "duplicate", "duplicate"]).await;

    let story = Waiting::with(&[ACK, ("dedup", "query:id")]).await;
    let at = async |path: &str| taken(&story.relay.provider(&story.endpoint).post(path, "x").await);
    let first = at("/?id=1&attempt=1").await;
    assert_eq!(at("/?id=1&attempt=2").await, first);
    assert_ne!(at("/two?id=1").await, first);
}

#[tokio::test]
async fn the_key_may_stand_in_one_of_several_places() {
    let story = Waiting::with(&[ACK, ("dedup", "header:x-none|header:x-key")]).await;
    let first = taken(&post(&story, "a", "one").await);
    assert_eq!(taken(&post(&story, "a", "two").await), first);
    story.ledger().reads(&["pending", "duplicate"]).await;
    assert_eq!(story.ledger().notes(), [None, None]);
}

#[tokio::test]
async fn a_repeat_of_what_was_answered_live_gets_that_answer() {
    let story = Waiting::with(&[BY_KEY]).await;
    let target = Target::scripted(|asked| {
        Written::answer(201).field("X-Made", "once").body(&asked.body).bytes()
    })
    .await;
    let _agent = story.agent(&target).await;
    let first = post(&story, "a", "one").await;
    assert_eq!((first.status(), first.text().as_str()), (201, "one"));
    story.ledger().reads(&["delivered"]).await;
    let again = post(&story, "a", "two").await;
    assert_eq!((again.status(), again.text().as_str()), (201, "one"));
    assert_eq!(again.field("x-made").as_deref(), Some("once"));
    let id = again.field("webhook-relay-event-id").unwrap();
    assert_eq!(story.ledger().deliveries()[0].event, id);
    assert_eq!(target.seen().len(), 1);
    story.ledger().reads(&["delivered", "duplicate"]).await;
}

#[tokio::test]
async fn an_answer_that_was_not_kept_is_not_made_up() {
    for capture in ["headers", "none"] {
        let story = Waiting::with(&[BY_KEY, ("capture", capture)]).await;
        let target = Target::echo().await;
        let _agent = story.agent(&target).await;
        assert_eq!(post(&story, "a", "one").await.text(), "one");
        story.ledger().reads(&["delivered"]).await;
        taken(&post(&story, "a", "one").await);
        assert_eq!(target.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_repeat_of_what_failed_is_delivered() {
    let story = Waiting::with(&[BY_KEY, FAIL, AT_ONCE]).await;
    assert_problem(&post(&story, "a", "one").await, "agent_offline", 503, "no");
    story.ledger().reads(&["failed"]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(post(&story, "a", "two").await.text(), "two");
    story.ledger().reads(&["failed", "delivered"]).await;
}

#[tokio::test]
async fn a_repeat_of_a_dead_letter_is_delivered() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    let target = Target::answering(410, "gone").await;
    let agent = story.agent(&target).await;
    let first = taken(&post(&story, "a", "one").await);
    story.ledger().reads(&["dead"]).await;
    agent.stop().await;
    let again = taken(&post(&story, "a", "two").await);
    assert_ne!(first, again);
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(bodies(&target.has_seen(1).await), ["two"]);
    story.ledger().reads(&["dead", "delivered"]).await;
}

#[tokio::test]
async fn of_two_at_the_same_moment_one_is_delivered_and_both_get_its_answer() {
    for (of_it, under_way) in [(FAIL, "live"), (("order", "endpoint"), "delivering")] {
        for (status, state) in [(200, "delivered"), (500, "failed")] {
            let settings = [BY_KEY, of_it];
            let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
            let ask = |body: &'static str| {
                let mut provider = journey.through();
                let request = provider.request("POST", "/").field("X-Key", "a").body(body);
                tokio::spawn(async move { provider.send("POST", &request).await })
            };
            let first = ask("one");
            let (_, mut asked) = journey.target.asked().await;
            let second = ask("two");
            let ledger = Ledger::of(&journey.relay);
            ledger.reads(&[under_way, "duplicate"]).await;
            asked.send(Written::answer(status).body("the answer").bytes()).await;
            for answer in [first.await.unwrap(), second.await.unwrap()] {
                assert_eq!((answer.status(), answer.text().as_str()), (status, "the answer"));
            }
            ledger.reads(&[state, "duplicate"]).await;
        }
    }
}

#[tokio::test]
async fn a_first_that_ends_while_its_repeat_is_being_kept_is_the_answer_to_both() {
    if !possible("a first that ends while its repeat is being kept is the answer to both") {
        return;
    }
    for of_it in [FAIL, ("order", "endpoint")] {
        let mut story = Waiting::on(Relay::program(&[]).await, &[BY_KEY, of_it]).await;
        let target = Target::by_hand().await;
        let _agent = story.agent(&target).await;
        let ask = |story: &Waiting| {
            let mut provider = story.relay.provider(&story.endpoint);
            let request = provider.request("POST", "/").field("X-Key", "a").body("x");
            tokio::spawn(async move { provider.send("POST", &request).await })
        };
        let first = ask(&story);
        let (_, mut asked) = target.asked().await;
        let process = story.relay.process().id();
        let slow = Tampered::with(process, &["fsync,fdatasync:delay_enter=700ms"]).await;
        let second = ask(&story);
        // Long enough for the repeat to be on its way to the disk, not for it to be there.
        pass(Duration::from_millis(250)).await;
        asked.send(Written::answer(500).body("the answer").bytes()).await;
        for answer in [first.await.unwrap(), second.await.unwrap()] {
            assert_eq!((answer.status(), answer.text().as_str()), (500, "the answer"), "{of_it:?}");
        }
        slow.mend().await;
    }
}

#[tokio::test]
async fn of_two_at_the_same_moment_both_are_told_that_it_was_taken_when_it_takes_too_long() {
    let settings = [BY_KEY, ("reply_timeout", "1s")];
    let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
    let ask = || {
        let mut provider = journey.through();
        let request = provider.request("POST", "/").field("X-Key", "a").body("x");
        tokio::spawn(async move { provider.send("POST", &request).await })
    };
    let first = ask();
    let (_, mut asked) = journey.target.asked().await;
    let second = ask();
    let [first, second] = [first.await.unwrap(), second.await.unwrap()];
    assert_eq!(taken(&first), taken(&second));
    asked.send(Written::answer(204).bytes()).await;
    Ledger::of(&journey.relay).reads(&["delivered", "duplicate"]).await;
}

#[tokio::test]
async fn nothing_is_promised_to_a_repeat_while_nothing_was_promised_to_the_first() {
    let story = Waiting::with(&[BY_KEY, FAIL]).await;
    let (mut line, _) =
        ByHand::live(story.relay.address, &story.token, hello("one", &["story"])).await;
    let provider = story.relay.provider(&story.endpoint);
    let request = provider.request("POST", "/").field("X-Key", "a").body("one");
    let first = provider.begin(&request).await;
    line.opened().await;
    let second = {
        let mut provider = story.relay.provider(&story.endpoint);
        tokio::spawn(async move { provider.send("POST", &request).await })
    };
    story.ledger().reads(&["live", "duplicate"]).await;
    // The first one's caller goes away: its event is over, undelivered.
    first.reset();
    while !matches!(line.next().await, Ok(ToAgent::Both(Both::Reset(_)))) {}
    assert_problem(&second.await.unwrap(), "link_lost", 502, "maybe");
    story.ledger().reads(&["failed", "duplicate"]).await;
    let third = {
        let mut provider = story.relay.provider(&story.endpoint);
        let request = provider.request("POST", "/").field("X-Key", "a").body("three");
        tokio::spawn(async move { provider.send("POST", &request).await })
    };
    let opened = line.opened().await;
    assert_eq!(&opened.body[..], b"three");
    line.answer(opened.stream, 200, "done").await;
    assert_eq!(third.await.unwrap().text(), "done");
}

#[tokio::test]
async fn callers_who_hang_up_leave_no_first_that_swallows_repeats() {
    let story = Waiting::with(&[BY_KEY]).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    let provider = story.relay.provider(&story.endpoint);
    for n in 0..40 {
        let request = provider.request("POST", "/").field("X-Key", n.to_string()).body("x");
        provider.begin(&request).await.reset();
    }
    let ledger = story.ledger();
    let request = provider.request("POST", "/").field("X-Key", "last").body("x");
    let last = provider.begin(&request).await;
    loop {
        let (asked, _connection) = target.asked().await;
        if asked.field("x-key").as_deref() == Some("last") {
            break;
        }
    }
    last.reset();
    until("all are over", async || ledger.states().iter().all(|state| state == "failed")).await;
    ledger.adds_up();
}

#[tokio::test]
async fn after_the_window_a_repeat_is_an_event_of_its_own() {
    let story = Waiting::with(&[ACK, BY_KEY, ("dedup_window", "1s")]).await;
    let first = taken(&post(&story, "a", "one").await);
    until("the window is over", async || taken(&post(&story, "a", "two").await) != first).await;
    let states = story.ledger().states();
    assert_eq!((states[0].as_str(), states[states.len() - 1].as_str()), ("pending", "pending"));
    story.ledger().adds_up();
}

#[tokio::test]
async fn a_repeat_is_known_after_a_restart() {
    let mut story = Waiting::with(&[ACK, BY_KEY]).await;
    let first = taken(&post(&story, "a", "one").await);
    story.relay.stop().await;
    story.relay.resume().await;
    assert_eq!(taken(&post(&story, "a", "two").await), first);
    story.ledger().reads(&["pending", "duplicate"]).await;
}

#[tokio::test]
async fn an_event_without_the_key_is_delivered_and_that_is_noted() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    for _ in 0..2 {
        story.take("no key").await;
    }
    let ledger = story.ledger();
    ledger.all(2, "pending").await;
    for note in ledger.notes() {
        assert_eq!(note.as_deref(), Some("dedup: no key at header:x-key"));
    }
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    target.has_seen(2).await;
}

#[tokio::test]
async fn the_key_may_be_the_body_or_a_place_in_it() {
    for (selector, same, other) in [
        ("body", ["{\"n\": 1}", "{\"n\": 1}"], "{\"n\":1}"),
        ("json:/id", ["{\"id\":\"a\",\"n\":1}", "{\"n\":2,\"id\":\"a\"}"], "{\"id\":\"b\"}"),
    ] {
        let story = Waiting::with(&[ACK, ("dedup", selector)]).await;
        let first = story.take(same[0]).await;
        assert_eq!(story.take(same[1]).await, first);
        assert_ne!(story.take(other).await, first);
        story.ledger().reads(&["pending", "duplicate", "pending"]).await;
    }
}

#[tokio::test]
async fn nothing_is_seen_of_a_body_above_a_mebibyte_and_that_is_said() {
    let settings =
        [("reply", "ack"), ("dedup", "json:/id"), ("groups", "ci"), ("filter.ci", "body.id == 7")];
    let story = Waiting::with(&settings).await;
    for length in [100, 1 << 20] {
        let body = format!("{{\"id\":7,\"x\":\"{}\"}}", "x".repeat(length));
        taken(&story.post(&body).await);
    }
    let ledger = story.ledger();
    ledger.reads(&["pending", "pending", "filtered", "pending"]).await;
    let unseen = "nothing is seen of a body above 1 MiB";
    let notes = ledger.notes();
    assert_eq!(notes, [None, Some(format!("dedup: no key at json:/id; {unseen}"))]);
    let why = ledger.deliveries()[2].detail.clone().unwrap();
    assert!(why.ends_with(unseen), "{why}");
}
