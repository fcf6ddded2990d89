//! Why a signature fails: each of the usual causes is found and told.

use relay_trust::{Profiles, Secret, explain};

use super::vector::{Case, all, case};

fn told(case: &Case) -> Vec<String> {
    case.with_request(|profile, request, keys| {
        explain(&Profiles::embedded(), profile, request, keys, &case.certificates, case.now_ms)
    })
}

/// The first sentence has this in it.
fn begins(case: &Case, wanted: &str) {
    let told = told(case);
    assert!(told.first().is_some_and(|first| first.contains(wanted)), "{wanted}: {told:#?}");
}

fn with_secret(name: &str, change: impl Fn(&str) -> String) -> Case {
    let mut case = case(name);
    case.secrets = vec![Secret::new(change(case.secrets[0].expose()))];
    case
}

#[test]
fn what_is_good_needs_no_words_and_all_else_has_some() {
    for vector in all() {
        let case = vector.case();
        assert_eq!(told(&case).is_empty(), vector.is_valid(), "{}", vector.name());
    }
}

#[test]
fn a_body_that_was_changed_on_its_way() {
    begins(&case("sendgrid-p2"), "line break (CR LF) at the end of the body is lost");
    let github = case("github-p1");
    let body = github.body.clone();
    begins(
        &github.saying([&body[..], b"\n"].concat()),
        "a line break at its end that was not signed",
    );
    begins(&case("paddle-p4"), "read and written again");
    // What was signed has spaces as Python writes them; what came was compact.
    let adyen = case("twitch-p1");
    let text = String::from_utf8(adyen.body.clone()).expect("a text");
    begins(&adyen.saying(text.replace("\":", "\" : ")), "read and written again");
    let stripe = case("stripe-p1");
    let text = String::from_utf8(stripe.body.clone()).expect("a text");
    begins(&stripe.saying(text.replace('\n', "\r\n")), "from LF to CR LF");
}

#[test]
fn a_secret_that_was_copied_badly() {
    begins(
        &with_secret("github-p1", |s| format!("{s}\n")),
        "white space or a line break around it",
    );
    begins(&with_secret("github-p1", |s| format!("\"{s}\"")), "quotation marks");
    begins(&with_secret("stripe-p1", |s| s.replace("whsec_", "")), "lacks its whsec_");
    begins(&with_secret("github-p3", str::to_uppercase), "capitals");
    let key = with_secret("stripe-p1", |_| "sk_live_123".into());
    assert!(told(&key).iter().any(|s| s.contains("Stripe API key")), "{:?}", told(&key));
    for sentence in told(&key) {
        assert!(!sentence.contains("sk_live_123"), "{sentence}");
    }
}

#[test]
fn a_secret_that_is_meant_otherwise() {
    // The key of the one is the text of the other.
    let mut text = case("zendesk-p1");
    text.provider = "hmac".into();
    for (name, value) in [
        ("header", "X-Zendesk-Webhook-Signature"),
        ("encoding", "base64"),
        ("key", "base64"),
        ("template", "{ts}{body}"),
        ("timestamp", "X-Zendesk-Webhook-Signature-Timestamp"),
        ("timestamp_unit", "rfc3339"),
    ] {
        text.params.insert(name.into(), value.into());
    }
    begins(&text, "meant as text");
    text.params.insert("key".into(), "utf8".into());
    assert!(told(&text).is_empty());
    let mut svix = case("svix-p1");
    svix.provider = "hmac".into();
    for (name, value) in [
        ("header", "svix-signature"),
        ("format", "tagged"),
        ("tag", "v1"),
        ("encoding", "base64"),
        ("template", "{hdr:svix-id}.{ts}.{body}"),
        ("timestamp", "svix-timestamp"),
    ] {
        svix.params.insert(name.into(), value.into());
    }
    begins(&svix, "meant as base64");
}

#[test]
fn a_scheme_that_is_another() {
    let mut vercel = case("vercel-p1");
    vercel.provider = "hmac".into();
    vercel.params.insert("header".into(), "x-vercel-signature".into());
    begins(&vercel, "signed with SHA-1");
    let mut github = case("github-p1");
    github.provider = "hmac".into();
    github.params.insert("header".into(), "x-hub-signature-256".into());
    begins(&github, "has the prefix sha256=");
    begins(&case("meta-p4"), "lacks the prefix");
    let mut shopify = case("shopify-p1");
    shopify.provider = "hmac".into();
    shopify.params.insert("header".into(), "x-shopify-hmac-sha256".into());
    begins(&shopify, "written as base64");
}

#[test]
fn a_time_that_is_far_away() {
    begins(&case("stripe-p3"), "The signature is good, but its time is 301 seconds (5 min) away");
    begins(&case("slack-p4"), "301 seconds");
}

#[test]
fn a_url_that_the_provider_knows_otherwise() {
    begins(&case("mandrill-p4"), "without the slash at its end");
    let mut square = case("square-p1");
    square.url = square.url.replace("https://", "http://");
    begins(&square, "signed for https://, not for http://");
    let mut behind = case("square-p1");
    let host = behind.url.split('/').nth(2).expect("a host").to_owned();
    behind.url = behind.url.replace(&host, "127.0.0.1:8080");
    begins(&behind.and("Host", &host), &format!("signed for the host {host} (in the field Host)"));
}

#[test]
fn a_provider_that_is_another() {
    let mut github = case("github-p1");
    github.provider = "stripe".into();
    let sentences = told(&github);
    assert!(
        sentences.iter().any(|s| s == "With this secret, it is good for the provider gitea."
            || s == "With this secret, it is good for the provider github."),
        "{sentences:?}"
    );
    let mut unknown = case("svix-p1");
    unknown.provider = "github".into();
    unknown.secrets = vec![Secret::new("x")];
    assert!(
        told(&unknown).iter().any(|s| s.contains("as these providers send it: svix")),
        "{:?}",
        told(&unknown)
    );
}

/// Some sentence has this in it.
fn says(case: &Case, wanted: &str) {
    let told = told(case);
    assert!(told.iter().any(|sentence| sentence.contains(wanted)), "{wanted}: {told:#?}");
}

/// The vector of this provider that is so called in the words of its `why`.
fn token(provider: &str, why: &str) -> Case {
    let found = all().into_iter().find(|v| v.why() == why && v.case().provider == provider);
    found.unwrap_or_else(|| panic!("{provider} has no {why}")).case()
}

#[test]
fn a_token_that_is_signed_otherwise() {
    says(&token("monday", "alg none, no signature"), "not signed (alg none)");
    says(&token("monday", "alg none in other letters"), "not signed (alg none)");
    says(
        &token("monday", "HS512, and the profile has HS256"),
        "signed with HS512, and here it must be HS256",
    );
    says(&token("monday", "alg twice"), "names no algorithm, or names it twice");
    says(&token("jwt", "a public key is no secret to share"), "not of the form");
}

#[test]
fn a_token_that_is_none() {
    begins(&token("monday", "base64 with padding"), "it ends with =");
    begins(&token("monday", "two parts"), "this has 2 parts");
    begins(&token("monday", "four parts"), "this has 4 parts");
}

#[test]
fn a_token_that_is_for_somebody_else() {
    let url = "https://hooks.example.com/in/monday";
    begins(
        &token("monday", "for another audience"),
        &format!("The token's aud is {url}, and must be {url}/other."),
    );
    begins(&token("netlify", "of no issuer"), "The token has no iss, which must be netlify.");
    begins(&token("netlify", "nothing binds the body"), "no sha256 with the hash of the body");
    let page = token("jira_connect", "a token of a page, which is bound to no request");
    begins(&page, "bound to no request");
    let mut plain = token("messagebird", "Port number in URL - GET");
    plain.url = plain.url.replace("https://", "http://");
    begins(&plain, "signed for https://, not for http://");
}

#[test]
fn a_token_whose_time_has_passed() {
    begins(&token("monday", "expired"), "its time is 61 seconds (61 s) away");
    says(&token("monday", "expired"), "its time has passed");
    begins(&token("monday", "no end, and old"), "its time is 61 seconds");
}

#[test]
fn the_secret_and_the_body_of_a_token() {
    let mut base64 = token("jwt", "the secret is base64");
    base64.params.clear();
    begins(&base64, "meant as base64");
    let mut quoted = token("monday", "as an app is called");
    quoted.secrets = vec![Secret::new(format!("\"{}\"", quoted.secrets[0].expose()))];
    begins(&quoted, "quotation marks");
    let netlify = token("netlify", "the body is bound by its hash");
    let body = [&netlify.body[..], b"\n"].concat();
    begins(&netlify.saying(body), "a line break at its end that was not signed");
    let mut monday = token("monday", "as an app is called");
    monday.provider = "github".into();
    says(&monday, "good for the provider monday");
    // The claims hold the key to an account.
    for sentence in told(&token("monday", "expired")) {
        assert!(!sentence.contains("x.y.z"), "{sentence}");
    }
}
