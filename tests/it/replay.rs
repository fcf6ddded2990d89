//! Kept events are replayed over the API and from the command line: one, edited or not, or many, counted first.

use relay_client::api::ApiError;
use relay_tests::process::Ended;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::wait::until;
use serde_json::{Value, json};

use crate::endpoints::client;

/// A relay with so many failed events, since nobody was there.
async fn with_failed(events: usize) -> (Relay, Endpoint, Vec<String>) {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail"), ("hold", "0ms")]).await;
    for n in 0..events {
        relay.provider(&endpoint).post(&format!("/{n}"), format!("body {n}")).await;
    }
    let mut ids = Vec::new();
    until("they are stored", async || {
        let page = relay.api().get("/events").await.unwrap();
        let found = page["events"].as_array().unwrap().iter().rev();
        ids = found.map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        ids.len() == events
    })
    .await;
    (relay, endpoint, ids)
}

async fn event(relay: &Relay, id: &str) -> Value {
    relay.api().get(&format!("/events/{id}")).await.unwrap()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"))
}

#[tokio::test]
async fn one_event_waits_again_and_it_is_known_who_wanted_that() {
    let (relay, _, ids) = with_failed(1).await;
    let replayed = client(&relay, &["events", "replay", &ids[0]]).await;
    assert_eq!((replayed.code, replayed.stdout.trim()), (Some(0), ids[0].as_str()));
    let event = event(&relay, &ids[0]).await;
    let deliveries = event["deliveries"].as_array().unwrap();
    assert_eq!((deliveries.len(), &deliveries[0]["state"]), (2, &json!("failed")));
    assert_eq!(deliveries[1]["replay"], 1);
    let replays = client(&relay, &["events", "replays", "--json"]).await;
    let token = relay.admin.split('_').nth(1).unwrap();
    assert_eq!(json(&replays)["token"], token);
    assert_eq!(json(&replays)["deliveries"], 1);
}

#[tokio::test]
async fn an_edited_event_is_a_new_one_and_the_old_one_stays_as_it_is() {
    let (relay, _, ids) = with_failed(1).await;
    let file = relay.data.file("body", "another body");
    let arguments = [
        "events",
        "replay",
        &ids[0],
        "--method",
        "PUT",
        "--path",
        "/other?q",
        "--header",
        "X-New: 1",
        "--header",
        "host",
        "--body-file",
        file.to_str().unwrap(),
        "--json",
    ];
    let made = json(&client(&relay, &arguments).await)["id"].as_str().unwrap().to_owned();
    assert_ne!(made, ids[0]);
    let new = event(&relay, &made).await;
    assert_eq!((&new["method"], &new["path"]), (&json!("PUT"), &json!("/other?q")));
    assert_eq!(new["replay_of"], ids[0].as_str());
    assert_eq!(new["deliveries"][0]["replay"], 1);
    assert!(new["fields"].as_array().unwrap().contains(&json!(["x-new", "1"])));
    assert!(!new["fields"].to_string().contains("\"host\""));
    assert_eq!(relay.api().bytes(&format!("/events/{made}/body")).await.unwrap(), "another body");
    assert_eq!(event(&relay, &ids[0]).await["method"], "POST");
    for (key, bad) in [
        ("method", json!("A B")),
        ("path", json!("no/slash")),
        ("path", json!("/a b")),
        ("headers", json!([["webhook-relay-x", "1"]])),
        ("headers", json!([["a", "b\r\nc"]])),
        ("body_base64", json!("?")),
    ] {
        let refused = relay
            .api()
            .post(&format!("/events/{}/replay", ids[0]), &json!({"edit": {key: bad}}))
            .await;
        assert!(matches!(refused, Err(ApiError::Failed(_))), "{key}: {bad}");
    }
}

#[tokio::test]
async fn a_filter_is_counted_first_then_replayed_once_at_its_pace() {
    let (relay, _, ids) = with_failed(5).await;
    let mut arguments =
        vec!["events", "replay", "--endpoint", "story", "--state", "failed", "--since", "1h"];
    arguments.extend(["--only-never-succeeded", "--rate", "2/h", "--json"]);
    let counted = json(&client(&relay, &[&arguments[..], &["--dry-run"]].concat()).await);
    assert_eq!((&counted["deliveries"], &counted["replay"]), (&json!(5), &Value::Null));
    assert_eq!(json(&client(&relay, &arguments).await)["deliveries"], 5);
    assert_eq!(json(&client(&relay, &arguments).await)["deliveries"], 0);
    let mut due = Vec::new();
    for id in &ids[1..] {
        let event = event(&relay, id).await;
        due.push(event["deliveries"][1]["due_at"].as_str().unwrap_or_default().to_owned());
    }
    assert!(due.is_sorted() && due[0] < due[3], "{due:?}");
    let all = relay.api().get("/replays").await.unwrap();
    assert_eq!(all[1]["deliveries"], 5);
    assert!(all[1]["what"].as_str().unwrap().contains("state failed, since 1h"));
}

#[tokio::test]
async fn a_body_that_was_not_kept_cannot_be_replayed_but_replaced() {
    let relay = Relay::start().await;
    let settings = [("fallback", "fail"), ("hold", "0ms"), ("capture", "headers")];
    let endpoint = relay.endpoint_with("story", &settings).await;
    relay.provider(&endpoint).post("/", "x").await;
    let mut id = String::new();
    until("it is stored", async || {
        let page = relay.api().get("/events").await.unwrap();
        id = page["events"][0]["id"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    })
    .await;
    let path = format!("/events/{id}/replay");
    let refused = relay.api().post(&path, &json!({})).await;
    assert!(format!("{refused:?}").contains("was not kept"), "{refused:?}");
    relay.api().post(&path, &json!({"edit": {"body_base64": "eA=="}})).await.unwrap();
}

#[tokio::test]
async fn replaying_needs_the_scope_for_it() {
    let (relay, _, ids) = with_failed(1).await;
    let token = async |scope: &str, endpoint: &str| {
        let made = relay.make_token(&json!({"endpoints": [endpoint], "scopes": [scope]})).await;
        relay.api_with(made["token"].as_str().unwrap())
    };
    relay.endpoint("other").await;
    let path = format!("/events/{}/replay", ids[0]);
    let bulk = json!({"filter": {"endpoint": "story"}, "dry_run": true});
    let reader = token("read", "story").await;
    assert!(matches!(reader.post(&path, &json!({})).await, Err(ApiError::NotAllowed(_))));
    assert!(matches!(reader.post("/replays", &bulk).await, Err(ApiError::NotAllowed(_))));
    let other = token("replay", "other").await;
    assert!(matches!(other.post(&path, &json!({})).await, Err(ApiError::NotFound(_))));
    assert!(matches!(other.post("/replays", &bulk).await, Err(ApiError::NotFound(_))));
    let replayer = token("replay", "story").await;
    replayer.post(&path, &json!({})).await.unwrap();
    assert_eq!(replayer.post("/replays", &bulk).await.unwrap()["deliveries"], 0);
}
