//! Groups, filters, taps and what an agent says about the backlog: who gets what.

use std::time::Instant;

use relay_tests::agent::{Agent, command};
use relay_tests::journey::Journey;
use relay_tests::ledger::Ledger;
use relay_tests::process::Process;
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::wait::until;
use relay_tests::wire::{ByHand, hello};
use serde_json::json;

use super::{Waiting, bodies, seen_as, taken};

const ACK: (&str, &str) = ("reply", "ack");

/// An agent that asks for more than its endpoint.
async fn agent(
    story: &Waiting,
    target: &Target,
    ask: impl FnOnce(&mut relay_protocol::hello::Subscription),
) -> Agent {
    let mut wanted = story.wanted(target);
    ask(&mut wanted.asks);
    Agent::start(&wanted).await
}

#[tokio::test]
async fn every_group_gets_every_event_and_main_answers_the_provider() {
    let story = Waiting::with(&[("groups", "ci"), ("retry", "10ms")]).await;
    let (main, ci) = (Target::answering(200, "main").await, Target::by_hand().await);
    let _main = story.agent(&main).await;
    let _ci = agent(&story, &ci, |asks| asks.group = "ci".parse().unwrap()).await;
    let answer = story.post("x").await;
    assert_eq!(answer.text(), "main");
    let (first, mut connection) = ci.asked().await;
    assert_eq!((seen_as(&first), first.text().as_str()), (seen_as(&main.only()), "x"));
    connection.send(Written::answer(500).body("no").field("Connection", "close").bytes()).await;
    // Its failure is its own.
    let (again, mut connection) = ci.asked().await;
    assert_eq!(seen_as(&again).1, 2);
    connection.send(Written::answer(204).bytes()).await;
    let ledger = story.ledger();
    ledger.all(2, "delivered").await;
    let attempts: Vec<_> =
        ledger.deliveries().iter().map(|d| (d.group.clone(), d.attempts)).collect();
    assert_eq!(attempts, [("ci".into(), 2), ("main".into(), 1)]);
    assert_eq!(main.seen().len(), 1);
}

#[tokio::test]
async fn a_group_takes_what_its_filter_takes_and_the_rest_says_why() {
    let settings = [
        ("groups", "ci"),
        ("capture", "none"),
        ("filter.ci", "method == 'POST' && body.ref.startsWith('refs/tags/')"),
    ];
    let story = Waiting::with(&settings).await;
    let (main, ci) = (Target::echo().await, Target::echo().await);
    let _main = story.agent(&main).await;
    let _ci = agent(&story, &ci, |asks| asks.group = "ci".parse().unwrap()).await;
    let (branch, tag) = ("{\"ref\":\"refs/heads/x\"}", "{\"ref\":\"refs/tags/1\"}");
    for body in [branch, tag, "no JSON"] {
        assert_eq!(story.post(body).await.text(), body);
    }
    assert_eq!(bodies(&ci.has_seen(1).await), [tag]);
    story.ledger().adds_up();
}

#[tokio::test]
async fn an_event_that_no_group_takes_is_kept_with_the_reason() {
    let story = Waiting::with(&[("filter", "path == '/wanted'")]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    taken(&story.post("not for anybody").await);
    let ledger = story.ledger();
    ledger.reads(&["filtered"]).await;
    let only = ledger.only();
    assert_eq!(only.code.as_deref(), Some("filtered"));
    assert_eq!(only.detail.as_deref(), Some("the filter of group main does not take it"));
    let mut provider = story.relay.provider(&story.endpoint);
    assert_eq!(provider.post("/wanted", "for main").await.text(), "for main");
    assert_eq!(bodies(&target.seen()), ["for main"]);
}

#[tokio::test]
async fn a_tap_sees_live_events_once_and_leaves_no_trace() {
    let journey = Journey::to(Target::answering(200, "main").await).await;
    let watching = Target::answering(500, "who cares").await;
    let mut wanted = relay_tests::agent::Wanted::for_one(
        &journey.relay.url(),
        &journey.token,
        "story",
        &watching.url(),
    );
    wanted.asks.tap = true;
    let tap = Agent::start(&wanted).await;
    for n in 0..20 {
        assert_eq!(journey.through().post("/", format!("{n}")).await.text(), "main");
    }
    let mut seen: Vec<u32> =
        bodies(&watching.has_seen(20).await).iter().map(|n| n.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    let ledger = Ledger::of(&journey.relay);
    ledger.all(20, "delivered").await;
    assert!(ledger.deliveries().iter().all(|delivery| delivery.group == "main"));
    tap.stop().await;
    assert_eq!(journey.through().post("/", "unseen").await.text(), "main");
    assert_eq!(watching.seen().len(), 20);
}

#[tokio::test]
async fn a_tap_on_two_lines_sees_every_event_once() {
    let journey = Journey::to(Target::answering(200, "main").await).await;
    let tapping = |line| {
        let mut hello = hello("watcher", &["story"]);
        (hello.subscriptions[0].tap, hello.line) = (true, line);
        hello
    };
    let (address, token) = (journey.relay.address, &journey.token);
    let (mut first, one) = ByHand::live(address, token, tapping(0)).await;
    let (second, two) = ByHand::live(address, token, tapping(1)).await;
    assert_eq!(one.endpoints[0].group, two.endpoints[0].group);
    for n in 0..3 {
        assert_eq!(journey.through().post("/", format!("{n}")).await.text(), "main");
        assert_eq!(first.opened().await.body, n.to_string());
    }
    // One of its lines goes: the other one is still a tap.
    drop(second);
    assert_eq!(journey.through().post("/", "3").await.text(), "main");
    assert_eq!(&first.opened().await.body[..], b"3");
}

#[tokio::test]
async fn a_tap_that_is_stuck_does_not_slow_main() {
    let journey = Journey::to(Target::answering(200, "main").await).await;
    let stuck = Target::by_hand().await;
    let mut wanted = relay_tests::agent::Wanted::for_one(
        &journey.relay.url(),
        &journey.token,
        "story",
        &stuck.url(),
    );
    wanted.asks.tap = true;
    let _tap = Agent::start(&wanted).await;
    let body = vec![b'x'; 100_000];
    let mut provider = journey.through().keeping();
    let started = Instant::now();
    for _ in 0..600 {
        assert_eq!(provider.post("/", &body).await.text(), "main");
    }
    // A tap that was waited for would have cost the reply's timeout, not milliseconds.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    assert_eq!(journey.target.seen().len(), 600);
}

#[tokio::test]
async fn a_replay_says_that_it_is_one() {
    let story = Waiting::with(&[ACK]).await;
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let id = story.take("x").await;
    let ledger = story.ledger();
    ledger.reads(&["delivered"]).await;
    let path = format!("/events/{id}/replay");
    story.relay.api().post(&path, &json!({})).await.unwrap();
    let seen = target.has_seen(2).await;
    assert_eq!([seen_as(&seen[0]), seen_as(&seen[1])], [(id.clone(), 1), (id, 1)]);
    let replay = |n: usize| seen[n].field("webhook-relay-replay");
    assert_eq!((replay(0), replay(1).as_deref()), (None, Some("1")));
    ledger.all(2, "delivered").await;
}

#[tokio::test]
async fn a_backlog_above_what_an_agent_wants_is_held_and_live_events_are_not() {
    let story = Waiting::with(&[("hold", "0ms")]).await;
    for n in 0..5 {
        story.take(format!("{n}")).await;
    }
    let cautious = Target::echo().await;
    let folder = &story.relay.data;
    let mut command = command(folder, &story.relay.url(), &story.token);
    command.args(["forward", &cautious.url(), "--endpoint", "story", "--max-backlog", "4"]);
    let mut program = Process::start(&mut command);
    let ready = program.event("ready").await;
    assert_eq!((ready["backlog"].as_u64(), ready["held"].as_bool()), (Some(5), Some(true)));
    assert_eq!(story.post("live").await.text(), "live");
    assert_eq!(bodies(&cautious.seen()), ["live"]);
    let ledger = story.ledger();
    ledger.reads(&["pending", "pending", "pending", "pending", "pending", "delivered"]).await;
    let eager = Target::echo().await;
    let _eager = agent(&story, &eager, |asks| asks.max_backlog = Some(5)).await;
    eager.has_seen(5).await;
    ledger.all(6, "delivered").await;
    assert_eq!(cautious.seen().len(), 1);
}

#[tokio::test]
async fn what_is_older_than_an_agent_wants_is_put_aside_unless_another_wants_it() {
    let story = Waiting::with(&[ACK]).await;
    story.take("old").await;
    let taken_at = Instant::now();
    until("it is old", async || taken_at.elapsed().as_millis() > 300).await;
    let target = Target::echo().await;
    let picky = agent(&story, &target, |asks| asks.skip_older_than_ms = Some(250)).await;
    let ledger = story.ledger();
    ledger.reads(&["expired"]).await;
    assert_eq!(ledger.only().code.as_deref(), Some("expired"));
    story.take("young").await;
    assert_eq!(bodies(&target.has_seen(1).await), ["young"]);
    picky.stop().await;
    story.take("old too").await;
    let taken_at = Instant::now();
    until("it is old", async || taken_at.elapsed().as_millis() > 300).await;
    // Who wants everything comes first: what the other would skip is not lost to it.
    let all = Target::echo().await;
    let one_at_a_time =
        relay_protocol::hello::Hello { max_streams: 1, ..hello("full", &["story"]) };
    let (mut line, _) = ByHand::live(story.relay.address, &story.token, one_at_a_time).await;
    let held = line.opened().await;
    story.take("waits for room").await;
    let taken_at = Instant::now();
    until("it is old", async || taken_at.elapsed().as_millis() > 300).await;
    let _picky = agent(&story, &all, |asks| asks.skip_older_than_ms = Some(250)).await;
    assert_eq!(bodies(&all.has_seen(1).await), ["waits for room"]);
    line.answer(held.stream, 200, "").await;
    ledger.reads(&["expired", "delivered", "delivered", "delivered"]).await;
}

#[tokio::test]
async fn the_order_of_arrival_is_the_order_of_a_backlog() {
    let story = Waiting::with(&[ACK, ("max_in_flight", "1")]).await;
    for n in 0..20 {
        story.take(format!("{n}")).await;
    }
    let target = Target::echo().await;
    let _agent = story.agent(&target).await;
    let expected: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(bodies(&target.has_seen(20).await), expected);
}

#[tokio::test]
async fn what_waits_for_a_group_that_is_removed_is_a_dead_letter_that_says_so() {
    let settings = [ACK, ("groups", "ci"), ("order", "endpoint"), ("retry", "10ms")];
    let mut story = Waiting::with(&settings).await;
    let (main, ci) = (Target::echo().await, Target::by_hand().await);
    let in_ci = |asks: &mut relay_protocol::hello::Subscription| asks.group = "ci".parse().unwrap();
    let _ci = agent(&story, &ci, in_ci).await;
    let ids = [story.take("1").await, story.take("2").await, story.take("3").await];
    let (_, mut under_way) = ci.asked().await;
    let set = async |story: &Waiting, groups: &str| {
        let change = json!({"settings": {"groups": groups}});
        story.relay.api().patch("/endpoints/story", &change).await.unwrap();
    };
    set(&story, "main").await;
    // What is under way goes on; it is not tried again.
    under_way.send(Written::answer(500).body("no").bytes()).await;
    let ledger = story.ledger();
    let removed = ["dead", "pending"].repeat(3);
    ledger.reads(&removed).await;
    for delivery in ledger.deliveries().iter().filter(|delivery| delivery.group == "ci") {
        assert_eq!(delivery.code.as_deref(), Some("group_removed"), "{delivery:?}");
        assert!(delivery.detail.as_deref().unwrap().contains("group ci"), "{delivery:?}");
    }
    story.relay.stop().await;
    story.relay.resume().await;
    let _main = story.agent(&main).await;
    assert_eq!(bodies(&main.has_seen(3).await), ["1", "2", "3"]);
    // A replay to every group that had it leaves out the one that is no more.
    let one = format!("/events/{}/replay", ids[0]);
    story.relay.api().post(&one, &json!({})).await.unwrap();
    main.has_seen(4).await;
    let groups: Vec<String> =
        ledger.deliveries().into_iter().filter(|d| d.replay > 0).map(|d| d.group).collect();
    assert_eq!(groups, ["main"]);
    // It is kept: once the group is back, it can have all of it.
    set(&story, "ci").await;
    let again = Target::echo().await;
    let _again = agent(&story, &again, in_ci).await;
    let wanted = json!({"filter": {"endpoint": "story", "group": "ci", "state": ["dead"]}});
    story.relay.api().post("/replays", &wanted).await.unwrap();
    assert_eq!(again.has_seen(3).await.len(), 3);
    ledger.adds_up();
}
