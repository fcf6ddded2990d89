//! Out of a corporate network: agents and commands reach the relay through whatever proxy is in the way.

use relay_tests::agent::command;
use relay_tests::folder::Folder;
use relay_tests::place::Place;
use relay_tests::process::{Process, run};
use relay_tests::proxy::Proxy;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::tls::TlsFront;
use tokio::process::Command;

mod bars;
mod login;
mod net;
mod tls;

/// A relay behind TLS, an endpoint and a target: what an office has to do with.
pub(crate) struct Office {
    relay: Relay,
    endpoint: Endpoint,
    front: TlsFront,
    target: Target,
    folder: Folder,
    token: String,
}

impl Office {
    async fn new() -> Self {
        Self::on(Relay::start().await).await
    }

    async fn on(relay: Relay) -> Self {
        let front = TlsFront::of(relay.address).await;
        Self::behind(front, relay).await
    }

    async fn behind(front: TlsFront, relay: Relay) -> Self {
        let endpoint = relay.endpoint("story").await;
        let token = relay.token(&["story"]).await;
        Self {
            relay,
            endpoint,
            front,
            target: Target::echo().await,
            folder: Folder::fresh(),
            token,
        }
    }

    /// `relay-client` with a relay's URL, trusting the front.
    fn client(&self, relay: &str) -> Command {
        let mut command = command(&self.folder, relay, &self.token);
        command.arg("--ca-file").arg(self.front.ca_file());
        command
    }

    /// `relay-client` on its way to the front.
    fn to_front(&self) -> Command {
        self.client(&self.front.url())
    }

    /// Forwards an event with this command, and asks for the list of endpoints with one like it.
    async fn works_with(&self, way: impl Fn() -> Command) {
        let mut agent = Process::start(way().arg("forward").arg(self.target.url()));
        agent.event("ready").await;
        let answer = self.relay.provider(&self.endpoint).post("/", "through").await;
        assert_eq!(answer.text(), "through");
        agent.kill().await;
        let listed = run(way().args(["endpoints", "list"])).await;
        assert_eq!(listed.code, Some(0), "{}", listed.stderr);
        assert!(listed.stdout.contains("story"), "{}", listed.stdout);
    }

    /// The same with `--proxy`.
    async fn works_through(&self, proxy: &str) {
        let client = || {
            let mut client = self.to_front();
            client.args(["--proxy", proxy]);
            client
        };
        self.works_with(client).await;
    }

    /// What a command says that does not get through; it must be the relay that is not reachable.
    async fn fails_with(&self, command: &mut Command) -> String {
        let ended = run(command.args(["endpoints", "list"])).await;
        assert_eq!(ended.code, Some(3), "{} {}", ended.stdout, ended.stderr);
        ended.stderr
    }
}

#[tokio::test]
async fn the_environment_names_the_proxy() {
    let office = Office::new().await;
    let Some(proxy) = Proxy::tinyproxy("the_environment_names_the_proxy", "").await else { return };
    let url = proxy.url("http://");
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        office
            .works_with(|| {
                let mut client = office.to_front();
                client.env(name, &url);
                client
            })
            .await;
    }
    let through = format!("CONNECT {}", office.front.url().trim_start_matches("https://"));
    proxy.tells_of(&through).await;
    let mut plain = office.client(&office.relay.url());
    plain.env("HTTPS_PROXY", "http://127.0.0.1:1").env("HTTP_PROXY", &url);
    assert_eq!(run(plain.args(["endpoints", "list"])).await.code, Some(0));
    proxy.tells_of(&format!("CONNECT {}", office.relay.address)).await;
}

#[tokio::test]
async fn no_proxy_names_what_needs_none_and_a_proxy_given_comes_first() {
    let office = Office::new().await;
    let place = Place::fresh();
    let nowhere = format!("http://{place}");
    let mut shut = office.to_front();
    let told = office.fails_with(shut.env("HTTPS_PROXY", &nowhere)).await;
    assert!(told.contains(&format!("the proxy {nowhere}: no connection to")), "{told}");
    for exempt in ["localhost", "*", "example.com, .localhost"] {
        office
            .works_with(|| {
                let mut client = office.to_front();
                client.env("HTTPS_PROXY", &nowhere).env("NO_PROXY", exempt);
                client
            })
            .await;
    }
    let mut direct = office.to_front();
    direct.env("HTTPS_PROXY", &nowhere).args(["--proxy", "direct", "endpoints", "list"]);
    assert_eq!(run(&mut direct).await.code, Some(0));
    let story = "no_proxy_names_what_needs_none_and_a_proxy_given_comes_first";
    let Some(proxy) = Proxy::tinyproxy(story, "").await else { return };
    let given = proxy.address().to_string();
    let client = || {
        let mut client = office.to_front();
        client.env("HTTPS_PROXY", &nowhere).args(["--proxy", &given]);
        client
    };
    office.works_with(client).await;
}

#[tokio::test]
async fn a_proxy_that_speaks_tls_carries_tls() {
    let office = Office::new().await;
    let Some(proxy) = Proxy::tinyproxy("a_proxy_that_speaks_tls_carries_tls", "").await else {
        return;
    };
    // Both fronts have authorities of their own: one file for the two of them.
    let secure = TlsFront::of(proxy.address()).await;
    let both = [office.front.ca_file(), secure.ca_file()]
        .map(|file| std::fs::read_to_string(file).unwrap());
    let both = office.folder.file("both.pem", &both.concat());
    let client = || {
        let mut client = command(&office.folder, &office.front.url(), &office.token);
        client.arg("--ca-file").arg(&both).arg("--proxy").arg(secure.url());
        client
    };
    office.works_with(client).await;
    let mut stranger = office.to_front();
    let told = office.fails_with(stranger.arg("--proxy").arg(secure.url())).await;
    assert!(told.contains(&format!("the proxy {}: no TLS with", secure.url())), "{told}");
    assert!(told.contains("--ca-file"), "{told}");
}

#[tokio::test]
async fn a_socks_proxy_looks_the_name_up_or_gets_an_address() {
    let office = Office::new().await;
    let story = "a_socks_proxy_looks_the_name_up_or_gets_an_address";
    let Some(proxy) = Proxy::microsocks(story, None).await else { return };
    let port = office.front.url().rsplit(':').next().unwrap().to_owned();
    for (scheme, seen) in [("socks5://", "127.0.0.1"), ("socks5h://", "localhost")] {
        office.works_through(&proxy.url(scheme)).await;
        proxy.tells_of(&format!("connected to {seen}:{port}")).await;
    }
    let Some(proxy) = Proxy::dante(story, "10.0.0.0/8").await else { return };
    for scheme in ["socks5://", "socks5h://"] {
        office.works_through(&proxy.url(scheme)).await;
    }
    proxy.tells_of(&format!("127.0.0.1.{port}")).await;
}
