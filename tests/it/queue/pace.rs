//! Pacing: no more at a time and no faster than the target bears, nothing that is too old.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use relay_tests::agent::Agent;
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::wait::{is_slow, soon, until};
use serde_json::json;

use super::{Waiting, bodies};
use crate::errors::assert_problem;

const ACK: (&str, &str) = ("reply", "ack");

#[tokio::test]
async fn there_are_never_more_attempts_at_a_time_than_allowed() {
    let story = Waiting::with(&[ACK, ("max_in_flight", "3")]).await;
    for n in 0..9 {
        story.take(format!("{n}")).await;
    }
    let target = Target::by_hand().await;
    let _agent = story.agent(&target).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(target.asked().await.1);
    }
    let ledger = story.ledger();
    for done in 0..9 {
        until("as many as allowed are under way", async || {
            let leased = ledger.deliveries().iter().filter(|delivery| delivery.leased).count();
            assert!(leased <= 3, "{leased}");
            leased == 3.min(9 - done)
        })
        .await;
        let mut connection = connections.remove(0);
        connection.send(Written::answer(204).bytes()).await;
        if done < 6 {
            // The next comes on the connection that is free.
            soon("the next", connection.request()).await.unwrap();
            connections.push(connection);
        }
    }
    ledger.all(9, "delivered").await;
}

#[tokio::test]
async fn a_backlog_drains_at_the_rate_that_was_set() {
    let story = Waiting::with(&[ACK, ("rate", "100/s"), ("max_in_flight", "50")]).await;
    let mut provider = story.relay.provider(&story.endpoint).keeping();
    for _ in 0..301 {
        assert_eq!(provider.post("/", "x").await.status(), 202);
    }
    let times = Arc::<Mutex<Vec<Instant>>>::default();
    let noting = Arc::clone(&times);
    let target = Target::scripted(move |_| {
        noting.lock().unwrap().push(Instant::now());
        Written::answer(204).bytes()
    })
    .await;
    let _agent = story.agent(&target).await;
    target.has_seen(301).await;
    let times = times.lock().unwrap();
    // What went at once in the beginning is the burst that catching up is allowed.
    let rate = |from: usize, to: usize| {
        (to - from) as f64 / times[to].duration_since(times[from]).as_secs_f64()
    };
    let best = (30..200).map(|from| rate(from, from + 100)).fold(0.0, f64::max);
    assert!(best >= 95.0 && rate(30, 300) <= 112.0, "{best} at best, {} in all", rate(30, 300));
    // A machine that others keep busy holds everybody up for longer than may be caught up with.
    if is_slow() {
        assert!((rate(30, 300) / 100.0 - 1.0).abs() <= 0.05, "{} a second", rate(30, 300));
    }
}

#[tokio::test]
async fn what_is_too_old_is_put_aside_and_the_next_in_order_goes() {
    let story = Waiting::with(&[ACK, ("expire_after", "1s"), ("order", "endpoint")]).await;
    story.take("old").await;
    let taken_at = Instant::now();
    until("it is too old", async || taken_at.elapsed().as_millis() > 1100).await;
    story.take("young").await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    assert_eq!(target.has_seen(1).await[0].text(), "young");
    story.ledger().reads(&["expired", "delivered"]).await;
}

#[tokio::test]
async fn what_was_too_old_goes_all_the_same_when_somebody_replays_it() {
    for (settings, picky) in [(vec![ACK, ("expire_after", "1s")], None), (vec![ACK], Some(1000))] {
        let story = Waiting::with(&settings).await;
        let ids = [story.take("one").await, story.take("many").await];
        let taken_at = Instant::now();
        until("they are too old", async || taken_at.elapsed().as_millis() > 1100).await;
        let target = Target::echo().await;
        let mut wanted = story.wanted(&target);
        wanted.asks.skip_older_than_ms = picky;
        let _agent = Agent::start(&wanted).await;
        let ledger = story.ledger();
        ledger.reads(&["expired", "expired"]).await;
        let one = format!("/events/{}/replay", ids[0]);
        story.relay.api().post(&one, &json!({})).await.unwrap();
        assert_eq!(bodies(&target.has_seen(1).await), ["one"]);
        ledger.reads(&["expired", "delivered", "expired"]).await;
        let all = json!({"filter": {"endpoint": "story"}, "only_never_succeeded": true});
        story.relay.api().post("/replays", &all).await.unwrap();
        assert_eq!(bodies(&target.has_seen(2).await), ["one", "many"]);
        ledger.reads(&["expired", "delivered", "expired", "delivered"]).await;
    }
}

#[tokio::test]
async fn a_paused_endpoint_takes_in_and_gives_out_nothing() {
    for (settings, answer) in [
        (vec![ACK], None),
        (vec![("reply", "live")], None),
        (vec![("order", "endpoint")], None),
        (vec![("fallback", "fail")], Some("agent_offline")),
    ] {
        let story = Waiting::with(&settings).await;
        let target = Target::echo().await;
        let _agent = story.agent(&target).await;
        let say = async |word: &str| {
            let path = format!("/endpoints/story/{word}");
            story.relay.api().post(&path, &json!({})).await.unwrap();
        };
        say("pause").await;
        match answer {
            Some(code) => assert_problem(&story.post("x").await, code, 503, "no"),
            None => drop(story.take("x").await),
        }
        let ledger = story.ledger();
        assert!(target.seen().is_empty() && ledger.states().iter().all(|s| s == "pending"));
        say("resume").await;
        if answer.is_none() {
            target.has_seen(1).await;
            ledger.reads(&["delivered"]).await;
        } else {
            assert_eq!(story.post("x").await.text(), "x");
        }
    }
}
