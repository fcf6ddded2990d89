//! `batch` and `collapse`: several events in one request, and only the newest of a key.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_tests::raw::{Message, Written};
use relay_tests::target::Target;
use relay_tests::wait::until;

use super::{Waiting, bodies, taken};

const ACK: (&str, &str) = ("reply", "ack");

/// The bodies in a batch, in order.
fn inside(message: &Message) -> Vec<String> {
    let document = message.json();
    let events = document["events"].as_array().expect("events");
    assert_eq!(message.field("webhook-relay-batch"), Some(events.len().to_string()));
    let body = |event: &serde_json::Value| {
        let bytes =
            STANDARD.decode(event["body_base64"].as_str().expect("a body")).expect("base64");
        String::from_utf8(bytes).expect("text")
    };
    events.iter().map(body).collect()
}

#[tokio::test]
async fn a_batch_that_is_full_goes_at_once_in_order() {
    let story = Waiting::with(&[ACK, ("batch", "3"), ("batch_wait", "5m")]).await;
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    let mut ids = Vec::new();
    for body in ["one", "two", "three"] {
        ids.push(story.take(body).await);
    }
    let seen = target.has_seen(1).await.remove(0);
    assert_eq!(inside(&seen), ["one", "two", "three"]);
    let document = seen.json();
    assert_eq!(document["endpoint"], "story");
    for (event, id) in document["events"].as_array().unwrap().iter().zip(&ids) {
        assert_eq!((event["id"].as_str(), event["attempt"].as_u64()), (Some(id.as_str()), Some(1)));
        assert_eq!(
            (event["method"].as_str(), event["path"].as_str()),
            (Some("POST"), Some("/hook"))
        );
    }
    story.ledger().all(3, "delivered").await;
    // The fourth waits for others.
    story.take("four").await;
    story.ledger().reads(&["delivered", "delivered", "delivered", "pending"]).await;
}

#[tokio::test]
async fn a_batch_that_is_not_full_goes_after_its_wait() {
    let story = Waiting::with(&[ACK, ("batch", "100"), ("batch_wait", "300ms")]).await;
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    for body in ["one", "two"] {
        story.take(body).await;
    }
    assert_eq!(inside(&target.has_seen(1).await[0]), ["one", "two"]);
    story.ledger().all(2, "delivered").await;
}

#[tokio::test]
async fn a_batch_that_fails_is_tried_again_together_and_in_order() {
    let story = Waiting::with(&[ACK, ("batch", "10"), ("batch_wait", "50ms")]).await;
    let failed = AtomicBool::new(false);
    let target = Target::scripted(move |_| {
        let status = if failed.swap(true, Ordering::SeqCst) { 200 } else { 500 };
        Written::answer(status).body("").bytes()
    })
    .await;
    for n in 0..10 {
        story.take(format!("{n}")).await;
    }
    let _agent = story.agent(&target).await;
    let seen = target.has_seen(2).await;
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!([inside(&seen[0]), inside(&seen[1])], [expected.clone(), expected]);
    assert_eq!(seen[1].json()["events"][9]["attempt"], 2);
    let ledger = story.ledger();
    ledger.all(10, "delivered").await;
    assert!(ledger.deliveries().iter().all(|delivery| delivery.attempts == 2));
}

#[tokio::test]
async fn a_batch_carries_large_bodies_a_few_at_a_time() {
    let story = Waiting::with(&[ACK, ("batch", "20"), ("batch_wait", "0ms")]).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..10 {
        story.take(&large).await;
    }
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    story.ledger().all(10, "delivered").await;
    let counts: Vec<usize> = target.seen().iter().map(|message| inside(message).len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 10);
    assert!(counts.iter().all(|count| *count <= 5), "{counts:?}");
}

#[tokio::test]
async fn only_the_newest_event_of_a_key_is_delivered_once_it_is_quiet() {
    let settings = [ACK, ("collapse", "json:/id"), ("collapse_wait", "400ms")];
    let story = Waiting::with(&settings).await;
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    let event = |id: &str, n: u32| format!("{{\"id\":\"{id}\",\"n\":{n}}}");
    for (id, n) in [("a", 1), ("b", 1), ("a", 2), ("a", 3)] {
        taken(&story.post(event(id, n)).await);
    }
    let mut seen = bodies(&target.has_seen(2).await);
    seen.sort();
    assert_eq!(seen, [event("a", 3), event("b", 1)]);
    let ledger = story.ledger();
    ledger.reads(&["collapsed", "delivered", "collapsed", "delivered"]).await;
    let all = ledger.deliveries();
    let by = all[2].detail.clone().unwrap();
    assert_eq!(by, format!("{} took its place", all[3].event));
    // What was attempted is not taken back by a newer one.
    taken(&story.post(event("a", 4)).await);
    target.has_seen(3).await;
    story.ledger().reads(&["collapsed", "delivered", "collapsed", "delivered", "delivered"]).await;
}

#[tokio::test]
async fn an_event_without_the_key_takes_nobodys_place_and_that_is_noted() {
    let story = Waiting::with(&[ACK, ("collapse", "json:/id")]).await;
    let sent = ["no JSON", "{\"n\":1}"];
    for body in sent {
        story.take(body).await;
    }
    let ledger = story.ledger();
    ledger.all(2, "pending").await;
    for note in ledger.notes() {
        assert_eq!(note.as_deref(), Some("collapse: no key at json:/id"));
    }
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    let mut seen = bodies(&target.has_seen(2).await);
    seen.sort();
    assert_eq!(seen, sent);
    ledger.all(2, "delivered").await;
}

#[tokio::test]
async fn a_key_that_is_never_quiet_is_delivered_all_the_same() {
    let settings = [ACK, ("collapse", "path"), ("collapse_wait", "500ms")];
    let story = Waiting::with(&settings).await;
    let target = Target::answering(200, "").await;
    let _agent = story.agent(&target).await;
    let mut posted: usize = 0;
    until("one of them is delivered", async || {
        taken(&story.post(posted.to_string()).await);
        posted += 1;
        !target.seen().is_empty()
    })
    .await;
    assert!(posted > 1 && target.seen().len() == 1, "{posted} were posted");
}
