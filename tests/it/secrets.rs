//! Secrets are sealed at rest, with a key that is not in the store, and never shown again.

use std::path::PathBuf;

use relay_client::api::ApiError;
use relay_tests::folder::{Folder, files_with};
use relay_tests::process::{Program, run};
use relay_tests::relay::Relay;
use serde_json::{Value, json};

use crate::endpoints::client;

const SECRET: &str = "a-secret-of-a-provider";
const OTHER: &str = "another-secret-of-a-provider";

/// An endpoint with one secret of its provider; gives its signing secret.
async fn endpoint(relay: &Relay) -> String {
    let wanted = json!({"name": "story", "secrets": [SECRET]});
    let made = relay.api().post("/endpoints", &wanted).await.unwrap();
    made["signing_secret"].as_str().unwrap().to_owned()
}

/// What the relay tells of the endpoint's secrets.
async fn told(relay: &Relay) -> Vec<Value> {
    let told = relay.api().get("/endpoints/story/secrets").await.unwrap();
    told.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_stolen_store_and_a_stolen_backup_hold_no_secret() {
    let mut relay = Relay::start().await;
    let signing = endpoint(&relay).await;
    let store = relay.data.path().join("store");
    let key = std::fs::read_to_string(relay.data.path().join("store.key")).unwrap();
    let texts = [SECRET, &signing["whsec_".len()..], key.trim()];
    assert_eq!(files_with(&store, &texts), [] as [PathBuf; 0], "while it runs");
    let backup = relay.data.path().join("backup");
    let mut command = Program::Server.command();
    let made = run(command.arg("backup").arg(&backup).arg("--data").arg(&store)).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    relay.stop().await;
    let holders = files_with(relay.data.path(), &texts);
    assert_eq!(holders, [relay.data.path().join("store.key")]);
    assert!(files_with(relay.data.path(), &["story"]).len() > 1, "the search finds what is there");
}

#[tokio::test]
async fn a_secret_that_signs_an_event_is_not_kept_with_it() {
    let mut relay = Relay::start().await;
    let story = relay.endpoint_with("story", &[("verify", "github"), ("reply", "ack")]).await;
    relay.api().post("/endpoints/story/secrets", &json!({"secret": SECRET})).await.unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = ring::hmac::sign(&key, b"what was signed");
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut provider = relay.provider(&story);
    let signed =
        provider.request("POST", "/").field("X-Hub-Signature-256", format!("sha256={hex}"));
    assert_eq!(provider.send("POST", &signed.body("what was signed")).await.status(), 202);
    relay.stop().await;
    let store = relay.data.path().join("store");
    assert!(!files_with(&store, &["what was signed"]).is_empty());
    assert_eq!(files_with(&store, &[SECRET]), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_secret_that_its_provider_sends_along_is_kept_and_shown_with_the_event() {
    let mut relay = Relay::start().await;
    let story = relay.endpoint_with("story", &[("verify", "gitlab"), ("reply", "ack")]).await;
    relay.api().post("/endpoints/story/secrets", &json!({"secret": SECRET})).await.unwrap();
    let mut provider = relay.provider(&story);
    let request = provider.request("POST", "/").field("X-Gitlab-Token", SECRET).body("{}");
    let taken = provider.send("POST", &request).await;
    assert_eq!(taken.status(), 202);
    // Nobody may take the model for more than it says: a thief of the store, or of a token that reads, has it.
    let wanted = json!({"name": "reader", "scopes": ["read"], "endpoints": ["story"]});
    let reader = relay.make_token(&wanted).await["token"].as_str().unwrap().to_owned();
    let id = taken.field("webhook-relay-event-id").unwrap();
    let shown = relay.api_with(&reader).get(&format!("/events/{id}")).await.unwrap();
    assert!(shown.to_string().contains(SECRET), "{shown}");
    relay.stop().await;
    assert!(!files_with(&relay.data.path().join("store"), &[SECRET]).is_empty());
}

#[tokio::test]
async fn secrets_outlive_a_restart_and_are_told_without_what_they_are() {
    let mut relay = Relay::start().await;
    let signing = endpoint(&relay).await;
    let before = told(&relay).await;
    let purposes: Vec<&Value> = before.iter().map(|secret| &secret["purpose"]).collect();
    assert_eq!(purposes, ["provider", "signing"]);
    relay.stop().await;
    relay.resume().await;
    assert_eq!(told(&relay).await, before);
    for path in ["/endpoints/story/secrets", "/endpoints/story", "/endpoints"] {
        let shown = relay.api().get(path).await.unwrap().to_string();
        assert!(!shown.contains(SECRET) && !shown.contains(&signing), "{path}: {shown}");
    }
}

#[tokio::test]
async fn secrets_are_added_replaced_and_removed() {
    let relay = Relay::start().await;
    endpoint(&relay).await;
    let folder = Folder::fresh();
    let file = folder.file("other", &format!("{OTHER}\n")).display().to_string();
    let add = ["endpoints", "secrets", "add", "story", "--secret-file", &file];
    let added = client(&relay, &add).await;
    assert_eq!((added.code, added.stdout.as_str()), (Some(0), ""), "{}", added.stderr);
    assert_eq!(told(&relay).await.len(), 3);

    let replace = ["endpoints", "secrets", "replace", "story", "--secret-file", &file];
    assert_eq!(client(&relay, &[&replace[..], &["--grace", "1h"]].concat()).await.code, Some(0));
    let all = told(&relay).await;
    let ends = |secret: &&Value| secret["until_ms"].is_number();
    assert_eq!((all.len(), all.iter().filter(ends).count()), (4, 2));

    assert_eq!(client(&relay, &[&replace[..], &["--grace", "0s"]].concat()).await.code, Some(0));
    let all = told(&relay).await;
    assert_eq!(all.len(), 2, "what has no grace is gone");
    let listed = client(&relay, &["endpoints", "secrets", "list", "story"]).await.stdout;
    assert!(listed.contains("provider") && !listed.contains(OTHER), "{listed}");

    let id = all.iter().find(|secret| secret["purpose"] == "provider").unwrap()["id"].to_string();
    let removed = client(&relay, &["endpoints", "secrets", "remove", "story", &id]).await;
    assert_eq!(removed.code, Some(0), "{}", removed.stderr);
    assert_eq!(told(&relay).await.len(), 1);
    let again = client(&relay, &["endpoints", "secrets", "remove", "story", &id]).await;
    assert_eq!(again.code, Some(5), "{}", again.stderr);
}

#[tokio::test]
async fn a_secret_that_a_person_gave_is_never_shown() {
    let relay = Relay::start().await;
    endpoint(&relay).await;
    for secret in told(&relay).await {
        let id = secret["id"].to_string();
        let shown = client(&relay, &["endpoints", "secrets", "show", "story", &id]).await;
        assert_eq!((shown.code, shown.stdout.as_str()), (Some(5), ""), "{}", shown.stderr);
    }
}

#[tokio::test]
async fn a_rotated_signing_secret_is_shown_once_and_the_old_one_has_its_grace() {
    let relay = Relay::start().await;
    let first = endpoint(&relay).await;
    let rotated = client(&relay, &["endpoints", "rotate-signing-secret", "story"]).await;
    let second = rotated.stdout.trim().to_owned();
    assert!(second.starts_with("whsec_") && second != first, "{second}");
    let signing = |all: Vec<Value>| all.into_iter().filter(|secret| secret["purpose"] == "signing");
    let until: Vec<bool> =
        signing(told(&relay).await).map(|secret| secret["until_ms"].is_number()).collect();
    assert_eq!(until, [true, false]);
    let now = ["endpoints", "rotate-signing-secret", "story", "--grace", "0s"];
    assert_eq!(client(&relay, &now).await.code, Some(0));
    assert_eq!(signing(told(&relay).await).count(), 1);
}

#[tokio::test]
async fn the_relay_does_not_start_with_another_key_or_without_the_one_it_needs() {
    let mut relay = Relay::program(&[]).await;
    endpoint(&relay).await;
    relay.stop().await;
    let (key, kept) = (relay.data.path().join("store.key"), relay.data.path().join("kept"));
    std::fs::rename(&key, &kept).unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    assert!(
        said.contains("holds 2 sealed secrets") && said.contains("--secrets-key-file"),
        "{said}"
    );
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    assert!(said.contains("sealed with another key"), "{said}");
    std::fs::write(&key, "no key at all").unwrap();
    let said = relay.try_resume_program().await.unwrap_err();
    assert!(said.contains("store.key") && !said.contains("no key at all"), "{said}");
    std::fs::rename(&kept, &key).unwrap();
    relay.resume_program().await;
    assert_eq!(told(&relay).await.len(), 2);
}

#[tokio::test]
async fn a_key_may_be_in_a_file_of_its_own_or_in_the_environment() {
    let folder = Folder::fresh();
    let (store, file) = (folder.path().join("store"), folder.path().join("elsewhere"));
    let mut init = Program::Server.command();
    init.arg("init").arg("--data").arg(&store).arg("--secrets-key-file").arg(&file);
    assert_eq!(run(&mut init).await.code, Some(0));
    assert!(file.exists() && !folder.path().join("store.key").exists());
    let mut init = Program::Server.command();
    init.env("RELAY_SECRETS_KEY", "00".repeat(32));
    let made = run(init.arg("init").arg("--data").arg(folder.path().join("other"))).await;
    assert!(made.stderr.contains("RELAY_SECRETS_KEY"), "{}", made.stderr);
    assert!(!folder.path().join("other.key").exists());
}

#[tokio::test]
async fn without_a_key_no_secret_is_kept_and_everything_else_works() {
    let mut relay = Relay::start().await;
    relay.stop().await;
    std::fs::remove_file(relay.data.path().join("store.key")).unwrap();
    relay.resume().await;
    let made = relay.api().post("/endpoints", &json!({"name": "bare"})).await.unwrap();
    assert_eq!(made["signing_secret"], Value::Null);
    let wanted = json!({"name": "story", "secrets": [SECRET]});
    let Err(ApiError::Failed(said)) = relay.api().post("/endpoints", &wanted).await else {
        panic!("a secret is kept without a key")
    };
    assert!(said.contains("no key") && said.contains("openssl rand"), "{said}");
    let rotated = relay.api().post("/endpoints/bare/rotate-signing-secret", &json!({})).await;
    assert!(rotated.is_err());
}

/// Why the relay does not do it, and that the secret is not in it.
async fn refused(relay: &Relay, arguments: &[&str], secret: &str) -> String {
    let ended = client(relay, arguments).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert!(!ended.stderr.contains(secret), "a secret is told: {}", ended.stderr);
    ended.stderr
}

#[tokio::test]
async fn a_secret_that_none_of_the_provider_can_be_is_refused_when_it_is_set() {
    let relay = Relay::start().await;
    let folder = Folder::fresh();
    let file = |name: &str, text: &str| folder.file(name, text).display().to_string();
    let (bad, good) =
        (file("bad", "no_base_64"), file("good", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2Ls"));
    let key = file("key", &"00".repeat(32));
    let create = |name, provider, file| {
        ["endpoints", "create", name, "--provider", provider, "--secret-file", file]
    };
    let said = refused(&relay, &create("story", "svix", &bad), "no_base_64").await;
    assert!(said.contains("secret: a secret of svix is base64, with whsec_ before"), "{said}");
    let said = refused(&relay, &create("story", "discord", &good), "MfKQ9r8GKY").await;
    assert!(said.contains("Ed25519 public key of 32 bytes: hexadecimal"), "{said}");
    assert!(relay.api().get("/endpoints/story").await.is_err(), "nothing was made");

    assert_eq!(client(&relay, &create("story", "svix", &good)).await.code, Some(0));
    for verb in ["add", "replace"] {
        let set = ["endpoints", "secrets", verb, "story", "--secret-file", &bad];
        let said = refused(&relay, &set, "no_base_64").await;
        assert!(said.contains("a secret of svix is base64"), "{said}");
    }
    // Another provider, whose secret that one cannot be, comes after its secret.
    let other = ["endpoints", "set", "story", "verify=discord"];
    let said = refused(&relay, &other, "MfKQ9r8GKY").await;
    assert!(
        said.contains("verify: a secret of discord is") && said.contains("verify=off"),
        "{said}"
    );
    for arguments in [
        &["endpoints", "set", "story", "verify=off"][..],
        &["endpoints", "secrets", "replace", "story", "--secret-file", &key],
        &other,
    ] {
        let done = client(&relay, arguments).await;
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    }
}
