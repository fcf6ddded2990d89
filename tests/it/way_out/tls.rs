//! TLS on the way: a proxy that opens it, and a relay that wants to see a certificate.

use relay_tests::agent::command;
use relay_tests::authority::Authority;
use relay_tests::folder::Folder;
use relay_tests::interception::Interception;
use relay_tests::process::run;
use relay_tests::relay::Relay;
use relay_tests::tls::TlsFront;

use super::Office;

/// What `openssl x509 -req` makes without extensions; nobody has its key any more.
const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBGDCBvwIUY2NvuAmqsK3dCdkiD0XVhVJ2lQEwCgYIKoZIzj0EAwIwETEPMA0G
A1UEAwwGYWdlbnRzMB4XDTI2MTEyNDIxMTMzNVoXDTI2MTIyNDIxMTMzNVowDTEL
MAkGA1UEAwwCdjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAR8mdPhaeIBUTr4
dfRjb36VG2jgPEcixNbvTWEcwdSoPH0PgimAjlOuym09uHU8gqaMenUEtwwLcebA
cwK/Fs1IMAoGCCqGSM49BAMCA0gAMEUCIEWXm6GgRzgLgmEKDaXrauzF18Dq5I2n
KTH7TCmxPs9XAiEAyy2LORWGKQuGqBWr6SNlnOS+8t8W+6JQkWS6uMliyQE=
-----END CERTIFICATE-----
";

#[tokio::test]
async fn a_proxy_that_opens_tls_is_trusted_with_its_root_and_not_without() {
    let office = Office::new().await;
    let proxy = Interception::trusting(office.front.authority().trust()).await;
    let client = || {
        let mut client = command(&office.folder, &office.front.url(), &office.token);
        client.env("HTTPS_PROXY", proxy.url());
        client
    };
    office
        .works_with(|| {
            let mut client = client();
            client.arg("--ca-file").arg(proxy.ca_file());
            client
        })
        .await;
    let told = office.fails_with(&mut client()).await;
    assert!(told.contains("no TLS with localhost") && told.contains("--ca-file"), "{told}");
    let (why, retry_in) = office.barred_by(&proxy.url()).await;
    assert!(why.contains("--ca-file") && retry_in >= super::bars::SLOW, "{why} {retry_in}");
}

#[tokio::test]
async fn a_relay_that_wants_a_certificate_gets_it() {
    let relay = Relay::start().await;
    let office = Office::behind(TlsFront::demanding(relay.address).await, relay).await;
    let own = office.front.authority().issue("agent", &["an-agent"]);
    office
        .works_with(|| {
            let mut client = office.to_front();
            client.arg("--client-cert").arg(&own.certificate).arg("--client-key").arg(&own.key);
            client
        })
        .await;
    let told = office.fails_with(&mut office.to_front()).await;
    assert!(told.contains("--client-cert"), "{told}");
    let (why, retry_in) = office.barred_by("direct").await;
    assert!(why.contains("--client-cert") && retry_in >= super::bars::SLOW, "{why} {retry_in}");
    let elsewhere = Authority::fresh();
    let strange = elsewhere.issue("stranger", &["an-agent"]);
    let mut stranger = office.to_front();
    stranger.arg("--client-cert").arg(&strange.certificate);
    let told = office.fails_with(stranger.arg("--client-key").arg(&strange.key)).await;
    assert!(told.contains("does not accept the client certificate"), "{told}");
}

#[tokio::test]
async fn of_a_self_made_certificate_it_is_told_how_it_has_to_be_made() {
    let authority = Authority::fresh();
    let own = authority.issue_as("own", &["localhost"], |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    });
    let (certificate, key) = own.paths();
    let files = [("tls_cert", &certificate[..]), ("tls_key", &key)];
    let relay = Relay::with(&files).await;
    let (url, folder) = (format!("https://localhost:{}", relay.address.port()), Folder::fresh());
    let mut client = command(&folder, &url, &relay.admin);
    client.arg("--ca-file").arg(authority.ca_file());
    let ended = run(client.args(["endpoints", "list"])).await;
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("CA:FALSE"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_certificate_and_its_key_belong_together() {
    let office = Office::new().await;
    let [one, other] = ["one", "other"].map(|name| office.front.authority().issue(name, &[name]));
    let version_1 = office.folder.file("version-1.pem", VERSION_1);
    for (arguments, words) in [
        (
            vec![
                "--client-cert",
                version_1.to_str().unwrap(),
                "--client-key",
                one.key.to_str().unwrap(),
            ],
            "version-1.pem: it is of version 1",
        ),
        (vec!["--client-cert", one.certificate.to_str().unwrap()], "go together"),
        (vec!["--client-key", one.key.to_str().unwrap()], "go together"),
        (
            vec![
                "--client-cert",
                one.certificate.to_str().unwrap(),
                "--client-key",
                other.key.to_str().unwrap(),
            ],
            "other.key: it is not the key of ",
        ),
        (
            vec![
                "--client-cert",
                one.key.to_str().unwrap(),
                "--client-key",
                one.key.to_str().unwrap(),
            ],
            "no certificate in it",
        ),
    ] {
        let ended = run(office.to_front().args(arguments).args(["endpoints", "list"])).await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn where_tls_is_spoken_and_http_is_asked_for_it_is_told_what_may_be_meant() {
    let office = Office::new().await;
    let plain = office.front.url().replace("https://", "http://");
    let told = office.fails_with(&mut office.client(&plain)).await;
    assert!(told.contains("is it an https:// address?"), "{told}");
    let (why, retry_in) = office.barred_from(&plain, "direct").await;
    assert!(why.contains("is it an https:// address?"), "{why}");
    assert!(retry_in >= super::bars::SLOW, "{retry_in}");
}
