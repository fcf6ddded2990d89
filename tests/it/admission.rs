//! Who may send to an endpoint, and how often: by the address that the sender really has.

use relay_tests::journey::Journey;
use relay_tests::provider::Provider;
use relay_tests::raw::{Message, Written};
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::until;
use serde_json::{Value, json};

use super::errors::assert_problem;

/// A relay behind a proxy of its own: whatever comes from this machine names its sender.
async fn behind_a_proxy(settings: &[(&str, &str)]) -> (Relay, Endpoint) {
    let relay = Relay::with(&[("trusted_proxies", "127.0.0.1, 10.0.0.0/8")]).await;
    let endpoint = relay.endpoint_with("story", &[&[("reply", "ack")], settings].concat()).await;
    (relay, endpoint)
}

/// A post whose `X-Forwarded-For` is these lines.
async fn post_for(through: &mut Provider, forwarded: &[&str]) -> Message {
    let request = through.request("POST", "/").body("x");
    let named = |request: Written, value: &&str| request.field("X-Forwarded-For", value);
    let request = forwarded.iter().fold(request, named);
    through.send("POST", &request).await
}

/// How many events an endpoint has.
async fn kept(relay: &Relay) -> usize {
    let page = relay.api().get("/events?endpoint=story").await.unwrap();
    page["events"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn an_endpoint_takes_only_from_the_networks_that_it_allows() {
    let (relay, endpoint) = behind_a_proxy(&[("allow", "192.0.2.0/24,2001:db8::/32")]).await;
    let mut through = relay.provider(&endpoint);
    for good in
        ["192.0.2.1", "::ffff:192.0.2.9", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:1"]
    {
        assert_eq!(post_for(&mut through, &[good]).await.status(), 202, "{good}");
    }
    for bad in ["192.0.3.1", "::ffff:192.0.3.9", "2001:db9::1", "127.0.0.1", "", "unknown"] {
        let answer = post_for(&mut through, &[bad]).await;
        assert_problem(&answer, "address_not_allowed", 403, "no");
    }
    assert_eq!(kept(&relay).await, 5);
    let set = json!({"settings": {"allow": null}});
    relay.api().patch("/endpoints/story", &set).await.unwrap();
    assert_eq!(post_for(&mut through, &["192.0.3.1"]).await.status(), 202);
}

#[tokio::test]
async fn what_stands_left_of_a_stranger_in_the_chain_is_not_believed() {
    let (relay, endpoint) = behind_a_proxy(&[("allow", "192.0.2.1")]).await;
    let mut through = relay.provider(&endpoint);
    for good in [
        &["192.0.2.1"][..],
        &["192.0.2.1, 10.1.2.3"],
        &["192.0.2.1", "10.1.2.3, 10.0.0.1"],
        &["203.0.113.9, 192.0.2.1"],
        &["garbage, 192.0.2.1"],
    ] {
        assert_eq!(post_for(&mut through, good).await.status(), 202, "{good:?}");
    }
    for forged in [
        &["192.0.2.1, 203.0.113.9"][..],
        &["192.0.2.1", "203.0.113.9"],
        &["192.0.2.1, 203.0.113.9:80, 10.0.0.1"],
        &["192.0.2.1, garbage"],
        &["192.0.2.1,"],
        &[],
    ] {
        let answer = post_for(&mut through, forged).await;
        assert_problem(&answer, "address_not_allowed", 403, "no");
    }
}

#[tokio::test]
async fn a_stranger_does_not_say_where_it_comes_from() {
    let relay = Relay::start().await;
    let settings = [("reply", "ack"), ("allow", "192.0.2.1")];
    let mut through = relay.provider(&relay.endpoint_with("story", &settings).await);
    let request = through.request("POST", "/").body("x");
    let forged = request
        .field("X-Forwarded-For", "192.0.2.1")
        .field("Forwarded", "for=192.0.2.1")
        .field("X-Real-IP", "192.0.2.1")
        .field("Webhook-Relay-Remote", "192.0.2.1");
    assert_problem(&through.send("POST", &forged).await, "address_not_allowed", 403, "no");
    assert_eq!(kept(&relay).await, 0);
}

#[tokio::test]
async fn only_the_field_that_proxies_write_is_believed() {
    let (relay, endpoint) = behind_a_proxy(&[("allow", "192.0.2.1")]).await;
    let mut through = relay.provider(&endpoint);
    // A proxy that appends to the one passes the other on as it came.
    let request = through.request("POST", "/").body("x").field("Forwarded", "for=192.0.2.1");
    let answer = through.send("POST", &request.field("X-Forwarded-For", "203.0.113.9")).await;
    assert_problem(&answer, "address_not_allowed", 403, "no");
}

#[tokio::test]
async fn an_ipv4_caller_of_an_ipv6_socket_is_an_ipv4_caller() {
    let relay = Relay::with(&[("listen", "[::ffff:127.0.0.1]:0")]).await;
    let settings = [("reply", "ack"), ("allow", "127.0.0.0/8")];
    let endpoint = relay.endpoint_with("story", &settings).await;
    assert_eq!(relay.provider(&endpoint).post("/", "x").await.status(), 202);
    let shown = relay.api().get("/events?endpoint=story").await.unwrap();
    let event = relay.api().get(&format!("/events/{}", text(&shown["events"][0]["id"]))).await;
    assert_eq!(event.unwrap()["remote"], "127.0.0.1");
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn an_endpoint_takes_so_many_and_no_more() {
    let (relay, endpoint) = behind_a_proxy(&[("rate_limit", "3/h")]).await;
    let mut through = relay.provider(&endpoint);
    for n in 0..3 {
        let from = format!("192.0.2.{n}");
        assert_eq!(post_for(&mut through, &[&from]).await.status(), 202);
    }
    let answer = post_for(&mut through, &["192.0.2.9"]).await;
    assert_problem(&answer, "rate_limited", 429, "no");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1100..=1200).contains(&seconds), "{seconds}");
    assert_eq!(kept(&relay).await, 3, "what was refused is not kept, what was taken is");
    let other = relay.endpoint_with("other", &[("reply", "ack")]).await;
    assert_eq!(relay.provider(&other).post("/", "x").await.status(), 202);
    relay
        .api()
        .patch("/endpoints/story", &json!({"settings": {"rate_limit": "9/h"}}))
        .await
        .unwrap();
    assert_eq!(post_for(&mut through, &["192.0.2.9"]).await.status(), 202);
}

#[tokio::test]
async fn who_comes_back_when_told_is_taken() {
    let journey = Journey::with(Target::echo().await, &[], &[("rate_limit", "1/s:1")]).await;
    let mut through = journey.through();
    assert_eq!(through.post("/", "x").await.status(), 200);
    let refused = through.post("/", "x").await;
    assert_problem(&refused, "rate_limited", 429, "no");
    assert_eq!(refused.field("retry-after").as_deref(), Some("1"));
    until("it is taken again", async || through.post("/", "x").await.status() == 200).await;
}

#[tokio::test]
async fn one_address_takes_nothing_from_the_share_of_others() {
    let limits = [("rate_limit_address", "2/h"), ("rate_limit", "6/h")];
    let (relay, endpoint) = behind_a_proxy(&limits).await;
    let mut through = relay.provider(&endpoint);
    let mut statuses = Vec::new();
    for from in ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"] {
        statuses.push(post_for(&mut through, &[from]).await.status());
    }
    assert_eq!(statuses, [202, 202, 429, 429, 429]);
    // Of IPv6, a customer has a whole network of addresses.
    for (from, status) in [
        ("2001:db8:1:2::1", 202),
        ("2001:db8:1:2:ffff::2", 202),
        ("2001:db8:1:2::3", 429),
        ("2001:db8:1:3::1", 202),
        ("192.0.2.2", 202),
        // That was the endpoint's own share.
        ("192.0.2.3", 429),
    ] {
        assert_eq!(post_for(&mut through, &[from]).await.status(), status, "{from}");
    }
    assert_eq!(kept(&relay).await, 6);
}

#[tokio::test]
async fn a_relay_may_bound_what_one_address_sends_wherever_it_sends_it() {
    let relay = Relay::with(&[("rate_limit_address", "4/h")]).await;
    let (one, two) =
        (relay.endpoint_with("one", &[("reply", "ack")]).await, relay.endpoint("two").await);
    for _ in 0..2 {
        assert_eq!(relay.provider(&one).post("/", "x").await.status(), 202);
        // Who tries keys out is counted as well.
        assert_eq!(Provider::of(relay.address, "/hooks/none").post("", "x").await.status(), 404);
    }
    assert_problem(&relay.provider(&two).post("/", "x").await, "rate_limited", 429, "no");
    let guess = Provider::of(relay.address, "/hooks/none").post("", "x").await;
    assert_problem(&guess, "rate_limited", 429, "no");
    // The relay's own API and its agents are no providers.
    assert!(relay.api().get("/endpoints").await.is_ok());
}
