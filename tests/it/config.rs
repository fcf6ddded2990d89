//! Settings that make no sense are refused before anything starts: all of them at once, and without their secrets.

use relay_tests::folder::Folder;
use relay_tests::process::{Ended, Program, run};
use relay_tests::relay::Relay;

async fn serve(folder: &Folder, config: &str, arguments: &[&str]) -> Ended {
    let file = folder.file("relay.toml", config);
    let mut serve = Program::Server.command();
    serve.arg("serve").arg("--config").arg(file).args(arguments);
    run(serve.env("RELAY_SERVER_WORKERS", "none")).await
}

#[tokio::test]
async fn every_problem_is_told_at_once_with_its_place() {
    let folder = Folder::fresh();
    let config = "listen = 'nowhere'\ncolour = 'red'\nuri_max = '1'\n";
    let ended = serve(&folder, config, &["--set", "heartbeat=soon", "--set", "shape=round"]).await;
    assert_eq!(ended.code, Some(2));
    for told in [
        "relay.toml:1: listen",
        "relay.toml:2: no such setting: colour",
        "relay.toml:3: uri_max",
        "environment RELAY_SERVER_WORKERS: workers",
        "flag --set: heartbeat: ",
        "flag --set: no such setting: shape",
    ] {
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
}

#[tokio::test]
async fn an_agents_file_tells_every_problem_at_once() {
    let folder = Folder::fresh();
    let config = "relay = 'x'\n[[endpoint]]\nname = 'A'\ntarget = '3000'\n\
        [[endpoint]]\nname = 'b'\ntarget = 'ftp://x'\n";
    let file = folder.file("agent.toml", config);
    let ended = run(Program::Client.command().arg("run").arg("--config").arg(file)).await;
    assert_eq!(ended.code, Some(2));
    for told in ["relay:", "endpoint 1:", "endpoint 2:"] {
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_problem_never_shows_a_secret() {
    let folder = Folder::fresh();
    for config in [
        "token = 'wr_abc_HIDDEN'\n",
        "relay = 'http://r.example'\ntoken_file = ['wr_abc_HIDDEN']\n",
        "token_file = 'a'\n[[endpoint]]\nname = 'a'\ntarget = 'http://user:HIDDEN@localhost:1'\n",
        "relay = 'https://user:HIDDEN@r.example'\n[[endpoint]]\nname = 'a'\ntarget = '1'\n",
        "token_file = 'wr_abc_HIDDEN\n",
    ] {
        let file = folder.file("agent.toml", config);
        let ended = run(Program::Client.command().arg("run").arg("--config").arg(file)).await;
        assert_eq!(ended.code, Some(2), "{config}: {}", ended.stderr);
        assert!(!ended.stderr.contains("HIDDEN"), "{config}: {}", ended.stderr);
    }
    for config in [
        "admin_token = 'wr_abc_HIDDEN'\n",
        "listen = 'wr_abc_HIDDEN\n",
        "public_url = 'ftp://user:HIDDEN@r.example'\n",
        "store = 'postgres://user:HIDDEN@db.example/relay\n",
    ] {
        let ended = serve(&folder, config, &[]).await;
        assert_eq!(ended.code, Some(2), "{config}: {}", ended.stderr);
        assert!(!ended.stderr.contains("HIDDEN"), "{config}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn whoever_sends_the_first_token_into_a_file_is_told_that_it_went_there() {
    let folder = Folder::fresh();
    let store = folder.path().join("store");
    let made = run(Program::Server.command().arg("init").arg("--data").arg(store)).await;
    assert_eq!((made.code, made.stdout.lines().count()), (Some(0), 1), "{}", made.stderr);
    assert!(made.stderr.contains("gone to where stdout goes"), "{}", made.stderr);
    assert!(!made.stderr.contains("above") && !made.stderr.contains(made.stdout.trim()));
}

#[tokio::test]
async fn a_store_that_is_not_there_or_in_use_is_told() {
    let folder = Folder::fresh();
    let nothing = folder.path().join("nothing");
    let missing = run(Program::Server.command().arg("serve").arg("--data").arg(nothing)).await;
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);
    assert!(missing.stderr.contains("relay-server init"), "{}", missing.stderr);
    let relay = Relay::program(&[]).await;
    let same = relay.data.path().join("store");
    let mut second = Program::Server.command();
    second.arg("serve").arg("--data").arg(same).args(["--listen", "127.0.0.1:0"]);
    let second = run(&mut second).await;
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
}

#[tokio::test]
async fn a_relay_without_an_admin_token_does_not_stand_open_to_the_world() {
    let relay = Relay::program(&[]).await;
    let id = relay.admin.split('_').nth(1).unwrap().to_owned();
    relay.api().delete(&format!("/tokens/{id}")).await.unwrap();
    let data = relay.data.clone();
    drop(relay);
    let mut serve = Program::Server.command();
    serve.arg("serve").arg("--data").arg(data.path().join("store"));
    let mut ended = run(serve.args(["--listen", "0.0.0.0:0"])).await;
    while ended.stderr.contains("in use") {
        // The killed one may not be gone yet.
        ended = run(&mut serve).await;
    }
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("admin token"), "{}", ended.stderr);
}
