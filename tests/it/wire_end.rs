//! When a line ends because what it stands on does: its token is revoked or expires, its endpoint is deleted.

use std::time::{Duration, Instant};

use relay_protocol::frame::{Both, Open, ToAgent, ToRelay};
use relay_protocol::reason::close;
use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::raw::{Connection, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::{soon, until};
use relay_tests::wire::{ByHand, hello};
use serde_json::json;

/// A token for these endpoints: its text and its id.
async fn token(relay: &Relay, endpoints: &[&str]) -> (String, String) {
    let made = relay.make_token(&json!({"endpoints": endpoints})).await;
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("token"), text("id"))
}

/// A stream of events under this token.
async fn stream(relay: &Relay, token: &str) -> Connection {
    let mut stream = Connection::to(relay.address).await;
    let request = Written::request("GET", "/api/v1/events/stream").field("Host", "relay");
    stream.send(request.field("Authorization", format!("Bearer {token}")).bytes()).await;
    assert_eq!(stream.head().await.unwrap().status(), 200);
    stream
}

/// Waits for the end of a stream of events.
async fn over(stream: &mut Connection) {
    soon("the stream ends", async { while stream.chunk().await.unwrap().is_some() {} }).await;
}

#[tokio::test]
async fn a_revoked_token_ends_everything_that_is_open_under_it_within_a_second() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let wanted = json!({"endpoints": ["story"], "scopes": ["listen", "read"]});
    let made = relay.make_token(&wanted).await;
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let mut lines = Vec::new();
    for n in 0..50 {
        let instance = format!("agent-{n}");
        lines.push(ByHand::live(relay.address, token, hello(&instance, &["story"])).await.0);
    }
    lines.push(ByHand::connect(relay.address, token).await.expect("one that says no HELLO"));
    // One is in the midst of its work.
    let provider = relay.provider(&endpoint);
    let _caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let mut stream = stream(&relay, token).await;
    let began = Instant::now();
    relay.api().delete(&format!("/tokens/{id}")).await.unwrap();
    for mut line in lines {
        assert_eq!(line.closed().await, close::NOT_ALLOWED);
    }
    over(&mut stream).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(relay.agents("story").await, 0);
}

#[tokio::test]
async fn a_token_that_expires_ends_what_is_open_under_it_at_its_time() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let wanted = json!({"endpoints": ["story"], "scopes": ["listen", "read"], "expires": "1500ms"});
    let (began, made) = (Instant::now(), relay.make_token(&wanted).await);
    let token = made["token"].as_str().unwrap();
    let (mut line, _) = ByHand::live(relay.address, token, hello("one", &["story"])).await;
    let mut stream = stream(&relay, token).await;
    assert!(line.is_live().await);
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
    over(&mut stream).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(1400)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_deleted_endpoint_ends_the_lines_that_serve_nothing_else() {
    let relay = Relay::start().await;
    relay.endpoint("gone").await;
    let kept = relay.endpoint("kept").await;
    let (token, _) = token(&relay, &["gone", "kept"]).await;
    let (mut one, _) = ByHand::live(relay.address, &token, hello("one", &["gone"])).await;
    let (mut both, _) = ByHand::live(relay.address, &token, hello("both", &["gone", "kept"])).await;
    relay.api().delete("/endpoints/gone").await.unwrap();
    assert_eq!(one.closed().await, close::UNKNOWN_ENDPOINT);
    assert!(both.is_live().await);
    let provider = relay.provider(&kept);
    let mut caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let open = both.opened().await;
    both.answer(open.stream, 200, "still here").await;
    assert_eq!(caller.answer_to("POST").await.text(), "still here");
    relay.api().delete("/endpoints/kept").await.unwrap();
    assert_eq!(both.closed().await, close::UNKNOWN_ENDPOINT);
}

#[tokio::test]
async fn who_renews_still_needs_a_token_for_what_is_left() {
    let relay = Relay::start().await;
    for name in ["gone", "kept", "other"] {
        relay.endpoint(name).await;
    }
    let (old, old_id) = token(&relay, &["gone", "kept"]).await;
    let (other, _) = token(&relay, &["other"]).await;
    let (mut line, _) = ByHand::live(relay.address, &old, hello("one", &["gone", "kept"])).await;
    relay.api().delete("/endpoints/gone").await.unwrap();
    line.send(ToRelay::Renew(other)).await;
    assert!(line.is_live().await);
    relay.api().delete(&format!("/tokens/{old_id}")).await.unwrap();
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
}

#[tokio::test]
async fn an_agent_of_several_endpoints_serves_one_that_was_deleted_and_made_again() {
    let relay = Relay::start().await;
    let kept = relay.endpoint("kept").await;
    relay.endpoint("again").await;
    let token = relay.token(&["kept", "again"]).await;
    let target = Target::echo().await;
    let mut wanted = Wanted::for_one(&relay.url(), &token, "kept", &target.url());
    wanted.routes.push(("again".into(), target.url()));
    let _agent = Agent::start(&wanted).await;
    relay.api().delete("/endpoints/again").await.unwrap();
    assert_eq!(relay.provider(&kept).post("/", "kept").await.text(), "kept");
    let again = relay.endpoint("again").await;
    until("it is served", async || relay.agents("again").await == 1).await;
    assert_eq!(relay.provider(&again).post("/", "again").await.text(), "again");
    assert_eq!(relay.provider(&kept).post("/", "kept").await.text(), "kept");
}

#[tokio::test]
async fn what_is_under_way_when_an_endpoint_is_made_again_ends_on_the_old_line() {
    let relay = Relay::start().await;
    let kept = relay.endpoint("kept").await;
    relay.endpoint("again").await;
    let token = relay.token(&["kept", "again"]).await;
    let (slow, target) = (Target::by_hand().await, Target::echo().await);
    let mut wanted = Wanted::for_one(&relay.url(), &token, "kept", &slow.url());
    wanted.routes.push(("again".into(), target.url()));
    let _agent = Agent::start(&wanted).await;
    let provider = relay.provider(&kept);
    let mut caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let (_, mut asked) = slow.asked().await;
    relay.api().delete("/endpoints/again").await.unwrap();
    let again = relay.endpoint("again").await;
    until("it is served", async || relay.agents("again").await == 1).await;
    assert_eq!(relay.provider(&again).post("/", "again").await.text(), "again");
    asked.send(Written::answer(200).body("done").bytes()).await;
    assert_eq!(caller.answer_to("POST").await.text(), "done");
}

/// A line by hand that serves "kept" and was asked to come again, and what is under way on it.
async fn asked_to_come_again(relay: &Relay) -> (ByHand, Connection, Open) {
    let kept = relay.endpoint("kept").await;
    relay.endpoint("again").await;
    let token = relay.token(&["kept", "again"]).await;
    let hello = hello("one", &["kept", "again"]);
    let (mut line, _) = ByHand::live(relay.address, &token, hello).await;
    let provider = relay.provider(&kept);
    let caller = provider.begin(&provider.request("POST", "/").body("x")).await;
    let open = line.opened().await;
    relay.api().delete("/endpoints/again").await.unwrap();
    relay.endpoint("again").await;
    loop {
        if let ToAgent::Both(Both::GoAway(_)) = line.next().await.expect("the line lives") {
            return (line, caller, open);
        }
    }
}

#[tokio::test]
async fn a_line_that_is_to_come_again_is_closed_when_nothing_is_under_way() {
    let relay = Relay::start().await;
    let (mut line, mut caller, open) = asked_to_come_again(&relay).await;
    assert!(line.is_live().await);
    line.answer(open.stream, 200, "done").await;
    assert_eq!(caller.answer_to("POST").await.text(), "done");
    assert_eq!(line.closed().await, close::GOING_AWAY);
}

#[tokio::test]
async fn a_deleted_endpoint_is_not_served_under_its_old_url_nor_by_its_old_agents() {
    let journey = Journey::to(Target::echo().await).await;
    let relay = &journey.relay;
    relay.api().delete("/endpoints/story").await.unwrap();
    assert_eq!(journey.through().post("/", "x").await.status(), 404);
    assert!(journey.target.seen().is_empty());
    assert!(relay.api().get("/endpoints/story").await.is_err());
}
