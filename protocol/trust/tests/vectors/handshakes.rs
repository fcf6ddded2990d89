//! Handshakes as providers make them, and the answers that they must get.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_trust::profile::Fallback;
use relay_trust::{
    Answer, Certificates, Finding, Profiles, Reason, Request, Secret, State, handshake,
};
use serde_json::Value;

use super::vector::{Case, case};

/// What stands in the file.
fn cases() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("handshakes.json");
    let text = std::fs::read_to_string(file).expect("a readable file");
    serde_json::from_str(&text).expect("a list")
}

fn named(name: &str) -> Case {
    let found = cases().into_iter().find(|case| case["name"] == name);
    read(&found.unwrap_or_else(|| panic!("there is no handshake {name}")))
}

fn read(value: &Value) -> Case {
    let (config, request) = (&value["config"], &value["request"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let params = config["params"].as_object().into_iter().flatten();
    let pairs = request["headers"].as_array().expect("headers").iter();
    let mut certificates = Certificates::new();
    for (url, pem) in value["fetch"].as_object().into_iter().flatten() {
        certificates.insert(url, text(pem));
    }
    Case {
        provider: text(&value["provider"]),
        secrets: config["secret"].as_str().map(Secret::new).into_iter().collect(),
        params: params.map(|(name, value)| (name.clone(), text(value))).collect(),
        method: text(&request["method"]),
        url: text(&request["url"]),
        headers: pairs.map(|pair| (text(&pair[0]).into(), text(&pair[1]).into())).collect(),
        body: STANDARD.decode(text(&request["body_base64"])).expect("base64"),
        now_ms: request["now_unix"].as_u64().expect("a time") * 1000,
        certificates,
    }
}

fn ask(case: &Case) -> Option<Answer> {
    case.with_request(|profile, request, keys| {
        handshake(profile, request, keys, &case.certificates, case.now_ms).expect("certificates")
    })
}

/// What is wrong with this answer, if anything.
fn judge(value: &Value, answer: &Answer) -> Option<String> {
    let wanted = &value["response"];
    let status_is_right = wanted["status"] == answer.status
        || (value["status_any_4xx"] == true && (400..=499).contains(&answer.status));
    if !status_is_right {
        return Some(format!("status {}", answer.status));
    }
    if answer.status < 400 {
        for pair in wanted["headers"].as_array().expect("headers") {
            let name = pair[0].as_str().expect("a name");
            let mut fields = answer.headers.iter();
            let found = fields.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            let is_right = match (name, pair[1].as_str()) {
                ("Content-Length", Some(length)) => length == answer.body.len().to_string(),
                (_, Some(value)) => found.is_some_and(|found| found == value.as_bytes()),
                (_, None) => found.is_some(),
            };
            if !is_right {
                return Some(format!("{name}: {found:?}"));
            }
        }
    }
    let body_is_right = match (&wanted["json"], wanted["body_base64"].as_str()) {
        _ if value["body_any"] == true => true,
        (Value::Null, Some(body)) => {
            STANDARD.decode(body).expect("base64") == answer.body || answer.status >= 400
        }
        (json, _) => serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body == *json),
    };
    if !body_is_right {
        return Some(format!("body {:?}", String::from_utf8_lossy(&answer.body)));
    }
    if answer.visit.is_some() != value["outbound"].is_object() {
        return Some(format!("visits {:?}", answer.visit));
    }
    let kept = answer.keep.as_ref().map(|keep| keep.secret.expose());
    (kept != value["stores_secret"].as_str()).then(|| format!("keeps {:?}", kept.is_some()))
}

#[test]
fn every_handshake_is_answered_exactly() {
    let cases = cases();
    assert!(cases.len() >= 36, "the handshakes are found");
    let mut wrong = Vec::new();
    for value in cases {
        let name = value["name"].as_str().expect("a name").to_owned();
        let case = read(&value);
        let Some(answer) = ask(&case) else {
            let acknowledged = acknowledgement(&case);
            if value["forward"] != true {
                wrong.push(format!("{name}: no answer"));
            } else if let Some(why) = judge(&value, &acknowledged) {
                wrong.push(format!("{name}: acknowledged with {why}"));
            }
            continue;
        };
        if value["forward"] == true {
            wrong.push(format!("{name}: an event is answered as a handshake"));
        }
        wrong.extend(judge(&value, &answer).map(|why| format!("{name}: {why}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What an event is acknowledged with, when no agent is there.
fn acknowledgement(case: &Case) -> Answer {
    case.with_request(|profile, request, _| {
        assert_eq!(profile.fallback(request), Fallback::Queue);
        let ack = profile.delivery().ack.clone().expect("an acknowledgement of its own");
        let (status, body) = (ack.status, ack.body.into_bytes());
        Answer { status, headers: Vec::new(), body, keep: None, visit: None, finding: None }
    })
}

#[test]
fn what_is_refused_says_nothing() {
    for name in [
        "slack-badsig",
        "zoom-unsigned",
        "zoom-oracle",
        "meta-badtoken",
        "x-crc-oracle",
        "xero-itr-bad",
    ] {
        let answer = ask(&named(name)).expect("an answer");
        assert!(
            answer.status >= 400 && answer.body.is_empty() && answer.headers.is_empty(),
            "{name}"
        );
    }
    let answer = ask(&named("zoom-unsigned")).expect("an answer");
    assert_eq!(answer.finding, Some(Finding::failed(Reason::HeaderMissing)));
}

#[test]
fn nothing_is_signed_without_a_secret() {
    for name in ["zoom-ok", "x-crc", "slack-ok"] {
        let mut case = named(name);
        case.secrets.clear();
        let answer = ask(&case).expect("an answer");
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{name}");
    }
}

#[test]
fn an_answer_is_signed_with_the_secret_that_signed_the_question() {
    let alone = ask(&named("zoom-ok")).expect("an answer");
    let mut rotated = named("zoom-ok");
    rotated.secrets.insert(0, Secret::new("newer"));
    assert_eq!(ask(&rotated).expect("an answer").body, alone.body);
}

#[test]
fn what_is_not_set_up_lets_nobody_in() {
    for (name, status) in [
        ("meta-ok", 403),
        ("websub-ok", 404),
        ("cloudevents-options", 403),
        ("ebay-challenge", 400),
    ] {
        let mut case = named(name);
        case.params.clear();
        assert_eq!(ask(&case).map(|answer| answer.status), Some(status), "{name}");
        case.params.insert("verify_token".into(), String::new());
        case.params.insert("topic".into(), String::new());
        let params: BTreeMap<_, _> = std::mem::take(&mut case.params);
        let known = |name: &str| {
            let profiles = Profiles::embedded();
            profiles
                .get(&case.provider)
                .is_some_and(|p| p.parameters().iter().any(|p| p.name == name))
        };
        case.params = params.into_iter().filter(|(name, _)| known(name)).collect();
        assert_eq!(ask(&case).map(|answer| answer.status), Some(status), "{name}");
    }
}

#[test]
fn an_echo_has_bounds() {
    let long = "x".repeat(5000);
    let mut dropbox = named("dropbox-ok");
    dropbox.url = format!("https://hooks.example.com/in/dropbox?challenge={long}");
    assert_eq!(ask(&dropbox).map(|answer| answer.status), Some(400));
    let asana = named("asana-ok").with("x-hook-secret", |_| "a\u{1}b".into());
    assert_eq!(ask(&asana).map(|answer| (answer.status, answer.keep)), Some((400, None)));
    let mut mode = named("meta-ok");
    mode.url = mode.url.replace("hub.challenge=1158201444", "hub.challenge=1&hub.challenge=2");
    assert_eq!(ask(&mode).map(|answer| answer.status), Some(400));
}

#[test]
fn a_kept_secret_is_not_replaced() {
    let mut again = named("asana-ok");
    let kept = ask(&again).and_then(|answer| answer.keep).expect("a secret");
    assert!(!kept.show && !format!("{kept:?}").contains(kept.secret.expose()));
    again.secrets = vec![kept.secret.clone()];
    let answer = ask(&again).expect("an answer");
    assert_eq!((answer.status, answer.keep), (200, None));
    again.secrets = vec![Secret::new("another")];
    assert_eq!(ask(&again).map(|answer| (answer.status, answer.keep)), Some((403, None)));
    let shown = ask(&named("notion-ok")).and_then(|answer| answer.keep).expect("a secret");
    assert!(shown.show);
}

#[test]
fn a_subscription_is_confirmed_after_it_is_verified() {
    let confirmation = case("aws_sns-confirmation");
    let answer = ask(&confirmation).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.finding.map(|finding| finding.state), Some(State::Verified));
    let url = answer.visit.expect("a visit");
    assert!(
        url.starts_with("https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&"),
        "{url}"
    );
    let elsewhere = ask(&case("aws_sns-confirmation-elsewhere")).expect("an answer");
    assert_eq!((elsewhere.status, elsewhere.visit), (400, None));
    let text = String::from_utf8(confirmation.body.clone()).expect("a text");
    let forged = confirmation.saying(text.replace("Action=ConfirmSubscription", "Action=Other"));
    assert_eq!(ask(&forged).map(|answer| (answer.status, answer.visit)), Some((401, None)));
    let mut foreign = case("aws_sns-confirmation");
    foreign.secrets = vec![Secret::new("arn:aws:sns:us-east-1:123456789012:Other")];
    assert_eq!(ask(&foreign).map(|answer| (answer.status, answer.visit)), Some((401, None)));
}

#[test]
fn an_answer_that_is_data_is_not_put_off() {
    let profiles = Profiles::embedded();
    let fallback = |name: &str, kind: &[u8], body: &[u8]| {
        let headers: [(&[u8], &[u8]); 1] = [(b"content-type", kind)];
        let request = Request { method: "POST", url: b"https://h/", headers: &headers, body };
        profiles.get(name).expect("a profile").fallback(&request)
    };
    let form = b"application/x-www-form-urlencoded";
    assert_eq!(fallback("twilio", form, b"CallSid=1"), Fallback::Fail);
    assert_eq!(fallback("slack", form, b"command=%2Fdeploy"), Fallback::Fail);
    assert_eq!(
        fallback("slack", b"application/json", br#"{"type":"event_callback"}"#),
        Fallback::Queue
    );
    assert_eq!(
        fallback("discord", b"application/json", br#"{"type":2,"token":"x"}"#),
        Fallback::Fail
    );
    assert_eq!(
        fallback("discord", b"application/json", br#"{"type":1,"event":{}}"#),
        Fallback::Queue
    );
    assert_eq!(fallback("stripe", b"application/json", b"{}"), Fallback::Queue);
}

#[test]
fn an_event_is_no_handshake() {
    for name in
        ["stripe-p1", "slack-p1", "twitch-p1", "aws_sns-p1", "notion-p1", "asana-p1", "okta-p1"]
    {
        assert_eq!(ask(&case(name)), None, "{name}");
    }
}
