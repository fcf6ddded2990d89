//! What a provider wants to hear before it believes in a URL is said by the relay: no agent is there, and the endpoint is
//! paused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use relay_tests::raw::Message;
use relay_tests::relay::Relay;
use relay_tests::vector::{self, Recorded};
use relay_tests::wall::Wall;
use serde_json::{Value, json};

use super::{Web, events};
use crate::endpoints::client;

/// What is wrong with an answer, if anything is.
fn wrong(case: &Recorded, answer: &Message) -> Option<String> {
    let (wanted, any_4xx) = (&case.record["response"], case.record["status_any_4xx"] == true);
    let status = answer.status();
    if Some(u64::from(status)) != wanted["status"].as_u64()
        && !(any_4xx && (400..500).contains(&status))
    {
        return Some(format!("{status}: {}", answer.text()));
    }
    if any_4xx && status >= 400 {
        return None;
    }
    for pair in wanted["headers"].as_array().into_iter().flatten() {
        let (name, value) = (pair[0].as_str().unwrap_or_default(), pair[1].as_str());
        let got = answer.field(&name.to_ascii_lowercase());
        // Without a value: it has to be there.
        let fits = match (value, got.as_deref()) {
            (None, got) => got.is_some(),
            (Some(value), Some(got)) => got == value || got.starts_with(&format!("{value};")),
            (Some(_), None) => false,
        };
        if !fits {
            return Some(format!("{name}: {got:?}"));
        }
    }
    if case.record["body_any"] == true {
        return None;
    }
    let fits = match (&wanted["json"], wanted["body_base64"].as_str()) {
        (Value::Null, Some(body)) => answer.body == STANDARD.decode(body).unwrap(),
        (json, _) => serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| body == *json),
    };
    (!fits).then(|| format!("body: {}", answer.text()))
}

#[tokio::test]
async fn every_handshake_gets_its_exact_answer_without_an_agent() {
    let Some(wall) = Wall::hung("every handshake through a relay") else { return };
    let mut all = vector::handshakes();
    all.sort_by_key(|case| case.now_s);
    let mut pages: std::collections::BTreeMap<String, String> =
        all.iter().flat_map(Recorded::on_the_web).collect();
    let mut confirmed = Vec::new();
    for case in &all {
        if let Some(field) = case.record["outbound"]["url_field"].as_str() {
            let body: Value = serde_json::from_slice(&case.body).unwrap();
            let url = body[field].as_str().unwrap().to_owned();
            confirmed.push(url[url.find(".com").unwrap() + 4..].to_owned());
            pages.insert(url, "<ok/>".into());
        }
    }
    let web = Web::of(pages).await;
    let settings = web.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut relay = Relay::program(&settings).await;
    wall.over(&mut relay).await;
    let mut faults = Vec::new();
    for (n, case) in all.iter().enumerate() {
        wall.stop_at(case.now_s);
        let name = format!("h{n}");
        let endpoint = case.endpoint(&relay, &name, &[]).await.expect("an endpoint");
        let forwarded = case.record["forward"] == true;
        if !forwarded {
            relay.api().post(&format!("/endpoints/{name}/pause"), &json!({})).await.unwrap();
        }
        let answer = case.send(&relay, &endpoint).await;
        faults.extend(wrong(case, &answer).map(|why| format!("{}: {why}", case.name)));
        // A real event is taken for later, with the acknowledgement that its provider wants.
        let recorded = events(&relay, &name).await.len();
        if recorded != usize::from(forwarded) {
            faults.push(format!("{}: {recorded} events", case.name));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), all.len(), faults.join("\n"));
    let seen = web.pages.seen();
    let seen: Vec<String> =
        seen.iter().map(|asked| String::from_utf8_lossy(asked.path()).into_owned()).collect();
    assert!(!confirmed.is_empty());
    assert!(confirmed.iter().all(|path| seen.contains(path)), "{confirmed:?} {seen:?}");
}

#[tokio::test]
async fn the_secret_that_a_handshake_brings_is_kept_and_nobody_puts_another_in_its_place() {
    let relay = Relay::start().await;
    let wanted = json!({"name": "story", "settings": {"verify": "asana"}});
    let made = relay.api().post("/endpoints", &wanted).await.unwrap();
    let endpoint = relay_tests::relay::Endpoint {
        name: "story".into(),
        path: format!("/hooks/{}", made["key"].as_str().unwrap()),
        key: String::new(),
    };
    let mut provider = relay.provider(&endpoint);
    let hello = |secret: &str| provider.request("POST", "").field("X-Hook-Secret", secret).body("");
    let (first, second) = (hello("first-secret"), hello("second-secret"));
    let answer = provider.send("POST", &first).await;
    assert_eq!(
        (answer.status(), answer.field("x-hook-secret").as_deref()),
        (200, Some("first-secret"))
    );
    let refused = provider.send("POST", &second).await;
    assert!((400..500).contains(&refused.status()), "{}", refused.status());
    assert_eq!(provider.send("POST", &first).await.status(), 200, "the same one may come again");

    let body = r#"{"events":[]}"#;
    for (secret, status) in [("first-secret", 202), ("second-secret", 401)] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, body.as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let event = provider.request("POST", "").field("X-Hook-Signature", tag).body(body);
        assert_eq!(provider.send("POST", &event).await.status(), status, "{secret}");
    }
}

#[tokio::test]
async fn a_token_that_the_provider_wants_back_is_shown_once() {
    let relay = Relay::start().await;
    let wanted = json!({"name": "story", "settings": {"verify": "notion"}});
    let made = relay.api().post("/endpoints", &wanted).await.unwrap();
    let path = format!("/hooks/{}", made["key"].as_str().unwrap());
    let mut provider = relay_tests::provider::Provider::of(relay.address, &path);
    let answer = provider.post("", r#"{"verification_token":"secret_from_notion"}"#).await;
    assert_eq!(answer.status(), 200);
    let listed = client(&relay, &["endpoints", "secrets", "list", "story"]).await.stdout;
    assert!(listed.contains("not shown yet") && !listed.contains("secret_from_notion"), "{listed}");
    let secrets = relay.api().get("/endpoints/story/secrets").await.unwrap();
    let provider_s = |secret: &&Value| secret["purpose"] == "provider";
    let id = secrets.as_array().unwrap().iter().find(provider_s).unwrap()["id"].to_string();
    let shown = client(&relay, &["endpoints", "secrets", "show", "story", &id]).await;
    assert_eq!(shown.stdout, "secret_from_notion\n");
    let again = client(&relay, &["endpoints", "secrets", "show", "story", &id]).await;
    assert_eq!((again.code, again.stdout.as_str()), (Some(5), ""));
}
