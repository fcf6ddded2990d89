//! Who may do what, and what happens to those who may not, or may no longer.

use relay_protocol::frame::ToRelay;
use relay_protocol::reason::close;
use relay_tests::agent::{Agent, Wanted, command};
use relay_tests::folder::Folder;
use relay_tests::journey::Journey;
use relay_tests::process::Process;
use relay_tests::provider::Provider;
use relay_tests::raw::{Connection, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wire::{ByHand, hello};
use serde_json::{Value, json};

fn id(token: &str) -> &str {
    token.split('_').nth(1).unwrap()
}

#[tokio::test]
async fn a_wrong_token_is_refused_before_the_upgrade() {
    let relay = Relay::start().await;
    let good = relay.token(&[]).await;
    for bad in ["", "wr_x_y", &good[..good.len() - 1], "nonsense"] {
        assert_eq!(ByHand::connect(relay.address, bad).await.err(), Some(401), "{bad}");
    }
    let mut plain = Connection::to(relay.address).await;
    let upgrade = Written::request("GET", "/agent/v1/connect").field("Host", "a");
    plain.send(upgrade.bytes()).await;
    let answer = plain.answer_to("GET").await;
    super::errors::assert_problem(&answer, "unauthorized", 401, "no");
}

#[tokio::test]
async fn a_token_opens_its_own_endpoints_only() {
    let relay = Relay::start().await;
    relay.endpoint("mine").await;
    relay.endpoint("yours").await;
    let token = relay.token(&["mine"]).await;
    let mut line = ByHand::connect(relay.address, &token).await.unwrap();
    line.send(ToRelay::Hello(hello("one", &["mine", "yours"]))).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
    let seen = relay.api_with(&token).get("/endpoints").await.unwrap();
    let names: Vec<&Value> = seen.as_array().unwrap().iter().map(|e| &e["name"]).collect();
    assert_eq!(names, ["mine"]);
    assert!(relay.api_with(&token).get("/tokens").await.is_err());
    assert!(relay.api_with(&token).post("/endpoints", &json!({"name": "x"})).await.is_err());
    assert!(relay.api_with(&token).delete("/endpoints/mine").await.is_err());
}

#[tokio::test]
async fn a_token_without_the_scope_listen_serves_nothing() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let made = relay.make_token(&json!({"scopes": ["read"]})).await;
    let mut line = ByHand::connect(relay.address, made["token"].as_str().unwrap()).await.unwrap();
    line.send(ToRelay::Hello(hello("one", &["story"]))).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_that_expires_closes_its_line() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let made = relay.make_token(&json!({"expires": "300ms"})).await;
    let token = made["token"].as_str().unwrap();
    let (mut line, welcome) = ByHand::live(relay.address, token, hello("one", &["story"])).await;
    assert!(welcome.token_expires_in_ms.unwrap() <= 300);
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
    assert_eq!(ByHand::connect(relay.address, token).await.err(), Some(401));
}

#[tokio::test]
async fn ten_thousand_wrong_tokens_are_slowed_open_nothing_and_lock_nobody_out() {
    let mut relay = Relay::program(&[("trusted_proxies", "127.0.0.1")]).await;
    let token = relay.token(&[]).await;
    let asks = |from: &str, token: &str| {
        let request = Written::request("GET", "/api/v1/tokens").field("Host", "relay");
        request.field("X-Forwarded-For", from).field("Authorization", format!("Bearer {token}"))
    };
    // Of IPv6, a customer has a whole network of addresses.
    let guess = |n: u32| {
        asks(&format!("2001:db8:1:2::{n:x}"), &format!("wr_{}_{n:043}", id(&token))).bytes()
    };
    let (mut told, mut guesser) = ([0, 0], Connection::to(relay.address).await);
    for batch in 0..100 {
        guesser.send((0..100).flat_map(|n| guess(batch * 100 + n)).collect::<Vec<_>>()).await;
        for _ in 0..100 {
            let answer = guesser.answer_to("GET").await;
            let slowed = answer.status() == 429;
            let (code, status) = if slowed { ("rate_limited", 429) } else { ("unauthorized", 401) };
            super::errors::assert_problem(&answer, code, status, "no");
            told[usize::from(slowed)] += 1;
        }
    }
    assert!(told[0] < 100 && told[1] > 9900, "{told:?}");
    // Whoever is right is let in at any time, from the same address as well; and no other address is meant.
    for (from, token, status) in [
        ("2001:db8:1:2::1", relay.admin.as_str(), 200),
        ("2001:db8:1:2::2", "wr_x_y", 429),
        ("2001:db8:1:3::1", "wr_x_y", 401),
    ] {
        guesser.send(asks(from, token).bytes()).await;
        assert_eq!(guesser.answer_to("GET").await.status(), status, "{from}");
    }
    let said = relay.process().said();
    assert!(!said.contains(&"0".repeat(30)) && said.lines().count() < 100, "{said}");
}

#[tokio::test]
async fn agents_with_wrong_tokens_are_slowed_as_well() {
    let journey = Journey::to(Target::echo().await).await;
    let mut refusals = Vec::new();
    for round in 0..100 {
        let bad = format!("wr_{}_{round:043}", id(&journey.token));
        refusals.extend(ByHand::connect(journey.relay.address, &bad).await.err());
    }
    assert_eq!(refusals[..20], [401; 20]);
    assert!(refusals.len() == 100 && refusals.ends_with(&[429]), "{refusals:?}");
    assert!(ByHand::connect(journey.relay.address, &journey.token).await.is_ok());
    assert_eq!(journey.through().post("/", "well").await.text(), "well");
}

#[tokio::test]
async fn an_agent_with_a_wrong_token_says_so_and_goes_on_trying() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let target = Target::echo().await;
    let wanted = Wanted::for_one(&relay.url(), "wr_no_token", "story", &target.url());
    let mut agent = Agent::begin(&wanted);
    let notice = agent
        .notice(|notice| matches!(notice, relay_client::notice::Notice::Disconnected { .. }))
        .await;
    let relay_client::notice::Notice::Disconnected { why, retry_in } = notice else {
        unreachable!()
    };
    assert!(why.contains("401") && retry_in.as_secs() >= 30, "{why} {retry_in:?}");
    drop(endpoint);
}

#[tokio::test]
async fn the_api_tells_strangers_nothing() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    for path in ["/api/v1/endpoints", "/api/v1/endpoints/story", "/api/v1/tokens"] {
        let answer = Provider::of(relay.address, path).get("").await;
        super::errors::assert_problem(&answer, "unauthorized", 401, "no");
    }
}

#[tokio::test]
async fn secrets_are_in_no_log_and_in_no_argument() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let (target, folder) = (Target::echo().await, Folder::fresh());
    let mut forward = command(&folder, &relay.url(), &token);
    forward.arg("forward").arg(target.url()).args(["--endpoint", "story"]);
    let mut agent = Process::start(forward.env("RELAY_LOG", "trace"));
    agent.event("ready").await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.text(), "x");
    assert_eq!(ByHand::connect(relay.address, &format!("{token}x")).await.err(), Some(401));
    let arguments = |id: u32| std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
    let mut told = [arguments(relay.process().id()), arguments(agent.id())].concat();
    relay.stop().await;
    agent.event("disconnected").await;
    told.extend(agent.said().into_bytes());
    let told = String::from_utf8_lossy(&told).into_owned();
    for token in [&token, &relay.admin] {
        let secret = token.rsplit('_').next().unwrap();
        assert!(!told.contains(secret), "{told}");
    }
}

/// Every byte in a folder.
fn bytes_below(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => all.extend(bytes_below(&entry.path())),
            false => all.extend(std::fs::read(entry.path()).unwrap()),
        }
    }
    all
}

#[tokio::test]
async fn a_stolen_store_opens_no_door_but_holds_what_was_kept_of_events() {
    let mut relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("reply", "ack")]).await;
    let first = relay.make_token(&json!({"name": "thief's"})).await;
    let path = format!("/tokens/{}/rotate", first["id"].as_str().unwrap());
    let second = relay.api().post(&path, &json!({})).await.unwrap();
    assert_eq!(relay.provider(&endpoint).post("/", "what was in the event").await.status(), 202);
    relay.stop().await;
    let stolen = bytes_below(relay.data.path());
    let holds = |text: &str| stolen.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    for token in [&first["token"], &second["token"], &json!(relay.admin)] {
        let secret = token.as_str().unwrap().rsplit('_').next().unwrap();
        assert!(!holds(secret), "a token's secret is in the store");
    }
    assert!(holds("thief's"));
    // Nothing hides these: whoever has the store has them, and the URLs of endpoints.
    assert!(holds("what was in the event") && holds(&endpoint.key));
}
