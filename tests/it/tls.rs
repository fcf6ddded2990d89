//! Agents reach a relay over TLS, and targets too, and trust whom they are told to and nobody else.

use relay_tests::agent::command;
use relay_tests::folder::Folder;
use relay_tests::process::{Process, run};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::tls::TlsFront;

#[tokio::test]
async fn an_agent_trusts_the_authority_in_its_ca_file() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let (front, target, folder) =
        (TlsFront::of(relay.address).await, Target::echo().await, Folder::fresh());
    let token = relay.token(&["story"]).await;
    for scheme in ["https", "wss"] {
        let url = front.url().replacen("https", scheme, 1);
        let mut forward = command(&folder, &url, &token);
        forward.arg("--ca-file").arg(front.ca_file()).arg("forward").arg(target.url());
        let mut agent = Process::start(&mut forward);
        agent.event("ready").await;
        assert_eq!(relay.provider(&endpoint).post("/", "safe").await.text(), "safe");
        agent.kill().await;
    }
}

#[tokio::test]
async fn without_a_file_of_its_own_an_agent_trusts_the_authorities_of_its_system() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let (front, target, folder) =
        (TlsFront::of(relay.address).await, Target::echo().await, Folder::fresh());
    let token = relay.token(&["story"]).await;
    let mut forward = command(&folder, &front.url(), &token);
    // Where OpenSSL looks for the system's, and so do its kin.
    forward.env("SSL_CERT_FILE", front.ca_file()).arg("forward").arg(target.url());
    let mut agent = Process::start(&mut forward);
    agent.event("ready").await;
    assert_eq!(relay.provider(&endpoint).post("/", "safe").await.text(), "safe");
    agent.kill().await;
    let list = |roots: &std::path::Path| {
        let mut list = command(&folder, &front.url(), &relay.admin);
        list.env("SSL_CERT_FILE", roots).args(["endpoints", "list"]);
        list
    };
    assert_eq!(run(&mut list(front.ca_file())).await.code, Some(0));
    let another = TlsFront::of(relay.address).await;
    assert_eq!(run(&mut list(another.ca_file())).await.code, Some(3));
}

#[tokio::test]
async fn an_agent_trusts_nobody_whom_it_does_not_know() {
    let relay = Relay::start().await;
    let (front, folder) = (TlsFront::of(relay.address).await, Folder::fresh());
    let ended = run(command(&folder, &front.url(), &relay.admin).args(["endpoints", "list"])).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("TLS") || ended.stderr.contains("certificate"),
        "{}",
        ended.stderr
    );
    let wrong_name = front.url().replace("localhost", "127.0.0.1");
    let mut list = command(&folder, &wrong_name, &relay.admin);
    list.arg("--ca-file").arg(front.ca_file());
    assert_eq!(run(list.args(["endpoints", "list"])).await.code, Some(3));
    let mut list = command(&folder, &front.url(), &relay.admin);
    list.arg("--ca-file").arg(folder.file("empty.pem", ""));
    assert_eq!(run(list.args(["endpoints", "list"])).await.code, Some(2));
}

#[tokio::test]
async fn bodies_go_to_a_target_over_tls_and_come_back_whole() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint("story").await;
    let (target, folder) = (Target::echo().await, Folder::fresh());
    let front = TlsFront::of(target.address()).await;
    let token = relay.token(&["story"]).await;
    let mut forward = command(&folder, &relay.url(), &token);
    forward.arg("--ca-file").arg(front.ca_file()).arg("forward").arg(front.url());
    let mut agent = Process::start(&mut forward);
    agent.event("ready").await;
    let bytes: Vec<u8> = (0..8 << 20).map(|at: u32| (at % 251) as u8).collect();
    let mut provider = relay.provider(&endpoint);
    for size in [0, 1, 20_000, 8 << 20, 300 << 10, 3] {
        let answer = provider.post("/", &bytes[..size]).await;
        assert!(answer.status() == 200 && answer.body == bytes[..size], "{size}");
    }
    assert_eq!(target.seen().len(), 6);
}
