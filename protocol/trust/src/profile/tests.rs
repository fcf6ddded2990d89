//! Tables that are good, and tables with mistakes.

mod repeats;

use super::*;

/// What is wrong with this table.
fn wrong(text: &str) -> String {
    Profiles::with_file(text).expect_err("a mistake").to_string()
}

fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_embedded_table_has_every_provider() {
    let profiles = Profiles::embedded();
    assert!(profiles.names().count() >= 54);
    for name in ["stripe", "aws_sns", "aws-sns", "standard-webhooks", "standard_webhooks", "hmac"] {
        assert!(profiles.get(name).is_some(), "{name}");
    }
    assert!(profiles.get("nobody").is_none());
}

#[test]
fn a_file_adds_rows_and_takes_the_place_of_others() {
    let text = r#"
        schema = 1
        [ours]
        verify = [{ kind = "token", from = "hdr:x-ours" }]
        [stripe]
        verify = [{ kind = "basic" }]
        event = { id = ["hdr:x-id"] }
    "#;
    let profiles = Profiles::with_file(text).expect("a good table");
    assert_eq!(profiles.get("ours").map(|p| p.confidence()), Some(Confidence::Unverified));
    assert_eq!(profiles.get("stripe").and_then(|p| p.dedup()), Some("header:x-id"));
    assert!(profiles.get("github").is_some());
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let text = r#"
        schema = 2
        [a]
        verify = [
          { kind = "hmac", digest = "sha3", sig = { header = "x", enc = "hex" }, message = "{body}" },
        ]
        [b]
        verify = [
          { kind = "basic" },
          { kind = "hmac", digest = "sha1", sig = { header = "x", enc = "hex" }, message = "{bodi}" },
        ]
        [c]
        colour = "red"
        [d]
        event = { id = ["hdr:x",
          "nowhere"] }
        [e]
        verify = [
          { kind = "basic" },
          { kind = "basic", digest = "sha1" },
        ]
    "#;
    let found = Profiles::with_file(text).expect_err("mistakes");
    let lines: Vec<usize> = found.mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 5, 10, 13, 16, 20], "{found}");
    assert_eq!(found.line(), 2);
    assert!(found.to_string().contains("line 13: unknown field `colour`"), "{found}");
    assert!(found.to_string().contains("line 20: digest has no meaning for this kind"), "{found}");
}

#[test]
fn what_is_no_table_is_told() {
    assert!(wrong("[a]\n[a").starts_with("line 2: "));
    assert!(wrong("a = 1").starts_with("line 1: "));
    assert!(wrong("\n[Stripe]").contains("line 2: \"Stripe\" is no name"));
    assert!(wrong("[off]").contains("no name"));
}

#[test]
fn what_does_not_fit_together_is_told() {
    let check = |entry: &str| wrong(&format!("[a]\nverify = [{{ {entry} }}]"));
    let sig = r#"sig = { header = "x", enc = "hex" }"#;
    assert!(check(&format!(r#"kind = "hmac", {sig}, message = "{{body}}""#)).contains("digest"));
    assert!(
        check(&format!(r#"kind = "hmac", digest = "sha1", {sig}, message = "{{ts}}""#))
            .contains("there must be a ts")
    );
    assert!(
        check(&format!(r#"kind = "hash", digest = "sha1", {sig}, message = "{{body}}""#))
            .contains("{secret}")
    );
    assert!(
        check(&format!(
            r#"kind = "rsa_pkcs1", digest = "sha1", key = "cert_url:hdr:x", {sig}, message = "a""#
        ))
        .contains("cert_hosts")
    );
    assert!(
        check(&format!(r#"kind = "hmac", digest = "sha1", {sig}, message = "{{method}}""#))
            .contains("body_bound = false")
    );
    let token = |rest: &str| check(&format!(r#"kind = "jwt", from = "hdr:x"{rest}"#));
    assert!(token("").contains("needs alg"));
    assert!(token(r#", alg = "none""#).contains("unknown variant `none`"));
    assert!(token(r#", alg = "HS256""#).contains("body_bound = false"));
    assert!(token(r#", alg = "HS256", key = "spki_b64""#).contains("key is utf8, base64 or hex"));
    assert!(token(r#", alg = "ES256", key = "utf8""#).contains("key is spki_b64"));
    assert!(token(r#", alg = "HS256", digest = "sha1""#).contains("digest has no meaning"));
    assert!(check(r#"kind = "token", from = "hdr:a b""#).contains("no name of a header field"));
    assert!(check(r#"kind = "sns", cert_host_re = "(" "#).contains("no regular expression"));
}

#[test]
fn a_handshake_signs_nothing_for_anybody() {
    let rule = |rest: &str| {
        format!(
            "[a]\nhandshake = [{{ when = {{ method = \"GET\" }}, {rest}, respond = {{ status = 200, body = \
             \"{{hmac_sha256_hex:query:c}}\" }} }}]"
        )
    };
    assert!(wrong(&rule("verify = false")).contains("needs a guard"));
    assert!(wrong(&rule("verify = true")).contains("needs a guard"));
    let guarded = rule(r#"verify = false, guard = { "query:c" = "^[a-z]+$" }"#);
    assert!(Profiles::with_file(&guarded).is_ok());
    assert!(wrong(&rule("verify = 1")).contains("token-if-set"));
}

#[test]
fn parameters_are_checked() {
    let profiles = Profiles::embedded();
    let fit = |name: &str, given: &[(&str, &str)]| {
        profiles.get(name).expect("a profile").fit(&params(given)).map(|_| ())
    };
    assert_eq!(fit("stripe", &[]), Ok(()));
    assert!(fit("stripe", &[("x", "1")]).is_err_and(|e| e.contains("stripe has no parameter x")));
    assert!(fit("paypal", &[]).is_err_and(|e| e.ends_with("parameter webhook_id")));
    assert_eq!(fit("paypal", &[("webhook_id", "1")]), Ok(()));
    assert_eq!(fit("meta", &[("verify_token", "1")]), Ok(()));
    assert!(fit("hmac", &[]).is_err_and(|e| e.contains("header")));
    assert_eq!(
        fit("hmac", &[("header", "X-Sig"), ("template", "{ts}.{body}"), ("timestamp", "X-T")]),
        Ok(())
    );
    assert!(fit("hmac", &[("header", "x"), ("digest", "md5")]).is_err_and(|e| e.contains("md5")));
    assert!(fit("hmac", &[("header", "x"), ("template", "{")]).is_err());
    assert!(
        fit("hmac", &[("header", "x"), ("template", "{method}")])
            .is_err_and(|e| e.contains("{body}"))
    );
    assert_eq!(fit("stripe", &[("tolerance", "86400")]), Ok(()));
    assert!(fit("stripe", &[("tolerance", "1d")]).is_err_and(|e| e.contains("seconds")));
    assert!(fit("github", &[("tolerance", "1")]).is_err_and(|e| e.contains("no parameter")));
    assert_eq!(fit("token", &[]), Ok(()));
    assert!(fit("token", &[("header", "x"), ("from", "query:y")]).is_err());
    assert_eq!(fit("jwt", &[]), Ok(()));
    assert_eq!(
        fit("jwt", &[("algorithm", "ES256"), ("body_claim", "h"), ("tolerance", "5")]),
        Ok(())
    );
    assert!(fit("jwt", &[("algorithm", "none")]).is_err_and(|e| e.contains("HS256")));
    assert!(fit("jwt", &[("algorithm", "RS256"), ("key", "utf8")]).is_err());
    assert!(fit("jwt", &[("body_digest", "sha1")]).is_err_and(|e| e.contains("body_claim")));
    assert_eq!(fit("monday", &[("audience", "https://a")]), Ok(()));
}

#[test]
fn an_event_is_read_and_told_by_its_selectors() {
    let profiles = Profiles::embedded();
    let headers: [(&[u8], &[u8]); 2] =
        [(b"X-GitHub-Delivery", b"72d3"), (b"x-github-event", b"push")];
    let request = Request {
        method: "POST",
        url: b"https://h/x",
        headers: &headers,
        body: br#"{"id":"evt_1"}"#,
    };
    let github = profiles.get("github").expect("github");
    assert_eq!(github.event_id(&request), Some("72d3".into()));
    assert_eq!(github.event_type(&request), Some("push".into()));
    assert_eq!(profiles.get("stripe").and_then(|p| p.event_id(&request)), Some("evt_1".into()));
    assert_eq!(profiles.get("slack").and_then(|p| p.event_id(&request)), None);
}

#[test]
fn a_relay_answers_before_the_provider_gives_up() {
    let profiles = Profiles::embedded();
    let wait = |name: &str| {
        profiles.get(name).and_then(|p| p.delivery().reply_timeout).map(|d| d.as_millis())
    };
    assert_eq!(wait("slack"), Some(2500));
    assert_eq!(wait("github"), Some(9000));
    assert_eq!(wait("linear"), Some(4000));
    assert_eq!(wait("stripe"), None);
    assert_eq!(profiles.get("bitbucket").and_then(|p| p.delivery().max_body), Some(262_144));
}

#[test]
fn what_can_be_proved_without_fetching_is_known() {
    let profiles = Profiles::embedded();
    let offline = |name: &str| profiles.get(name).and_then(|p| p.unprovable_offline());
    for name in ["paypal", "aws_sns"] {
        assert_eq!(offline(name), Some(Unprovable::Fetched), "{name}");
    }
    assert_eq!(offline("ebay"), Some(Unprovable::NothingSent));
    let others = profiles.names().filter(|name| !["hmac", "token", "jwt"].contains(name));
    assert_eq!(others.filter(|name| offline(name).is_some()).count(), 3);
}

#[test]
fn what_nobody_has_confirmed_is_known() {
    let profiles = Profiles::embedded();
    let unconfirmed = |name: &&str| profiles.get(name).is_some_and(|p| p.is_unconfirmed());
    assert_eq!(profiles.names().filter(unconfirmed).collect::<Vec<_>>(), ["auth0", "mailchimp"]);
}

#[test]
fn the_row_in_the_document_is_good() {
    let document = include_str!("../../PROFILES.md");
    let row =
        document.split("```").nth(1).and_then(|block| block.strip_prefix("toml\n")).expect("a row");
    let profiles = Profiles::with_file(row).unwrap_or_else(|e| panic!("{e}"));
    let acme = profiles.get("acme").expect("acme");
    assert_eq!((acme.checks.len(), acme.rules.len(), acme.confidence()), (1, 1, Confidence::Docs));
}

#[test]
fn the_document_names_every_parameter_of_the_generic_profiles() {
    let document = include_str!("../../PROFILES.md");
    for name in ["hmac", "token", "jwt"] {
        let profiles = Profiles::embedded();
        for parameter in profiles.get(name).expect("a profile").parameters() {
            let told = format!("`{}`", parameter.name);
            assert!(document.contains(&told), "{told} of {name}");
            assert!(!parameter.what.is_empty());
        }
    }
}
