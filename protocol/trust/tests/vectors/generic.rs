//! Providers that the table does not know: the parameters of the endpoint say how they sign.

use std::collections::BTreeMap;

use relay_trust::{Certificates, Keys, Profiles, Secret, State, verify};

use super::vector::{Case, case};

/// What is found of this vector by a generic profile with these parameters.
fn found(profile: &str, params: &[(&str, &str)], case: &Case) -> State {
    let params: BTreeMap<String, String> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let profiles = Profiles::embedded();
    let profile = profiles.get(profile).expect("a profile").fit(&params).expect("good parameters");
    let keys = Keys { secrets: &case.secrets, params: &params, tolerance_s: None };
    let found = case.with_bare_request(|request| {
        verify(&profile, request, &keys, &Certificates::new(), case.now_ms)
    });
    found.expect("no certificate").state
}

#[test]
fn parameters_describe_what_the_table_describes() {
    let like: [(&str, &[(&str, &str)]); 6] = [
        ("github", &[("header", "X-Hub-Signature-256"), ("prefix", "sha256=")]),
        ("shopify", &[("header", "X-Shopify-Hmac-Sha256"), ("encoding", "base64")]),
        ("vercel", &[("header", "x-vercel-signature"), ("digest", "sha1")]),
        (
            "slack",
            &[
                ("header", "X-Slack-Signature"),
                ("prefix", "v0="),
                ("template", "v0:{ts}:{body}"),
                ("timestamp", "X-Slack-Request-Timestamp"),
            ],
        ),
        (
            "stripe",
            &[
                ("header", "stripe-signature"),
                ("format", "kv"),
                ("signature_key", "v1"),
                ("template", "{ts}.{body}"),
                ("timestamp", "kv:t"),
            ],
        ),
        (
            "svix",
            &[
                ("header", "svix-signature"),
                ("format", "tagged"),
                ("tag", "v1"),
                ("encoding", "base64"),
                ("key", "whsec"),
                ("template", "{hdr:svix-id}.{ts}.{body}"),
                ("timestamp", "svix-timestamp"),
            ],
        ),
    ];
    for (provider, params) in like {
        for number in 1..=5 {
            let name = format!("{provider}-p{number}");
            let Some(vector) = super::vector::all().into_iter().find(|v| v.name() == name) else {
                continue;
            };
            let good = found("hmac", params, &vector.case()) == State::Verified;
            assert_eq!(good, vector.is_valid(), "{name}");
        }
    }
}

#[test]
fn a_token_is_where_the_parameters_say() {
    let telegram = case("telegram-p1");
    let header = [("header", "X-Telegram-Bot-Api-Secret-Token")];
    assert_eq!(found("token", &header, &telegram), State::Authenticated);
    assert_eq!(found("token", &[], &telegram), State::Failed);
    let mut bearer = telegram.and("authorization", "bearer secret");
    bearer.secrets = vec![Secret::new("secret")];
    assert_eq!(found("token", &[], &bearer), State::Authenticated);
    bearer.secrets = vec![Secret::new("Secret")];
    assert_eq!(found("token", &[], &bearer), State::Failed);
    bearer.url.push_str("?a=1&key=a%20b");
    bearer.secrets = vec![Secret::new("a b")];
    assert_eq!(found("token", &[("from", "query:key")], &bearer), State::Authenticated);
}

#[test]
fn a_tolerance_may_be_a_parameter() {
    let late = case("stripe-p3");
    assert_eq!(found("stripe", &[], &late), State::Failed);
    assert_eq!(found("stripe", &[("tolerance", "301")], &late), State::Verified);
}
