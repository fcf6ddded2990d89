//! The table of settings: what is read, what is shown, what is refused.

use proptest::prelude::*;

use super::*;

fn apply(pairs: &[(&str, &str)]) -> Result<Settings, Vec<BadSetting>> {
    again(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
}

fn again(set: &BTreeMap<String, String>) -> Result<Settings, Vec<BadSetting>> {
    Settings::apply(set, &Profiles::embedded())
}

/// Every key with a value that is not its default, as it is shown.
const SET: &[(&str, &str)] = &[
    ("ack_body", "{\"ok\": true}"),
    ("ack_status", "200"),
    ("allow", "192.0.2.0/24,2001:db8::1"),
    ("attempt_timeout", "5s"),
    ("batch", "100"),
    ("batch_wait", "500ms"),
    ("breaker", "off"),
    ("capture", "headers"),
    ("collapse", "json:/issue/key"),
    ("collapse_wait", "1m"),
    ("dedup", "header:x-id"),
    ("dedup_window", "1h"),
    ("expire_after", "2h"),
    ("fallback", "fail"),
    ("fallback_statuses", "502,503"),
    ("filter", "method == \"POST\""),
    ("filter.ci", "path == \"/ci\""),
    ("groups", "main,ci"),
    ("hold", "0ms"),
    ("keep_bytes", "1GiB"),
    ("keep_events", "1000"),
    ("keep_for", "7d"),
    ("max_body", "1MiB"),
    ("max_in_flight", "1"),
    ("on_failure", "mark"),
    ("public_url", "https://hooks.example.com/in"),
    ("queue_max_bytes", "1MiB"),
    ("queue_max_events", "10"),
    ("rate", "50/s"),
    ("rate_limit", "100/s:500"),
    ("rate_limit_address", "600/m"),
    ("reply", "ack"),
    ("reply_timeout", "25s"),
    ("resign", "standard"),
    ("retry", "1s,10s,1m"),
    ("retry_for", "1h"),
    ("verify", "meta"),
    ("verify_param.verify_token", "t"),
];

#[test]
fn what_is_shown_can_be_set_again() {
    let settings = apply(SET).unwrap();
    let shown = settings.show();
    let pairs: Vec<(&str, &str)> = shown.iter().map(|(k, v)| (&**k, &**v)).collect();
    let without_order = |(key, _): &&(&str, &str)| *key != "order";
    assert_eq!(pairs.iter().filter(without_order).copied().collect::<Vec<_>>(), SET);
    assert_eq!(again(&shown), Ok(settings));
    // Order goes with few of the others.
    let ordered = apply(&[("order", "query:id")]).unwrap();
    assert_eq!(ordered.show()["order"], "query:id");
    assert_eq!(again(&ordered.show()), Ok(ordered));
    let default = Settings::default();
    assert_eq!(again(&default.show()), Ok(default.clone()));
    for (key, value) in default.show() {
        let tried = key == "order" || SET.iter().any(|(k, v)| *k == key && *v != value);
        assert!(tried, "{key} is tried");
    }
}

#[test]
fn every_wrong_key_is_told_at_once() {
    let bad = apply(&[
        ("hold", "3x"),
        ("colour", "red"),
        ("max_body", "9999GiB"),
        ("reply_timeout", "1ms"),
    ]);
    let keys: Vec<String> = bad.unwrap_err().into_iter().map(|bad| bad.key).collect();
    assert_eq!(keys, ["colour", "hold", "max_body", "reply_timeout"]);
}

#[test]
fn a_value_that_makes_no_sense_is_refused() {
    for (key, values) in [
        ("reply", &["", "Live", "later"][..]),
        ("fallback_statuses", &["", "200", "502,", "502;503", "600"]),
        ("ack_status", &["199", "300", "ok", ""]),
        ("retry", &["", "exponentially", "1s,,2s"]),
        ("retry_for", &["0ms", "never"]),
        ("order", &["", "key", "key:", "header:", "json:a"]),
        ("max_in_flight", &["0", "-1", "+1", "1e3", "99999999999999999999"]),
        ("rate", &["0/s", "50", ""]),
        ("allow", &["", "none", "10.0.0.1/8", "10.0.0.0/33", "example.com"]),
        ("rate_limit", &["0/s", "50", "all", "5/s:0"]),
        ("rate_limit_address", &["", "1/d"]),
        ("dedup", &["on", ""]),
        ("batch", &["0", "1001"]),
        ("groups", &["", "main,", "Main", "a b"]),
        ("filter", &["", "method ==", "colour == 1"]),
        ("filter.", &["true"]),
        ("filter.main", &["", "none"]),
        ("queue_max_events", &["0"]),
        ("keep_for", &["0ms", "forever"]),
    ] {
        for value in values {
            let bad = apply(&[(key, value)]).expect_err(value);
            assert_eq!(bad[0].key, key, "{value}");
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (pairs, key) in [
        (&[("batch", "2")][..], "batch"),
        (&[("collapse", "path"), ("reply", "live")], "collapse"),
        (&[("order", "endpoint"), ("fallback", "fail")], "order"),
        (&[("order", "endpoint"), ("reply", "ack"), ("batch", "2")], "batch"),
        (&[("order", "path"), ("reply", "ack"), ("collapse", "path")], "collapse"),
        (&[("filter.ci", "true")], "filter.ci"),
        (&[("filter.ci", "true"), ("groups", "cd")], "filter.ci"),
    ] {
        let bad = apply(pairs).expect_err(key);
        assert_eq!(bad.iter().map(|bad| &*bad.key).collect::<Vec<_>>(), [key]);
    }
    assert!(apply(&[("filter.main", "true")]).is_ok());
}

#[test]
fn main_is_always_the_first_group() {
    for (groups, shown) in
        [("ci", "main,ci"), ("b, main ,a", "main,b,a"), ("a,a", "main,a"), ("main", "main")]
    {
        assert_eq!(apply(&[("groups", groups)]).unwrap().show()["groups"], shown);
    }
}

#[test]
fn a_group_has_its_own_filter_or_the_endpoints() {
    let settings =
        apply(&[("groups", "a,b"), ("filter", "size > 1"), ("filter.a", "size > 2")]).unwrap();
    let of = |group: &str| settings.filter_of(&group.parse().unwrap()).unwrap().to_string();
    assert_eq!([of("main"), of("a"), of("b")], ["size > 1", "size > 2", "size > 1"]);
}

#[test]
fn a_policy_with_a_last_attempt_comes_to_it_unless_it_was_cut_by_hand() {
    for (retry, hours) in
        [("exponential", 72), ("slack", 72), ("stripe", 73), ("standard-webhooks", 76), ("5d", 121)]
    {
        let settings = apply(&[("retry", retry)]).unwrap();
        assert_eq!(settings.retry_for.as_secs(), hours * 3600, "{retry}");
        assert_eq!(again(&settings.show()), Ok(settings));
    }
    let cut = apply(&[("retry", "stripe"), ("retry_for", "1d")]).unwrap();
    assert_eq!(cut.retry_for, DAY);
}

proptest! {
    #[test]
    fn any_value_of_any_key_is_shown_as_it_is_read_or_refused(at in 0..SET.len(), value in "\\PC{0,20}|[0-9a-z:/,]{1,12}") {
        if let Ok(settings) = apply(&[(SET[at].0, &value), ("groups", "ci"), ("reply", "ack")]) {
            prop_assert_eq!(again(&settings.show()), Ok(settings));
        }
    }
}

#[test]
fn a_provider_suits_itself_where_nothing_is_set_by_hand() {
    let slack = apply(&[("verify", "slack")]).unwrap();
    assert_eq!(slack.reply_timeout, Duration::from_millis(2500));
    assert_eq!(slack.dedup.unwrap().to_string(), "json:/event_id");
    let bitbucket = apply(&[("verify", "bitbucket"), ("dedup", "off")]).unwrap();
    assert_eq!((bitbucket.max_body, bitbucket.dedup), (256 << 10, None));
    let adyen = apply(&[("verify", "adyen")]).unwrap();
    assert_eq!((adyen.ack_status, adyen.ack_body.as_deref()), (200, Some("[accepted]")));
    assert_eq!(adyen.ack_type.as_deref(), Some("text/plain"));
    let set =
        apply(&[("verify", "adyen"), ("ack_status", "204"), ("reply_timeout", "1s")]).unwrap();
    assert_eq!((set.ack_status, set.ack_body, set.reply_timeout.as_secs()), (204, None, 1));
}

#[test]
fn what_repeats_of_a_provider_are_known_by_can_be_set() {
    let profiles = Profiles::embedded();
    for name in profiles.names() {
        let suits = profiles.get(name).unwrap().dedup();
        let read = suits.map(|text| Selector::parse(text).unwrap().to_string());
        assert_eq!(read.as_deref(), suits, "{name}");
    }
    let dedup = |name| apply(&[("verify", name)]).unwrap().dedup.map(|by| by.to_string());
    assert_eq!(dedup("svix").as_deref(), Some("header:svix-id|header:webhook-id"));
    assert_eq!(dedup("dropbox"), None);
}

#[test]
fn parameters_belong_to_a_provider() {
    for (pairs, why) in [
        (&[("verify_param.a", "b")][..], "verify_param.a: is for a provider; needs verify"),
        (&[("verify", "meta"), ("verify_param.colour", "b")], "meta has no parameter colour"),
        (&[("verify", "paypal")], "paypal needs the parameter webhook_id"),
        (&[("verify", "strip")], "verify: no such provider; did you mean stripe?"),
        (&[("public_url", "hooks.example.com")], "is no URL such as"),
        (&[("public_url", "https://hooks.example.com/?a=b")], "is no URL such as"),
    ] {
        let told = apply(pairs).unwrap_err()[0].to_string();
        assert!(told.contains(why), "{told}");
    }
}
