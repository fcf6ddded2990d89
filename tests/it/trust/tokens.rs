//! Tokens: providers that sign with one are believed for what it says, and for no more of the request than that.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relay_tests::journey::Journey;
use relay_tests::raw::Message;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::events;
use crate::endpoints::client;

const SECRET: &str = "the signing secret of an app";

/// A token with this header and these claims, by HMAC with SHA-256.
fn token(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn hs256(claims: &Value) -> String {
    token(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// The time so many seconds from now.
fn in_s(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    i64::try_from(now).expect("a time") + seconds
}

/// Posts a body with this token, in this field.
async fn post(journey: &Journey, field: &str, token: &str, body: &str) -> Message {
    let request = journey.through().request("POST", "/hook").field(field, token);
    journey.through().send("POST", &request.body(body)).await
}

async fn journey(provider: &str, settings: &[(&str, &str)]) -> Journey {
    let all = [&[("verify", provider)], settings].concat();
    let journey = Journey::with(Target::answering(200, "done").await, &[], &all).await;
    let wanted = json!({"secret": SECRET});
    journey.relay.api().post("/endpoints/story/secrets", &wanted).await.expect("a secret");
    journey
}

/// The events of the story, the oldest first, when there are so many.
async fn recorded(journey: &Journey, wanted: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until("the events are on record", async || {
        found = events(&journey.relay, "story").await;
        found.len() == wanted && found.iter().all(|event| event["state"] != "live")
    })
    .await;
    found.reverse();
    found
}

/// What monday.com sends of a change on a board.
const CHANGE: &str = r#"{"event":{"type":"update_name","triggerUuid":"b5ed2e17","boardId":1}}"#;

#[tokio::test]
async fn monday_is_answered_before_there_is_an_agent() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("verify", "monday")]).await;
    let mut provider = relay.provider(&endpoint);
    let request = provider.request("POST", "").field("content-type", "application/json");
    let answer = provider.send("POST", &request.body(r#"{"challenge":"3eZbrw1aB"}"#)).await;
    assert_eq!((answer.status(), answer.json()), (200, json!({"challenge": "3eZbrw1aB"})));
    assert!(events(&relay, "story").await.is_empty());
}

#[tokio::test]
async fn what_monday_has_signed_is_authenticated_and_told_so() {
    let journey = journey("monday", &[("verify_param.audience", "https://h/hook")]).await;
    let claims = json!({"accountId": 1, "aud": "https://h/hook", "exp": in_s(300), "iat": in_s(0)});
    let answer = post(&journey, "Authorization", &hs256(&claims), CHANGE).await;
    assert_eq!((answer.status(), answer.text()), (200, "done".to_owned()));
    let asked = journey.target.only();
    let said = asked.field("webhook-relay-verification").unwrap();
    // Nothing in the token is of the body.
    assert!(said.starts_with("state=authenticated; provider=monday; at=20"), "{said}");
    assert_eq!(asked.body, CHANGE.as_bytes());
    let event = &recorded(&journey, 1).await[0];
    assert_eq!(
        (&event["verification"], &event["event_type"], &event["state"]),
        (&json!("authenticated"), &json!("update_name"), &json!("delivered"))
    );
}

#[tokio::test]
async fn a_token_that_is_forged_old_or_for_somebody_else_gets_nothing_in() {
    let journey = journey("monday", &[("verify_param.audience", "https://h/hook")]).await;
    let claims = json!({"aud": "https://h/hook", "exp": in_s(300), "iat": in_s(0)});
    let good = hs256(&claims);
    let (head, _) = good.rsplit_once('.').expect("three parts");
    let with = |name: &str, value: Value| {
        let mut other = claims.clone();
        other[name] = value;
        hs256(&other)
    };
    let none = json!({"alg": "none"});
    let unsigned = token(&none, &claims, "");
    let unsigned = &unsigned[..=unsigned.rfind('.').expect("three parts")];
    let cases = [
        (token(&json!({"alg": "HS256"}), &claims, "another secret"), "wrong_secret"),
        (unsigned.to_owned(), "algorithm_not_allowed"),
        (token(&none, &claims, SECRET), "algorithm_not_allowed"),
        (token(&json!({"alg": "RS256"}), &claims, SECRET), "algorithm_not_allowed"),
        (format!("{head}."), "malformed_signature"),
        (with("exp", json!(in_s(-120))), "signature_expired"),
        (with("nbf", json!(in_s(120))), "timestamp_in_future"),
        (with("aud", json!("https://h/other")), "claim_mismatch"),
    ];
    for (token, reason) in &cases {
        let answer = post(&journey, "Authorization", token, CHANGE).await;
        assert_eq!((answer.status(), &answer.json()["code"]), (401, &json!("signature_invalid")));
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
    let found = recorded(&journey, cases.len()).await;
    let why: Vec<&str> = found.iter().map(|event| event["why"].as_str().unwrap()).collect();
    assert_eq!(why, cases.each_ref().map(|(_, reason)| *reason));
    assert!(journey.target.seen().is_empty());
}

#[tokio::test]
async fn a_token_with_the_hash_of_the_body_verifies_it_and_no_other() {
    let journey = journey("netlify", &[]).await;
    let body = r#"{"id":"5ebc","state":"ready"}"#;
    let hash = digest::digest(&digest::SHA256, body.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let token = hs256(&json!({"iss": "netlify", "sha256": hash}));
    assert_eq!(post(&journey, "X-Webhook-Signature", &token, body).await.status(), 200);
    let answer =
        post(&journey, "X-Webhook-Signature", &token, &body.replace("ready", "error")).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.text().contains("body_hash_mismatch"), "{}", answer.text());
    let found = recorded(&journey, 2).await;
    assert_eq!(found[0]["verification"], "verified");
    assert_eq!(journey.target.only().body, body.as_bytes());
}

#[tokio::test]
async fn a_saved_request_is_told_what_is_wrong_with_its_token() {
    let relay = Relay::start().await;
    let folder = relay_tests::folder::Folder::fresh();
    let unsigned = token(&json!({"alg": "none"}), &json!({"exp": in_s(300)}), SECRET);
    let text = format!("POST /hook HTTP/1.1\nHost: h\nAuthorization: {unsigned}\n\n{CHANGE}");
    let (secret, request) = (folder.file("secret", SECRET), folder.file("request", &text));
    let args = ["verify", "--provider", "monday", "--secret-file"];
    let args = [&args[..], &[secret.to_str().unwrap(), request.to_str().unwrap()]].concat();
    let told = client(&relay, &args).await;
    assert!(told.stdout.contains("algorithm_not_allowed"), "{} {}", told.stdout, told.stderr);
    let all = format!("{}{}", told.stdout, told.stderr);
    assert!(all.contains("it is not signed (alg none)"), "{all}");
}
