//! Events are listed, shown, watched and exported; nobody sees what the token does not cover.

use relay_client::api::ApiError;
use relay_tests::journey::Journey;
use relay_tests::process::{Process, Program, run};
use relay_tests::raw::{Connection, Message, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wait::until;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::runtime::Builder;

use crate::endpoints::client;

/// How many do not read.
const READERS: usize = 4;

/// Bytes that are no text, with everything a shell might trip over.
const BINARY: &[u8] = b"\x00\xff'\"$`\\\r\n!BODY\nBODY\n\x1b[2J";

async fn stored(relay: &Relay, wanted: usize) -> Vec<Value> {
    let mut found = Vec::new();
    until("the events are stored", async || {
        let page = relay.api().get("/events?limit=1000").await.unwrap();
        found = page["events"].as_array().unwrap().clone();
        found.len() == wanted
    })
    .await;
    found
}

#[tokio::test]
async fn a_list_has_exactly_the_keys_of_the_contract_the_newest_first() {
    let journey = Journey::to(Target::answering(201, "made").await).await;
    for path in ["/first", "/second?a=b"] {
        journey.through().post(path, "x").await;
    }
    stored(&journey.relay, 2).await;
    let listed = client(&journey.relay, &["events", "list", "--json"]).await;
    let lines: Vec<Value> =
        listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&str> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "attempts",
        "endpoint",
        "event_type",
        "id",
        "method",
        "path",
        "received_at",
        "seq",
        "state",
        "status",
        "verification",
        "why",
    ];
    assert_eq!(keys, wanted);
    assert_eq!((&lines[0]["path"], &lines[1]["path"]), (&json!("/second?a=b"), &json!("/first")));
    for (key, value) in [
        ("seq", json!(2)),
        ("endpoint", json!("story")),
        ("state", json!("delivered")),
        ("why", Value::Null),
        ("method", json!("POST")),
        ("status", json!(201)),
        ("attempts", json!(1)),
    ] {
        assert_eq!(lines[0][key], value, "{key}");
    }
    let table = client(&journey.relay, &["events", "list"]).await;
    assert!(table.stdout.contains("/second?a=b") && table.stdout.contains("delivered"));
}

#[tokio::test]
async fn a_list_is_narrowed_by_state_and_time_and_walked_page_by_page() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("fallback", "fail"), ("hold", "0ms")]).await;
    for n in 0..5 {
        relay.provider(&endpoint).post(&format!("/{n}"), "x").await;
    }
    stored(&relay, 5).await;
    let count = async |query: &str| {
        let page = relay.api().get(&format!("/events?{query}")).await.unwrap();
        page["events"].as_array().unwrap().len()
    };
    assert_eq!(count("state=failed").await, 5);
    assert_eq!(count("state=delivered").await, 0);
    assert_eq!(count("state=delivered&state=failed&endpoint=story&since=1h").await, 5);
    assert_eq!(count("before=1h").await, 0);
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = relay.api().get(&format!("/events?limit=2&state=failed{cursor}")).await.unwrap();
        let paths = page["events"].as_array().unwrap().iter().map(|event| event["path"].clone());
        walked.extend(paths);
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, ["/4", "/3", "/2", "/1", "/0"]);
    for bad in ["state=broken", "limit=0", "limit=1001", "since=soon", "cursor=1", "colour=red"] {
        let refused = relay.api().get(&format!("/events?{bad}")).await;
        assert!(matches!(refused, Err(ApiError::Failed(_))), "{bad}: {refused:?}");
    }
    let refused = client(&relay, &["events", "list", "--state", "broken"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("live, pending, delivering"), "{}", refused.stderr);
}

#[tokio::test]
async fn one_event_shows_the_request_and_every_answer() {
    let journey = Journey::to(Target::answering(503, "not today").await).await;
    let request = journey.through().request("PUT", "/p?q").field("X-Odd", b"\xe9").body(BINARY);
    journey.through().send("PUT", &request).await;
    let id = stored(&journey.relay, 1).await[0]["id"].as_str().unwrap().to_owned();
    let shown = client(&journey.relay, &["events", "show", &id, "--json"]).await;
    let event: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!((&event["method"], &event["path"]), (&json!("PUT"), &json!("/p?q")));
    let odd = json!(["x-odd", {"base64": "6Q=="}]);
    assert!(event["fields"].as_array().unwrap().contains(&odd), "{}", event["fields"]);
    let attempt = &event["deliveries"][0]["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["body"]), (&json!(503), &json!("not today")));
    let table = client(&journey.relay, &["events", "show", &id]).await;
    assert!(table.stdout.contains("not today") && table.stdout.contains("PUT /p?q"));
    assert!(!table.stdout.contains('\x1b'));
    let body = journey.relay.api().bytes(&format!("/events/{id}/body")).await.unwrap();
    assert_eq!(body, BINARY);
    let none = client(&journey.relay, &["events", "show", "evt_00000000000000000000000000"]).await;
    assert_eq!(none.code, Some(5));
}

#[tokio::test]
async fn an_exported_script_sends_the_same_request_again() {
    let journey = Journey::to(Target::echo().await).await;
    let long: Vec<u8> = BINARY.iter().cycle().take(300 * 1024).copied().collect();
    for body in [BINARY, &long, b""] {
        let request = journey
            .through()
            .request("POST", "/it's?a=%27&b[]={1}")
            .field("X-Quote", "it's \"$HOME\" `x` \\")
            .field("X-Twice", "1")
            .field("X-Twice", "2")
            .field("X-Empty", "")
            .body(body);
        journey.through().send("POST", &request).await;
    }
    let events = stored(&journey.relay, 3).await;
    for event in events.iter().rev() {
        let script = client(
            &journey.relay,
            &["events", "export", "--format", "curl", event["id"].as_str().unwrap()],
        )
        .await;
        assert_eq!(script.code, Some(0), "{}", script.stderr);
        let file = journey.relay.data.file("again.sh", &script.stdout);
        let again = Target::answering(200, "again").await;
        let ran = run(Command::new("bash").arg(&file).arg(again.url())).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stdout.ends_with("again"), "{}", ran.stdout);
        let (sent, seen) = (
            &journey.target.seen()[2 - events.iter().position(|e| e == event).unwrap()],
            again.only(),
        );
        assert_eq!((seen.path(), &seen.body), (sent.path(), &sent.body));
        for name in ["x-quote", "x-empty", "content-type", "accept", "user-agent"] {
            assert_eq!(seen.field(name), sent.field(name), "{name}");
        }
        assert_eq!(seen.all("x-twice"), [b"1", b"2"]);
    }
}

#[tokio::test]
async fn exports_carry_the_bodies() {
    let journey = Journey::to(Target::answering(200, "ok").await).await;
    journey.through().post("/a?x=1&y=%20", BINARY).await;
    journey.through().post("/b", "text").await;
    stored(&journey.relay, 2).await;
    let lines = client(&journey.relay, &["events", "export", "--endpoint", "story"]).await;
    let lines: Vec<Value> =
        lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[1]["body_base64"]), (2, &json!("dGV4dA==")));
    let har = client(&journey.relay, &["events", "export", "--format", "har"]).await;
    let har: Value = serde_json::from_str(&har.stdout).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    let [first, second] = &har["log"]["entries"].as_array().unwrap()[..] else { panic!("{har}") };
    assert_eq!(first["request"]["queryString"][1], json!({"name": "y", "value": " "}));
    assert_eq!(first["request"]["postData"]["encoding"], "base64");
    assert_eq!(second["request"]["postData"]["text"], "text");
    assert_eq!(second["response"]["content"]["text"], "ok");
    assert!(second["request"]["url"].as_str().unwrap().ends_with("/b"));
}

#[tokio::test]
async fn a_spooled_body_is_given_out_whole() {
    let journey = Journey::to(Target::answering(200, "ok").await).await;
    let long: Vec<u8> = (0..1_500_000u32).map(|n| (n % 251) as u8).collect();
    journey.through().post("/", &long).await;
    let id = stored(&journey.relay, 1).await[0]["id"].as_str().unwrap().to_owned();
    let body = journey.relay.api().bytes(&format!("/events/{id}/body")).await.unwrap();
    assert!(body == long, "{} bytes", body.len());
}

#[test]
fn who_does_not_read_a_body_keeps_nobody_from_the_disk() {
    // As many threads for the disk as readers that do not read.
    let few = Builder::new_current_thread().enable_all().max_blocking_threads(READERS).build();
    few.unwrap().block_on(async {
        let target = Target::answering(200, "ok").await;
        let journey = Journey::with(target, &[("workers", "1")], &[]).await;
        let long = vec![b'x'; 20 << 20];
        journey.through().post("/", &long).await;
        let id = stored(&journey.relay, 1).await[0]["id"].as_str().unwrap().to_owned();
        let asked = Written::request("GET", format!("/api/v1/events/{id}/body"))
            .field("Host", "relay")
            .field("Authorization", format!("Bearer {}", journey.relay.admin));
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let mut reader = Connection::to(journey.relay.address).await;
            reader.send(asked.bytes()).await;
            assert_eq!(reader.head().await.unwrap().status(), 200);
            readers.push(reader);
        }
        assert_eq!(journey.through().post("/", &long).await.status(), 200);
        stored(&journey.relay, 2).await;
        for reader in &mut readers {
            assert!(reader.exactly(long.len()).await.unwrap() == long, "it comes whole");
        }
    });
}

#[tokio::test]
async fn watching_misses_nothing_over_a_restart() {
    let mut journey = Journey::to(Target::answering(200, "ok").await).await;
    let mut command = Program::Client.command();
    command.env("RELAY_URL", journey.relay.url()).env("RELAY_TOKEN", &journey.relay.admin);
    let mut tail = Process::start(command.args(["events", "tail", "--json", "--limit", "4"]));
    until("it watches", async || tail.said().contains("watching")).await;
    let mut paths = Vec::new();
    let mut see = async |tail: &mut Process| {
        let line: Value = serde_json::from_str(&tail.line().await.unwrap()).unwrap();
        paths.push(line["path"].as_str().unwrap().to_owned());
    };
    journey.through().post("/1", "x").await;
    see(&mut tail).await;
    journey.relay.stop().await;
    journey.relay.resume().await;
    for path in ["/2", "/3", "/4"] {
        journey.through().post(path, "x").await;
        see(&mut tail).await;
    }
    assert!(tail.ended().await.success());
    assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
}

#[tokio::test]
async fn watching_goes_on_from_where_it_was_whatever_stands_in_for_the_relay_meanwhile() {
    let event = |n: u32| format!("{{\"id\":\"evt_{n}\",\"path\":\"/{n}\"}}\n");
    let asked = std::sync::atomic::AtomicU32::new(0);
    let lines =
        |text: String| Written::answer(200).field("Webhook-Relay-Cursor", "evt_3").body(text);
    let relay = Target::scripted(move |_| {
        let answer = match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => lines(String::new()),
            1 => Written::answer(502).body("<html>Bad Gateway</html>"),
            2 => lines(event(4)),
            3 => Written::answer(503).body("{\"code\":\"relay_overloaded\"}"),
            _ => lines(event(5)),
        };
        answer.bytes()
    })
    .await;
    let mut command = Program::Client.command();
    command.env("RELAY_URL", relay.url()).env("RELAY_TOKEN", "wr_a_b");
    let watched = run(command.args(["events", "tail", "--json", "--limit", "2"])).await;
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    assert_eq!(watched.stdout.lines().count(), 2, "{}", watched.stdout);
    let path = |asked: &Message| String::from_utf8_lossy(asked.path()).into_owned();
    let from: Vec<String> = relay.seen().iter().map(path).collect();
    let after = |n: u32| format!("/api/v1/events/stream?&after=evt_{n}");
    let first = "/api/v1/events/stream?".to_owned();
    assert_eq!(from, [first, after(3), after(3), after(4), after(4)]);
}

#[tokio::test]
async fn whoever_has_seen_no_event_yet_goes_on_from_where_the_stream_began() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("reply", "ack")]).await;
    let cursor = relay.api().lines("/events/stream").await.unwrap().cursor.unwrap();
    relay.provider(&endpoint).post("/meanwhile", "x").await;
    let path = format!("/events/stream?after={cursor}");
    let mut lines = relay.api().lines(&path).await.unwrap();
    assert_eq!(lines.cursor.as_ref(), Some(&cursor));
    let line = lines.next().await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(event["path"], "/meanwhile");
}

#[tokio::test]
async fn a_token_sees_the_events_of_its_endpoints_only() {
    let relay = Relay::start().await;
    for name in ["mine", "yours"] {
        let honest = [("fallback", "fail"), ("hold", "0ms")];
        let endpoint = relay.endpoint_with(name, &honest).await;
        relay
            .provider(&endpoint)
            .send(
                "POST",
                &Written::request("POST", format!("{}/x", endpoint.path))
                    .field("Host", "h")
                    .body("x"),
            )
            .await;
    }
    let all = stored(&relay, 2).await;
    let theirs =
        all.iter().find(|event| event["endpoint"] == "yours").unwrap()["id"].as_str().unwrap();
    let made = relay.make_token(&json!({"endpoints": ["mine"], "scopes": ["read"]})).await;
    let reader = relay.api_with(made["token"].as_str().unwrap());
    let page = reader.get("/events").await.unwrap();
    let seen: Vec<&Value> =
        page["events"].as_array().unwrap().iter().map(|event| &event["endpoint"]).collect();
    assert_eq!(seen, ["mine"]);
    for path in [
        format!("/events/{theirs}"),
        format!("/events/{theirs}/body"),
        "/events?endpoint=yours".into(),
    ] {
        assert!(matches!(reader.get(&path).await, Err(ApiError::NotFound(_))), "{path}");
    }
    let listener = relay.api_with(&relay.token(&["mine"]).await);
    for path in ["/events", "/events?endpoint=mine", "/events/stream"] {
        assert!(matches!(listener.get(path).await, Err(ApiError::NotAllowed(_))), "{path}");
    }
}
