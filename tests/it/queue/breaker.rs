//! The breaker: an endpoint whose attempts nearly all fail pauses itself, says so, and goes on when the target works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relay_tests::agent::Agent;
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{slow, until};
use serde_json::json;

use super::Waiting;

const QUEUED: [(&str, &str); 3] =
    [("hold", "0ms"), ("retry", "0ms,0ms,1h"), ("max_in_flight", "4")];

/// A target that works when it is told to.
async fn mendable() -> (Target, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&works);
    let target = Target::scripted(move |_| {
        let status = if told.load(Ordering::SeqCst) { 200 } else { 500 };
        Written::answer(status).body("").bytes()
    })
    .await;
    (target, works)
}

#[tokio::test]
async fn it_opens_after_twenty_failures_and_a_live_success_closes_it() {
    let mut story = Waiting::on(Relay::program(&[]).await, &QUEUED).await;
    for n in 0..40 {
        story.take(format!("{n}")).await;
    }
    let (target, works) = mendable().await;
    let _agent = story.agent(&target).await;
    let process = story.relay.process();
    until("it says that it has paused itself", async || {
        process.said().contains("the endpoint has paused itself")
    })
    .await;
    nothing_under_way(&story).await;
    let asked = target.seen().len();
    assert!((20..=24).contains(&asked), "{asked}: what was under way, and no more");
    // It keeps accepting: live events are still tried, and the first that works shows that the target does.
    works.store(true, Ordering::SeqCst);
    assert_eq!(story.post("live").await.status(), 200);
    let process = story.relay.process();
    until("it says that it works again", async || process.said().contains("works again")).await;
    story.ledger().all(41, "delivered").await;
}

async fn nothing_under_way(story: &Waiting) {
    let ledger = story.ledger();
    until("what was under way is over", async || {
        ledger.deliveries().iter().all(|delivery| !delivery.leased)
    })
    .await;
}

/// A relay whose endpoint has just paused itself, with a target that works by now.
async fn shut() -> (Waiting, Target, Agent) {
    let mut story = Waiting::on(Relay::program(&[]).await, &QUEUED).await;
    for n in 0..40 {
        story.take(format!("{n}")).await;
    }
    let (target, works) = mendable().await;
    let agent = story.agent(&target).await;
    let process = story.relay.process();
    until("it has paused itself", async || process.said().contains("has paused itself")).await;
    // What still is would find the target working, and close the breaker.
    nothing_under_way(&story).await;
    works.store(true, Ordering::SeqCst);
    (story, target, agent)
}

#[tokio::test]
async fn who_resumes_it_or_switches_it_off_has_it_go_on() {
    let (story, _target, _agent) = shut().await;
    story.relay.api().post("/endpoints/story/resume", &json!({})).await.unwrap();
    until("it goes on", async || delivered(&story) >= 30).await;
    let (story, _target, _agent) = shut().await;
    let off = json!({"settings": {"breaker": "off"}});
    story.relay.api().patch("/endpoints/story", &off).await.unwrap();
    until("it goes on", async || delivered(&story) >= 30).await;
}

#[tokio::test]
async fn a_probe_closes_it() {
    if !slow("the first probe is made after half a minute") {
        return;
    }
    let (story, ..) = &shut().await;
    let started = std::time::Instant::now();
    until("the probe is near", async || started.elapsed().as_secs() >= 25).await;
    assert!(delivered(story) < 30, "nothing goes before it");
    until("the probe closes it", async || delivered(story) >= 30).await;
}

fn delivered(story: &Waiting) -> usize {
    story.ledger().states().iter().filter(|state| *state == "delivered").count()
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let settings = [("breaker", "off"), ("reply", "ack"), ("retry", "0ms")];
    let story = Waiting::with(&settings).await;
    for n in 0..40 {
        story.take(format!("{n}")).await;
    }
    let (target, _) = mendable().await;
    let _agent = story.agent(&target).await;
    target.has_seen(80).await;
    story.ledger().all(40, "dead").await;
}

#[tokio::test]
async fn a_batch_counts_as_one_attempt() {
    let settings =
        [("reply", "ack"), ("batch", "30"), ("batch_wait", "100ms"), ("retry", "0ms,0ms")];
    let story = Waiting::with(&settings).await;
    for n in 0..30 {
        story.take(format!("{n}")).await;
    }
    let (target, _) = mendable().await;
    let _agent = story.agent(&target).await;
    story.ledger().all(30, "dead").await;
    assert_eq!(target.seen().len(), 3);
}
