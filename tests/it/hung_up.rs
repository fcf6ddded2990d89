//! Who changes something over the API and hangs up at once: what is in the store then holds, as for anybody else.

use std::collections::HashMap;

use relay_tests::raw::{Connection, Written};
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use serde_json::{Value, json};

/// How often each is tried: the caller has to go while the store writes.
const TRIES: usize = 20;

/// How many of them have to come that far, at the least.
const DONE_MIN: usize = 10;

/// Asks for a change, and goes without waiting for the answer.
async fn ask_and_go(relay: &Relay, method: &str, path: &str, body: &Value) {
    let request = Written::request(method, format!("/api/v1{path}"))
        .field("Host", "relay")
        .field("Authorization", format!("Bearer {}", relay.admin))
        .field("Content-Type", "application/json")
        .body(body.to_string());
    let mut caller = Connection::to(relay.address).await;
    caller.send(request.bytes()).await;
    drop(caller);
}

/// Whom this act was done to, as it is written down.
async fn done(relay: &Relay, act: &str) -> Vec<String> {
    let page = relay.api().get("/audit?limit=1000").await.unwrap();
    let acts = page["acts"].as_array().unwrap().iter().filter(|noted| noted["act"] == act);
    acts.map(|noted| noted["subject"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_although_nobody_has_heard_of_it() {
    let relay = Relay::start().await;
    let mut tokens = HashMap::new();
    for _ in 0..TRIES {
        let made = relay.make_token(&json!({"scopes": ["read"]})).await;
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        ask_and_go(&relay, "DELETE", &format!("/tokens/{}", text("id")), &json!({})).await;
        tokens.insert(text("id"), text("token"));
    }
    let written = async || done(&relay, "token.revoked").await;
    until("most are written down", async || written().await.len() >= DONE_MIN).await;
    for id in written().await {
        let token = &tokens[&id];
        let refused = async || relay.api_with(token).get("/events").await.is_err();
        until("the token opens nothing", refused).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_was_made_is_there_although_nobody_has_heard_of_it() {
    let relay = Relay::start().await;
    for n in 0..TRIES {
        ask_and_go(&relay, "POST", "/endpoints", &json!({"name": format!("story-{n}")})).await;
    }
    let written = async || done(&relay, "endpoint.created").await;
    until("most are written down", async || written().await.len() >= DONE_MIN).await;
    for name in written().await {
        let found = async || relay.api().get(&format!("/endpoints/{name}")).await.is_ok();
        until("the endpoint is there", found).await;
    }
}

#[tokio::test]
async fn a_secret_that_came_with_a_handshake_counts_although_its_provider_was_gone() {
    let relay = Relay::start().await;
    let kept = async || done(&relay, "secret.added").await;
    let mut n = 0;
    until("enough are kept", async || {
        n += 1;
        let endpoint = relay.endpoint_with(&format!("story-{n}"), &[("verify", "asana")]).await;
        let hello = Written::request("POST", &endpoint.path).field("Host", "relay");
        let mut caller = Connection::to(relay.address).await;
        caller.send(hello.field("X-Hook-Secret", "brought-along").body("").bytes()).await;
        // The hard way: a mere end of what is sent is no hang-up yet. Some are gone before they are heard.
        caller.reset();
        kept().await.len() >= DONE_MIN
    })
    .await;
    for name in kept().await {
        let secrets =
            async || relay.api().get(&format!("/endpoints/{name}/secrets")).await.unwrap();
        let is_its = |secret: &Value| secret["purpose"] == "provider";
        let counts = async || secrets().await.as_array().unwrap().iter().any(is_its);
        until("the secret counts", counts).await;
    }
}
