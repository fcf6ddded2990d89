//! Leaving in order: what is under way is answered, nothing new is begun, and nobody waits for ever.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use relay_tests::agent::{Agent, Wanted, command};
use relay_tests::folder::Folder;
use relay_tests::process::Process;
use relay_tests::provider::Provider;
use relay_tests::raw::{Connection, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How many requests are under way when the signal comes.
const UNDER_WAY: usize = 25;

/// A relay as a program, with requests that its target has not answered yet.
struct Busy {
    relay: Relay,
    _agent: Agent,
    under_way: Vec<(Connection, Connection)>,
}

async fn busy() -> Busy {
    let relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("story", &[("reply_timeout", "30s")]).await;
    let token = relay.token(&["story"]).await;
    let target = Target::by_hand().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let agent = Agent::start(&wanted).await;
    let provider = relay.provider(&endpoint);
    let mut under_way = Vec::new();
    for _ in 0..UNDER_WAY {
        let caller = provider.begin(&provider.request("POST", "/").body("x")).await;
        under_way.push((caller, target.asked().await.1));
    }
    Busy { relay, _agent: agent, under_way }
}

#[tokio::test]
async fn a_relay_that_is_asked_to_stop_answers_all_that_is_under_way() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut busy = busy().await;
        let address = busy.relay.address;
        busy.relay.process().signal(signal);
        until("nothing new is taken", async || TcpStream::connect(address).await.is_err()).await;
        for (caller, target) in &mut busy.under_way {
            target.send(Written::answer(200).body("done").bytes()).await;
            assert_eq!(caller.answer_to("POST").await.text(), "done");
        }
        assert!(busy.relay.process().ended().await.success());
    }
}

/// How many senders come with a new connection for each request.
const SENDERS: usize = 16;

/// How many requests they have had answered before the signal comes.
const BEFORE: usize = 400;

#[tokio::test]
async fn whoever_has_connected_before_the_door_closes_is_answered() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let target = Target::echo().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let _agent = Agent::start(&wanted).await;
    // Connected, and nothing said yet: the request is still on its way when the signal comes.
    let mut late = Connection::to(relay.address).await;
    let (address, answered) = (relay.address, Arc::new(AtomicUsize::new(0)));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (provider, answered) = (relay.provider(&endpoint), Arc::clone(&answered));
        senders.spawn(async move {
            let request = provider.request("POST", "/").body("x");
            loop {
                let socket = match TcpStream::connect(address).await {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                    socket => socket.expect("connected or refused"),
                };
                let mut connection = Connection::of(socket);
                connection.send(request.bytes()).await;
                let answer = connection.try_answer_to("POST").await;
                let status = answer.expect("a connection is answered on").status();
                assert!(matches!(status, 200 | 202), "{status}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    until("they are under way", async || answered.load(Ordering::Relaxed) >= BEFORE).await;
    relay.process().signal(Signal::TERM);
    until("it drains", async || relay.process().said().contains("the relay shuts down")).await;
    late.send(relay.provider(&endpoint).request("POST", "/").body("late").bytes()).await;
    assert!(matches!(late.answer_to("POST").await.status(), 200 | 202));
    soon("all are refused in the end", senders.join_all()).await;
    assert!(relay.process().ended().await.success());
}

#[tokio::test]
async fn a_second_signal_stops_the_relay_at_once() {
    let mut busy = busy().await;
    let address = busy.relay.address;
    let started = Instant::now();
    busy.relay.process().signal(Signal::TERM);
    until("nothing new is taken", async || TcpStream::connect(address).await.is_err()).await;
    busy.relay.process().signal(Signal::TERM);
    busy.relay.process().ended().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let mut relay = Relay::program(&[("drain_timeout", "1s")]).await;
    let endpoint = relay.endpoint_with("story", &[("reply_timeout", "60s")]).await;
    let token = relay.token(&["story"]).await;
    let target = Target::by_hand().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let _agent = Agent::start(&wanted).await;
    let provider = relay.provider(&endpoint);
    let mut caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let _never_answered = target.asked().await;
    let started = Instant::now();
    relay.process().signal(Signal::TERM);
    assert!(relay.process().ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    caller.ended().await;
}

#[tokio::test]
async fn kept_connections_are_closed_and_not_waited_for() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("story", &[("hold", "0ms"), ("fallback", "fail")]).await;
    let mut kept = relay.provider(&endpoint).keeping();
    assert_eq!(kept.post("/", "x").await.status(), 503);
    let mut idle = Connection::to(relay.address).await;
    let started = Instant::now();
    relay.process().signal(Signal::TERM);
    assert!(relay.process().ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    idle.ended().await;
}

#[tokio::test]
async fn the_relay_says_whether_it_is_alive_and_ready() {
    let relay = Relay::start().await;
    let well = Provider::of(relay.address, "/healthz").get("").await;
    assert_eq!((well.status(), &well.json()["status"]), (200, &"ok".into()));
    let ready = Provider::of(relay.address, "/readyz").get("").await;
    assert_eq!((ready.status(), &ready.json()["status"]), (200, &"ready".into()));
}

#[tokio::test]
async fn an_agent_that_is_asked_to_stop_finishes_what_it_has() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let (target, folder) = (Target::by_hand().await, Folder::fresh());
    let mut forward = command(&folder, &relay.url(), &token);
    let mut agent = Process::start(forward.arg("forward").arg(target.url()));
    agent.event("ready").await;
    let provider = relay.provider(&endpoint);
    let mut caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let (_, mut asked) = target.asked().await;
    agent.signal(Signal::TERM);
    agent.event("draining").await;
    asked.send(Written::answer(200).body("finished").bytes()).await;
    assert_eq!(caller.answer_to("POST").await.text(), "finished");
    assert!(agent.ended().await.success(), "{}", agent.said());
    until("the agent has left", async || relay.agents("story").await == 0).await;
}

#[tokio::test]
async fn an_agent_whose_words_nobody_reads_ends_all_the_same() {
    /// Together more than a pipe holds and its reader has taken.
    const DELIVERIES: usize = 100;
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let (target, folder) = (Target::echo().await, Folder::fresh());
    let mut forward = command(&folder, &relay.url(), &relay.token(&["story"]).await);
    let mut agent = Process::start(forward.arg("forward").arg(target.url()));
    agent.event("ready").await;
    let path = format!("/{}", "long".repeat(1000));
    for _ in 0..DELIVERIES {
        assert_eq!(relay.provider(&endpoint).post(&path, "x").await.status(), 200);
    }
    agent.signal(Signal::TERM);
    assert!(agent.ends_within(Duration::from_secs(10)).await, "{}", agent.said());
}
