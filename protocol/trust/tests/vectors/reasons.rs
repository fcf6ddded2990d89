//! What is wrong with a request is told by its right name.

use relay_trust::{Certificates, Keys, Profiles, Request, Secret, verify};

use super::vector::{all, case};

/// The signature of another message.
const HEX: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn what_binds_the_body_is_verified_and_all_else_is_authenticated() {
    let weak = ["adyen", "mailgun", "postmark", "microsoft_graph", "telegram", "okta"];
    for vector in all().iter().filter(|vector| vector.is_valid()) {
        let told = vector.case().told();
        if vector.found().is_some() {
            continue;
        }
        let provider = vector.case().provider;
        let is_weak = weak.contains(&provider.as_str()) && vector.name() != "adyen-p8"
            || matches!(vector.name(), "gitlab-p1" | "buildkite-p3")
            // Signed over no part of the body: its own parameters ask for no more.
            || provider == "rfc9421";
        assert_eq!(told, if is_weak { "authenticated" } else { "verified" }, "{}", vector.name());
    }
}

#[test]
fn a_wrong_secret_and_a_changed_body() {
    for name in [
        "stripe-p2",
        "stripe-p5",
        "slack-p2",
        "github-p2",
        "svix-p6",
        "square-p2",
        "discord-p2",
        "discord-p4",
        "sendgrid-p2",
        "sendgrid-p3",
        "paypal-p2",
        "aws_sns-p3",
        "adyen-p3",
        "hubspot-p4",
        "mailgun-p2",
        "contentful-p4",
        "rfc9421-p4",
        "telegram-p2",
        "postmark-p2",
        "microsoft_graph-p2",
    ] {
        assert_eq!(case(name).told(), "failed wrong_secret", "{name}");
    }
}

#[test]
fn a_time_too_far_away() {
    for name in [
        "stripe-p3",
        "slack-p3",
        "svix-p4",
        "paddle-p5",
        "linear-p4",
        "zoom-p3",
        "twitch-p3",
        "zendesk-p3",
        "workos-p3",
        "contentful-p3",
        "rfc9421-p3",
        "mailgun-p4",
        "box-p3",
        "hubspot-p3",
    ] {
        assert_eq!(case(name).told(), "failed timestamp_too_old", "{name}");
    }
    for name in ["slack-p4", "svix-p5"] {
        assert_eq!(case(name).told(), "failed timestamp_in_future", "{name}");
    }
}

#[test]
fn a_tolerance_of_the_endpoint_counts_instead() {
    let profiles = Profiles::embedded();
    let found = |name: &str, tolerance_s| {
        let case = case(name);
        let keys = Keys { secrets: &case.secrets, params: &case.params, tolerance_s };
        let profile = profiles.get(&case.provider).expect("a profile");
        let found = case.with_bare_request(|request| {
            verify(profile, request, &keys, &Certificates::new(), case.now_ms)
        });
        found.expect("no certificate").is_good()
    };
    assert!(found("stripe-p3", Some(301)) && found("stripe-p3", Some(0)));
    assert!(!found("stripe-p4", Some(299)));
}

#[test]
fn a_field_is_not_there_or_is_there_twice() {
    assert_eq!(case("github-p1").without("x-hub-signature-256").told(), "failed header_missing");
    assert_eq!(
        case("slack-p1").without("x-slack-request-timestamp").told(),
        "failed timestamp_missing"
    );
    assert_eq!(case("svix-p1").without("svix-id").told(), "failed header_missing");
    assert_eq!(case("okta-p1").without("authorization").told(), "failed header_missing");
    assert_eq!(case("contentful-p1").without("x-contentful-topic").told(), "failed header_missing");
    for (name, field, other) in [
        ("github-p1", "X-HUB-signature-256", "sha256=00"),
        ("slack-p1", "x-slack-request-timestamp", "1"),
        ("svix-p1", "svix-id", "msg_other"),
        ("stripe-p1", "stripe-signature", "t=1,v1=00"),
        ("telegram-p1", "x-telegram-bot-api-secret-token", "other"),
        ("postmark-p1", "authorization", "Basic eA=="),
        ("contentful-p1", "x-contentful-topic", "other"),
        ("docusign-p1", "x-docusign-signature-1", "b3RoZXI="),
        ("discord-p1", "x-signature-timestamp", "1"),
        ("paypal-p1", "paypal-cert-url", "https://api.paypal.com/v1/notifications/certs/other"),
    ] {
        assert_eq!(case(name).and(field, other).told(), "failed duplicate_header", "{name}");
    }
    // The same value twice says nothing else than once.
    let github = case("github-p1");
    let (name, value) = github.headers[0].clone();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a text");
    assert_eq!(github.and(&text(name), &text(value)).told(), "verified");
}

#[test]
fn a_signature_that_is_none() {
    assert_eq!(case("github-p5").told(), "failed malformed_signature");
    assert_eq!(case("stripe-p6").told(), "failed signature_missing");
    for (name, field, value) in [
        ("github-p1", "x-hub-signature-256", "sha256=".to_owned()),
        ("github-p1", "x-hub-signature-256", format!("sha256={HEX}00")),
        ("github-p1", "x-hub-signature-256", format!("sha256={}", &HEX[1..])),
        ("github-p1", "x-hub-signature-256", format!("sha1={HEX}")),
        ("shopify-p1", "x-shopify-hmac-sha256", "AAAA".to_owned()),
        ("shopify-p1", "x-shopify-hmac-sha256", "*".to_owned()),
        ("stripe-p1", "stripe-signature", "t=1764000000,v1=zz".to_owned()),
        ("svix-p1", "svix-signature", "v1,AAAA".to_owned()),
        ("discord-p1", "x-signature-ed25519", HEX.to_owned()),
        ("sendgrid-p1", "x-twilio-email-event-webhook-signature", "AAAA".to_owned()),
        ("paypal-p1", "paypal-transmission-sig", "AAAA".to_owned()),
        ("rfc9421-p1", "signature", "sig-b25=AAAA".to_owned()),
        ("rfc9421-p1", "signature-input", "sig-b25=(\"date\"".to_owned()),
    ] {
        assert_eq!(
            case(name).with(field, |_| value.clone()).told(),
            "failed malformed_signature",
            "{name} {value}"
        );
    }
    for (name, field, value) in [
        ("svix-p1", "svix-signature", "v2,AAAA"),
        ("stripe-p1", "stripe-signature", "t=1764000000"),
    ] {
        assert_eq!(
            case(name).with(field, |_| value.into()).told(),
            "failed signature_missing",
            "{name}"
        );
    }
    assert_eq!(
        case("postmark-p1").with("authorization", |_| "Bearer x".into()).told(),
        "failed malformed_credentials"
    );
}

#[test]
fn a_time_that_is_none() {
    for value in ["", "x", "-1", "1e9", "99999999999999999999999999", "18446744073709551615"] {
        let told = case("slack-p1").with("x-slack-request-timestamp", |_| value.into()).told();
        assert_eq!(told, "failed malformed_timestamp", "{value}");
        let told =
            case("stripe-p1").with("stripe-signature", |s| s.replace("1764000000", value)).told();
        assert_eq!(told, "failed malformed_timestamp", "{value}");
    }
    let far = case("workos-p1")
        .with("workos-signature", |s| s.replace("1764000000000", "18446744073709551615"));
    assert_eq!(far.told(), "failed wrong_secret");
    let two = case("stripe-p1").with("stripe-signature", |s| format!("t=1,{s}"));
    assert_eq!(two.told(), "failed malformed_timestamp");
    let none = case("stripe-p1").with("stripe-signature", |s| s.replace("t=", "u="));
    assert_eq!(none.told(), "failed timestamp_missing");
    for value in ["2025-11-24", "2025-02-30T00:00:00Z", "9999999999-01-01T00:00:00Z"] {
        let told = case("zendesk-p1")
            .with("x-zendesk-webhook-signature-timestamp", |_| value.into())
            .told();
        assert_eq!(told, "failed malformed_timestamp", "{value}");
    }
}

#[test]
fn an_id_that_runs_into_what_stands_beside_it() {
    // "msg" at 1614265330 with the body "5.x" is signed like "msg.1614265330" at 5 with the body "x".
    for name in ["svix-p1", "standard_webhooks-p1"] {
        let header = if name == "svix-p1" { "svix-id" } else { "webhook-id" };
        assert_eq!(
            case(name).with(header, |id| format!("{id}.1")).told(),
            "failed malformed_id",
            "{name}"
        );
    }
}

#[test]
fn bodies_that_are_no_text_no_json_and_no_form() {
    for body in [&b"\xff\xfe\x00"[..], b"", b"\xef\xbb\xbf{}", b"{\"a\":1,\"a\":2}"] {
        for name in ["github-p1", "stripe-p1", "svix-p1", "discord-p1", "twitch-p1"] {
            assert_eq!(case(name).saying(body).told(), "failed wrong_secret", "{name}");
        }
        for name in ["adyen-p1", "aws_sns-p1", "mailgun-p1", "microsoft_graph-p1"] {
            let told = case(name).saying(body).told();
            let known =
                ["failed malformed_body", "failed signature_missing", "failed field_missing"];
            assert!(known.contains(&told.as_str()), "{name} {told}");
        }
    }
    for body in ["%", "%zz=%", "&&&", "=", "a=%ff%00", "+=+"] {
        for name in ["twilio-p1", "mandrill-p1"] {
            assert_eq!(case(name).saying(body).told(), "failed wrong_secret", "{name} {body}");
        }
    }
    let many = "a&".repeat(20_000);
    assert_eq!(case("twilio-p1").saying(many).told(), "failed malformed_body");
}

#[test]
fn a_body_that_nothing_binds() {
    assert_eq!(case("twilio-p9").told(), "failed body_hash_mismatch");
    let unbound = case("twilio-p1").with("content-type", |_| "application/json".into());
    assert_eq!(unbound.saying("{}").told(), "failed wrong_secret");
    assert_eq!(case("rfc9421-p5").told(), "failed component_not_signed");
    let other = case("rfc9421-p1").saying(r#"{"hello": "worlds"}"#);
    assert_eq!(other.told(), "failed body_hash_mismatch");
}

#[test]
fn a_certificate_from_elsewhere_and_a_topic_of_somebody_else() {
    for name in ["aws_sns-p4", "aws_sns-p5", "paypal-p4"] {
        assert_eq!(case(name).told(), "failed certificate_url_not_allowed", "{name}");
    }
    assert_eq!(case("aws_sns-p6").told(), "failed wrong_topic");
    let mut old = case("aws_sns-p1");
    old.now_ms += 200 * 365 * 86_400_000;
    assert_eq!(old.told(), "failed certificate_expired");
    let mut stale = case("aws_sns-p1");
    stale.now_ms += 3_601_000;
    assert_eq!(stale.told(), "failed timestamp_too_old");
    let mut none = case("aws_sns-p1");
    let url = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
    none.certificates.insert(url, "x");
    assert_eq!(none.told(), "failed malformed_certificate");
    let mut pinned = case("aws_sns-p1");
    let arn = pinned.secrets.remove(0);
    assert_eq!(pinned.told(), "unattempted no_secret");
    pinned.params.insert("topic_arn".into(), arn.expose().into());
    assert_eq!(pinned.told(), "verified");
}

#[test]
fn a_secret_that_is_none() {
    for name in
        ["github-p1", "stripe-p1", "telegram-p1", "discord-p1", "adyen-p1", "svix-p1", "hubspot-p5"]
    {
        let mut none = case(name);
        none.secrets.clear();
        assert_eq!(none.told(), "unattempted no_secret", "{name}");
        // Who could guess it could sign with it.
        none.secrets = vec![Secret::new("")];
        assert_eq!(none.told(), "failed malformed_secret", "{name}");
    }
    for name in ["svix-p1", "adyen-p1", "discord-p1", "sendgrid-p1"] {
        let mut odd = case(name);
        odd.secrets = vec![Secret::new("*no key*")];
        assert_eq!(odd.told(), "failed malformed_secret", "{name}");
    }
}

#[test]
fn any_active_secret_may_have_signed() {
    for name in ["github-p1", "svix-p1", "telegram-p1", "discord-p1", "adyen-p1"] {
        let mut rotated = case(name);
        let other = case(if name == "discord-p1" { "discord-p4" } else { name });
        let old = Secret::new(format!("{}x", other.secrets[0].expose()));
        rotated.secrets.insert(0, old);
        let found = rotated.find();
        assert!(found.is_good(), "{name} {found:?}");
        assert_eq!(found.secret, Some(1), "{name}");
    }
}

#[test]
fn a_certificate_that_is_not_at_hand_is_asked_for() {
    let case = case("aws_sns-p1");
    let profiles = Profiles::embedded();
    let headers: Vec<(&[u8], &[u8])> = Vec::new();
    let request =
        Request { method: "POST", url: case.url.as_bytes(), headers: &headers, body: &case.body };
    let keys = Keys { secrets: &case.secrets, params: &case.params, tolerance_s: None };
    let profile = profiles.get("aws_sns").expect("a profile");
    let found = verify(profile, &request, &keys, &Certificates::new(), case.now_ms);
    let url = found.expect_err("no certificate").url;
    assert_eq!(
        url,
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
    );
}
