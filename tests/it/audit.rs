//! Who has changed what is written down, and nothing secret with it.

use relay_client::api::ApiError;
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use serde_json::{Value, json};

use super::endpoints::client;

/// Every act, the oldest first.
async fn acts(relay: &Relay) -> Vec<Value> {
    let page = relay.api().get("/audit?limit=1000").await.unwrap();
    assert_eq!(page["next"], Value::Null);
    let mut acts = page["acts"].as_array().unwrap().clone();
    acts.reverse();
    acts
}

fn change(key: &str, old: impl Into<Value>, new: impl Into<Value>) -> Value {
    json!({"key": key, "old": old.into(), "new": new.into()})
}

#[tokio::test]
async fn every_administrative_act_is_written_down_with_who_and_from_where() {
    let relay = Relay::with(&[("trusted_proxies", "10.0.0.0/8")]).await;
    let api = relay.api();
    relay.endpoint_with("billing", &[("reply", "ack"), ("hold", "1s")]).await;
    let set = json!({"settings": {"hold": "2s", "retry": "slack", "reply": null}});
    api.patch("/endpoints/billing", &set).await.unwrap();
    for verb in ["pause", "resume", "rotate-key"] {
        api.post(&format!("/endpoints/billing/{verb}"), &json!({})).await.unwrap();
    }
    let wanted = json!({"endpoints": ["billing"], "scopes": ["replay"], "name": "night shift"});
    let made = relay.make_token(&wanted).await;
    let id = made["id"].as_str().unwrap();
    let rotated = api.post(&format!("/tokens/{id}/rotate"), &json!({})).await.unwrap();
    let replays = relay.api_with(rotated["token"].as_str().unwrap());
    let wanted = json!({"filter": {"endpoint": "billing"}});
    replays.post("/replays", &wanted).await.unwrap();
    api.delete(&format!("/tokens/{id}")).await.unwrap();
    api.delete("/endpoints/billing").await.unwrap();
    let all = acts(&relay).await;
    let told: Vec<_> = all.iter().map(|act| act["act"].as_str().unwrap()).collect();
    let wanted = [
        "token.created",
        "endpoint.created",
        "endpoint.changed",
        "endpoint.paused",
        "endpoint.resumed",
        "endpoint.key_rotated",
        "token.created",
        "token.rotated",
        "event.replayed",
        "token.revoked",
        "endpoint.deleted",
    ];
    assert_eq!(told, wanted);
    let admin = relay.admin.split('_').nth(1).unwrap();
    for (act, who) in all.iter().zip([&[""][..], &[admin; 7], &[id], &[admin; 2]].concat()) {
        assert_eq!(act["token"].as_str().unwrap_or(""), who, "{act}");
        assert_eq!(act["address"].as_str(), (!who.is_empty()).then_some("127.0.0.1"), "{act}");
    }
    assert_eq!((&all[8]["name"], &all[8]["subject"]), (&json!("night shift"), &json!("billing")));
    assert_eq!(all[9]["subject"], id);
    let changed = [
        change("hold", "1s", "2s"),
        change("reply", "ack", "live"),
        change("retry", "exponential", "slack"),
    ];
    assert_eq!(all[2]["changes"], json!(changed));
    assert!(all[6]["changes"].as_array().unwrap().contains(&change(
        "endpoints",
        None::<&str>,
        "billing"
    )));
}

#[tokio::test]
async fn what_is_done_to_secrets_is_written_down_without_them() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("billing", &[("verify", "asana")]).await;
    let mut provider = relay.provider(&endpoint);
    let hello = provider.request("POST", "").field("X-Hook-Secret", "brought-along").body("");
    assert_eq!(provider.send("POST", &hello).await.status(), 200);
    let (api, secrets) = (relay.api(), "/endpoints/billing/secrets");
    let replaced = json!({"secret": "put-in-its-place", "replace": true, "grace": "1h"});
    api.post(secrets, &replaced).await.unwrap();
    let all = api.post(secrets, &json!({"secret": "put-beside-it"})).await.unwrap();
    let last = all.as_array().unwrap().last().unwrap()["id"].as_i64().unwrap();
    api.delete(&format!("{secrets}/{last}")).await.unwrap();
    assert!(api.delete(&format!("{secrets}/{last}")).await.is_err());
    api.post("/endpoints/billing/rotate-signing-secret", &json!({})).await.unwrap();

    let acts = acts(&relay).await.split_off(2);
    let told: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    let wanted =
        ["secret.added", "secret.replaced", "secret.added", "secret.removed", "secret.replaced"];
    assert_eq!(told, wanted);
    assert!(acts.iter().all(|act| act["subject"] == "billing"), "{acts:?}");
    let who = [&acts[0]["name"], &acts[0]["token"]];
    assert_eq!(who, [&json!("handshake"), &Value::Null], "the provider's own doing");
    assert!(acts[1..].iter().all(|act| act["token"].is_string() && act["address"].is_string()));
    assert_eq!(acts[2]["changes"], json!([change("purpose", None::<&str>, "provider")]));
    assert_eq!(acts[3]["changes"], json!([change("id", None::<&str>, last.to_string())]));
    let told = json!(acts).to_string();
    for secret in ["brought-along", "put-in-its-place", "put-beside-it", "whsec_"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[tokio::test]
async fn what_was_refused_is_not_written_down_as_done() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let before = acts(&relay).await.len();
    let api = relay.api();
    let bad = json!({"settings": {"rate": "0/s"}});
    assert!(api.patch("/endpoints/story", &bad).await.is_err());
    assert!(api.post("/endpoints", &json!({"name": "story", "exact_key": false})).await.is_err());
    assert!(api.post("/tokens/nothing/rotate", &json!({})).await.is_err());
    assert!(api.delete("/tokens/nothing").await.is_err());
    assert!(api.delete("/endpoints/nothing").await.is_err());
    assert_eq!(acts(&relay).await.len(), before);
}

#[tokio::test]
async fn no_secret_is_in_what_is_written_down() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let shown = relay.api().get("/endpoints/story").await.unwrap();
    let made = relay.make_token(&json!({"name": "one"})).await;
    let path = format!("/tokens/{}/rotate", made["id"].as_str().unwrap());
    let rotated = relay.api().post(&path, &json!({})).await.unwrap();
    relay.api().post("/endpoints/story/rotate-key", &json!({})).await.unwrap();
    let told = json!(acts(&relay).await).to_string();
    let secret = |token: &Value| token.as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    for secret in [secret(&made["token"]), secret(&rotated["token"]), secret(&json!(relay.admin))] {
        assert!(!told.contains(&secret), "{told}");
    }
    assert!(!told.contains(&endpoint.key), "{told}");
    assert!(shown["signing_secret"].as_str().is_none_or(|secret| !told.contains(secret)), "{told}");
}

#[tokio::test]
async fn a_parameter_that_only_the_provider_knows_is_written_down_without_its_value() {
    let relay = Relay::start().await;
    let token = |value: &str| json!({"verify": "meta", "verify_param.verify_token": value});
    let wanted = json!({"name": "story", "settings": token("open-sesame")});
    relay.api().post("/endpoints", &wanted).await.unwrap();
    let wanted = json!({"settings": token("open-rye")});
    relay.api().patch("/endpoints/story", &wanted).await.unwrap();
    let acts = acts(&relay).await;
    let told = json!(acts).to_string();
    assert!(!told.contains("open-"), "{told}");
    // That it was changed is told.
    let changed = acts.iter().find(|act| act["act"] == "endpoint.changed").unwrap();
    assert_eq!(changed["changes"].as_array().unwrap().len(), 1, "{changed}");
    assert_eq!(changed["changes"][0]["key"], "verify_param.verify_token");
    assert_eq!(changed["changes"][0]["new"], "(not shown)");
}

#[tokio::test]
async fn the_list_comes_in_pages_and_from_a_time_on() {
    let mut relay = Relay::start().await;
    for n in 0..7 {
        relay.endpoint(&format!("e{n}")).await;
    }
    let (mut cursor, mut told) = (String::new(), Vec::new());
    loop {
        let page = relay.api().get(&format!("/audit?limit=3{cursor}")).await.unwrap();
        told.extend(page["acts"].as_array().unwrap().iter().map(|act| act["subject"].clone()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(told[..7], ["e6", "e5", "e4", "e3", "e2", "e1", "e0"]);
    assert_eq!(told.len(), 8);
    relay.stop().await;
    relay.resume().await;
    let listed =
        client(&relay, &["audit", "list", "--since", "1h", "--limit", "2", "--json"]).await;
    let lines: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|act| &act["subject"]).collect::<Vec<_>>(), ["e6", "e5"]);
    let none = client(&relay, &["audit", "list", "--before", "1h", "--json"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    let people = client(&relay, &["audit", "list"]).await;
    assert!(people.stdout.contains("endpoint.created") && people.stdout.contains("127.0.0.1"));
    for bad in ["since=soon", "limit=0", "limit=1001", "cursor=x", "colour=red"] {
        let refused = relay.api().get(&format!("/audit?{bad}")).await;
        assert!(matches!(refused, Err(ApiError::Failed(_))), "{bad}");
    }
}

#[tokio::test]
async fn only_who_may_do_everything_sees_it() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    for wanted in [
        json!({"scopes": ["read", "replay", "listen"]}),
        json!({"scopes": ["admin"], "endpoints": ["story"]}),
    ] {
        let made = relay.make_token(&wanted).await;
        let refused = relay.api_with(made["token"].as_str().unwrap()).get("/audit").await;
        assert!(matches!(refused, Err(ApiError::NotAllowed(_))), "{wanted}");
    }
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_for_goes() {
    let relay = Relay::with(&[("audit_keep_for", "1s")]).await;
    relay.endpoint("story").await;
    until("the oldest has gone", async || {
        relay.api().post("/endpoints/story/pause", &json!({})).await.unwrap();
        acts(&relay).await[0]["act"] == "endpoint.paused"
    })
    .await;
}

#[tokio::test]
async fn the_first_token_and_who_made_it_are_written_down() {
    let relay = Relay::program(&[]).await;
    let first = &acts(&relay).await[0];
    let who = [&first["act"], &first["name"], &first["token"], &first["address"]];
    assert_eq!(
        who,
        [&json!("token.created"), &json!("relay-server init"), &Value::Null, &Value::Null]
    );
}
