//! Lines break, freeze and come back; relays are killed and start again; agents notice and go on.

use std::time::{Duration, Instant};

use relay_client::notice::Notice;
use relay_tests::agent::{Agent, Wanted, command};
use relay_tests::folder::Folder;
use relay_tests::line::Line;
use relay_tests::process::Process;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::{is_slow, slow, soon, until};
use rustix::process::Signal;

/// Heartbeats a hundred times faster than by default.
const QUICK: [(&str, &str); 2] = [("heartbeat", "150ms"), ("dead_after", "400ms")];

/// What shortened heartbeats may take at most, on a busy machine.
const NOTICED_IN: Duration = Duration::from_secs(10);

struct World {
    relay: Relay,
    endpoint: Endpoint,
    network: Line,
    agent: Agent,
    _target: Target,
}

async fn world(settings: &[(&str, &str)], lines: u8) -> World {
    let relay = Relay::with(settings).await;
    let patient = [("hold", "20s"), ("reply_timeout", "25s"), ("fallback", "fail")];
    let endpoint = relay.endpoint_with("story", &patient).await;
    let token = relay.token(&["story"]).await;
    let network = Line::to(relay.address).await;
    let target = Target::echo().await;
    let mut wanted = Wanted::for_one(&network.url(), &token, "story", &target.url());
    wanted.lines = lines;
    let agent = Agent::start(&wanted).await;
    World { relay, endpoint, network, agent, _target: target }
}

impl World {
    async fn works(&self) {
        let answer = self.relay.provider(&self.endpoint).post("/", "well").await;
        assert_eq!(answer.text(), "well");
    }
}

fn disconnected(notice: &Notice) -> bool {
    matches!(notice, Notice::Disconnected { .. })
}

fn reconnected(notice: &Notice) -> bool {
    matches!(notice, Notice::Reconnected)
}

#[tokio::test]
async fn a_line_that_is_cut_is_opened_again() {
    let mut world = world(&[], 1).await;
    for _ in 0..3 {
        world.network.cut();
        world.agent.notice(disconnected).await;
        world.agent.notice(reconnected).await;
        world.works().await;
    }
}

#[tokio::test]
async fn an_agent_keeps_two_lines() {
    let world = world(&[], 2).await;
    world.network.has_connections(2).await;
    assert_eq!(world.relay.agents("story").await, 1, "they are one agent");
    world.works().await;
}

#[tokio::test]
async fn a_line_that_is_half_open_is_noticed_by_both_sides() {
    let mut world = world(&QUICK, 1).await;
    world.works().await;
    let started = Instant::now();
    world.network.freeze();
    until("the relay notices", async || world.relay.agents("story").await == 0).await;
    world.agent.notice(disconnected).await;
    assert!(started.elapsed() < NOTICED_IN, "{:?}", started.elapsed());
    world.network.cut();
    world.network.mend();
    world.agent.notice(reconnected).await;
    world.works().await;
}

#[tokio::test]
async fn a_quiet_line_is_asked_and_stays() {
    let world = world(&QUICK, 1).await;
    let started = Instant::now();
    until("many heartbeats pass", async || started.elapsed() > Duration::from_secs(2)).await;
    world.network.has_connections(1).await;
    assert_eq!(world.relay.agents("story").await, 1);
    world.works().await;
}

#[tokio::test]
async fn a_slow_line_is_no_dead_line() {
    let world = world(&[("heartbeat", "500ms"), ("dead_after", "2s")], 1).await;
    world.network.delay(Duration::from_millis(200));
    let large = vec![7; 1 << 20];
    let answer = world.relay.provider(&world.endpoint).post("/", &large).await;
    assert!(answer.body == large);
    world.network.has_connections(1).await;
}

/// The agent as a program, stopped in its tracks: how long until the relay notices?
async fn noticed_after_stop(settings: &[(&str, &str)]) -> Duration {
    let relay = Relay::with(settings).await;
    let endpoint = relay.endpoint_with("story", &[("hold", "20s"), ("reply_timeout", "25s")]).await;
    let token = relay.token(&["story"]).await;
    let (target, folder) = (Target::echo().await, Folder::fresh());
    let mut forward = command(&folder, &relay.url(), &token);
    let mut agent = Process::start(forward.arg("forward").arg(target.url()));
    agent.event("ready").await;
    assert_eq!(relay.agents("story").await, 1);
    let started = Instant::now();
    agent.signal(Signal::STOP);
    // As long as it takes: how long that is, is what is asked.
    while relay.agents("story").await > 0 {
        tokio::task::yield_now().await;
    }
    let noticed = started.elapsed();
    agent.signal(Signal::CONT);
    assert_eq!(relay.provider(&endpoint).post("/", "back").await.text(), "back");
    noticed
}

#[tokio::test]
async fn an_agent_that_is_stopped_in_its_tracks_is_noticed() {
    let noticed = noticed_after_stop(&QUICK).await;
    assert!(noticed < NOTICED_IN, "{noticed:?}");
}

#[tokio::test]
async fn an_agent_that_is_stopped_in_its_tracks_is_noticed_in_45_s_by_default() {
    if slow("an agent that is stopped in its tracks is noticed in 45 s by default") {
        let noticed = noticed_after_stop(&[]).await;
        assert!(noticed < Duration::from_secs(45), "{noticed:?}");
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_is_noticed_at_once() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let (target, folder) = (Target::echo().await, Folder::fresh());
    let mut forward = command(&folder, &relay.url(), &token);
    let mut agent = Process::start(forward.arg("forward").arg(target.url()));
    agent.event("ready").await;
    let started = Instant::now();
    agent.kill().await;
    until("the relay notices", async || relay.agents("story").await == 0).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn endpoints_tokens_and_agents_are_back_after_a_relay_was_killed() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("story", &[("hold", "20s"), ("reply_timeout", "25s")]).await;
    let token = relay.token(&["story"]).await;
    let target = Target::echo().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let mut agent = Agent::start(&wanted).await;
    for round in 0..3 {
        relay.process().kill().await;
        agent.notice(disconnected).await;
        relay.resume_program().await;
        let body = format!("round {round}");
        assert_eq!(relay.provider(&endpoint).post("/", &body).await.text(), body);
    }
}

#[tokio::test]
async fn an_agent_that_starts_before_its_relay_finds_it_later() {
    let mut relay = Relay::start().await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let target = Target::echo().await;
    relay.stop().await;
    let mut agent = Agent::begin(&Wanted::for_one(&relay.url(), &token, "story", &target.url()));
    agent.notice(disconnected).await;
    relay.resume().await;
    agent.notice(|notice| matches!(notice, Notice::Ready { .. })).await;
}

/// So many agents are back after a restart, and not all at once.
async fn herd(agents: usize) -> Duration {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint_with("story", &[("hold", "20s"), ("reply_timeout", "25s")]).await;
    let token = relay.token(&["story"]).await;
    let target = Target::echo().await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let herd: Vec<Agent> = (0..agents).map(|_| Agent::begin(&wanted)).collect();
    let all = async |relay: &Relay| {
        let started = Instant::now();
        while relay.agents("story").await < agents as u64 {
            assert!(started.elapsed() < Duration::from_secs(120), "the agents do not come");
            tokio::task::yield_now().await;
        }
        started.elapsed()
    };
    all(&relay).await;
    relay.process().kill().await;
    relay.resume_program().await;
    let took = all(&relay).await;
    assert_eq!(relay.provider(&endpoint).post("/", "well").await.text(), "well");
    drop(herd);
    took
}

#[tokio::test]
async fn all_agents_are_back_after_a_restart() {
    let many = if is_slow() { 5000 } else { 100 };
    let took = herd(many).await;
    assert!(took < Duration::from_secs(60), "{many} agents took {took:?}");
}

#[tokio::test]
async fn a_target_on_ipv6_and_a_relay_on_ipv6_are_reached() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped, there is no IPv6 here");
        return;
    };
    let there = listener.local_addr().unwrap();
    let relay = Relay::with(&[("listen", "[::1]:0")]).await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let url = format!("http://{there}");
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &url)).await;
    let asked = tokio::spawn({
        let mut provider = relay.provider(&endpoint);
        async move { provider.post("/", "six").await }
    });
    let (socket, _) = soon("the target is connected to", listener.accept()).await.unwrap();
    let mut target = relay_tests::raw::Connection::of(socket);
    let request = target.request().await.unwrap();
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("::1"));
    target.send(relay_tests::raw::Written::answer(200).body("six").bytes()).await;
    assert_eq!(asked.await.unwrap().text(), "six");
}

#[tokio::test]
async fn a_name_with_an_address_that_is_dead_is_reached_by_the_other() {
    // `localhost` has ::1 and 127.0.0.1; the target listens on one of them only.
    let target = Target::echo().await;
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let url = format!("http://localhost:{}", target.address().port());
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &url)).await;
    assert_eq!(relay.provider(&endpoint).post("/", "found").await.text(), "found");
}
