//! The plain listener beside one that speaks TLS: browsers are sent on, webhooks and agents are turned back and told.

use std::sync::Arc;

use relay_tests::agent::command;
use relay_tests::authority::Authority;
use relay_tests::folder::Folder;
use relay_tests::process::{Program, run};
use relay_tests::provider::Provider;
use relay_tests::raw::{Connection, Message};
use relay_tests::relay::Relay;

use super::errors::assert_problem;

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

async fn relay(settings: &[(&str, &str)]) -> (Relay, Provider) {
    let authority = Arc::new(Authority::fresh());
    let lobby = [("http_listen", "127.0.0.1:0")];
    let relay = Relay::secure(&authority, &[&lobby, settings].concat()).await;
    let provider = Provider::of(relay.lobby.expect("a plain listener"), "");
    (relay, provider.for_host("relay.example"))
}

async fn ask(provider: &mut Provider, method: &str, path: &str, accept: &str) -> Message {
    let request = provider.request(method, path).field("Accept", accept);
    provider.send(method, &request).await
}

#[tokio::test]
async fn a_browser_is_sent_on() {
    let (relay, mut plain) = relay(&[]).await;
    let answer = ask(&mut plain, "GET", "/events?state=dead&x=%20", BROWSER).await;
    assert_eq!(answer.status(), 308);
    let there = format!("https://relay.example:{}/events?state=dead&x=%20", relay.address.port());
    assert_eq!(answer.field("location").unwrap(), there);
    assert_eq!(ask(&mut plain, "HEAD", "/", BROWSER).await.status(), 308);
    // Behind the port that browsers know, there is none to be told.
    let (_relay, mut plain) = self::relay(&[("public_url", "https://relay.example")]).await;
    let answer = ask(&mut plain, "GET", "/", BROWSER).await;
    assert_eq!(answer.field("location").unwrap(), "https://relay.example/");
}

#[tokio::test]
async fn a_webhook_is_turned_back_and_never_sent_on() {
    let settings = [("hooks_domain", "hooks.example"), ("public_url", "https://r.example")];
    let (relay, mut plain) = relay(&settings).await;
    let endpoint = relay.endpoint("story").await;
    let mut for_key = Provider::of(relay.lobby.unwrap(), "");
    for_key = for_key.for_host(&format!("{}.hooks.example", endpoint.key));
    for (method, accept) in [("POST", "*/*"), ("POST", BROWSER), ("GET", BROWSER), ("GET", "*/*")] {
        let answer = ask(&mut plain, method, &endpoint.path, accept).await;
        assert_problem(&answer, "https_required", 403, "no");
        assert!(answer.text().contains("https://r.example"), "{}", answer.text());
        let answer = ask(&mut for_key, method, "/", accept).await;
        assert_problem(&answer, "https_required", 403, "no");
    }
    // Nothing of it was kept.
    let events = relay.api().get("/events").await.unwrap();
    assert_eq!(events["events"].as_array().unwrap().len(), 0, "{events}");
    let large = plain.request("POST", &endpoint.path).body(vec![7; 4 << 20]);
    assert_problem(&plain.send("POST", &large).await, "https_required", 403, "no");
}

#[tokio::test]
async fn nothing_else_is_served_there() {
    let (relay, mut plain) = relay(&[]).await;
    for path in ["/api/v1/endpoints", "/healthz", "/", "/.well-known/acme-challenge/x"] {
        let answer = ask(&mut plain, "GET", path, "application/json").await;
        assert_problem(&answer, "https_required", 403, "no");
    }
    // Whoever names no host cannot be sent to one.
    let mut caller = Connection::to(relay.lobby.unwrap()).await;
    caller.send(format!("GET / HTTP/1.0\r\nAccept: {BROWSER}\r\n\r\n")).await;
    assert_problem(&caller.answer_to("GET").await, "https_required", 403, "no");
    let folder = Folder::fresh();
    let url = format!("http://{}", relay.lobby.unwrap());
    let ended = run(command(&folder, &url, &relay.admin).args(["endpoints", "list"])).await;
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("only https is served"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_plain_listener_beside_a_plain_one_makes_no_sense() {
    let mut serve = Program::Server.command();
    let ended = run(serve.args(["serve", "--http-listen", "127.0.0.1:0"])).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("flag --http-listen: http_listen:"), "{}", ended.stderr);
}
