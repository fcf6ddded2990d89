//! What is forwarded is signed anew at each attempt, with the endpoint's own secret, in the scheme of Standard Webhooks.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::raw::Message;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wall::Wall;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::endpoints::client;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A signature as the scheme wants it.
fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    format!("v1,{}", STANDARD.encode(ring::hmac::sign(&key, &signed)))
}

/// Whether a request is signed with this secret, now.
fn is_signed(asked: &Message, secret: &str) -> bool {
    let field = |name: &str| asked.field(name).unwrap_or_default();
    let timestamp = field("webhook-timestamp");
    let fresh = timestamp.parse().is_ok_and(|at: u64| now_s().abs_diff(at) < 60);
    let wanted = sign(secret, &field("webhook-id"), &timestamp, &asked.body);
    fresh && field("webhook-signature").split(' ').any(|signature| signature == wanted)
}

/// A journey whose endpoint signs, and its secret.
async fn journey(target: Target, settings: &[(&str, &str)]) -> (Journey, String) {
    let journey = Journey::with(target, &[], &[&[("resign", "standard")], settings].concat()).await;
    let secret = rotate(&journey.relay, "0s").await;
    (journey, secret)
}

async fn rotate(relay: &Relay, grace: &str) -> String {
    let made =
        client(relay, &["endpoints", "rotate-signing-secret", "story", "--grace", grace]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    made.stdout.trim().to_owned()
}

#[tokio::test]
async fn each_attempt_is_signed_with_its_own_time_and_the_providers_fields_stand_aside() {
    let (journey, secret) = journey(Target::answering(200, "done").await, &[]).await;
    let request = journey.through().request("POST", "/");
    let request = request.field("Webhook-Id", "msg_1").field("Webhook-Timestamp", "1");
    let request =
        request.field("Webhook-Signature", "v1,theirs").field("X-Other", "kept").body("{}");
    let answer = journey.through().send("POST", &request).await;
    assert_eq!(answer.status(), 200);
    let asked = journey.target.only();
    assert!(is_signed(&asked, &secret), "{asked:?}");
    assert_eq!(asked.field("webhook-id"), asked.field("webhook-relay-event-id"));
    for (name, value) in [("id", "msg_1"), ("timestamp", "1"), ("signature", "v1,theirs")] {
        assert_eq!(asked.all(&format!("webhook-{name}")).len(), 1);
        let original = asked.field(&format!("webhook-relay-original-webhook-{name}"));
        assert_eq!(original.as_deref(), Some(value));
    }
    assert_eq!(asked.field("x-other").as_deref(), Some("kept"));
}

#[tokio::test]
async fn unasked_nothing_is_signed_and_nothing_of_ours_comes_from_outside() {
    let journey = Journey::to(Target::answering(200, "done").await).await;
    let request = journey.through().request("POST", "/").field("Webhook-Id", "msg_1");
    let request = request.field("Webhook-Relay-Original-Webhook-Id", "forged").body("{}");
    journey.through().send("POST", &request).await;
    let asked = journey.target.only();
    assert_eq!(asked.field("webhook-id").as_deref(), Some("msg_1"));
    let ours = ["webhook-signature", "webhook-timestamp", "webhook-relay-original-webhook-id"];
    assert!(ours.iter().all(|name| asked.field(name).is_none()), "{asked:?}");
}

#[tokio::test]
async fn queued_spooled_tapped_and_replayed_events_are_signed_too() {
    let (journey, secret) =
        journey(Target::answering(200, "done").await, &[("reply", "ack")]).await;
    let tapped = Target::answering(200, "seen").await;
    let mut tap = Wanted::for_one(&journey.relay.url(), &journey.token, "story", &tapped.url());
    tap.asks.tap = true;
    let _tap = Agent::start(&tap).await;
    let large = vec![b'x'; 700_000];
    let taken = journey.through().post("/", &large).await;
    assert_eq!(taken.status(), 202);
    let id = taken.json()["id"].as_str().unwrap().to_owned();
    let first = journey.target.has_seen(1).await[0].clone();
    assert!(first.body == large && is_signed(&first, &secret));
    assert!(is_signed(&tapped.has_seen(1).await[0], &secret));
    let path = format!("/events/{id}/replay");
    journey.relay.api().post(&path, &json!({})).await.expect("a replay");
    let again = journey.target.has_seen(2).await[1].clone();
    assert!(is_signed(&again, &secret) && again.field("webhook-id") == first.field("webhook-id"));
}

#[tokio::test]
async fn a_batch_is_signed_as_the_one_request_that_it_is() {
    let batch = [("reply", "ack"), ("batch", "2"), ("batch_wait", "5m")];
    let (journey, secret) = journey(Target::answering(200, "done").await, &batch).await;
    for body in ["one", "two"] {
        assert_eq!(journey.through().post("/", body).await.status(), 202);
    }
    let asked = journey.target.has_seen(1).await[0].clone();
    assert_eq!(asked.json()["events"].as_array().map(Vec::len), Some(2));
    assert!(is_signed(&asked, &secret), "{asked:?}");
}

#[tokio::test]
async fn in_its_grace_the_old_secret_signs_beside_the_new_one() {
    let (journey, old) = journey(Target::answering(200, "done").await, &[]).await;
    let new = rotate(&journey.relay, "1h").await;
    journey.through().post("/", "{}").await;
    let asked = journey.target.only();
    assert!(is_signed(&asked, &old) && is_signed(&asked, &new), "{asked:?}");
    let newest = rotate(&journey.relay, "0s").await;
    journey.through().post("/", "{}").await;
    let asked = journey.target.has_seen(2).await[1].clone();
    assert!(is_signed(&asked, &newest) && !is_signed(&asked, &old) && !is_signed(&asked, &new));
}

#[tokio::test]
async fn an_endpoint_without_a_signing_secret_does_not_promise_to_sign() {
    let mut relay = Relay::start().await;
    relay.stop().await;
    std::fs::remove_file(relay.data.path().join("store.key")).unwrap();
    relay.resume().await;
    relay.endpoint("story").await;
    let refused = client(&relay, &["endpoints", "set", "story", "resign=standard"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("rotate-signing-secret"), "{}", refused.stderr);
}

/// Python with the official library of the scheme; `None`, said aloud, where it cannot be had.
async fn library(story: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("standardwebhooks");
    let python = folder.join("bin/python");
    let run = async |command: &mut Command| {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().await.is_ok_and(|status| status.success())
    };
    let there = async || run(Command::new(&python).args(["-c", "import standardwebhooks"])).await;
    if !there().await {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
        let pip = ["-m", "pip", "--quiet", "install", "standardwebhooks==1.0.0"];
        run(Command::new(&python).args(pip)).await;
    }
    if there().await {
        return Some(python);
    }
    println!("skipped, standardwebhooks cannot be had from PyPI: {story}");
    None
}

/// What the official library says of a request.
async fn official(python: &Path, secret: &str, asked: &Message) -> Result<(), String> {
    const VERIFY: &str = "import base64, json, sys; from standardwebhooks import Webhook\n\
        asked = json.load(sys.stdin)\n\
        Webhook(asked['secret']).verify(base64.b64decode(asked['body']), asked['headers'])";
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Value =
        names.iter().map(|name| ((*name).to_owned(), json!(asked.field(name)))).collect();
    let asked = json!({"secret": secret, "headers": headers, "body": STANDARD.encode(&asked.body)});
    let mut command = Command::new(python);
    command.args(["-c", VERIFY]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(asked.to_string().as_bytes()).await.expect("python reads");
    drop(stdin);
    let ended = child.wait_with_output().await.expect("python ends");
    if ended.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

#[tokio::test]
async fn an_event_that_comes_a_day_late_passes_the_official_library() {
    const STORY: &str = "the official library on what comes late";
    let (Some(wall), Some(python)) = (Wall::hung(STORY), library(STORY).await) else { return };
    let theirs = format!("whsec_{}", STANDARD.encode([7; 24]));
    let mut relay = Relay::program(&[]).await;
    wall.set("-25h");
    wall.over(&mut relay).await;
    let wanted = json!({
        "name": "story", "secrets": [theirs],
        "settings": {"verify": "standard-webhooks", "resign": "standard"},
    });
    let made = relay.api().post("/endpoints", &wanted).await.unwrap();
    let ours = made["signing_secret"].as_str().unwrap().to_owned();
    let path = format!("/hooks/{}", made["key"].as_str().unwrap());
    let endpoint = Endpoint { name: "story".into(), path, key: String::new() };

    let (id, then, body) = ("msg_1", (now_s() - 25 * 3600).to_string(), r#"{"type": "late"}"#);
    let send = async |signature: &str| {
        let mut provider = relay.provider(&endpoint);
        let request = provider.request("POST", "").field("webhook-id", id);
        let request =
            request.field("webhook-timestamp", &then).field("webhook-signature", signature);
        provider.send("POST", &request.body(body)).await.status()
    };
    assert_eq!(send(&sign(&theirs, id, &then, body.as_bytes())).await, 202);
    wall.set("+0");
    assert_eq!(
        send(&sign(&theirs, "msg_2", &then, body.as_bytes())).await,
        401,
        "too late to come"
    );

    let target = Target::answering(200, "done").await;
    let token = relay.token(&["story"]).await;
    let _agent = Agent::start(&Wanted::for_one(&relay.url(), &token, "story", &target.url())).await;
    let asked = target.has_seen(1).await[0].clone();
    assert_eq!(official(&python, &ours, &asked).await, Ok(()));
    assert_eq!(asked.body, body.as_bytes());
    let said = asked.field("webhook-relay-verification").unwrap();
    assert!(said.starts_with("state=verified; provider=standard"), "{said}");
    assert_eq!(asked.field("webhook-relay-original-webhook-id").as_deref(), Some(id));
    let mut forged = asked;
    forged.body.push(b' ');
    assert!(official(&python, &ours, &forged).await.is_err(), "the library looks at all");
}
