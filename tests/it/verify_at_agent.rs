//! Verification at the agent: the secret never leaves the firewall, and what nothing proves never reaches the target.

mod handshake;
mod unjudged;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use relay_tests::agent::command;
use relay_tests::folder::Folder;
use relay_tests::process::Process;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::{pass, until};
use ring::hmac;
use serde_json::{Value, json};

const SECRET: &str = "it never leaves";

/// What the target and the relay are told in.
const TOLD: &str = "webhook-relay-verification";

/// An endpoint whose agent checks, and its target.
struct Inside {
    relay: Relay,
    endpoint: Endpoint,
    target: Target,
    folder: Folder,
    token: String,
}

impl Inside {
    async fn with(settings: &[(&str, &str)]) -> Self {
        let relay = Relay::start().await;
        let endpoint = relay.endpoint_with("story", settings).await;
        let target = Target::scripted(|asked| {
            let answer = Written::answer(200).field(TOLD, "state=verified; provider=me; at=0");
            answer.body(&asked.body).bytes()
        })
        .await;
        let token = relay.token(&["story"]).await;
        Self { relay, endpoint, target, folder: Folder::fresh(), token }
    }

    /// The agent, with this `verify` in its file and these lines before it.
    async fn agent(&self, more: &str, verify: &str) -> Process {
        let _ = self.folder.file("secret", &format!("{SECRET}\n"));
        let config = format!(
            "relay = '{}'\n{more}\n[[endpoint]]\nname = 'story'\ntarget = '{}'\nverify = {{ {verify} }}\n",
            self.relay.url(),
            self.target.url()
        );
        let config = self.folder.file("agent.toml", &config);
        let mut run = command(&self.folder, &self.relay.url(), &self.token);
        let mut agent = Process::start(run.arg("run").arg("--config").arg(config));
        agent.event("ready").await;
        agent
    }

    /// Posts a body with the signature that GitHub would put on this one.
    async fn post(&self, signed: &[u8], body: impl AsRef<[u8]>) -> Message {
        let mut provider = self.relay.provider(&self.endpoint);
        let request = provider.request("POST", "/hook");
        let request = request.field("x-hub-signature-256", signature(signed)).field(TOLD, "forged");
        provider.send("POST", &request.body(body)).await
    }

    /// The only event, when its state is this.
    async fn event(&self, state: &str) -> Value {
        let mut found = Value::Null;
        until(&format!("the event is {state}"), async || {
            let page = self.relay.api().get("/events").await.unwrap();
            found = page["events"][0].clone();
            found["state"] == state
        })
        .await;
        found
    }
}

fn signature(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

const GITHUB: &str = "provider = 'github', secret_file = 'secret'";

#[tokio::test]
async fn what_is_proved_reaches_the_target_with_what_was_found() {
    let inside = Inside::with(&[]).await;
    let mut agent = inside.agent("", GITHUB).await;
    let answer = inside.post(b"signed", "signed").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "signed"));
    assert_eq!(answer.field(TOLD), None, "for the relay only");
    let told = inside.target.only().all(TOLD).into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let told = String::from_utf8(told.concat()).unwrap();
    assert!(told.starts_with("state=verified; provider=github; at=20"), "{told}");
    assert!(told.ends_with('Z'), "{told}");
    assert_eq!(inside.event("delivered").await["verification"], "verified");
    agent.kill().await;
}

#[tokio::test]
async fn what_nothing_proves_never_reaches_the_target_and_is_not_tried_again() {
    let inside = Inside::with(&[("fallback", "queue"), ("retry", "1s,1s")]).await;
    let mut agent = inside.agent("", GITHUB).await;
    let answer = inside.post(b"signed", "altered").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.field("webhook-relay-error").as_deref(), Some("signature_invalid"));
    assert_eq!(answer.json()["dispatched"], "no");
    assert_eq!(answer.field("retry-after"), None);
    let told = agent.event("delivery").await;
    assert!(told["error"].as_str().unwrap().contains("wrong_secret"), "{told}");
    let words = answer.json()["detail"].as_str().unwrap().to_owned();
    assert_eq!(words, "nothing proves that github has sent this: wrong_secret");
    let event = inside.event("rejected").await;
    assert_eq!((&event["why"], &event["verification"]), (&json!("wrong_secret"), &json!("failed")));
    assert!(inside.target.seen().is_empty());
    agent.kill().await;
}

#[tokio::test]
async fn what_waited_in_the_queue_is_final_too() {
    let inside = Inside::with(&[("reply", "ack"), ("retry", "1s,1s")]).await;
    assert_eq!(inside.post(b"signed", "altered").await.status(), 202);
    let mut agent = inside.agent("", GITHUB).await;
    let event = inside.event("rejected").await;
    assert_eq!((&event["why"], &event["attempts"]), (&json!("wrong_secret"), &json!(1)));
    assert_eq!(event["verification"], "failed");
    assert!(inside.target.seen().is_empty());
    agent.kill().await;
}

#[tokio::test]
async fn what_is_to_be_marked_reaches_the_target_with_why() {
    let inside = Inside::with(&[]).await;
    let mut agent = inside.agent("", &format!("{GITHUB}, on_failure = 'mark'")).await;
    assert_eq!(inside.post(b"signed", "altered").await.text(), "altered");
    let told = inside.target.only().field(TOLD).unwrap();
    assert!(told.starts_with("state=failed; provider=github; at="), "{told}");
    assert!(told.ends_with("; reason=wrong_secret"), "{told}");
    assert_eq!(inside.event("delivered").await["verification"], "failed");
    agent.kill().await;
}

#[tokio::test]
async fn a_long_body_is_whole_before_it_is_judged_and_its_trailers_come_after_it() {
    let inside = Inside::with(&[]).await;
    let mut agent = inside.agent("", GITHUB).await;
    let body = vec![b'x'; 1 << 20];
    assert_eq!(inside.post(&body, &body).await.body, body);
    assert_eq!(inside.post(b"another", &body).await.status(), 401);
    let mut provider = inside.relay.provider(&inside.endpoint);
    let request = provider.request("POST", "/").field("x-hub-signature-256", signature(b"onetwo"));
    let request = request.field("trailer", "x-sum");
    let request = request.chunks(&[b"one", b"two"], &[("x-sum", "7")]);
    assert_eq!(provider.send("POST", &request).await.text(), "onetwo");
    let [_, chunked] = &inside.target.has_seen(2).await[..] else { panic!("two") };
    assert_eq!(chunked.trailers, [("x-sum".to_owned(), b"7".to_vec())]);
    agent.kill().await;
}

#[tokio::test]
async fn it_is_judged_by_when_the_relay_received_it() {
    let inside = Inside::with(&[("reply", "ack")]).await;
    // A provider that allows a second.
    let profile = "schema = 1\n[hasty]\nverify = [ { kind = \"hmac\", digest = \"sha256\", key = \"utf8\", \
                   sig = { header = \"x-signature\", format = \"plain\", prefix = \"sha256=\", enc = \"hex\" }, \
                   ts = { from = \"hdr:x-time\", unit = \"s\", tolerance = 1 }, message = \"{ts}{body}\" } ]\n";
    let _ = inside.folder.file("mine.toml", profile);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut provider = inside.relay.provider(&inside.endpoint);
    for (time, body) in [(now, "in time"), (now - 60, "late")] {
        let signed = signature(format!("{time}{body}").as_bytes());
        let request = provider.request("POST", "/").field("x-signature", signed);
        let request = request.field("x-time", time.to_string()).body(body);
        assert_eq!(provider.send("POST", &request).await.status(), 202);
    }
    // By the clock of the agent, both are too old now.
    pass(Duration::from_secs(3)).await;
    let mark = "provider = 'hasty', secret_file = 'secret', on_failure = 'mark'";
    let mut agent = inside.agent("profiles = 'mine.toml'", mark).await;
    let told = |seen: &[Message], body: &str| {
        let found = seen.iter().find(|message| message.text() == body);
        found.unwrap().field(TOLD).unwrap()
    };
    let seen = inside.target.has_seen(2).await;
    assert!(told(&seen, "in time").starts_with("state=verified; provider=hasty;"));
    assert!(told(&seen, "late").ends_with("; reason=timestamp_too_old"));
    agent.kill().await;
}

#[tokio::test]
async fn a_secret_can_be_replaced_under_a_running_agent() {
    let inside = Inside::with(&[]).await;
    let two = "provider = 'github', secret_file = ['secret', 'older']";
    let older = inside.folder.file("older", "older");
    let mut agent = inside.agent("", two).await;
    assert_eq!(inside.post(b"a", "a").await.status(), 200);
    std::fs::rename(&older, inside.folder.path().join("secret")).unwrap();
    let _ = inside.folder.file("older", "oldest");
    until("the secret is another one", async || inside.post(b"a", "a").await.status() == 401).await;
    let _ = inside.folder.file("older", SECRET);
    until("the secret is back", async || inside.post(b"a", "a").await.status() == 200).await;
    agent.kill().await;
}

#[tokio::test]
async fn a_secret_that_none_of_the_provider_can_be_stops_the_agent_at_its_start() {
    let inside = Inside::with(&[]).await;
    let secret = inside.folder.file("secret", "no_base_64");
    let config = "relay = 'http://127.0.0.1:1'\n[[endpoint]]\nname = 'story'\ntarget = 'http://127.0.0.1:2'\n\
                  verify = { provider = 'svix', secret_file = 'secret' }\n";
    let config = inside.folder.file("agent.toml", config);
    let mut run = command(&inside.folder, &inside.relay.url(), &inside.token);
    let by_file = relay_tests::process::run(run.arg("run").arg("--config").arg(config)).await;
    let mut forward = command(&inside.folder, &inside.relay.url(), &inside.token);
    forward.args(["forward", "http://127.0.0.1:2", "--verify", "svix", "--secret-file"]);
    let by_flag = relay_tests::process::run(forward.arg(&secret)).await;
    for ended in [by_file, by_flag] {
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let told = "secret: a secret of svix is base64, with whsec_ before it or without";
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
        assert!(!ended.stderr.contains("no_base_64"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn forward_checks_as_well_and_by_the_url_that_the_provider_knows() {
    let inside = Inside::with(&[]).await;
    let secret = inside.folder.file("secret", SECRET);
    let mut forward = command(&inside.folder, &inside.relay.url(), &inside.token);
    forward.args(["forward", &inside.target.url(), "--verify", "square", "--secret-file"]);
    let mut agent = Process::start(forward.arg(&secret));
    let url = agent.event("ready").await["url"].as_str().unwrap().to_owned();
    let post = async |signed: String| {
        let mut provider = inside.relay.provider(&inside.endpoint);
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            hmac::sign(&key, signed.as_bytes()),
        );
        let request = provider.request("POST", "/sub?q=%2F");
        let request = request.field("x-square-hmacsha256-signature", tag).body("{}");
        provider.send("POST", &request).await.status()
    };
    assert_eq!(post(format!("{url}/sub?q=%2F{{}}")).await, 200);
    assert_eq!(post(format!("{url}/sub?q=/{{}}")).await, 401);
    agent.kill().await;
}
