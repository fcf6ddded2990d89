//! The token of a live line: revoked, renewed, replaced.

use relay_protocol::frame::ToRelay;
use relay_protocol::reason::close;
use relay_tests::agent::Agent;
use relay_tests::agent::Wanted;
use relay_tests::folder::Folder;
use relay_tests::process::{Process, Program};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;
use relay_tests::wire::{ByHand, hello};
use serde_json::json;

/// A token for `story`: its text and its id.
async fn token(relay: &Relay) -> (String, String) {
    let made = relay.make_token(&json!({"endpoints": ["story"]})).await;
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("token"), text("id"))
}

async fn revoke(relay: &Relay, id: &str) {
    relay.api().delete(&format!("/tokens/{id}")).await.expect("it is revoked");
}

#[tokio::test]
async fn a_token_revoked_between_upgrade_and_hello_is_not_seated() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (token, id) = token(&relay).await;
    let mut line = ByHand::connect(relay.address, &token).await.expect("it is let in");
    revoke(&relay, &id).await;
    line.send(ToRelay::Hello(hello("late", &["story"]))).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
    assert_eq!(relay.agents("story").await, 0);
}

#[tokio::test]
async fn a_revoked_token_ends_its_lines_and_no_others() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let ((bad, id), (good, _)) = (token(&relay).await, token(&relay).await);
    let (mut revoked, _) = ByHand::live(relay.address, &bad, hello("bad", &["story"])).await;
    let (mut stays, _) = ByHand::live(relay.address, &good, hello("good", &["story"])).await;
    revoke(&relay, &id).await;
    assert_eq!(revoked.closed().await, close::NOT_ALLOWED);
    assert!(stays.is_live().await);
}

#[tokio::test]
async fn a_renewed_line_lives_and_dies_with_its_new_token() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let ((old, old_id), (new, new_id)) = (token(&relay).await, token(&relay).await);
    let (mut line, _) = ByHand::live(relay.address, &old, hello("renews", &["story"])).await;
    line.send(ToRelay::Renew(new)).await;
    // The relay sees to frames in their order, and to RENEW before it is asked for anything else.
    assert!(line.is_live().await);
    revoke(&relay, &old_id).await;
    assert!(line.is_live().await);
    revoke(&relay, &new_id).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_that_does_not_do_leaves_the_old_one() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    relay.endpoint("other").await;
    let (old, old_id) = token(&relay).await;
    let (mut line, _) = ByHand::live(relay.address, &old, hello("renews", &["story"])).await;
    for wrong in [relay.token(&["other"]).await, "wr_no_token".into(), String::new()] {
        line.send(ToRelay::Renew(wrong)).await;
    }
    assert!(line.is_live().await);
    revoke(&relay, &old_id).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
}

#[tokio::test]
async fn nobody_guesses_tokens_over_a_line() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (good, _) = token(&relay).await;
    let (mut line, _) = ByHand::live(relay.address, &good, hello("guesses", &["story"])).await;
    for n in 0..200 {
        line.send(ToRelay::Renew(format!("wr_0000000000_{n:043}"))).await;
        if n % 10 == 0 && !line.is_live().await {
            break;
        }
    }
    assert!(!line.is_live().await);
    assert!(ByHand::connect(relay.address, &good).await.is_ok());
}

#[tokio::test]
async fn many_words_for_the_session_are_all_seen_to_or_end_the_line() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (old, old_id) = token(&relay).await;
    let (last, _) = token(&relay).await;
    let (mut line, _) = ByHand::live(relay.address, &old, hello("renews", &["story"])).await;
    for _ in 0..10 {
        line.send(ToRelay::Renew(old.clone())).await;
    }
    line.send(ToRelay::Renew(last)).await;
    assert!(line.is_live().await);
    revoke(&relay, &old_id).await;
    assert!(line.is_live().await, "the last one was seen to");
}

#[tokio::test]
async fn a_replaced_token_file_is_shown_to_the_relay_before_the_old_token_is_revoked() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let ((old, old_id), (new, new_id)) = (token(&relay).await, token(&relay).await);
    let (folder, target) = (Folder::fresh(), Target::answering(200, "here").await);
    let file = folder.file("token", &format!("{old}\n"));
    let mut command = Program::Client.command();
    command.arg("--relay").arg(relay.url()).arg("--token-file").arg(&file);
    let mut agent = Process::start(command.args(["forward", &target.url(), "--endpoint", "story"]));
    agent.event("ready").await;
    until("both lines", async || relay.agents("story").await > 0).await;
    std::fs::write(&file, format!("{new}\n")).expect("a file");
    let goes_on = format!("token=\"{new_id}\"");
    let words = "goes on under another token";
    let shown = |said: &str| {
        said.lines().any(|line| line.contains(words) && line.contains(&new_id))
            || said.contains(&goes_on)
    };
    until("the relay is shown the new token", async || shown(&relay.process().said())).await;
    revoke(&relay, &old_id).await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.text(), "here");
}

#[tokio::test]
async fn an_agent_asks_for_no_endpoint_twice_and_says_so_itself() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let target = Target::echo().await;
    let mut wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    wanted.routes.push(wanted.routes[0].clone());
    let mut agent = Agent::begin(&wanted);
    let told = agent
        .notice(|notice| matches!(notice, relay_client::notice::Notice::Disconnected { .. }))
        .await;
    assert!(format!("{told:?}").contains("named twice"), "{told:?}");
}

/// Gives the token another secret; the old one counts for this long.
async fn rotate(relay: &Relay, id: &str, grace: &str) -> String {
    let path = format!("/tokens/{id}/rotate");
    let made = relay.api().post(&path, &json!({"grace": grace})).await.expect("another secret");
    assert_eq!(made["id"], id);
    made["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_line_on_a_replaced_secret_ends_with_its_grace_and_one_on_the_new_secret_does_not() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (old, id) = token(&relay).await;
    let (mut left, _) = ByHand::live(relay.address, &old, hello("left", &["story"])).await;
    let (mut renewed, _) = ByHand::live(relay.address, &old, hello("renewed", &["story"])).await;
    let new = rotate(&relay, &id, "1500ms").await;
    let (mut late, welcome) = ByHand::live(relay.address, &old, hello("late", &["story"])).await;
    assert!(welcome.token_expires_in_ms.is_some_and(|ms| ms <= 1500));
    let (mut fresh, welcome) = ByHand::live(relay.address, &new, hello("fresh", &["story"])).await;
    assert_eq!(welcome.token_expires_in_ms, None);
    renewed.send(ToRelay::Renew(new)).await;
    assert!(left.is_live().await && renewed.is_live().await);
    assert_eq!([left.closed().await, late.closed().await], [close::NOT_ALLOWED; 2]);
    assert!(renewed.is_live().await && fresh.is_live().await);
    assert_eq!(ByHand::connect(relay.address, &old).await.err(), Some(401));
}

#[tokio::test]
async fn a_second_rotation_ends_the_first_ones_grace() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (first, id) = token(&relay).await;
    let (mut line, _) = ByHand::live(relay.address, &first, hello("one", &["story"])).await;
    let second = rotate(&relay, &id, "1h").await;
    assert!(line.is_live().await);
    let third = rotate(&relay, &id, "1h").await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
    assert_eq!(ByHand::connect(relay.address, &first).await.err(), Some(401));
    for good in [second, third] {
        assert!(ByHand::connect(relay.address, &good).await.is_ok());
    }
}

#[tokio::test]
async fn a_token_is_rotated_under_an_agent_that_never_leaves() {
    let mut relay = Relay::program(&[]).await;
    let endpoint = relay.endpoint("story").await;
    let (old, id) = token(&relay).await;
    let (folder, target) = (Folder::fresh(), Target::answering(200, "here").await);
    let file = folder.file("token", &old);
    let mut command = Program::Client.command();
    command.arg("--relay").arg(relay.url()).arg("--token-file").arg(&file);
    let mut agent = Process::start(command.args(["forward", &target.url(), "--endpoint", "story"]));
    agent.event("ready").await;
    let arguments = ["tokens", "rotate", &id, "--grace", "5s"];
    let rotated = super::endpoints::client(&relay, &arguments).await;
    assert_eq!(rotated.code, Some(0), "{}", rotated.stderr);
    std::fs::write(&file, &rotated.stdout).expect("a file");
    let by_old = relay.api_with(&old);
    until("the grace is over", async || by_old.get("/endpoints").await.is_err()).await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.text(), "here");
    assert!(
        !relay.process().said().contains("an agent's line has ended"),
        "{}",
        relay.process().said()
    );
}

#[tokio::test]
async fn a_rotation_survives_a_restart_and_the_old_secret_its_grace_only() {
    let mut relay = Relay::start().await;
    relay.endpoint("story").await;
    let ((one, one_id), (two, two_id)) = (token(&relay).await, token(&relay).await);
    let (new_one, new_two) =
        (rotate(&relay, &one_id, "1h").await, rotate(&relay, &two_id, "0s").await);
    relay.stop().await;
    relay.resume().await;
    for (token, good) in [(one, true), (new_one, true), (two, false), (new_two, true)] {
        assert_eq!(ByHand::connect(relay.address, &token).await.is_ok(), good, "{token}");
    }
}

#[tokio::test]
async fn a_token_that_is_over_is_not_rotated() {
    let relay = Relay::start().await;
    relay.endpoint("story").await;
    let (_, revoked) = token(&relay).await;
    revoke(&relay, &revoked).await;
    let expired = relay.make_token(&json!({"expires": "1ms"})).await;
    let expired = expired["id"].as_str().expect("an id").to_owned();
    for id in [revoked, expired, "nothing".into(), "a/b".into()] {
        let path = format!("/tokens/{}/rotate", relay_client::api::segment(&id));
        assert!(relay.api().post(&path, &json!({})).await.is_err(), "{id}");
    }
}

#[tokio::test]
async fn it_is_told_when_a_token_was_last_used_also_after_a_restart() {
    let mut relay = Relay::start().await;
    relay.endpoint("story").await;
    let (text, id) = token(&relay).await;
    let (_, unused) = token(&relay).await;
    let shown = async |relay: &Relay, id: &str| {
        let all = relay.api().get("/tokens").await.expect("a list");
        let of = |token: &&serde_json::Value| token["id"] == id;
        all.as_array().expect("a list").iter().find(of).expect("the token").clone()
    };
    assert!(shown(&relay, &id).await["last_used_at_ms"].is_null());
    let (line, _) = ByHand::live(relay.address, &text, hello("one", &["story"])).await;
    assert_eq!(shown(&relay, &id).await["lines"], 1);
    drop(line);
    until("the line has gone", async || shown(&relay, &id).await["lines"] == 0).await;
    let used = shown(&relay, &id).await["last_used_at_ms"].as_u64().expect("a time");
    relay.stop().await;
    relay.resume().await;
    assert_eq!(shown(&relay, &id).await["last_used_at_ms"], used);
    assert!(shown(&relay, &unused).await["last_used_at_ms"].is_null());
}
