//! Who says to be somebody else, or names something else: refused, or of no effect.

use relay_client::api::{ApiError, segment};
use relay_protocol::CONNECT_PATH;
use relay_protocol::frame::ToRelay;
use relay_protocol::reason::close;
use relay_tests::agent::{Agent, Wanted};
use relay_tests::journey::Journey;
use relay_tests::provider::Provider;
use relay_tests::raw::{Connection, Message, Written};
use relay_tests::relay::Relay;
use relay_tests::target::Target;
use relay_tests::wire::{ByHand, hello};
use serde_json::{Value, json};

use super::errors::assert_problem;

/// Names that mean something to a broker, a shell, a path or an eye.
const NAMES: [&str; 22] = [
    "a.b",
    "a.*",
    "*",
    ">",
    "a.>",
    "a b",
    " a",
    "..",
    ".",
    "a/b",
    "../tokens",
    "%2e%2e",
    "a%2Fb",
    "",
    "A",
    "a_b",
    "-a",
    "b\u{e4}r",
    "а",
    "a\u{200b}",
    "a\nb",
    "a\0",
];

/// Asks the API for something, with these fields.
async fn ask(relay: &Relay, path: &str, fields: &[(&str, &str)]) -> Message {
    let mut connection = Connection::to(relay.address).await;
    let request = Written::request("GET", path).field("Host", "relay");
    let request = fields.iter().fold(request, |request, (name, value)| request.field(name, value));
    connection.send(request.bytes()).await;
    connection.answer_to("GET").await
}

#[tokio::test]
async fn two_authorizations_are_none() {
    let relay = Relay::start().await;
    let good = format!("Bearer {}", relay.admin);
    let both = format!("{good}, {good}");
    for values in
        [&[&*good, &good][..], &[&good, "Bearer wr_x_y"], &["Basic eDp5", &good], &[&both]]
    {
        let upgrade = [
            ("Connection", "upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let tokens: Vec<_> = values.iter().map(|value| ("Authorization", *value)).collect();
        assert_problem(&ask(&relay, "/api/v1/tokens", &tokens).await, "unauthorized", 401, "no");
        let connect = ask(&relay, CONNECT_PATH, &[&upgrade[..], &tokens].concat()).await;
        assert_problem(&connect, "unauthorized", 401, "no");
    }
    assert_eq!(ask(&relay, "/api/v1/tokens", &[("Authorization", &good)]).await.status(), 200);
}

#[tokio::test]
async fn a_token_that_is_anywhere_but_in_authorization_is_none() {
    let mut relay = Relay::program(&[]).await;
    let token = relay.admin.clone();
    for name in ["token", "access_token", "authorization", "key"] {
        for path in ["/api/v1/tokens", "/api/v1/events/stream", CONNECT_PATH] {
            let answer = ask(&relay, &format!("{path}?{name}={token}"), &[]).await;
            assert_problem(&answer, "unauthorized", 401, "no");
        }
    }
    let cookie = format!("token={token}");
    for (name, value) in [
        ("Cookie", cookie.as_str()),
        ("X-Api-Key", &token),
        ("Webhook-Relay-Token", &token),
        ("Proxy-Authorization", &format!("Bearer {token}")),
        ("Sec-WebSocket-Protocol", &token),
    ] {
        let answer = ask(&relay, "/api/v1/tokens", &[(name, value)]).await;
        assert_problem(&answer, "unauthorized", 401, "no");
    }
    let secret = token.rsplit('_').next().unwrap();
    assert!(
        !relay.process().said().contains(secret),
        "what was misplaced is not in the log either"
    );
}

#[tokio::test]
async fn names_that_are_patterns_or_paths_name_nothing() {
    let relay = Relay::start().await;
    relay.endpoint("a").await;
    let (api, token) = (relay.api(), relay.token(&["a"]).await);
    for name in NAMES {
        let made = api.post("/endpoints", &json!({"name": name})).await;
        assert!(matches!(made, Err(ApiError::Failed(_))), "{name:?}: {made:?}");
        let token_for = api.post("/tokens", &json!({"endpoints": [name]})).await;
        assert!(matches!(token_for, Err(ApiError::NotFound(_))), "{name:?}: {token_for:?}");
        let filtered = json!({"filter": {"endpoint": name}, "dry_run": true});
        assert!(api.post("/replays", &filtered).await.is_err(), "{name:?}");
        // Encoded, and as it is where a request line can hold it.
        let raw = name.bytes().all(|byte| byte.is_ascii_graphic()).then(|| name.to_owned());
        for path in [Some(segment(name)), raw].into_iter().flatten().filter(|path| !path.is_empty())
        {
            assert!(api.get(&format!("/endpoints/{path}")).await.is_err(), "{name:?}");
            assert!(api.delete(&format!("/endpoints/{path}")).await.is_err(), "{name:?}");
            let hook = Provider::of(relay.address, &format!("/hooks/{path}")).post("", "x").await;
            assert!(matches!(hook.status(), 400 | 404), "{name:?}: {hook:?}");
        }
        let mut line = ByHand::connect(relay.address, &token).await.unwrap();
        line.send_bytes(hello_as_text(name)).await;
        assert_eq!(line.closed().await, close::PROTOCOL, "{name:?}");
    }
    let all = api.get("/endpoints").await.unwrap();
    let names: Vec<&Value> = all.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["a"]);
}

/// A HELLO for an endpoint of this name, which no type would let pass.
fn hello_as_text(name: &str) -> Vec<u8> {
    let sound = ToRelay::Hello(hello("one", &["placeholder"])).encode().unwrap();
    let json = String::from_utf8(sound[1..].to_vec()).unwrap();
    assert!(json.contains("\"placeholder\""), "{json}");
    let json = json.replace("\"placeholder\"", &json!(name).to_string());
    [&sound[..1], json.as_bytes()].concat()
}

#[tokio::test]
async fn no_header_leads_to_another_endpoint_or_passes_for_the_relays_own() {
    let relay = Relay::start().await;
    let ack = [("reply", "ack")];
    let one = relay.endpoint_with("one", &ack).await;
    let two = relay.endpoint_with("two", &ack).await;
    let mut provider = relay.provider(&one);
    let forged_id = "evt_06exbn92hsvm1gd7dyhkzw0000";
    let request = provider
        .request("POST", "/")
        .field("Webhook-Relay-Endpoint", "two")
        .field("X-Endpoint", &two.key)
        .field("X-Original-URL", &two.path)
        .field("X-Rewrite-URL", &two.path)
        .field("X-Forwarded-Host", format!("{}.hooks.example", two.key))
        .field("X-HTTP-Method-Override", "DELETE")
        .field("Webhook-Relay-Event-Id", forged_id)
        .field("Webhook-Relay-Attempt", "7")
        .field("Webhook-Relay-Verification", "state=verified; provider=stripe")
        .field("Webhook-Relay-Error", "agent_offline")
        .field("Connection", "webhook-relay-event-id")
        .body("x");
    let answer = provider.send("POST", &request).await;
    assert_eq!(answer.status(), 202);
    assert_ne!(answer.json()["id"], forged_id);
    let token = relay.token(&["one", "two"]).await;
    let (first, second) = (Target::echo().await, Target::echo().await);
    let mut wanted = Wanted::for_one(&relay.url(), &token, "one", &first.url());
    wanted.routes.push(("two".into(), second.url()));
    let _agent = Agent::start(&wanted).await;
    first.has_seen(1).await;
    let seen = first.only();
    assert_eq!(seen.method(), "POST");
    assert_eq!(seen.field("webhook-relay-event-id").as_deref(), answer.json()["id"].as_str());
    assert_eq!(seen.field("webhook-relay-attempt").as_deref(), Some("1"));
    for gone in ["webhook-relay-endpoint", "webhook-relay-error"] {
        assert_eq!(seen.field(gone), None, "{gone}");
    }
    let claimed = seen.field("webhook-relay-verification").unwrap_or_default();
    assert!(!claimed.contains("state=verified"), "{claimed}");
    assert!(second.seen().is_empty());
    let listed = relay.api().get("/events?endpoint=one").await.unwrap();
    assert_ne!(listed["events"][0]["verification"], "verified");
}

#[tokio::test]
async fn of_host_and_path_the_host_says_which_endpoint_and_never_both() {
    let settings = [("hooks_domain", "hooks.example"), ("trusted_proxies", "127.0.0.1")];
    let journey = Journey::with(Target::echo().await, &settings, &[]).await;
    let relay = &journey.relay;
    let other = relay.endpoint_with("other", &[("reply", "ack")]).await;
    let host = |key: &str| format!("{key}.hooks.example");
    let mine = host(&journey.endpoint.key);
    // The other's path below this one's host is a sub-path of this one.
    let mut provider = Provider::of(relay.address, "").for_host(&mine);
    assert_eq!(provider.post(&format!("{}/x", other.path), "x").await.status(), 200);
    assert_eq!(journey.target.only().path(), format!("{}/x", other.path).as_bytes());
    // The request's own target wins over Host (RFC 9112 §3.2.2), and what a proxy says of a host is not asked.
    let request = Written::request("POST", format!("http://{}/y", host(&other.key)));
    let request = request.field("Host", &mine).field("X-Forwarded-Host", &mine).body("x");
    assert_eq!(provider.send("POST", &request).await.status(), 202);
    assert_eq!(journey.target.seen().len(), 1);
    let twice = Written::request("POST", "/").field("Host", &mine).field("Host", host(&other.key));
    assert_eq!(provider.send("POST", &twice.body("x")).await.status(), 400);
    // Neither the API nor the agents' door is behind a name of the hooks domain.
    for label in [mine.as_str(), "nothing.hooks.example"] {
        for path in ["/api/v1/endpoints", CONNECT_PATH, "/healthz"] {
            let request = Written::request("GET", path).field("Host", label);
            let good = request.field("Authorization", format!("Bearer {}", relay.admin));
            let answer = provider.send("GET", &good).await;
            assert!(!answer.text().contains("\"key\"") && answer.status() != 101, "{answer:?}");
            assert_eq!(answer.status() == 404, label != mine, "{answer:?}");
        }
    }
}

/// Everything that a token may try to become more than it is.
async fn escalate(relay: &Relay, token: &Value) -> Vec<String> {
    let (api, id) =
        (relay.api_with(token["token"].as_str().unwrap()), token["id"].as_str().unwrap());
    let admin = json!({"scopes": ["admin"]});
    let (tokens, own) = (String::from("/tokens"), format!("/tokens/{id}"));
    let tries = [
        ("POST", tokens.clone(), admin),
        ("POST", tokens.clone(), json!({"scopes": ["listen"], "endpoints": ["mine"]})),
        ("GET", tokens, Value::Null),
        ("POST", format!("{own}/rotate"), json!({"grace": "0s"})),
        ("DELETE", own, Value::Null),
        ("GET", "/audit".into(), Value::Null),
        ("POST", "/endpoints".into(), json!({"name": "another"})),
        ("PATCH", "/endpoints/yours".into(), json!({"settings": {"hold": "1s"}})),
        ("POST", "/endpoints/yours/pause".into(), json!({})),
        ("POST", "/endpoints/yours/rotate-key".into(), json!({"grace": "0s"})),
        ("DELETE", "/endpoints/yours".into(), Value::Null),
    ];
    let mut done = Vec::new();
    for (method, path, body) in tries {
        let answer = match method {
            "GET" => api.get(&path).await.map(drop),
            "POST" => api.post(&path, &body).await.map(drop),
            "PATCH" => api.patch(&path, &body).await.map(drop),
            _ => api.delete(&path).await,
        };
        match answer {
            Err(ApiError::NotAllowed(_) | ApiError::NotFound(_)) => {}
            other => done.push(format!("{method} {path}: {other:?}")),
        }
    }
    done
}

#[tokio::test]
async fn no_token_makes_itself_more_than_it_is() {
    let relay = Relay::start().await;
    relay.endpoint("mine").await;
    relay.endpoint("yours").await;
    for wanted in [
        json!({"scopes": ["listen"]}),
        json!({"scopes": ["read"]}),
        json!({"scopes": ["replay"]}),
        json!({"scopes": ["listen", "read", "replay"]}),
        json!({"scopes": ["listen"], "endpoints": ["mine"]}),
        json!({"scopes": ["admin"], "endpoints": ["mine"]}),
    ] {
        let token = relay.make_token(&wanted).await;
        let done = escalate(&relay, &token).await;
        assert!(done.is_empty(), "{wanted}: {done:?}");
    }
    // What it may, it may.
    let token = relay.make_token(&json!({"scopes": ["admin"], "endpoints": ["mine"]})).await;
    let mine = relay.api_with(token["token"].as_str().unwrap());
    mine.patch("/endpoints/mine", &json!({"settings": {"hold": "1s"}})).await.unwrap();
    let seen = mine.get("/endpoints").await.unwrap();
    assert_eq!(seen.as_array().unwrap().len(), 1);
    let mut line = ByHand::connect(relay.address, token["token"].as_str().unwrap()).await.unwrap();
    line.send(ToRelay::Hello(hello("one", &["mine", "yours"]))).await;
    assert_eq!(line.closed().await, close::NOT_ALLOWED);
}

#[tokio::test]
async fn who_replays_cannot_speak_for_the_relay() {
    let relay = Relay::start().await;
    let endpoint = relay.endpoint_with("story", &[("reply", "ack")]).await;
    let id = relay.provider(&endpoint).post("/", "x").await.json()["id"].clone();
    let token = relay.make_token(&json!({"scopes": ["replay"], "endpoints": ["story"]})).await;
    let api = relay.api_with(token["token"].as_str().unwrap());
    let path = format!("/events/{}/replay", id.as_str().unwrap());
    for name in [
        "Webhook-Relay-Verification",
        "webhook_relay_verification",
        "Webhook-Relay-Event-Id",
        "Connection",
        "Transfer-Encoding",
        "a b",
    ] {
        let refused = api.post(&path, &json!({"edit": {"headers": [[name, "x"]]}})).await;
        assert!(matches!(refused, Err(ApiError::Failed(_))), "{name}: {refused:?}");
    }
    for path_edit in ["http://evil/", "//evil\r\nX: y", "a", "/a b"] {
        let refused = api.post(&path, &json!({"edit": {"path": path_edit}})).await;
        assert!(matches!(refused, Err(ApiError::Failed(_))), "{path_edit}: {refused:?}");
    }
}
