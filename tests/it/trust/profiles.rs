//! A table of providers of one's own: it counts beside the embedded one, and a mistake in it stops the relay at its start.

use relay_tests::folder::Folder;
use relay_tests::process::{Program, run};
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use serde_json::json;

use super::events;
use crate::endpoints::client;

/// A provider that nobody has heard of, and another GitHub.
const MINE: &str = r#"schema = 1
[acme]
verify = [{ kind = "token", from = "hdr:x-acme-token" }]
event = { id = ["hdr:x-acme-id"], type = ["json:kind"] }
delivery = { ack = { status = 203 } }
[github]
verify = [{ kind = "basic" }]
"#;

#[tokio::test]
async fn rows_of_ones_own_count_beside_those_that_come_with_the_relay() {
    let folder = Folder::fresh();
    let file = folder.file("mine.toml", MINE).display().to_string();
    let mut relay = Relay::with(&[("profiles_file", &file)]).await;
    let secret = folder.file("secret", "open sesame\n").display().to_string();
    for (name, provider) in [("a", "acme"), ("g", "github"), ("s", "stripe")] {
        let create = ["endpoints", "create", name, "--provider", provider];
        let made = client(&relay, &[&create[..], &["--secret-file", &secret]].concat()).await;
        // Of the other GitHub the secret is a password, with a user before it.
        assert_eq!(made.code == Some(0), provider != "github", "{}", made.stderr);
        let told = made.stderr.contains("How acme signs is not confirmed");
        assert_eq!(told, provider == "acme", "{}", made.stderr);
    }
    let story = relay.endpoint_with("story", &[("verify", "acme"), ("reply", "ack")]).await;
    relay.api().post("/endpoints/story/secrets", &json!({"secret": "open sesame"})).await.unwrap();
    for outlived in [false, true] {
        if outlived {
            relay.stop().await;
            relay.resume().await;
        }
        for (token, status) in [("open sesame", 203), ("open rye", 401)] {
            let mut provider = relay.provider(&story);
            let request = provider.request("POST", "/").field("X-Acme-Token", token);
            let request = request.field("X-Acme-Id", "1").body(r#"{"kind":"thunder"}"#);
            assert_eq!(provider.send("POST", &request).await.status(), status, "{token}");
        }
    }
    let mut found = Vec::new();
    until("all are on record", async || {
        found = events(&relay, "story").await;
        found.len() == 4
    })
    .await;
    let states: Vec<&str> =
        found.iter().rev().map(|event| event["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["pending", "rejected", "duplicate", "rejected"]);
    assert!(found.iter().all(|event| event["event_type"] == "thunder"), "{found:?}");
}

#[tokio::test]
async fn a_mistake_in_it_stops_the_relay_at_its_start_and_is_told_with_its_line() {
    let folder = Folder::fresh();
    let wrong = MINE.replace("hdr:x-acme-id", "x-acme-id").replace("\"basic\"", "\"magic\"");
    let file = folder.file("mine.toml", &wrong);
    let data = folder.path().join("store");
    let mut init = Program::Server.command();
    assert_eq!(run(init.arg("init").arg("--data").arg(&data)).await.code, Some(0));
    let mut serve = Program::Server.command();
    serve.arg("serve").arg("--data").arg(&data).args(["--listen", "127.0.0.1:0", "--set"]);
    let ended = run(serve.arg(format!("profiles_file={}", file.display()))).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for told in ["profiles_file", "mine.toml", "line 4", "x-acme-id", "line 7", "magic"] {
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
}
