//! Endpoints are looked at, set, paused and given another key, over the API and from the command line.

use relay_client::api::ApiError;
use relay_client::notice::Notice;
use relay_tests::journey::Journey;
use relay_tests::process::{Ended, Program, run};
use relay_tests::provider::Provider;
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What the command says, as the relay's administrator.
pub(crate) async fn client(relay: &Relay, arguments: &[&str]) -> Ended {
    let mut command = Program::Client.command();
    command.env("RELAY_URL", relay.url()).env("RELAY_TOKEN", &relay.admin);
    run(command.args(arguments)).await
}

#[tokio::test]
async fn settings_are_changed_one_by_one_and_taken_back() {
    let relay = Relay::start().await;
    relay.endpoint_with("story", &[("hold", "1s")]).await;
    let set = client(&relay, &["endpoints", "set", "story", "retry=slack", "rate=5/s"]).await;
    assert_eq!(set.code, Some(0), "{}", set.stderr);
    let shown = relay.api().get("/endpoints/story").await.unwrap();
    for (key, value) in [("hold", "1s"), ("retry", "slack"), ("rate", "5/s")] {
        assert_eq!(shown["settings"][key], value);
    }
    let unset = client(&relay, &["endpoints", "set", "story", "--unset", "hold", "--json"]).await;
    let changed: Value = serde_json::from_str(&unset.stdout).unwrap();
    assert_eq!(
        (&changed["settings"]["hold"], &changed["settings"]["rate"]),
        (&json!("3s"), &json!("5/s"))
    );
}

#[tokio::test]
async fn a_setting_that_makes_no_sense_changes_nothing() {
    let mut relay = Relay::start().await;
    relay.endpoint("story").await;
    let refused = client(&relay, &["endpoints", "set", "story", "hold=1s", "rate=0/s"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("rate: "), "{}", refused.stderr);
    relay.stop().await;
    relay.resume().await;
    let shown = relay.api().get("/endpoints/story").await.unwrap();
    assert_eq!(shown["settings"]["hold"], "3s");
}

#[tokio::test]
async fn a_rotated_key_works_for_its_grace_also_after_a_restart() {
    let mut journey = Journey::to(Target::echo().await).await;
    let old = journey.through();
    let made = client(&journey.relay, &["endpoints", "rotate-key", "story"]).await;
    let url = made.stdout.trim().to_owned();
    assert!(url.contains("/hooks/story-") && !url.ends_with(&journey.endpoint.path), "{url}");
    journey.relay.stop().await;
    journey.relay.resume().await;
    journey.agent.notice(|notice| matches!(notice, Notice::Reconnected)).await;
    let new = Provider::of(journey.relay.address, &url[url.find("/hooks").unwrap()..]);
    for mut provider in [old, new] {
        assert_eq!(provider.post("/", "x").await.status(), 200);
    }
    let made = client(&journey.relay, &["endpoints", "rotate-key", "story", "--grace", "0s"]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let mut gone = Provider::of(journey.relay.address, &url[url.find("/hooks").unwrap()..]);
    assert_eq!(gone.post("/", "x").await.status(), 404);
}

#[tokio::test]
async fn a_pause_is_seen_and_survives_a_restart() {
    let mut relay = Relay::start().await;
    relay.endpoint("story").await;
    assert_eq!(client(&relay, &["endpoints", "pause", "story"]).await.code, Some(0));
    relay.stop().await;
    relay.resume().await;
    let shown = client(&relay, &["endpoints", "show", "story"]).await;
    assert!(shown.stdout.contains("paused"), "{}", shown.stdout);
    assert_eq!(client(&relay, &["endpoints", "resume", "story"]).await.code, Some(0));
    let shown = relay.api().get("/endpoints/story").await.unwrap();
    assert_eq!(shown["paused_at_ms"], Value::Null);
}

#[tokio::test]
async fn only_who_administers_an_endpoint_changes_it() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let reads = relay.make_token(&json!({"endpoints": ["story"], "scopes": ["read"]})).await;
    let api = relay.api_with(reads["token"].as_str().unwrap());
    for path in ["pause", "resume", "rotate-key", "rotate-signing-secret"] {
        let refused = api.post(&format!("/endpoints/story/{path}"), &json!({})).await;
        assert!(matches!(refused, Err(ApiError::NotAllowed(_))), "{path}");
    }
    let refused = api.patch("/endpoints/story", &json!({"settings": {"hold": "1s"}})).await;
    assert!(matches!(refused, Err(ApiError::NotAllowed(_))));
}

#[tokio::test]
async fn of_changes_at_the_same_moment_none_undoes_another() {
    let relay = Relay::program(&[]).await;
    let settings = [
        ("retry_for", "2h"),
        ("dedup_window", "2h"),
        ("batch_wait", "2s"),
        ("attempt_timeout", "7s"),
        ("max_in_flight", "7"),
        ("breaker", "off"),
    ];
    for round in 0..20 {
        let path = format!("/endpoints/story-{round}");
        relay.endpoint(&format!("story-{round}")).await;
        let change = |changes: &mut JoinSet<()>| {
            for (key, value) in settings {
                let (api, path) = (relay.api(), path.clone());
                let change = json!({"settings": {key: value}});
                changes.spawn(async move { drop(api.patch(&path, &change).await) });
            }
            let (api, pause) = (relay.api(), format!("{path}/pause"));
            changes.spawn(async move { drop(api.post(&pause, &json!({})).await) });
        };
        let mut changes = JoinSet::new();
        change(&mut changes);
        while changes.join_next().await.is_some() {}
        let shown = relay.api().get(&path).await.unwrap();
        for (key, value) in settings {
            assert_eq!(shown["settings"][key], value, "round {round}: {shown}");
        }
        assert_ne!(shown["paused_at_ms"], Value::Null, "round {round}");
        // Nor does one bring back what was deleted.
        change(&mut changes);
        relay.api().delete(&path).await.unwrap();
        while changes.join_next().await.is_some() {}
        let gone = relay.api().get(&path).await;
        assert!(matches!(gone, Err(ApiError::NotFound(_))), "round {round}: {gone:?}");
    }
}
