//! The law of the 2xx: the relay's own word is given when the event is durable, and never when it is not.

use std::time::{Duration, Instant};

use relay_client::notice::Notice;
use relay_protocol::reason::Dispatched;
use relay_tests::provider::Provider;
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::tamper::{Tampered, possible};
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};

use super::{Waiting, bodies, seen_as, taken};
use crate::errors::assert_problem;

const ACK: (&str, &str) = ("reply", "ack");
const AT_ONCE: (&str, &str) = ("hold", "0ms");

/// How much longer a sync takes: far above what it takes by itself.
const SLOW: &str = "fsync,fdatasync:delay_enter=700ms";
const SLOW_IS: Duration = Duration::from_millis(700);

#[tokio::test]
async fn the_relays_own_word_waits_for_the_disk_and_a_live_answer_does_not() {
    if !possible("the relay's own word waits for the disk") {
        return;
    }
    let mut story = Waiting::on(Relay::program(&[]).await, &[ACK]).await;
    let live = story.relay.endpoint("live").await;
    let fallback = story.relay.endpoint_with("fallback", &[AT_ONCE]).await;
    let token = story.relay.token(&["live"]).await;
    let target = Target::answering(200, "live").await;
    let url = story.relay.url();
    let wanted = relay_tests::agent::Wanted::for_one(&url, &token, "live", &target.url());
    let _agent = relay_tests::agent::Agent::start(&wanted).await;
    let mut live = story.relay.provider(&live).keeping();
    assert_eq!(live.post("/", "warm").await.text(), "live");
    let process = story.relay.process().id();
    let tampered = Tampered::with(process, &[SLOW]).await;
    let started = Instant::now();
    story.take("x").await;
    assert!(started.elapsed() >= SLOW_IS, "{:?}", started.elapsed());
    // A body in a file: the file, then its folder, then the row that speaks of it.
    let started = Instant::now();
    story.take("x".repeat(700_000)).await;
    assert!(started.elapsed() >= SLOW_IS * 3, "{:?}", started.elapsed());
    let started = Instant::now();
    taken(&story.relay.provider(&fallback).post("/", "x").await);
    assert!(started.elapsed() >= SLOW_IS, "{:?}", started.elapsed());
    // Ten live answers while the disk does a few syncs of what is noted of them.
    let mut quickest = SLOW_IS;
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(live.post("/", "x").await.text(), "live");
        quickest = quickest.min(started.elapsed());
        assert!(started.elapsed() < SLOW_IS, "{:?}", started.elapsed());
    }
    assert!(quickest < SLOW_IS / 5, "{quickest:?}");
    tampered.mend().await;
}

#[tokio::test]
async fn while_the_disk_fails_nothing_is_promised_and_afterwards_all_is_well_by_itself() {
    if !possible("while the disk fails nothing is promised") {
        return;
    }
    // The last is of a lock: a transaction cannot even be begun.
    for fault in ["fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC", "fcntl:error=EIO"] {
        let settings = [ACK, ("groups", "ci")];
        let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
        let live = story.relay.endpoint_with("live", &[AT_ONCE]).await;
        let unkept = story.relay.endpoint_with("unkept", &[AT_ONCE, ("capture", "none")]).await;
        let first = story.take("before").await;
        let process = story.relay.process().id();
        let tampered = Tampered::with(process, &[fault]).await;
        for body in ["one".into(), "x".repeat(700_000)] {
            assert_problem(&story.post(&body).await, "store_unavailable", 503, "no");
            for endpoint in [&live, &unkept] {
                let answer = story.relay.provider(endpoint).post("/", &body).await;
                assert_problem(&answer, "store_unavailable", 503, "no");
            }
        }
        let mut health = Provider::of(story.relay.address, "");
        let unready = health.get("/readyz").await;
        assert_eq!((unready.status(), &unready.json()["store"]), (503, &"unavailable".into()));
        assert_eq!(health.get("/healthz").await.status(), 200, "a restart would not mend it");
        tampered.mend().await;
        let mut last = None;
        until("it takes events again", async || {
            let answer = story.post("after").await;
            last = (answer.status() == 202).then(|| taken(&answer));
            last.is_some()
        })
        .await;
        assert_eq!(health.get("/readyz").await.status(), 200);
        let target = Target::answering(200, "").await;
        let agent = story.agent(&target).await;
        assert_eq!(bodies(&target.has_seen(2).await), ["before", "after"]);
        agent.stop().await;
        let ledger = story.ledger();
        until("they are delivered", async || {
            let delivered = ledger.deliveries().into_iter().filter(|d| d.state == "delivered");
            delivered.map(|d| Some(d.event)).collect::<Vec<_>>()
                == [Some(first.clone()), last.clone()]
        })
        .await;
        ledger.adds_up();
        let spooled = story.relay.data.names("store/spool");
        assert!(spooled.is_empty(), "no file of what was refused: {spooled:?}");
    }
}

#[tokio::test]
async fn a_promise_that_fails_says_that_the_target_may_have_been_asked() {
    if !possible("a promise that fails says that the target may have been asked") {
        return;
    }
    let settings = [("reply_timeout", "1s"), ("capture", "none")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    let asking = {
        let mut provider = story.relay.provider(&story.endpoint);
        tokio::spawn(async move { provider.post("/", "x").await })
    };
    let (_, mut connection) = target.asked().await;
    let process = story.relay.process().id();
    let tampered = Tampered::with(process, &["fsync,fdatasync:error=EIO"]).await;
    let answer = asking.await.unwrap();
    assert_problem(&answer, "store_unavailable", 503, Dispatched::Maybe.as_str());
    // And its attempt is called off.
    soon("the agent hangs up", connection.ended()).await;
    tampered.mend().await;
    until("the store writes again", async || {
        let answer = story
            .relay
            .provider(&story.endpoint)
            .send("GET", &Written::request("GET", "/healthz"))
            .await;
        answer.status() > 0
    })
    .await;
}

#[tokio::test]
async fn a_live_event_whose_promise_failed_does_not_stay_live() {
    if !possible("a live event whose promise failed does not stay live") {
        return;
    }
    let settings = [("reply_timeout", "1s"), ("fallback", "queue")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    let asking = {
        let mut provider = story.relay.provider(&story.endpoint);
        tokio::spawn(async move { provider.post("/", "x").await })
    };
    let (_, _connection) = target.asked().await;
    let ledger = story.ledger();
    ledger.reads(&["live"]).await;
    let process = story.relay.process().id();
    let tampered = Tampered::with(process, &["fsync,fdatasync:error=EIO"]).await;
    assert_eq!(asking.await.unwrap().status(), 503);
    tampered.mend().await;
    ledger.reads(&["failed"]).await;
    assert_eq!(ledger.only().code.as_deref(), Some("store_unavailable"));
}

#[tokio::test]
async fn a_live_event_whose_record_could_not_be_written_is_on_record_afterwards() {
    if !possible("a live event whose record could not be written is on record afterwards") {
        return;
    }
    for fault in ["fsync,fdatasync:error=EIO", "pwrite64:error=ENOSPC"] {
        let mut story = Waiting::on(Relay::program(&[]).await, &[]).await;
        let target = Target::answering(200, "live").await;
        let _agent = story.agent(&target).await;
        let process = story.relay.process().id();
        let tampered = Tampered::with(process, &[fault]).await;
        // Nobody knows yet that the disk has failed.
        assert_eq!(story.post("x").await.text(), "live");
        let mut health = Provider::of(story.relay.address, "");
        let mut ready = async || health.get("/readyz").await.status();
        until("the relay knows", async || ready().await == 503).await;
        tampered.mend().await;
        until("it writes again", async || ready().await == 200).await;
        story.ledger().all(1, "delivered").await;
    }
}

#[tokio::test]
async fn what_was_promised_by_any_way_survives_a_kill_right_after_the_answer() {
    for settings in [
        vec![ACK],
        vec![AT_ONCE],
        vec![AT_ONCE, ("capture", "none")],
        vec![("order", "endpoint"), ("reply_timeout", "100ms")],
        vec![("dedup", "body"), AT_ONCE],
        vec![AT_ONCE, ("groups", "ci")],
    ] {
        let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
        let large = "x".repeat(300_000);
        for body in ["small", &large] {
            taken(&story.post(body).await);
            story.relay.process().kill().await;
            story.relay.resume_program().await;
        }
        let target = Target::answering(200, "").await;
        let _agent = story.agent(&target).await;
        let mut seen = bodies(&target.has_seen(2).await);
        seen.sort_by_key(String::len);
        assert!(seen == ["small", &large], "{settings:?}");
        let ledger = story.ledger();
        until("both are delivered", async || {
            ledger.states().iter().filter(|state| *state == "delivered").count() == 2
        })
        .await;
        ledger.adds_up();
    }
}

#[tokio::test]
async fn a_target_that_is_slow_over_a_kill_of_the_relay_is_asked_once() {
    let settings = [("reply_timeout", "200ms")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let target = Target::by_hand().await;
    let mut agent = story.agent(&target).await;
    let asking = {
        let mut provider = story.relay.provider(&story.endpoint);
        tokio::spawn(async move { provider.post("/", "x").await })
    };
    let (asked, mut connection) = target.asked().await;
    let id = taken(&asking.await.unwrap());
    story.relay.process().kill().await;
    story.relay.resume_program().await;
    agent.notice(|notice| matches!(notice, Notice::Reconnected)).await;
    let ledger = story.ledger();
    ledger.reads(&["delivering"]).await;
    connection.send(Written::answer(200).body("late").bytes()).await;
    ledger.reads(&["delivered"]).await;
    assert_eq!(seen_as(&asked), (id, 1));
    // The agent has its own memory of it: neither this connection nor another was asked again.
    assert_eq!(ledger.only().status, Some(200));
    drop(agent);
    connection.ended().await;
}

#[tokio::test]
async fn a_live_event_that_nobody_was_promised_is_over_after_a_kill() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[]).await;
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    let provider = story.relay.provider(&story.endpoint);
    let _caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let (_, _connection) = target.asked().await;
    let ledger = story.ledger();
    ledger.reads(&["live"]).await;
    story.relay.process().kill().await;
    story.relay.resume_program().await;
    ledger.reads(&["failed"]).await;
}
