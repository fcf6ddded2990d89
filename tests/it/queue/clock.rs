//! The wall clock is set back by hours while the relay is away: what came first still goes first, and is listed so.

use relay_tests::clock::WallClock;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use serde_json::json;

use super::{Waiting, bodies};

/// Walks the list of events page by page and gives the sequence numbers, the newest first.
async fn walked(story: &Waiting) -> Vec<u64> {
    let (mut seqs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = story.relay.api().get(&format!("/events?limit=1{cursor}")).await.unwrap();
        let events = page["events"].as_array().unwrap();
        seqs.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { return seqs };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn order_and_pages_hold_over_restarts_with_the_clock_set_back() {
    let settings = [("reply", "ack"), ("order", "endpoint")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let clock = match WallClock::of(&mut story.relay).await {
        Ok(clock) => clock,
        Err(why) => return println!("skipped, order with a clock that is set back: {why}"),
    };
    let mut posted = Vec::new();
    for time in ["+0", "-3h", "-1h", "-26h"] {
        clock.set(time);
        story.relay.process().kill().await;
        story.relay.resume_program().await;
        for n in 0..2 {
            let body = format!("{time} {n}");
            story.take(&body).await;
            posted.push(body);
        }
    }
    assert_eq!(walked(&story).await, (1..=8).rev().collect::<Vec<_>>());
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    target.has_seen(8).await;
    assert_eq!(bodies(&target.seen()), posted);
    story.ledger().all(8, "delivered").await;
}

#[tokio::test]
async fn nothing_grows_old_by_a_clock_that_is_set() {
    let settings = [("reply", "ack"), ("expire_after", "1h")];
    let mut story = Waiting::on(Relay::program(&[]).await, &settings).await;
    let clock = match WallClock::of(&mut story.relay).await {
        Ok(clock) => clock,
        Err(why) => return println!("skipped, the age of events with a clock that is set: {why}"),
    };
    for (taken, brought) in [("-2h", "+0"), ("+0", "+2h"), ("+2h", "-2h"), ("-2h", "+2h")] {
        clock.set(taken);
        story.take(taken).await;
        clock.set(brought);
        let target = Target::echo().await;
        let agent = story.agent(&target).await;
        assert_eq!(bodies(&target.has_seen(1).await), [taken]);
        agent.stop().await;
    }
    story.ledger().all(4, "delivered").await;
}

#[tokio::test]
async fn a_replay_goes_at_once_also_after_the_clock_was_set() {
    let mut story = Waiting::on(Relay::program(&[]).await, &[("reply", "ack")]).await;
    let clock = match WallClock::of(&mut story.relay).await {
        Ok(clock) => clock,
        Err(why) => return println!("skipped, replays with a clock that is set: {why}"),
    };
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let id = story.take("x").await;
    story.ledger().reads(&["delivered"]).await;
    clock.set("+2h");
    let one = format!("/events/{id}/replay");
    let all = json!({"filter": {"endpoint": "story"}, "rate": "1000/s"});
    let (as_it_was, edited) = (json!({}), json!({"edit": {"path": "/edited"}}));
    for (path, wanted, deliveries) in
        [(&one, as_it_was, 2), (&one, edited, 3), (&"/replays".to_owned(), all, 5)]
    {
        story.relay.api().post(path, &wanted).await.unwrap();
        target.has_seen(deliveries).await;
        story.ledger().all(deliveries, "delivered").await;
    }
}
