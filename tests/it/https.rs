//! A relay that speaks TLS itself: with whose certificate, for how long, and to whom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relay_client::notice::Notice;
use relay_tests::agent::{Agent, Wanted, command};
use relay_tests::authority::Authority;
use relay_tests::folder::Folder;
use relay_tests::http2::Caller;
use relay_tests::journey::Journey;
use relay_tests::process::{Process, Program, run};
use relay_tests::raw::{Connection, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;

#[tokio::test]
async fn webhooks_and_agents_come_over_tls() {
    let authority = Arc::new(Authority::fresh());
    let journey = Journey::secure(&authority, Target::echo().await, &[], &[]).await;
    assert_eq!(journey.through().post("/", "safe").await.text(), "safe");
    let seen = &journey.target.seen()[0];
    assert_eq!(seen.field("x-forwarded-proto").unwrap(), "https");
    assert!(seen.field("forwarded").unwrap().contains(";proto=https;"), "{seen:?}");
    let shown = journey.relay.api().get("/endpoints/story").await.unwrap();
    assert!(shown["url"].as_str().unwrap().starts_with("https://127.0.0.1:"), "{shown}");
}

#[tokio::test]
async fn the_programs_meet_over_tls() {
    let authority = Arc::new(Authority::fresh());
    let (relay, target, folder) =
        (Relay::secure_program(&authority, &[]).await, Target::echo().await, Folder::fresh());
    let endpoint = relay.endpoint("story").await;
    let token = relay.token(&["story"]).await;
    let url = relay.url().replacen("https", "wss", 1);
    let mut forward = command(&folder, &url, &token);
    forward.arg("--ca-file").arg(authority.ca_file()).arg("forward").arg(target.url());
    let mut agent = Process::start(&mut forward);
    agent.event("ready").await;
    let body = vec![7; 300 << 10];
    assert_eq!(relay.provider(&endpoint).post("/", &body).await.body, body);
    agent.kill().await;
}

#[tokio::test]
async fn lines_over_tls_come_home_to_the_thread_that_drives_them() {
    let authority = Arc::new(Authority::fresh());
    let mut relay = Relay::secure_program(&authority, &[("workers", "3")]).await;
    let (endpoint, target) = (relay.endpoint("story").await, Target::echo().await);
    let token = relay.token(&["story"]).await;
    let wanted = Wanted::for_one(&relay.url(), &token, "story", &target.url());
    let _agent = Agent::start(&Wanted { trust: relay.trust(), lines: 4, ..wanted }).await;
    let live = |said: &str| said.matches("an agent's line is live").count();
    until("all lines are live", async || live(&relay.process().said()) == 4).await;
    let mut provider = relay.provider(&endpoint);
    for length in [1, 100 << 10, 3 << 20] {
        let body = vec![7; length];
        assert!(provider.post("/", &body).await.body == body, "{length} bytes");
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_and_no_line_drops() {
    let authority = Arc::new(Authority::fresh());
    let mut journey = Journey::secure(&authority, Target::echo().await, &[], &[]).await;
    let mut kept = journey.through().keeping();
    assert_eq!(kept.post("/", "before").await.text(), "before");
    let (caller, address) = (Caller::of(&authority, &[]), journey.relay.address);
    let old = caller.shown(address).await;
    let (new, _) = authority.issue("relay", &["localhost"]).der();
    until("the new one is shown", async || caller.shown(address).await == new).await;
    assert_ne!(old, new);
    assert_eq!(kept.post("/", "after").await.text(), "after");
    assert_eq!(journey.through().post("/after", "x").await.text(), "x");
    let dropped = |notice: &Notice| matches!(notice, Notice::Disconnected { .. });
    let last = |notice: &Notice| matches!(notice, Notice::Started(it) if it.path == "/after");
    let notice = journey.agent.notice(|notice| dropped(notice) || last(notice)).await;
    assert!(last(&notice), "the line has dropped: {notice:?}");
}

#[tokio::test]
async fn a_broken_new_certificate_is_told_and_the_old_one_stays() {
    let authority = Arc::new(Authority::fresh());
    let mut relay = Relay::secure_program(&authority, &[]).await;
    let (caller, address) = (Caller::of(&authority, &[]), relay.address);
    let old = caller.shown(address).await;
    let told = "the new certificate is not used, the old one stays";
    let _ = authority.file("relay.pem", "no certificate");
    until("it is told", async || relay.process().said().contains(told)).await;
    assert_eq!(caller.shown(address).await, old);
    let (new, _) = authority.issue("relay", &["localhost"]).der();
    until("the next one is shown", async || caller.shown(address).await == new).await;
    // Told once for each content, not each time that somebody looks.
    assert!(relay.process().said().matches(told).count() <= 2, "{}", relay.process().said());
}

#[tokio::test]
async fn each_name_gets_its_own_certificate() {
    let authority = Authority::fresh();
    let leaves = [
        authority.issue("first", &["first.example"]),
        authority.issue("second", &["second.example", "*.hooks.example"]),
    ];
    let list = |of: &dyn Fn(&relay_tests::authority::Issued) -> String| {
        leaves.iter().map(of).collect::<Vec<_>>().join(",")
    };
    let certificates = list(&|leaf| leaf.certificate.display().to_string());
    let keys = list(&|leaf| leaf.key.display().to_string());
    let relay = Relay::with(&[("tls_cert", &certificates), ("tls_key", &keys)]).await;
    for (name, leaf) in
        [("first.example", 0), ("second.example", 1), ("SECOND.example", 1), ("k.hooks.example", 1)]
    {
        let caller = Caller::of(&authority, &[]).asking_for(name);
        assert_eq!(caller.shown(relay.address).await, leaves[leaf].der().0, "{name}");
    }
    // Nobody has this one: the first is shown, and the caller is the one to refuse it.
    let nobody = Caller::of(&authority, &[]).asking_for("third.example");
    let refused = nobody.connect(relay.address).await.unwrap_err().to_string();
    assert!(refused.contains("first.example"), "{refused}");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off() {
    let authority = Arc::new(Authority::fresh());
    let relay = Relay::secure(&authority, &[("header_timeout", "1s")]).await;
    let endpoint = relay.endpoint("story").await;
    // Says nothing; begins a TLS record and no more; speaks in clear.
    for begun in ["", "\x16\x03\x01\x02\x00\x01", "POST / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut caller = Connection::to(relay.address).await;
        caller.send(begun).await;
        let started = Instant::now();
        caller.ended().await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    // Shakes hands, and then says nothing.
    let mut caller = Connection::secure(relay.address.port(), &relay.trust()).await;
    caller.ended().await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.status(), 202);
}

#[tokio::test]
async fn a_refusal_is_heard_by_those_who_send_it_all_first() {
    let authority = Arc::new(Authority::fresh());
    let relay = Relay::secure(&authority, &[]).await;
    let endpoint = relay.endpoint_with("story", &[("max_body", "1MiB")]).await;
    for (path, status) in [(&endpoint.path[..], 413), ("/hooks/nothing", 404)] {
        let mut caller = Connection::secure(relay.address.port(), &relay.trust()).await;
        let request = Written::request("POST", path).field("Host", "localhost");
        caller.send(request.field("Content-Length", (8 << 20).to_string()).bytes()).await;
        for piece in vec![7; 8 << 20].chunks(64 << 10) {
            assert!(caller.try_send(piece).await, "the refusal came as a reset");
        }
        assert_eq!(caller.answer_to("POST").await.status(), status);
    }
}

#[tokio::test]
async fn many_come_at_once_and_webhooks_go_on() {
    let authority = Arc::new(Authority::fresh());
    let journey = Journey::secure(&authority, Target::echo().await, &[], &[]).await;
    let mut kept = journey.through().keeping();
    let mut silent = Vec::new();
    for _ in 0..50 {
        // Who begins and does not go on takes nobody's turn.
        let mut caller = Connection::to(journey.relay.address).await;
        caller.send("\x16\x03\x01").await;
        silent.push(caller);
    }
    let (caller, address) = (Caller::of(&authority, &[]), journey.relay.address);
    let mut shaking = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let caller = caller.clone();
        shaking.spawn(async move { caller.connect(address).await.map(drop) });
    }
    for _ in 0..20 {
        assert_eq!(kept.post("/", "goes on").await.text(), "goes on");
    }
    for shaken in shaking.join_all().await {
        shaken.expect("a handshake");
    }
}

#[tokio::test]
async fn files_that_are_not_sound_are_told_at_start() {
    let authority = Authority::fresh();
    let (one, two) =
        (authority.issue("one", &["a.example"]), authority.issue("two", &["b.example"]));
    let missing = authority.ca_file().with_file_name("missing.pem");
    let empty = authority.file("empty.pem", "");
    for (certificate, key, told) in [
        (&one.certificate, &two.key, "does not belong to the certificate"),
        (&missing, &one.key, "missing.pem: No such file"),
        (&empty, &one.key, "no certificate in it"),
        (&one.certificate, &empty, "no private key in it"),
        (&one.key, &one.certificate, "no certificate in it"),
    ] {
        let mut serve = Program::Server.command();
        serve.arg("serve").arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        let ended = run(&mut serve).await;
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("flag --tls-cert: tls_cert: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(told), "{told} in: {}", ended.stderr);
    }
    let ended = run(Program::Server.command().arg("serve").arg("--tls-key").arg(&one.key)).await;
    assert!(ended.stderr.contains("0 certificates and 1 keys"), "{}", ended.stderr);
}
