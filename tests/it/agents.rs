//! Several agents, agents that come and go, and the same one come back.

use std::collections::HashMap;

use relay_client::notice::Notice;
use relay_protocol::frame::{Both, GoAway, Refuse, ToAgent, ToRelay};
use relay_protocol::id::StreamId;
use relay_protocol::reason::{Leaving, Refusal, close};
use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::line::Line;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};
use relay_tests::wire::{ByHand, hello};
use tokio::task::JoinHandle;

async fn relay() -> (Relay, Endpoint, String) {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail")]).await;
    let token = relay.token(&["story"]).await;
    (relay, endpoint, token)
}

fn post(relay: &Relay, endpoint: &Endpoint) -> JoinHandle<Message> {
    let mut provider = relay.provider(endpoint);
    tokio::spawn(async move { provider.post("/", "x").await })
}

async fn refuse(line: &mut ByHand, stream: StreamId, reason: Refusal) {
    line.send(ToRelay::Refuse(Refuse { stream, reason, detail: "by hand".into() })).await;
}

#[tokio::test]
async fn work_is_balanced_over_agents() {
    let (relay, endpoint, token) = relay().await;
    let (mut one, _) = ByHand::live(relay.address, &token, hello("one", &["story"])).await;
    let (mut two, _) = ByHand::live(relay.address, &token, hello("two", &["story"])).await;
    let asked: Vec<_> = (0..20).map(|_| post(&relay, &endpoint)).collect();
    // All of them before any is answered: whoever answers first would get more.
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        ones.push(one.opened().await.stream);
        twos.push(two.opened().await.stream);
    }
    for (first, second) in ones.into_iter().zip(twos) {
        one.answer(first, 200, "one").await;
        two.answer(second, 200, "two").await;
    }
    let mut answers = HashMap::<String, u32>::new();
    for answer in asked {
        *answers.entry(answer.await.unwrap().text()).or_default() += 1;
    }
    assert_eq!(answers, HashMap::from([("one".into(), 10), ("two".into(), 10)]));
}

#[tokio::test]
async fn what_one_agent_refuses_before_dispatch_another_gets() {
    for reason in [Refusal::Overloaded, Refusal::Draining, Refusal::TargetRefused] {
        let (relay, endpoint, token) = relay().await;
        let (mut refusing, _) = ByHand::live(relay.address, &token, hello("one", &["story"])).await;
        let asked = post(&relay, &endpoint);
        let first = refusing.opened().await;
        let (mut other, _) = ByHand::live(relay.address, &token, hello("two", &["story"])).await;
        refuse(&mut refusing, first.stream, reason).await;
        let second = other.opened().await;
        assert_eq!(second.request.event, first.request.event);
        assert_eq!(second.body, first.body);
        other.answer(second.stream, 200, "taken").await;
        assert_eq!(asked.await.unwrap().text(), "taken");
    }
}

#[tokio::test]
async fn what_was_dispatched_is_never_given_to_another() {
    let (relay, endpoint, token) = relay().await;
    let (mut one, _) = ByHand::live(relay.address, &token, hello("one", &["story"])).await;
    let asked = post(&relay, &endpoint);
    one.opened().await;
    let (mut other, _) = ByHand::live(relay.address, &token, hello("two", &["story"])).await;
    drop(one);
    let answer = asked.await.unwrap();
    assert_eq!(answer.json()["code"], "link_lost");
    let next = post(&relay, &endpoint);
    let opened = other.opened().await;
    assert_ne!(answer.json()["request_id"], opened.request.event.to_string());
    other.answer(opened.stream, 200, "next").await;
    assert_eq!(next.await.unwrap().text(), "next");
}

#[tokio::test]
async fn a_request_that_crosses_a_goodbye_is_tried_elsewhere() {
    let (relay, endpoint, token) = relay().await;
    let (mut leaving, _) = ByHand::live(relay.address, &token, hello("one", &["story"])).await;
    let asked = post(&relay, &endpoint);
    let crossed = leaving.opened().await;
    let (mut other, _) = ByHand::live(relay.address, &token, hello("two", &["story"])).await;
    let goodbye = GoAway {
        reason: Leaving::Shutdown,
        deadline_ms: 1000,
        reconnect_after_ms: 0,
        detail: String::new(),
    };
    leaving.send(ToRelay::Both(Both::GoAway(goodbye))).await;
    refuse(&mut leaving, crossed.stream, Refusal::Draining).await;
    let again = other.opened().await;
    assert_eq!(again.request.event, crossed.request.event);
    other.answer(again.stream, 200, "here").await;
    assert_eq!(asked.await.unwrap().text(), "here");
    for _ in 0..5 {
        let next = post(&relay, &endpoint);
        let opened = other.opened().await;
        other.answer(opened.stream, 200, "next").await;
        assert_eq!(next.await.unwrap().text(), "next");
    }
}

#[tokio::test]
async fn the_same_instance_replaces_its_older_line() {
    let (relay, endpoint, token) = relay().await;
    let (mut old, _) = ByHand::live(relay.address, &token, hello("same", &["story"])).await;
    let (mut new, _) = ByHand::live(relay.address, &token, hello("same", &["story"])).await;
    assert_eq!(old.closed().await, close::REPLACED);
    assert_eq!(relay.agents("story").await, 1);
    let asked = post(&relay, &endpoint);
    let opened = new.opened().await;
    new.answer(opened.stream, 200, "new").await;
    assert_eq!(asked.await.unwrap().text(), "new");
}

#[tokio::test]
async fn the_late_cleanup_of_an_old_line_does_not_drop_the_new_one() {
    let (relay, endpoint, token) = relay().await;
    let network = Line::to(relay.address).await;
    let (old, _) = ByHand::live(network.address(), &token, hello("same", &["story"])).await;
    // The relay cannot know that this line is dead: nothing is heard of it, and its goodbye gets nowhere.
    network.freeze();
    let (mut new, _) = ByHand::live(relay.address, &token, hello("same", &["story"])).await;
    drop(old);
    network.cut();
    for round in ["first", "second", "third"] {
        let asked = post(&relay, &endpoint);
        let opened = new.opened().await;
        new.answer(opened.stream, 200, round).await;
        assert_eq!(asked.await.unwrap().text(), round);
        assert_eq!(relay.agents("story").await, 1);
    }
}

#[tokio::test]
async fn a_request_is_held_for_an_agent_that_is_just_reconnecting() {
    let relay = Relay::start().await;
    let settings = [("fallback", "fail"), ("hold", "25s"), ("reply_timeout", "25s")];
    let endpoint = relay.endpoint_with("story", &settings).await;
    let token = relay.token(&["story"]).await;
    let network = Line::to(relay.address).await;
    let target = Target::echo().await;
    let wanted = Wanted::for_one(&network.url(), &token, "story", &target.url());
    let _agent = Agent::start(&wanted).await;
    network.sever();
    until("the agent is away", async || relay.agents("story").await == 0).await;
    let asked = post(&relay, &endpoint);
    network.mend();
    assert_eq!(asked.await.unwrap().text(), "x");
}

#[tokio::test]
async fn nobody_is_held_for_longer_than_the_hold() {
    let relay = Relay::start().await;
    let settings = [("fallback", "fail"), ("hold", "100ms"), ("reply_timeout", "20s")];
    let endpoint = relay.endpoint_with("story", &settings).await;
    let started = std::time::Instant::now();
    let answer = relay.provider(&endpoint).post("/", "x").await;
    assert_eq!(answer.json()["code"], "agent_offline");
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn an_agent_that_stops_finishes_what_it_has_and_takes_no_more() {
    let journey = Journey::to(Target::by_hand().await).await;
    let other = Target::echo().await;
    let through = journey.through();
    let mut caller = through.begin(&through.request("POST", "/").body("first")).await;
    let (_, mut asked) = journey.target.asked().await;
    let _another = journey.another_agent(&other).await;
    journey.agent.ask_to_stop();
    let told = async |relay: &Relay| {
        let answer = relay.provider(&journey.endpoint).post("/", "next").await;
        answer.text() == "next"
    };
    for _ in 0..10 {
        assert!(told(&journey.relay).await, "the one that stays answers");
    }
    asked.send(Written::answer(200).body("finished").bytes()).await;
    assert_eq!(caller.answer_to("POST").await.text(), "finished");
    journey.agent.stop().await;
}

#[tokio::test]
async fn several_endpoints_of_one_agent_go_to_their_own_targets() {
    let relay = Relay::start().await;
    let token = relay.token(&[]).await;
    let (left, right) =
        (Target::answering(200, "left").await, Target::answering(200, "right").await);
    let mut wanted = Wanted::for_one(&relay.url(), &token, "left", &left.url());
    wanted.routes.push(("right".into(), right.url()));
    let endpoints = [relay.endpoint("left").await, relay.endpoint("right").await];
    let _agent = Agent::start(&wanted).await;
    for (endpoint, expected) in endpoints.iter().zip(["left", "right"]) {
        assert_eq!(relay.provider(endpoint).get("/").await.text(), expected);
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_knows_ends_the_line() {
    let (relay, ..) = relay().await;
    let all = relay.token(&[]).await;
    let mut line = ByHand::connect(relay.address, &all).await.unwrap();
    line.send(ToRelay::Hello(hello("one", &["story", "nothing"]))).await;
    assert_eq!(line.closed().await, close::UNKNOWN_ENDPOINT);
    assert_eq!(relay.agents("story").await, 0);
}

#[tokio::test]
async fn a_caller_who_hangs_up_resets_the_stream_at_the_agent() {
    let (relay, endpoint, token) = relay().await;
    let (mut line, _) = ByHand::live(relay.address, &token, hello("one", &["story"])).await;
    let provider = relay.provider(&endpoint);
    let caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let stream = line.opened().await.stream;
    caller.reset();
    match line.next().await {
        Ok(ToAgent::Both(Both::Reset(reset))) => assert_eq!(reset.stream, stream),
        other => panic!("no RESET: {other:?}"),
    }
}

#[tokio::test]
async fn a_target_gets_the_host_that_the_provider_used_only_if_that_is_wished() {
    let (relay, endpoint, token) = relay().await;
    for preserve_host in [false, true] {
        let target = Target::answering(200, "fine").await;
        let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
        let agent = Agent::start(&Wanted { preserve_host, ..wanted }).await;
        let mut provider = relay.provider(&endpoint).for_host("hooks.example:8443");
        assert_eq!(provider.post("/", "x").await.status(), 200);
        let host =
            if preserve_host { "hooks.example:8443".into() } else { target.address().to_string() };
        assert_eq!(target.only().field("host"), Some(host));
        agent.stop().await;
        until("it has left", async || relay.agents("story").await == 0).await;
    }
}

#[tokio::test]
async fn one_request_after_the_other_takes_one_connection_to_the_target() {
    let (relay, endpoint, token) = relay().await;
    let target = Target::by_hand().await;
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &target.url())).await;
    let provider = relay.provider(&endpoint);
    let ask = async || provider.begin(&provider.request("POST", "/").body("x")).await;
    let mut caller = ask().await;
    let (_, mut connection) = target.asked().await;
    for _ in 0..3 {
        connection.send(Written::answer(200).body("fine").bytes()).await;
        assert_eq!(caller.answer_to("POST").await.text(), "fine");
        caller = ask().await;
        soon("the same connection is asked", connection.request()).await.expect("a request");
    }
}

#[tokio::test]
async fn an_agent_that_is_turned_away_comes_back_when_it_is_told_to() {
    let busy = |after: &str| Written::answer(503).field("Retry-After", after).body("");
    let cases = [
        (busy("7"), 7.0..7.25),
        (Written::answer(503).body(""), 0.0..0.25),
        // Only a person can mend that.
        (Written::answer(401).body(""), 30.0..60.0),
    ];
    for (answer, expected) in cases {
        let relay = Target::scripted(move |_| answer.bytes()).await;
        let mut agent = Agent::begin(&Wanted::for_one(&relay.url(), "wr_a_b", "story", "http://x"));
        let gone = agent.notice(|notice| matches!(notice, Notice::Disconnected { .. })).await;
        let Notice::Disconnected { why, retry_in } = gone else { unreachable!() };
        assert!(expected.contains(&retry_in.as_secs_f64()), "{why}: {retry_in:?}");
    }
}
