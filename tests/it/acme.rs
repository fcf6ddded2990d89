//! The relay gets its certificate by itself, from a real ACME server, keeps it, and renews it.

use std::path::PathBuf;
use std::sync::Arc;

use relay_server::vault::SealKey;
use relay_tests::authority::Authority;
use relay_tests::folder::files_with;
use relay_tests::http2::Caller;
use relay_tests::pebble::{Looks, Pebble};
use relay_tests::place::Place;
use relay_tests::process::{Program, run};
use relay_tests::provider::Provider;
use relay_tests::raw::Written;
use relay_tests::relay::Relay;
use relay_tests::wait::until;
use rustls::pki_types::CertificateDer;
use serde_json::Value;

use crate::sealed::kept;

const NAME: &str = "relay.example";

/// Nobody listens there.
const NOWHERE: u16 = 1;

/// An ACME server, and the ports of a relay that it finds its names at.
struct Scene {
    pebble: Pebble,
    tls: Place,
    http: Place,
}

impl Scene {
    /// `None` where there is no such server.
    async fn of(story: &str, looks: impl Fn(Looks) -> Looks) -> Option<Self> {
        let (tls, http) = (Place::fresh(), Place::fresh());
        let both = Looks { http: http.port(), tls: tls.port(), validity: 86_400 };
        let pebble = Pebble::start(story, looks(both)).await?;
        Some(Self { pebble, tls, http })
    }

    async fn relay(&self, names: &str, settings: &[(&str, &str)]) -> Relay {
        let acme = self.pebble.settings(names);
        let mut all: Vec<(&str, &str)> = acme.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let listen = self.tls.to_string();
        all.push(("listen", &listen));
        all.extend(settings);
        Relay::with(&all).await
    }

    fn in_clear(&self) -> String {
        self.http.to_string()
    }

    async fn caller(&self, name: &str) -> Caller {
        Caller::trusting(self.pebble.root().await, &["http/1.1"]).asking_for(name)
    }
}

/// What the relay says of itself to who does not look at its certificate.
async fn readiness(relay: &Relay) -> Value {
    let mut connection = Caller::credulous().speaks(relay.address).await;
    connection.send(Written::request("GET", "/readyz").field("Host", NAME).bytes()).await;
    let answer = connection.answer_to("GET").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer.json()["tls"].clone()
}

/// The certificate that the relay shows, once it is one that the caller trusts.
async fn issued(caller: &Caller, relay: &Relay) -> CertificateDer<'static> {
    until("a certificate is issued", async || caller.connect(relay.address).await.is_ok()).await;
    caller.shown(relay.address).await
}

#[tokio::test]
async fn it_shows_on_the_plain_listener_that_the_names_are_its_own() {
    let story = "it shows on the plain listener that the names are its own";
    let only_http = |looks| Looks { tls: NOWHERE, ..looks };
    let Some(scene) = Scene::of(story, only_http).await else { return };
    let names = "relay.example, hooks.relay.example";
    let relay = scene.relay(names, &[("http_listen", &scene.in_clear())]).await;
    for name in names.split(", ") {
        issued(&scene.caller(name).await, &relay).await;
    }
    until("it says so", async || readiness(&relay).await["acme"]["state"] == "issued").await;
    let told = readiness(&relay).await;
    assert!(told["expires_at"].as_str() > told["acme"]["next_at"].as_str(), "{told}");
    assert_eq!((scene.pebble.orders(), scene.pebble.accounts()), (1, 1));
    // Afterwards nothing is answered there any more.
    let mut plain = Provider::of(relay.lobby.unwrap(), "/.well-known/acme-challenge");
    assert_eq!(plain.get("/anything").await.status(), 403);
}

#[tokio::test]
async fn it_shows_in_a_handshake_that_the_name_is_its_own() {
    let story = "it shows in a handshake that the name is its own";
    let Some(scene) = Scene::of(story, |looks| looks).await else { return };
    let relay = scene.relay(NAME, &[]).await;
    issued(&scene.caller(NAME).await, &relay).await;
    assert_eq!(scene.pebble.orders(), 1);
}

#[tokio::test]
async fn where_one_way_is_barred_it_goes_the_other() {
    let story = "where one way is barred it goes the other";
    let only_tls = |looks| Looks { http: NOWHERE, ..looks };
    let Some(scene) = Scene::of(story, only_tls).await else { return };
    let settings = [("http_listen", &scene.in_clear()[..]), ("acme_retry", "1s")];
    let relay = scene.relay(NAME, &settings).await;
    issued(&scene.caller(NAME).await, &relay).await;
    assert_eq!(scene.pebble.orders(), 2);
}

#[tokio::test]
async fn it_is_renewed_and_no_line_drops() {
    let story = "it is renewed and no line drops";
    let Some(scene) = Scene::of(story, |looks| Looks { validity: 12, ..looks }).await else {
        return;
    };
    let relay = scene.relay(NAME, &[]).await;
    let caller = scene.caller(NAME).await;
    let first = issued(&caller, &relay).await;
    let mut kept = caller.speaks(relay.address).await;
    until("it is renewed", async || caller.shown(relay.address).await != first).await;
    kept.send(Written::request("GET", "/healthz").field("Host", NAME).bytes()).await;
    assert_eq!(kept.answer_to("GET").await.status(), 200);
    assert!(scene.pebble.orders() >= 2, "{}", scene.pebble.orders());
    assert_eq!(scene.pebble.accounts(), 1);
}

#[tokio::test]
async fn a_restart_keeps_the_certificate() {
    let story = "a restart keeps the certificate";
    let Some(scene) = Scene::of(story, |looks| looks).await else { return };
    let mut relay = scene.relay(NAME, &[("http_listen", &scene.in_clear())]).await;
    let caller = scene.caller(NAME).await;
    let first = issued(&caller, &relay).await;
    until("it is kept", async || readiness(&relay).await["acme"]["state"] == "issued").await;
    relay.stop().await;
    relay.resume().await;
    assert_eq!(caller.shown(relay.address).await, first);
    assert_eq!(readiness(&relay).await["acme"]["state"], "issued");
    assert_eq!((scene.pebble.orders(), scene.pebble.accounts()), (1, 1));
}

#[tokio::test]
async fn its_keys_are_sealed_in_the_store_and_in_a_backup() {
    let story = "its keys are sealed in the store and in a backup";
    let Some(scene) = Scene::of(story, |looks| looks).await else { return };
    let mut relay = scene.relay(NAME, &[]).await;
    until("it is kept", async || readiness(&relay).await["acme"]["state"] == "issued").await;
    let (store, backup) = (relay.data.path().join("store"), relay.data.path().join("backup"));
    let key = SealKey::read(&relay.data.path().join("store.key")).unwrap();
    let open = |name: &str| -> Value {
        let sealed = kept(&store, name);
        serde_json::from_str(&key.open(&format!("relay/{name}"), &sealed).unwrap()).unwrap()
    };
    let account = open("acme.account")["credentials"]["key_pkcs8"].as_str().unwrap().to_owned();
    let pem = open("acme.certificate")["key"].as_str().unwrap().to_owned();
    let keys = [&account, pem.lines().nth(1).unwrap()];
    assert!(keys.iter().all(|key| key.len() > 40), "{}", keys.len());
    assert_eq!(files_with(&store, &keys), [] as [PathBuf; 0], "while it runs");
    let mut command = Program::Server.command();
    let made = run(command.arg("backup").arg(&backup).arg("--data").arg(&store)).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    relay.stop().await;
    assert_eq!(files_with(relay.data.path(), &keys), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn failures_are_told_and_never_hammer_the_server() {
    let story = "failures are told and never hammer the server";
    let nowhere = |looks| Looks { http: NOWHERE, tls: NOWHERE, ..looks };
    let Some(scene) = Scene::of(story, nowhere).await else { return };
    let mut relay = scene.relay(NAME, &[("acme_retry", "1h")]).await;
    until("it has failed", async || readiness(&relay).await["acme"]["state"] == "failed").await;
    let told = readiness(&relay).await;
    let why = told["acme"]["why"].as_str().unwrap();
    assert!(why.contains(NAME) && why.contains("onnect"), "{why}");
    // It serves all the while, and a restart is no reason to ask again.
    relay.stop().await;
    relay.resume().await;
    assert_eq!(readiness(&relay).await["acme"]["state"], "waiting");
    assert_eq!(scene.pebble.orders(), 1);
    // Names that were never asked for are another matter.
    relay.stop().await;
    let relay = scene.relay("other.example", &[("acme_retry", "1h")]).await;
    until("it is asked for", async || scene.pebble.orders() == 2).await;
    drop(relay);
}

#[tokio::test]
async fn webhooks_and_agents_come_while_there_is_no_certificate() {
    let directory = format!("https://localhost:{NOWHERE}/dir");
    let settings = [("acme_domain", NAME), ("acme_directory", &directory[..])];
    let relay = Relay::with(&settings).await;
    until("it has failed", async || readiness(&relay).await["acme"]["state"] == "failed").await;
    let mut connection = Caller::credulous().speaks(relay.address).await;
    let nothing = Written::request("POST", "/hooks/nothing").field("Host", NAME).body("x");
    connection.send(nothing.bytes()).await;
    assert_eq!(connection.answer_to("POST").await.status(), 404);
}

#[tokio::test]
async fn what_cannot_be_ordered_is_told_at_start() {
    let authority = Arc::new(Authority::fresh());
    let ca_file = authority.file("none.pem", "").display().to_string();
    for (flag, value, told) in [
        ("--acme-domain", "*.example.com", "is no domain name"),
        ("--acme-domain", "192.0.2.1", "is an address"),
        ("--acme-email", "nobody", "is no e-mail address"),
        ("--acme-directory", "http://acme.example", "is no https URL"),
        ("--acme-ca-file", &ca_file, "no certificate in it"),
    ] {
        let ended = run(Program::Server.command().arg("serve").arg(flag).arg(value)).await;
        assert_eq!(ended.code, Some(2), "{flag} {value}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("flag {flag}: ")), "{}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
}
