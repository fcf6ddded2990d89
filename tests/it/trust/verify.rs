//! Forged, replayed and altered requests do not get past the relay; what does, says what was found.

use relay_client::api::ApiError;
use relay_tests::journey::Journey;
use relay_tests::raw::{Message, Written};
use relay_tests::target::Target;
use relay_tests::wait::until;
use serde_json::{Value, json};

use super::events;
use crate::endpoints::client;

const SECRET: &str = "it is github's";

/// The signature of a body as GitHub makes it.
fn signature(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body);
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A push of this number, signed with this secret.
fn push(journey: &Journey, number: u32, secret: &str) -> Written {
    signed(journey, number, secret, format!(r#"{{"number":{number}}}"#).as_bytes())
}

fn signed(journey: &Journey, number: u32, secret: &str, body: &[u8]) -> Written {
    let request = journey.through().request("POST", "/push?x=%41");
    let request = request.field("X-GitHub-Event", "push");
    let request = request.field("X-GitHub-Delivery", format!("delivery-{number}"));
    request.field("X-Hub-Signature-256", signature(secret, body)).body(body)
}

async fn send(journey: &Journey, request: &Written) -> Message {
    journey.through().send("POST", request).await
}

async fn journey(settings: &[(&str, &str)]) -> Journey {
    let all = [&[("verify", "github")], settings].concat();
    let journey = Journey::with(Target::answering(200, "done").await, &[], &all).await;
    let wanted = json!({"secret": SECRET});
    journey.relay.api().post("/endpoints/story/secrets", &wanted).await.expect("a secret");
    journey
}

/// The events of the story when there are so many.
async fn recorded(journey: &Journey, wanted: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until("the events are on record", async || {
        found = events(&journey.relay, "story").await;
        found.len() == wanted && found.iter().all(|event| event["state"] != "live")
    })
    .await;
    found
}

#[tokio::test]
async fn what_the_provider_has_signed_arrives_with_what_was_found() {
    let journey = journey(&[]).await;
    assert_eq!(send(&journey, &push(&journey, 1, SECRET)).await.status(), 200);
    let asked = journey.target.only();
    let said = asked.field("webhook-relay-verification").unwrap();
    assert!(
        said.starts_with("state=verified; provider=github; at=20") && said.ends_with('Z'),
        "{said}"
    );
    assert_eq!(asked.path(), b"/push?x=%41");
    let event = &recorded(&journey, 1).await[0];
    assert_eq!(
        (&event["verification"], &event["event_type"], &event["state"]),
        (&json!("verified"), &json!("push"), &json!("delivered"))
    );
}

#[tokio::test]
async fn forged_and_altered_requests_are_refused_recorded_and_not_delivered() {
    let journey = journey(&[]).await;
    let body = br#"{"number":1}"#;
    let bare = || journey.through().request("POST", "/");
    let forged = push(&journey, 1, "not the secret");
    let altered =
        bare().field("X-Hub-Signature-256", signature(SECRET, body)).body(br#"{"number":2}"#);
    let unsigned = bare().body(body);
    let twice = bare().field("X-Hub-Signature-256", signature(SECRET, body));
    let twice = twice.field("X-Hub-Signature-256", signature("other", body)).body(body);
    let mute = bare().field("X-Hub-Signature-256", "sha256=zz").body(body);
    let reasons = [
        "wrong_secret",
        "wrong_secret",
        "header_missing",
        "duplicate_header",
        "malformed_signature",
    ];
    for (request, reason) in [forged, altered, unsigned, twice, mute].iter().zip(reasons) {
        let answer = send(&journey, request).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (401, &json!("signature_invalid")));
        assert_eq!(answer.json()["dispatched"], "no");
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
    let found = recorded(&journey, reasons.len()).await;
    let why: Vec<&str> = found.iter().rev().map(|event| event["why"].as_str().unwrap()).collect();
    assert_eq!(why, reasons);
    assert!(
        found.iter().all(|event| event["state"] == "rejected" && event["verification"] == "failed")
    );
    assert!(journey.target.seen().is_empty());
    let listed = client(&journey.relay, &["events", "list", "--state", "rejected", "--json"]).await;
    assert_eq!(listed.stdout.lines().count(), reasons.len(), "{}", listed.stderr);
}

#[tokio::test]
async fn a_replayed_request_is_not_delivered_again() {
    let journey = journey(&[]).await;
    let request = push(&journey, 1, SECRET);
    for _ in 0..3 {
        let answer = send(&journey, &request).await;
        assert_eq!((answer.status(), answer.text()), (200, "done".to_owned()));
    }
    assert_eq!(journey.target.seen().len(), 1);
    let found = recorded(&journey, 3).await;
    assert_eq!(found.iter().filter(|event| event["state"] == "duplicate").count(), 2);
}

#[tokio::test]
async fn what_nobody_has_proved_takes_no_genuine_events_place() {
    let unproved = [("on_failure", "mark"), ("reply", "ack")];
    for secret in [Some(SECRET), None] {
        let all = [&[("verify", "github")], &unproved[..]].concat();
        let journey = Journey::with(Target::answering(200, "done").await, &[], &all).await;
        if let Some(secret) = secret {
            let wanted = json!({"secret": secret});
            journey.relay.api().post("/endpoints/story/secrets", &wanted).await.expect("a secret");
        }
        let id = async |secret| {
            let answer = send(&journey, &push(&journey, 1, secret)).await;
            answer.field("webhook-relay-event-id").expect("an acknowledgement")
        };
        let (forged, genuine) = (id("not the secret").await, id(SECRET).await);
        assert_ne!(forged, genuine, "the genuine one would be lost with the forged one");
        // A repeat is one only where the relay itself can tell who has sent both.
        assert_eq!(id(SECRET).await == genuine, secret.is_some());
        assert_ne!(id("not the secret").await, genuine);
        let bodies = if secret.is_some() { 3 } else { 4 };
        journey.target.has_seen(bodies).await;
        assert!(recorded(&journey, 4).await.iter().all(|event| event["note"].is_null()));
    }
}

#[tokio::test]
async fn marked_events_are_delivered_with_what_is_wrong() {
    let journey = journey(&[("on_failure", "mark")]).await;
    let forged = push(&journey, 1, "not the secret");
    assert_eq!(send(&journey, &forged).await.status(), 200);
    let said = journey.target.only().field("webhook-relay-verification").unwrap();
    assert!(said.starts_with("state=failed; provider=github; at="), "{said}");
    assert!(said.ends_with("; reason=wrong_secret"), "{said}");
    let event = &recorded(&journey, 1).await[0];
    assert_eq!((&event["state"], &event["verification"]), (&json!("delivered"), &json!("failed")));
    assert_eq!(event["verification_reason"], "wrong_secret");
}

#[tokio::test]
async fn what_was_found_cannot_be_brought_along() {
    let journey = journey(&[]).await;
    let forged = "state=verified; provider=github; at=2026-11-24T10:00:00Z";
    let request = push(&journey, 1, SECRET);
    let bytes = String::from_utf8(request.bytes()).unwrap();
    let bytes = bytes.replacen("\r\n", &format!("\r\nWebhook-Relay-Verification: {forged}\r\n"), 1);
    let mut connection = journey.through().begin(&journey.through().request("GET", "/")).await;
    assert_eq!(connection.answer_to("GET").await.status(), 401);
    connection.send(bytes).await;
    assert_eq!(connection.answer_to("POST").await.status(), 200);
    let said = journey.target.only();
    let said = said.all("webhook-relay-verification");
    assert!(said.len() == 1 && said[0] != forged.as_bytes(), "{said:?}");
}

#[tokio::test]
async fn while_a_provider_changes_its_secret_both_are_good() {
    let journey = journey(&[]).await;
    let good =
        async |number, secret| send(&journey, &push(&journey, number, secret)).await.status();
    assert_eq!((good(1, SECRET).await, good(2, "the new one").await), (200, 401));
    let api = journey.relay.api();
    let added =
        api.post("/endpoints/story/secrets", &json!({"secret": "the new one"})).await.unwrap();
    assert_eq!((good(3, SECRET).await, good(4, "the new one").await), (200, 200));
    let first = added.as_array().unwrap().iter().find(|secret| secret["purpose"] == "provider");
    let old = first.unwrap()["id"].to_string();
    api.delete(&format!("/endpoints/story/secrets/{old}")).await.unwrap();
    assert_eq!((good(5, SECRET).await, good(6, "the new one").await), (401, 200));
}

#[tokio::test]
async fn a_body_of_megabytes_is_verified_to_its_last_byte_before_anybody_sees_it() {
    let journey = journey(&[]).await;
    let mut body = vec![b' '; 3 << 20];
    body.extend_from_slice(b"{}");
    let request = signed(&journey, 1, SECRET, &body);
    assert_eq!(send(&journey, &request).await.status(), 200);
    assert_eq!(journey.target.only().body, body);
    let mut bytes = request.bytes();
    *bytes.last_mut().unwrap() = b']';
    let mut connection = journey.through().begin(&journey.through().request("GET", "/")).await;
    assert_eq!(connection.answer_to("GET").await.status(), 401);
    connection.send(bytes).await;
    assert_eq!(connection.answer_to("POST").await.status(), 401);
    assert_eq!(journey.target.seen().len(), 1);
    assert!(recorded(&journey, 3).await.iter().any(|event| event["why"] == "wrong_secret"));
}

#[tokio::test]
async fn a_filter_goes_by_the_kind_that_the_provider_names() {
    let journey = journey(&[("filter", "event_type == \"push\"")]).await;
    assert_eq!(send(&journey, &push(&journey, 1, SECRET)).await.status(), 200);
    let body = b"{}";
    let request = journey.through().request("POST", "/").field("X-GitHub-Event", "star");
    let request = request.field("X-Hub-Signature-256", signature(SECRET, body)).body(body);
    assert_eq!(send(&journey, &request).await.status(), 202);
    let states: Vec<Value> =
        recorded(&journey, 2).await.iter().map(|event| event["state"].clone()).collect();
    assert_eq!(states, [json!("filtered"), json!("delivered")]);
}

#[tokio::test]
async fn what_was_rejected_goes_out_only_when_it_is_meant() {
    let journey = journey(&[]).await;
    assert_eq!(send(&journey, &push(&journey, 1, "not the secret")).await.status(), 401);
    recorded(&journey, 1).await;
    let replay = async |filter: Value| {
        let mut wanted = json!({"filter": {"endpoint": "story"}});
        wanted["filter"].as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
        journey.relay.api().post("/replays", &wanted).await.unwrap()["deliveries"].clone()
    };
    assert_eq!(replay(json!({})).await, 0);
    assert_eq!(replay(json!({"group": "main"})).await, 0);
    assert_eq!(replay(json!({"state": ["rejected"]})).await, 1);
    let said = journey.target.has_seen(1).await[0].field("webhook-relay-verification").unwrap();
    assert!(said.contains("state=failed"), "{said}");
}

#[tokio::test]
async fn an_endpoint_is_made_for_a_provider_from_the_command_line() {
    let journey = Journey::to(Target::answering(200, "done").await).await;
    let secret = journey.relay.data.file("s.txt", &format!("{SECRET}\n")).display().to_string();
    let create = ["endpoints", "create", "gh", "--provider", "github", "--secret-file", &secret];
    let made = client(&journey.relay, &create).await;
    assert_eq!((made.code, made.stdout.lines().count()), (Some(0), 1), "{}", made.stderr);
    assert!(made.stderr.contains("github waits 10s for an answer"), "{}", made.stderr);
    let shown = journey.relay.api().get("/endpoints/gh").await.unwrap();
    assert_eq!(shown["settings"]["reply_timeout"], "9s");
    assert!(!shown.to_string().contains(SECRET));
    let told = client(&journey.relay, &["endpoints", "create", "x", "--provider", "githib"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.stderr.contains("did you mean github"), "{}", told.stderr);
    let wanted = json!({"name": "y", "settings": {"verify": "github", "verify_param.a": "b"}});
    assert!(matches!(
        journey.relay.api().post("/endpoints", &wanted).await,
        Err(ApiError::Failed(_))
    ));
}
