//! What an agent that verifies cannot judge: it is refused where it is configured, or it says that it has not judged it; it
//! never passes for something that was proved.

use relay_tests::folder::Folder;
use relay_tests::process::{Ended, Program, run};
use relay_tests::wait::until;
use serde_json::{Value, json};

use super::{GITHUB, Inside, TOLD};

/// The events, the oldest first, when each of them is in this state.
async fn all(inside: &Inside, count: usize, state: &str) -> Vec<Value> {
    let mut found = Vec::new();
    until(&format!("{count} events are {state}"), async || {
        let page = inside.relay.api().get("/events").await.unwrap();
        found = page["events"].as_array().unwrap().clone();
        found.len() == count && found.iter().all(|event| event["state"] == state)
    })
    .await;
    found.reverse();
    found
}

/// An endpoint whose events go two at a time.
async fn in_twos() -> Inside {
    Inside::with(&[("reply", "ack"), ("batch", "2"), ("batch_wait", "5m")]).await
}

#[tokio::test]
async fn a_batch_reaches_no_target_for_nobody_has_signed_it() {
    let inside = in_twos().await;
    let mut agent = inside.agent("", GITHUB).await;
    for body in ["one", "two"] {
        assert_eq!(inside.post(body.as_bytes(), body).await.status(), 202);
    }
    for event in all(&inside, 2, "rejected").await {
        assert_eq!(
            (&event["why"], &event["verification"]),
            (&json!("batched"), &json!("unattempted"))
        );
    }
    assert!(inside.target.seen().is_empty());
    agent.kill().await;
}

#[tokio::test]
async fn a_batch_that_is_to_be_marked_says_that_it_was_not_judged() {
    let inside = in_twos().await;
    let mut agent = inside.agent("", &format!("{GITHUB}, on_failure = 'mark'")).await;
    for body in ["one", "two"] {
        assert_eq!(inside.post(body.as_bytes(), body).await.status(), 202);
    }
    for event in all(&inside, 2, "delivered").await {
        assert_eq!(event["verification"], "unattempted");
    }
    let told = inside.target.only().field(TOLD).unwrap();
    assert!(told.starts_with("state=unattempted; provider=github; at=20"), "{told}");
    assert!(told.ends_with("; reason=batched"), "{told}");
    agent.kill().await;
}

#[tokio::test]
async fn a_replay_that_was_edited_is_not_what_the_provider_has_signed() {
    let inside = Inside::with(&[]).await;
    let mut agent = inside.agent("", GITHUB).await;
    assert_eq!(inside.post(b"signed", "signed").await.status(), 200);
    let event = inside.event("delivered").await;
    let path = format!("/events/{}/replay", event["id"].as_str().unwrap());
    // As it was, it is still good.
    inside.relay.api().post(&path, &json!({})).await.unwrap();
    let seen = inside.target.has_seen(2).await;
    assert!(seen[1].field(TOLD).unwrap().starts_with("state=verified;"));
    let edit = json!({"edit": {"body_base64": "eA=="}});
    inside.relay.api().post(&path, &edit).await.unwrap();
    let edited = inside.event("rejected").await;
    assert_eq!(
        (&edited["why"], &edited["verification"]),
        (&json!("wrong_secret"), &json!("failed"))
    );
    assert_eq!(inside.target.seen().len(), 2);
    agent.kill().await;
}

/// How an agent ends that is to verify so.
async fn ends(verify: &str) -> Ended {
    let folder = Folder::fresh();
    let _ = folder.file("secret", "it never leaves");
    let config = format!(
        "relay = 'http://r.example'\n[[endpoint]]\nname = 'story'\ntarget = '3000'\nverify = {{ {verify} }}\n"
    );
    let file = folder.file("agent.toml", &config);
    run(Program::Client.command().arg("run").arg("--config").arg(file)).await
}

#[tokio::test]
async fn what_could_never_be_proved_at_an_agent_is_refused_before_it_starts() {
    let paypal = "provider = 'paypal', params = { webhook_id = '1' }, secret_file = 'secret'";
    for (verify, told) in [
        (
            paypal,
            "paypal signs with a certificate that is fetched from it, which an agent does not do",
        ),
        ("provider = 'aws_sns', secret_file = 'secret', on_failure = 'mark'", "verify=aws_sns"),
        (
            "provider = 'ebay', secret_file = 'secret'",
            "ebay sends nothing by which it could be checked",
        ),
    ] {
        let ended = ends(verify).await;
        assert_eq!(ended.code, Some(2), "{verify}: {}", ended.stderr);
        assert!(ended.stderr.contains("endpoint 1: verify: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
    let folder = Folder::fresh();
    let mut forward = Program::Client.command();
    forward.env("RELAY_TOKEN", "wr_a_b").args([
        "--relay",
        "http://r.example",
        "forward",
        "3000",
        "--verify",
        "aws_sns",
    ]);
    let ended = run(forward.arg("--secret-file").arg(folder.file("secret", "arn"))).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("which an agent does not do"), "{}", ended.stderr);
}

#[tokio::test]
async fn where_one_of_two_checks_would_have_to_fetch_it_is_not_made() {
    let inside = Inside::with(&[]).await;
    let profile = "[mixed]\nverify = [\n  { kind = \"rsa_pkcs1\", digest = \"sha256\", \
                   key = \"cert_url:hdr:x-cert\", cert_hosts = [\"certs.example\"], \
                   sig = { header = \"x-signature\", enc = \"base64\" }, message = \"{body}\" },\n  \
                   { kind = \"token\", from = \"hdr:x-token\" },\n]\nbody_bound = false\n";
    let _ = inside.folder.file("mine.toml", profile);
    let verify = "provider = 'mixed', secret_file = 'secret'";
    let mut agent = inside.agent("profiles = 'mine.toml'", verify).await;
    let mut provider = inside.relay.provider(&inside.endpoint);
    let by_token = provider.request("POST", "/").field("x-token", super::SECRET).body("{}");
    assert_eq!(provider.send("POST", &by_token).await.status(), 200);
    let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [7; 256]);
    let signed = provider.request("POST", "/").field("x-cert", "https://certs.example/1");
    let signed = signed.field("x-signature", signature).field("x-token", super::SECRET).body("{}");
    assert_eq!(provider.send("POST", &signed).await.status(), 401);
    let event = inside.event("rejected").await;
    assert_eq!(
        (&event["why"], &event["verification"]),
        (&json!("certificate_unavailable"), &json!("unattempted"))
    );
    assert_eq!(inside.target.seen().len(), 1);
    agent.kill().await;
}
