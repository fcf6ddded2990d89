//! What bars the way is told by its hop, and tried again soon only where that can help.

use relay_tests::place::Place;
use relay_tests::process::{Process, Program};
use relay_tests::proxy::Proxy;
use relay_tests::raw::Written;
use relay_tests::target::Target;
use relay_tests::tls::TlsFront;

use super::Office;

impl Office {
    /// The first word of an agent that cannot get through this proxy: why, and when it tries again, in milliseconds.
    pub(super) async fn barred_by(&self, proxy: &str) -> (String, u64) {
        self.barred_from(&self.front.url(), proxy).await
    }

    /// The same, on the way to this relay.
    pub(super) async fn barred_from(&self, relay: &str, proxy: &str) -> (String, u64) {
        let token = self.folder.file("agent.token", &self.token);
        let mut run = Program::Client.command();
        let config = format!(
            "relay = '{relay}'\n[[endpoint]]\nname = 'story'\ntarget = '{}'\n",
            self.target.url(),
        );
        let config = self.folder.file("agent.toml", &config);
        run.arg("--token-file").arg(token).arg("--ca-file").arg(self.front.ca_file());
        let mut agent = Process::start(run.args(["--proxy", proxy, "run", "--config"]).arg(config));
        let told = agent.event("disconnected").await;
        agent.kill().await;
        (told["why"].as_str().unwrap().to_owned(), told["retry_in_ms"].as_u64().unwrap())
    }
}

/// The shortest wait when only a person can mend it, in milliseconds; otherwise the first try comes within a second.
pub(super) const SLOW: u64 = 30_000;

fn slow(retry_in: u64) -> bool {
    assert!(!(1_000..SLOW).contains(&retry_in), "{retry_in}");
    retry_in >= SLOW
}

#[tokio::test]
async fn what_a_proxy_answers_says_whether_trying_again_helps() {
    let office = Office::new().await;
    let ntlm = Written::answer(407).field("proxy-authenticate", "NTLM").bytes();
    for (answer, words, is_slow) in [
        (ntlm, "(it takes NTLM)", true),
        (Written::answer(403).bytes(), "refuses the way to localhost:", true),
        (Written::answer(401).bytes(), "refuses the way to localhost:", true),
        (Written::answer(302).bytes(), "it answers 302", true),
        (Written::answer(405).bytes(), "is no such proxy", true),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "is no such proxy", true),
        (Written::answer(502).bytes(), "could not reach localhost:", false),
        (Written::answer(429).bytes(), "could not reach localhost:", false),
    ] {
        let proxy = Target::scripted(move |_| answer.clone()).await;
        let (why, retry_in) = office.barred_by(&proxy.url()).await;
        assert!(why.contains(words) && why.contains(&proxy.url()), "{why}");
        assert_eq!(slow(retry_in), is_slow, "{why}");
    }
    let nowhere = Place::fresh();
    let (why, retry_in) = office.barred_by(&format!("socks5://{nowhere}")).await;
    assert!(why.contains("the proxy socks5://127.0.0.1:") && !slow(retry_in), "{why}");
    let (why, retry_in) = office.barred_by(&format!("https://{}", office.relay.address)).await;
    assert!(why.contains("it does not speak TLS") && slow(retry_in), "{why}");
}

#[tokio::test]
async fn squid_says_why_it_opens_no_way() {
    let story = "squid_says_why_it_opens_no_way";
    let mut office = Office::new().await;
    let port = office.relay.address.port();
    let rules = format!("acl relay port {port}\nhttp_access deny relay\nhttp_access allow all");
    let Some(proxy) = Proxy::squid(story, &rules).await else { return };
    let client = || {
        let mut client = office.to_front();
        client.arg("--proxy").arg(proxy.url("http://"));
        client
    };
    office.works_with(client).await;
    let nobody = Place::fresh();
    let front = std::mem::replace(&mut office.front, TlsFront::of(nobody.address()).await);
    let mut refused = office.client(&office.relay.url());
    let told = office.fails_with(refused.arg("--proxy").arg(proxy.url("http://"))).await;
    assert!(told.contains("refuses the way") && told.contains("ERR_ACCESS_DENIED"), "{told}");
    let gone = front.url();
    drop(front);
    let mut nowhere = office.client(&gone);
    let told = office.fails_with(nowhere.arg("--proxy").arg(proxy.url("http://"))).await;
    assert!(told.contains("could not reach") && told.contains("ERR_CONNECT_FAIL"), "{told}");
}

#[tokio::test]
async fn socks_says_why_it_opens_no_way() {
    let office = Office::new().await;
    let story = "socks_says_why_it_opens_no_way";
    let Some(proxy) = Proxy::dante(story, "127.0.0.0/8").await else { return };
    let (why, retry_in) = office.barred_by(&proxy.url("socks5://")).await;
    assert!(why.contains("refuses the way") && why.contains("not allowed by ruleset"), "{why}");
    assert!(slow(retry_in), "{retry_in}");
    let Some(proxy) = Proxy::microsocks(story, None).await else { return };
    let nowhere = Place::fresh();
    let mut refused = office.client(&format!("https://{nowhere}"));
    let told = office.fails_with(refused.arg("--proxy").arg(proxy.url("socks5h://"))).await;
    assert!(told.contains("could not reach") && told.contains("refused"), "{told}");
}
