//! A proxy that wants to know who asks: the login comes from a file or from the environment, and is never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_tests::folder::Folder;
use relay_tests::process::{Process, run};
use relay_tests::proxy::Proxy;

use super::Office;

/// The password of `user`, with what needs escaping in a URL.
const PASSWORD: &str = "ge:he/im@1";

/// The same, as it stands in a URL.
const ESCAPED: &str = "ge%3Ahe%2Fim%401";

/// Whom squid asks whether a login is right; how much it escapes is its own affair.
const ASKED: &str = "while read login; do case $login in 'user ge:he/im@1' | 'user ge%3Ahe%2Fim%401' | 'user ge:he/im%401') echo OK;; *) echo ERR;; esac; done";

/// Nothing that is said may hold the password, in any of its forms.
fn told_to_nobody(said: &str) {
    for form in [PASSWORD, ESCAPED, &STANDARD.encode(format!("user:{PASSWORD}"))] {
        assert!(!said.contains(form), "{said}");
    }
}

/// Goes through this proxy in every way that a login can be given, and is refused where it is missing or wrong.
async fn knows_who_asks(proxy: &Proxy, scheme: &str) {
    let office = Office::new().await;
    let with_login = proxy.url(&format!("{scheme}user:{ESCAPED}@"));
    let login = office.folder.file("login", &format!("user:{PASSWORD}\n"));
    office
        .works_with(|| {
            let mut client = office.to_front();
            client.env("HTTPS_PROXY", &with_login);
            client
        })
        .await;
    office
        .works_with(|| {
            let mut client = office.to_front();
            client.arg("--proxy").arg(proxy.url(scheme)).arg("--proxy-auth-file").arg(&login);
            client
        })
        .await;
    let mut nobody = office.to_front();
    let told = office.fails_with(nobody.arg("--proxy").arg(proxy.url(scheme))).await;
    assert!(told.contains("wants a user and a password"), "{told}");
    let mut wrong = office.to_front();
    let wrong_login = proxy.url(&format!("{scheme}user:{ESCAPED}x@"));
    let told =
        office.fails_with(wrong.env("HTTPS_PROXY", wrong_login).env("RELAY_LOG", "trace")).await;
    assert!(told.contains("does not accept the user and password"), "{told}");
    told_to_nobody(&told);
    let mut seen = office.to_front();
    let ended = run(seen.args(["--proxy", &with_login, "endpoints", "list"])).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    told_to_nobody(&ended.stderr);
    from_a_file(&office, &with_login).await;
}

/// The agent's own file may hold it; what the agent says does not.
async fn from_a_file(office: &Office, with_login: &str) {
    let token = office.folder.file("agent.token", &office.token);
    let config = format!(
        "relay = '{}'\ntoken_file = '{}'\nca_file = '{}'\nproxy = '{with_login}'\n[[endpoint]]\nname = 'story'\ntarget = '{}'\n",
        office.front.url(),
        token.display(),
        office.front.ca_file().display(),
        office.target.url(),
    );
    let config = office.folder.file("agent.toml", &config);
    let mut run = relay_tests::process::Program::Client.command();
    run.env("RELAY_LOG", "trace").arg("run").arg("--config").arg(config);
    let mut agent = Process::start(&mut run);
    agent.event("ready").await;
    let answer = office.relay.provider(&office.endpoint).post("/", "known").await;
    assert_eq!(answer.text(), "known");
    told_to_nobody(&agent.said());
    agent.kill().await;
}

#[tokio::test]
async fn an_http_proxy_takes_user_and_password() {
    let (story, folder) = ("an_http_proxy_takes_user_and_password", Folder::fresh());
    let asked = folder.file("asked.sh", ASKED);
    folder.open_to_all();
    let rules = format!(
        "auth_param basic program /bin/sh {}\nauth_param basic realm story\n\
         acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all",
        asked.display()
    );
    let Some(proxy) = Proxy::squid(story, &rules).await else { return };
    knows_who_asks(&proxy, "http://").await;
    proxy.tells_of("user HIER_DIRECT").await;
}

#[tokio::test]
async fn a_socks_proxy_takes_user_and_password() {
    let story = "a_socks_proxy_takes_user_and_password";
    let Some(proxy) = Proxy::microsocks(story, Some(("user", PASSWORD))).await else { return };
    knows_who_asks(&proxy, "socks5h://").await;
}

#[tokio::test]
async fn tinyproxy_has_a_word_of_its_own_for_a_wrong_login() {
    let story = "tinyproxy_has_a_word_of_its_own_for_a_wrong_login";
    let Some(proxy) = Proxy::tinyproxy(story, "BasicAuth user geheim").await else { return };
    let office = Office::new().await;
    let login = office.folder.file("login", "user:wrong\n");
    let mut wrong = office.to_front();
    wrong.arg("--proxy").arg(proxy.url("http://")).arg("--proxy-auth-file").arg(login);
    let told = office.fails_with(&mut wrong).await;
    assert!(told.contains("does not accept the user and password"), "{told}");
}
