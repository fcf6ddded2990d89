//! `order`: strict in a key, parallel across keys, whatever fails or restarts in between.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use relay_tests::journey::Journey;
use relay_tests::ledger::Ledger;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};

use super::{Waiting, bodies, seen_as, taken};

const ACK: (&str, &str) = ("reply", "ack");
const IN_ORDER: (&str, &str) = ("order", "endpoint");
const BY_KEY: (&str, &str) = ("order", "header:x-key");

async fn post(story: &Waiting, key: &str, body: &str) -> Message {
    let mut provider = story.relay.provider(&story.endpoint);
    let request = provider.request("POST", "/").field("X-Key", key).body(body);
    provider.send("POST", &request).await
}

/// A target that fails at random and sees to the order: within a key, nothing begins before what came before it is over.
async fn watchful(share_failing: f64) -> (Target, Arc<Mutex<Vec<String>>>) {
    let wrong = Arc::<Mutex<Vec<String>>>::default();
    let (told, done) = (Arc::clone(&wrong), Mutex::new(HashMap::<String, u32>::new()));
    let target = Target::scripted(move |asked| {
        let key = asked.field("x-key").unwrap_or_default();
        let number: u32 = asked.text().parse().expect("a number");
        let mut done = done.lock().unwrap();
        let last = done.entry(key.clone()).or_default();
        // Again is right (at least once); ahead of one that is not done is wrong, and back before one that is as well.
        if number != *last && number != *last + 1 {
            told.lock().unwrap().push(format!("{key}: {number} after {last}"));
        }
        if fastrand::f64() < share_failing {
            return Written::answer(500).body("not now").bytes();
        }
        *last = number;
        Written::answer(200).body("done").bytes()
    })
    .await;
    (target, wrong)
}

#[tokio::test]
async fn an_event_is_not_begun_before_the_one_before_it_is_over() {
    let story = Waiting::with(&[ACK, IN_ORDER]).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    for body in ["one", "two", "three"] {
        story.take(body).await;
    }
    let ledger = story.ledger();
    let (first, mut connection) = target.asked().await;
    assert_eq!(first.text(), "one");
    ledger.reads(&["delivering", "pending", "pending"]).await;
    for (next, states) in [
        ("two", ["delivered", "delivering", "pending"]),
        ("three", ["delivered", "delivered", "delivering"]),
    ] {
        connection.send(Written::answer(204).bytes()).await;
        let asked = soon("the next", connection.request()).await.unwrap();
        assert_eq!(asked.text(), next);
        ledger.reads(&states).await;
    }
    connection.send(Written::answer(204).bytes()).await;
    ledger.all(3, "delivered").await;
}

#[tokio::test]
async fn who_fails_is_tried_again_before_the_next_and_a_dead_letter_lets_it_go() {
    let story = Waiting::with(&[ACK, IN_ORDER, ("retry", "10ms,10ms")]).await;
    for n in 1..=4 {
        story.take(format!("{n}")).await;
    }
    let target = Target::scripted(|asked| {
        let status = if asked.body == b"2" { 500 } else { 200 };
        Written::answer(status).body("").bytes()
    })
    .await;
    let _agent = story.agent(&target).await;
    let seen = target.has_seen(6).await;
    assert_eq!(bodies(&seen), ["1", "2", "2", "2", "3", "4"]);
    story.ledger().reads(&["delivered", "dead", "delivered", "delivered"]).await;
}

#[tokio::test]
async fn other_keys_do_not_wait() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    for (key, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        taken(&post(&story, key, body).await);
    }
    let (one, mut of_one) = target.asked().await;
    let (other, mut of_other) = target.asked().await;
    let mut both = bodies(&[one.clone(), other]);
    both.sort();
    assert_eq!(both, ["a1", "b1"]);
    let ledger = story.ledger();
    ledger.reads(&["delivering", "pending", "delivering"]).await;
    let (a, b) =
        if one.body == b"a1" { (&mut of_one, &mut of_other) } else { (&mut of_other, &mut of_one) };
    b.send(Written::answer(204).bytes()).await;
    ledger.reads(&["delivering", "pending", "delivered"]).await;
    a.send(Written::answer(204).field("Connection", "close").bytes()).await;
    let next = soon("the next of a", b.request()).await.unwrap();
    assert_eq!(next.text(), "a2");
    b.send(Written::answer(204).bytes()).await;
    ledger.all(3, "delivered").await;
}

#[tokio::test]
async fn an_event_without_the_key_waits_for_none_and_that_is_noted() {
    let story = Waiting::with(&[ACK, BY_KEY]).await;
    story.take("no key").await;
    let ledger = story.ledger();
    assert_eq!(ledger.notes(), [Some("order: no key at header:x-key".to_owned())]);
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    target.has_seen(1).await;
    ledger.reads(&["delivered"]).await;
}

#[tokio::test]
async fn many_keys_keep_their_order_though_a_third_of_the_attempts_fails_and_the_relay_restarts() {
    let settings = [ACK, BY_KEY, ("retry", &"2ms,".repeat(60)[..239]), ("breaker", "off")];
    let mut story = Waiting::with(&settings).await;
    let (target, wrong) = watchful(0.33).await;
    let mut agent = story.agent(&target).await;
    let mut numbers = BTreeMap::<String, u32>::new();
    for round in 0..4 {
        for n in 0..40 {
            let key = format!("k{}", n % 5);
            let number = numbers.entry(key.clone()).or_default();
            *number += 1;
            taken(&post(&story, &key, &number.to_string()).await);
        }
        if round < 3 {
            agent.stop().await;
            story.relay.stop().await;
            story.relay.resume().await;
            agent = story.agent(&target).await;
        }
    }
    story.ledger().all(160, "delivered").await;
    assert!(wrong.lock().unwrap().is_empty(), "{:?}", wrong.lock().unwrap());
}

#[tokio::test]
async fn order_survives_a_relay_that_is_killed() {
    let settings = [ACK, IN_ORDER, ("retry", &"2ms,".repeat(60)[..239]), ("breaker", "off")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let (target, wrong) = watchful(0.2).await;
    let _agent = story.agent(&target).await;
    let mut number = 0;
    for _ in 0..4 {
        for _ in 0..15 {
            number += 1;
            story.take(number.to_string()).await;
        }
        story.relay.process().kill().await;
        story.relay.resume_program().await;
    }
    story.ledger().all(60, "delivered").await;
    assert!(wrong.lock().unwrap().is_empty(), "{:?}", wrong.lock().unwrap());
}

#[tokio::test]
async fn a_live_provider_gets_the_targets_own_answer_in_its_turn() {
    let target = Target::scripted(|asked| {
        let status = if asked.body == b"bad" { 422 } else { 200 };
        Written::answer(status).field("X-Own", "yes").body(&asked.body).bytes()
    })
    .await;
    let journey = Journey::with(target, &[], &[IN_ORDER]).await;
    for (body, status) in [("one", 200), ("bad", 422), ("two", 200)] {
        let answer = journey.through().post("/", body).await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, body));
        assert_eq!(answer.field("x-own").as_deref(), Some("yes"));
    }
    Ledger::of(&journey.relay).reads(&["delivered", "failed", "delivered"]).await;
}

#[tokio::test]
async fn how_long_a_live_answer_in_turn_took_is_recorded() {
    let journey = Journey::with(Target::by_hand().await, &[], &[IN_ORDER]).await;
    let asking = {
        let mut through = journey.through();
        tokio::spawn(async move { through.post("/", "x").await })
    };
    let (_, mut connection) = journey.target.asked().await;
    let asked_at = std::time::Instant::now();
    until("a moment passes", async || asked_at.elapsed().as_millis() >= 50).await;
    connection.send(Written::answer(200).body("ok").bytes()).await;
    assert_eq!(asking.await.unwrap().text(), "ok");
    let ledger = Ledger::of(&journey.relay);
    ledger.reads(&["delivered"]).await;
    let attempts = ledger.attempts(&ledger.only());
    assert!(attempts.len() == 1 && attempts[0].0 == 1 && attempts[0].2 >= 50, "{attempts:?}");
}

#[tokio::test]
async fn who_waits_too_long_for_its_turn_is_told_that_it_was_taken() {
    let settings = [IN_ORDER, ("reply_timeout", "300ms")];
    let journey = Journey::with(Target::by_hand().await, &[], &settings).await;
    let ask = |body: &'static str| {
        let mut through = journey.through();
        tokio::spawn(async move { through.post("/", body).await })
    };
    let first = ask("one");
    let (_, mut connection) = journey.target.asked().await;
    let second = ask("two");
    taken(&first.await.unwrap());
    let id = taken(&second.await.unwrap());
    let ledger = Ledger::of(&journey.relay);
    ledger.reads(&["delivering", "pending"]).await;
    connection.send(Written::answer(500).body("no").bytes()).await;
    // Promised, so a failing answer is not the end of it.
    let again = soon("the first again", connection.request()).await.unwrap();
    assert_eq!((again.text().as_str(), seen_as(&again).1), ("one", 2));
    connection.send(Written::answer(204).bytes()).await;
    let next = soon("the second", connection.request()).await.unwrap();
    assert_eq!(seen_as(&next), (id, 1));
    connection.send(Written::answer(204).bytes()).await;
    ledger.all(2, "delivered").await;
}

#[tokio::test]
async fn without_an_agent_nobody_waits_for_longer_than_the_hold() {
    let settings = [IN_ORDER, ("hold", "0ms"), ("reply_timeout", "25s")];
    let story = Waiting::with(&settings).await;
    let started = std::time::Instant::now();
    story.take("x").await;
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    target.has_seen(1).await;
    story.ledger().reads(&["delivered"]).await;
}

#[tokio::test]
async fn an_answer_that_counts_as_none_is_not_passed_on_in_turn_either() {
    let answered = std::sync::atomic::AtomicBool::new(false);
    let target = Target::scripted(move |_| {
        let status =
            if answered.swap(true, std::sync::atomic::Ordering::SeqCst) { 200 } else { 503 };
        Written::answer(status).body("").bytes()
    })
    .await;
    let settings = [IN_ORDER, ("fallback_statuses", "503"), ("retry", "10ms")];
    let journey = Journey::with(target, &[], &settings).await;
    taken(&journey.through().post("/", "x").await);
    journey.target.has_seen(2).await;
    Ledger::of(&journey.relay).reads(&["delivered"]).await;
}

#[tokio::test]
async fn callers_who_hang_up_in_line_leave_nothing_stuck() {
    let journey = Journey::with(Target::echo().await, &[], &[IN_ORDER]).await;
    let through = journey.through();
    for n in 0..30 {
        let request = through.request("POST", "/").body(n.to_string());
        let caller = through.begin(&request).await;
        if n % 3 > 0 {
            caller.reset();
        }
    }
    assert_eq!(journey.through().post("/", "last").await.text(), "last");
    let ledger = Ledger::of(&journey.relay);
    until("all are over", async || {
        ledger.states().iter().all(|state| matches!(state.as_str(), "delivered" | "failed"))
    })
    .await;
    ledger.adds_up();
}
