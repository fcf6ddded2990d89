//! The network itself: proxies that cut what is idle, relays on IPv6 only, an IPv6 that leads nowhere.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use relay_tests::black_hole::BlackHole;
use relay_tests::folder::Folder;
use relay_tests::process::{Process, Program, run};
use relay_tests::proxy::Proxy;
use relay_tests::relay::Relay;
use relay_tests::target::Target;

use super::Office;

#[tokio::test]
async fn an_agent_dials_again_when_the_proxy_cuts_what_is_idle() {
    let office = Office::new().await;
    let story = "an_agent_dials_again_when_the_proxy_cuts_what_is_idle";
    let Some(proxy) = Proxy::tinyproxy(story, "Timeout 1").await else { return };
    let mut client = office.to_front();
    client.env("HTTPS_PROXY", proxy.url("http://")).arg("forward").arg(office.target.url());
    let mut agent = Process::start(&mut client);
    agent.event("ready").await;
    // One for the command's own question, two for the lines, and each of these once more.
    proxy.tells_often_of("CONNECT ", 6).await;
    let answer = office.relay.provider(&office.endpoint).post("/", "again").await;
    assert_eq!(answer.text(), "again");
    agent.kill().await;
}

#[tokio::test]
async fn a_relay_on_ipv6_only_is_reached_at_once_and_through_proxies() {
    if tokio::net::TcpListener::bind("[::1]:0").await.is_err() {
        eprintln!("skipped, there is no IPv6 here");
        return;
    }
    let office = Office::on(Relay::with(&[("listen", "[::1]:0")]).await).await;
    assert!(office.front.url().starts_with("https://[::1]:"), "{}", office.front.url());
    office.works_through("direct").await;
    let story = "a_relay_on_ipv6_only_is_reached_at_once_and_through_proxies";
    if let Some(proxy) = Proxy::tinyproxy(story, "").await {
        office.works_through(&proxy.url("http://")).await;
        proxy.tells_of("CONNECT [::1]:").await;
    }
    if let Some(proxy) = Proxy::microsocks(story, None).await {
        office.works_through(&proxy.url("socks5://")).await;
        proxy.tells_of("connected to ::1:").await;
    }
}

/// Starts a program with these names for the resolver, and nothing else changed; none where that may not be done.
async fn with_names(folder: &Folder, names: &str) -> Option<Vec<String>> {
    let hosts = folder.file("hosts", names);
    let mounted = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", hosts.display());
    let starter = ["unshare", "--mount", "sh", "-c", &mounted, "sh"].map(str::to_owned).to_vec();
    let mut probe = tokio::process::Command::new(&starter[0]);
    let there = probe.args(&starter[1..]).arg("true").output().await;
    there.is_ok_and(|probe| probe.status.success()).then_some(starter)
}

#[tokio::test]
async fn an_ipv6_that_leads_nowhere_costs_little() {
    let (relay, folder) = (Relay::start().await, Folder::fresh());
    let endpoint = relay.endpoint("story").await;
    let names = "127.0.0.1 localhost\n::1 relay.test\n127.0.0.1 relay.test\n";
    let Some(starter) = with_names(&folder, names).await else {
        eprintln!("skipped, names cannot be made here: an_ipv6_that_leads_nowhere_costs_little");
        return;
    };
    let dead = SocketAddr::from((Ipv6Addr::LOCALHOST, relay.address.port()));
    let Some(_hole) = BlackHole::at(dead).await else {
        eprintln!("skipped, {dead} cannot be had: an_ipv6_that_leads_nowhere_costs_little");
        return;
    };
    let token = folder.file("token", &relay.token(&["story"]).await);
    let url = format!("http://relay.test:{}", relay.address.port());
    let client = || {
        let mut client = Program::Client.command_under(&starter);
        client.arg("--relay").arg(&url).arg("--token-file").arg(&token);
        client
    };
    let started = Instant::now();
    let listed = run(client().args(["endpoints", "list"])).await;
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    // Far above the head start of 250 ms, far below giving the dead address up.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let target = Target::echo().await;
    let mut agent = Process::start(client().arg("forward").arg(target.url()));
    agent.event("ready").await;
    assert_eq!(relay.provider(&endpoint).post("/", "found").await.text(), "found");
    agent.kill().await;
}
